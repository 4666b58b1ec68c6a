"""What is contrasted: several calibrators on one table, or several models on the same rows."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from surefoot.core.errors import InputError, Taken
from surefoot.core.precision import Zeros
from surefoot.core.predictions import Predictions
from surefoot.core.scored import Scored
from surefoot.core.tables import load_predictions
from surefoot.core.types import Labels
from surefoot.evaluate.evaluation import divide
from surefoot.recalibrate import find_calibrator


@dataclass(frozen=True)
class Sides:
    """The same rows as each side sees them, by name; their labels; and what stored zeros count as, by table.

    `common_floor` is what every smaller probability counts as in all tables, where they store zeros of different worth.
    """

    rows: dict[str, Scored]
    labels: Labels
    zeros: dict[str, Zeros]
    common_floor: float | None = None

    @property
    def sentences(self) -> list[str]:
        """Say what zeros count as."""
        if self.common_floor is None:
            return [f"{name}: {stored.sentence}" for name, stored in self.zeros.items()]
        stored = ", ".join(f"{name} {zeros.stored:,}" for name, zeros in self.zeros.items())
        return [
            f"Probabilities of exactly 0 are stored ({stored}), and the tables differ in resolution: in all of them "
            f"every probability below {self.common_floor:.3g}, that of the coarsest with zeros, counts as "
            f"{self.common_floor:.3g} in NLL."
        ]


def maps_of(table: str, methods: Sequence[str], seed: int) -> Sides:
    """Learn calibrators on the held-out part of a table, and return its other rows as each repairs them."""
    _refuse_twice(methods, "calibrator")
    fitted_on, tested = divide(load_predictions(table), None, seed)
    calibrators = {name: find_calibrator(name)().fit_table(fitted_on) for name in methods}
    repaired = {name: fitted.predict_scored(tested.logits()) for name, fitted in calibrators.items()}
    return Sides(repaired, tested.labels, _zeros({table: tested}))


def models_of(tables: Sequence[str]) -> Sides:
    """Return the rows of several tables, of their `test` parts where they have them.

    Raises:
        InputError: one table alone, or tables of other rows.
    """
    if len(tables) < 2:
        raise InputError("one table needs --methods: which calibrators to compare on it")
    _refuse_twice([str(Path(name)) for name in tables], "table")
    whole = {name: load_predictions(name) for name in tables}
    loaded = {name: _tested(table) for name, table in whole.items()}
    for name, table in whole.items():
        if table.parts and loaded[name].n < table.n:
            warnings.warn(f"{name}: its {loaded[name].n:,} rows of the part test are compared", Taken, stacklevel=2)
        elif table.parts and table.parts != ("test",):
            parts = " and ".join(table.parts)
            warnings.warn(f"{name}: all rows are compared, of {parts}: no part is called test", Taken, stacklevel=2)
    first = loaded[tables[0]]
    for name, part in loaded.items():
        if part.n != first.n or (part.labels != first.labels).any():
            raise InputError(f"{name} is not of the same rows as {tables[0]}: the labels differ")
    rows, zeros = {name: part.scored() for name, part in loaded.items()}, _zeros(loaded)
    floor = max((stored.count_as for stored in zeros.values()), default=None)
    if floor is None or all(part.kind == "probs" and part.floor == floor for part in loaded.values()):
        return Sides(rows, first.labels, zeros)
    return Sides({name: part.at_floor(floor) for name, part in rows.items()}, first.labels, zeros, floor)


def _zeros(loaded: Mapping[str, Predictions]) -> dict[str, Zeros]:
    return {name: part.zeros for name, part in loaded.items() if part.zeros is not None}


def _tested(table: Predictions) -> Predictions:
    return table.part("test") if "test" in table.parts else table


def _refuse_twice(names: Sequence[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name} is the same {what} twice: give two of them")
