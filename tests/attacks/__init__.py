"""Attacks on what the product promises, one module a kind: tests run a few cases, results/attacks.py many.

Each module has a docstring that says what is tried, and a function `attack(seed, count) -> Attack`.
"""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Attack:
    """What an attack met: how many cases were tried, what they ended in, and one line for each fault."""

    tried: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __add__(self, other: "Attack") -> "Attack":
        """Put two together."""
        return Attack(self.tried + other.tried, self.outcomes + other.outcomes, self.faults + other.faults)
