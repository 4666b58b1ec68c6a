"""Every method answers for networks that end in any operation: see tests/fuzz/endings.py."""

from fuzz import endings


def test_every_method_answers_whatever_a_network_ends_in() -> None:
    attack = endings.attack(0, len(endings.ENDINGS) * (len(endings.METHODS) + 2))  # each pair once
    assert not attack.faults
    assert attack.outcomes["holds"] > 30
    assert attack.outcomes["violated"] > 10
    assert attack.outcomes["compressed"] > 15
