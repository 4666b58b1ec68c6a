"""Every answer about a network's own outputs is true of the original file, as ONNX Runtime runs it."""

import pytest

from cases import first
from fuzz import questions


@pytest.mark.parametrize("seed", first(1, range(3)))
def test_answers_are_true_of_the_file(seed: int) -> None:
    met = questions.attack(1000 + seed, 15)
    assert not met.faults
    assert met.outcomes["holds"] > 1
    assert met.outcomes["violated"] > 1
