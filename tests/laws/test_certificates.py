"""No certificate that was damaged or forged is accepted for a claim that an input refutes; honest ones always are."""

import pytest

from cases import first
from fuzz.certificates import attack


@pytest.mark.parametrize("seed", first(2, range(4)))
def test_nothing_false_is_accepted(seed: int) -> None:
    met = attack(seed, 90)
    assert not met.faults
    assert met.outcomes["refused"] > 40
    assert met.outcomes["accepted, and true"] > 4


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_nothing_false_is_accepted_of_many(seed: int) -> None:
    assert not attack(seed, 500).faults
