"""Answers about two networks are true of their files: see tests/fuzz/networks.py."""

import pytest

from fuzz import networks


@pytest.mark.parametrize("seed", range(4))
def test_answers_about_two_networks_are_true(seed: int) -> None:
    attack = networks.attack(seed, 15)
    assert not attack.faults
    assert attack.outcomes["violated"] > 5
