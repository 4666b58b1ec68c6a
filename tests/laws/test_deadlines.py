"""Whenever time runs out, what is answered is true; more in results/attacks.py."""

import pytest

from fuzz.deadlines import OFTEN, attack


@pytest.mark.parametrize("seed", range(4))
def test_whenever_time_is_up_the_answer_is_true_and_files_are_whole(seed: int) -> None:
    met = attack(1000 + seed, 3 * len(OFTEN))
    assert not met.faults, met.faults
    assert met.tried == 3 * len(OFTEN)
