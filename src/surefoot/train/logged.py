"""Our metrics with the face of torchmetrics, so that a training loop that is there already can log them."""

from contextlib import nullcontext
from dataclasses import fields
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from surefoot.core.checks import check_logits, part_of_a_table
from surefoot.core.errors import InputError
from surefoot.core.scored import Scored
from surefoot.metrics import STANDARD, Tally, find_metric
from surefoot.metrics.uncertainty import total


class Calibration(Metric):
    """A metric of `surefoot.metrics` as a torchmetrics `Metric`: update, compute, reset, and synchronised over devices.

    What is kept is the tally, not the rows; tallies of several processes are gathered and added, so the value is that
    of all rows together, not a mean of the processes' values. In a `MetricCollection` metrics of one tally share it.

    Arguments:
        name: one of `surefoot.metrics.METRICS`.
        scores: whether `update` is given logits or probabilities, (n, k); never guessed.

    Raises:
        InputError: there is no such metric; or, by `update`, rows that are not what `scores` says.

    >>> ece = Calibration("ece")
    >>> ece.update(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])); round(float(ece.compute()), 2)
    0.43
    """

    full_state_update = False
    is_differentiable = False

    def __init__(self, name: str, scores: Literal["logits", "probs"] = "logits", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if scores not in ("logits", "probs"):
            raise InputError(f"scores are 'logits' or 'probs', got {scores!r}")
        self.metric, self.scores = find_metric(name), scores
        self.add_state("packed", default=[], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Tally a batch: scores (n, k) and labels (n,)."""
        table = preds.detach().float().cpu().numpy()
        with part_of_a_table() if self._tallies else nullcontext():  # what the rows are is settled by the first batch
            probs = Scored.of_logits(check_logits(table)) if self.scores == "logits" else table
        tally = self.metric.observe(probs, target.detach().cpu().numpy())
        if self._tallies:
            tally = total([*self._tallies, tally])
        self.packed = [_packed(tally).to(self.device)]
        self._kind = type(tally)

    def compute(self) -> Tensor:
        """Read the tally of all rows of all processes.

        Raises:
            InputError: no row was seen.
        """
        return torch.tensor(self.metric.read(total(self._tallies)), dtype=torch.float32, device=self.device)

    @property
    def _tallies(self) -> list[Tally]:
        states = self.packed if isinstance(self.packed, list) else [self.packed]
        return [tally for state in states for tally in _unpacked(state, self._kind)]


def calibration_metrics(
    scores: Literal["logits", "probs"] = "logits", names: tuple[str, ...] = tuple(m.name for m in STANDARD)
) -> MetricCollection:
    """Return several of them as one: `self.log_dict(metrics)` in a LightningModule logs them all."""
    return MetricCollection({name: Calibration(name, scores) for name in names})


def _packed(tally: Tally) -> Tensor:
    """Write the fields of a tally one after another: of each its number of dimensions, its shape, its values."""
    parts = [np.array([float(len(fields(tally)))])]  # type: ignore[arg-type]
    for field in fields(tally):  # type: ignore[arg-type]
        value = np.asarray(getattr(tally, field.name), dtype=np.float64)
        parts += [np.array([float(value.ndim), *value.shape]), value.ravel()]
    return torch.from_numpy(np.concatenate(parts))


def _unpacked(state: Tensor, kind: type[Tally]) -> list[Tally]:
    """Read tallies that stand one after another."""
    values, at, tallies = state.cpu().numpy(), 0, []
    while at < len(values):
        content, at = [], at + 1
        for field in fields(kind):  # type: ignore[arg-type]
            rank = int(values[at])
            shape = values[at + 1 : at + 1 + rank].astype(int)
            start = at + 1 + rank
            at = start + int(np.prod(shape))
            array = values[start:at].reshape(shape)
            content.append(_as_declared(array, str(field.type)))
        tallies.append(kind(*content))
    return tallies


def _as_declared(array: np.ndarray, declared: str) -> Any:
    """Return a field's value in the type that its tally declares."""
    if array.ndim:
        return array.astype(np.int64) if "Int[" in declared else array
    value = float(array)
    return bool(value) if "bool" in declared else int(value) if "int" in declared else value
