"""Attacks on what the product promises, one module a kind: tests run a few cases, results/attacks.py many.

Each module has a docstring that says what is tried (its first paragraph is shown), `CASES`, how many results/attacks.py
tries, `BEFORE`, what the attack met on the code before its faults were mended, and `attack(seed, count) -> Attack`.
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
