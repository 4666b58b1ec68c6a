"""Measuring a table that need not fit into memory: piece by piece, by group, on one machine or many."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from joblib import Parallel, delayed

from surefoot.core.cluster import workers
from surefoot.core.distributions import normal_quantile
from surefoot.core.errors import InputError
from surefoot.core.precision import Zeros
from surefoot.core.predictions import Kind
from surefoot.core.scored import Scored
from surefoot.core.tables import TablePart, pieces_of, read_piece, resolution_of
from surefoot.core.types import Logits
from surefoot.metrics import Metric
from surefoot.metrics.uncertainty import Measuring, Reading, RowRange

EMPTY = "(empty)"  # the group of rows whose column holds an empty text: "" stands for all rows
_TASKS = 200  # at most: what comes back from each is merged here


class Fitted(Protocol):
    """A fitted calibrator as measuring knows it: a `Calibrator` without its package, which loads scikit-learn."""

    def predict_scored(self, logits: Logits, /) -> Scored:
        """Return the repaired rows of a table of logits."""
        ...


@dataclass(frozen=True)
class MeasurementPlan:
    """What is read of a table, and how.

    Attributes:
        metrics: what is read.
        split: only this part.
        by: also for each value of this column.
        calibrator: a calibrator that is applied first.
        intervals, floors: whether they are computed.
        seed: of everything random.
        labels, kind: of a `.npy` table, as `load_predictions` takes them.
        resolution: of the whole table, where it is read in pieces; see `core.precision`.
    """

    metrics: tuple[Metric, ...]
    split: str | None = None
    by: str | None = None
    calibrator: Fitted | None = None
    intervals: bool = True
    floors: bool = True
    seed: int = 0
    labels: Path | str | None = None
    kind: Kind | None = None
    resolution: float | None = None

    def state(self) -> Measuring:
        """Return an empty state."""
        return Measuring(self.metrics, intervals=self.intervals, floors=self.floors, seed=self.seed)


@dataclass(frozen=True)
class Group:
    """The readings of some rows of a table: how many, of how many classes, and what stored zeros count as."""

    n: int
    k: int
    readings: dict[str, Reading]
    zeros: Zeros | None = None


def measure_table(
    path: Path | str, plan: MeasurementPlan, *, jobs: int = 1, cluster: str | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Group]:  # fmt: skip
    """Read all metrics of a table; under "" for all its rows, and under each value of the column `by`.

    Arguments:
        path: whatever `pieces_of` takes.
        jobs: processes that read pieces, each on its own.
        cluster: address of a Dask scheduler, whose workers read them instead; they must be able to open the files.
        progress: called with rows done and rows in all (None where unknown) as pieces are done.

    Property: the same numbers, to rounding, for any division into files, jobs and machines.

    Raises:
        FileError, InputError: a piece that cannot be read or is no table of predictions (file and row are named); no
            row of the part.
    """
    pieces = pieces_of(path)
    runs = [pieces[i::_TASKS] for i in range(min(_TASKS, len(pieces)))] if len(pieces) > 1 else [pieces]
    alone = jobs == 1 and cluster is None
    if alone:
        runs = [[piece] for piece in pieces]
    total = sum(p.rows or 0 for p in pieces) or None
    plan = replace(plan, resolution=resolution_of(pieces, plan.labels, plan.kind))
    states: dict[str, Measuring] = {}
    done = 0
    with workers(cluster):
        run = Parallel(n_jobs=-1 if cluster else jobs, return_as="generator_unordered")
        tasks = run(delayed(_observe)(part, plan) for part in runs)
        results: Iterator[tuple[int, dict[str, Measuring], list[tuple[str, Zeros]]]] = tasks  # type: ignore[assignment]
        zeros: dict[str, Zeros] = {}
        for seen, groups, stored in results:
            for name, state in groups.items():
                states.setdefault(name, plan.state()).merge(state)
            for name, more in stored:
                zeros[name] = zeros[name] + more if name in zeros else more
            done += seen
            if progress is not None:
                progress(done, total)
    if "" not in states:
        raise InputError(f"{path}: no row belongs to the part {plan.split!r}")
    for name, stored in zeros.items():
        zeros[name] = replace(stored, rows=states[name].n)  # also of batches that store none
    return {name: Group(state.n, state.k, state.readings(), zeros.get(name)) for name, state in sorted(states.items())}


def _observe(
    pieces: Sequence[TablePart], plan: MeasurementPlan
) -> tuple[int, dict[str, Measuring], list[tuple[str, Zeros]]]:
    """Read pieces; return the number of rows read, the state of each group, and the zeros that are stored of it."""
    states: dict[str, Measuring] = {}
    zeros: list[tuple[str, Zeros]] = []
    read = 0
    for piece in pieces:
        first = piece.first
        for read_batch in read_piece(piece, plan.labels, plan.kind, plan.by):
            batch = read_batch if plan.resolution is None else read_batch.at_resolution(plan.resolution)
            kept = np.ones(batch.n, dtype=bool)
            if plan.split is not None:
                kept &= np.full(batch.n, False) if batch.split is None else batch.in_part(plan.split)
            groups = {"": kept}
            if batch.group is not None:
                named = ((str(value) or EMPTY, batch.group == value) for value in np.unique(batch.group))
                groups |= {name: kept & chosen for name, chosen in named}
            scored: Scored | None = None
            for name, chosen in groups.items():
                if not chosen.any():
                    continue
                if scored is None:
                    scored = plan.calibrator.predict_scored(batch.logits()) if plan.calibrator else batch.scored()
                state = states.setdefault(name, plan.state())
                rows = scored if chosen.all() else scored[chosen]
                state.add(rows, batch.labels[chosen], RowRange(first, batch.n, None if chosen.all() else chosen))
                if batch.zeros is not None and (stored := batch.rows(chosen).zeros) is not None:
                    zeros.append((name, stored))
            first += batch.n
            read += batch.n
    return read, states, zeros


def worst_group(groups: dict[str, Group], metric: Metric) -> str | None:
    """Name the group of the worst reading whose interval lies beyond the reading of all rows; None where none does.

    Intervals are widened for the number of groups (Bonferroni), so that among many even ones none is named by chance.
    An error of calibration is raised by chance where rows are few: its interval must also lie above the mean reading
    of a calibrated model on those rows, and the reading above that of 95% of them.
    """
    whole = groups[""].readings[metric.name]
    wider = normal_quantile(0.025 / max(len(groups) - 1, 1)) / normal_quantile(0.025)
    sign = 1.0 if metric.better == "lower" else -1.0
    of_calibration = metric.interval == "bootstrap" and metric.better == "lower"
    beyond = {}
    for name, group in groups.items():
        r = group.readings[metric.name]
        edge = r.value - wider * (r.value - (r.low if sign > 0 else r.high))
        if of_calibration and (r.value <= r.floor_high or edge <= r.floor):
            continue
        if name and sign * (edge - whole.value) > 0:
            beyond[name] = sign * r.value
    return max(beyond, key=lambda name: beyond[name]) if beyond else None
