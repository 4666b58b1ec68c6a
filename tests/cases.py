"""Which cases of a law `make test` tries; `make test-slow` tries the rest."""

from collections.abc import Iterable
from typing import Any

import pytest


def first(count: int, cases: Iterable[Any]) -> list[Any]:
    """Mark all cases but the first few as slow."""
    rows = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*row, marks=[pytest.mark.slow] * (i >= count)) for i, row in enumerate(rows)]
