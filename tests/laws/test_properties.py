"""A property means what its text says, in exact numbers: see tests/fuzz/properties.py."""

import pytest

from fuzz import properties


@pytest.mark.parametrize("seed", range(4))
def test_a_text_is_read_with_its_exact_meaning(seed: int) -> None:
    attack = properties.attack(seed, 50)
    assert not attack.faults
    assert attack.outcomes["read"] > 30
