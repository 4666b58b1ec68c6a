"""Whether two networks are the same polynomial is told from all that can be made of one, by exact coefficients."""

import pytest

from fuzz.polynomials import attack


@pytest.mark.parametrize("seed", range(2))
def test_pairs_are_told_apart(seed: int) -> None:
    met = attack(seed, 60)
    assert met.tried == 60
    assert not met.faults, met.faults[:3]
