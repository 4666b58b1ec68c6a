"""Every method answers for networks that end in any operation: see tests/fuzz/endings.py."""

import pytest

from cases import first
from fuzz import endings

WAYS = len(endings.METHODS) + 2  # and compression, of the network and of one that ends in a Clip


@pytest.mark.parametrize("ways", first(1, [WAYS - 1, WAYS]))
def test_every_method_answers_whatever_a_network_ends_in(ways: int) -> None:
    attack = endings.attack(0, len(endings.ENDINGS) * ways)  # each pair once
    assert not attack.faults
    assert attack.outcomes["holds"] > 30
    assert attack.outcomes["violated"] > 10
    assert attack.outcomes["compressed"] > 5
