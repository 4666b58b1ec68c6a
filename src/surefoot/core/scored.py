"""A batch of rows as metrics see it: probabilities whose logarithms are not lost where logits are known."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from surefoot.core.checks import check_probs
from surefoot.core.numerics import log_probs_and_complements, softmax_and_rest
from surefoot.core.precision import smallest
from surefoot.core.types import ArrayLike, Confidences, Labels, Logits, Probs

_LOG_HALF = float(np.log(0.5))
_TIE = 2.0**40
_ROUNDED = 1e-300  # a probability below has lost digits, or is 0


class Scored:
    """Probabilities (n, k) of a batch, and what float64 cannot hold of them: log p near 0, log(1 - p) near 1.

    Made by `of_logits` or `of_probs`. Rows are picked by indexing; nothing is computed twice.

    Attributes:
        probs: the probabilities.
        floor: what a probability of exactly 0 counts as where its logarithm is asked for and no logits are known.
    """

    probs: Probs
    floor: float

    def __init__(
        self, probs: Probs, floor: float, logits: Logits | None = None, rows: Int[np.ndarray, " n"] | None = None
    ) -> None:
        self.probs, self.floor = probs, floor
        self._logits, self._rows = logits, rows  # logits of more rows than these: those of `rows`
        self._known: dict[str, np.ndarray] = {}
        self._zeros_count = False  # whether the logarithm of a class that is absent is that of the floor
        self._least = -np.inf  # no logarithm that is asked for is below

    @classmethod
    def of_logits(cls, logits: Logits, floor: float | None = None) -> "Scored":
        """Take logits, or logarithms of anything proportional to probabilities; -inf is a class that is absent.

        With a floor -inf is a stored probability of 0, whose logarithm is that of the floor.
        """
        probs, top, log_top, log_rest = softmax_and_rest(logits)
        batch = cls(probs, smallest(probs.dtype) if floor is None else floor, logits)
        batch._zeros_count = floor is not None
        batch._known = {"top": top, "log_top": log_top, "log_rest": log_rest}
        return batch

    @classmethod
    def of_probs(cls, probs: ArrayLike, floor: float | None = None) -> "Scored":
        """Take probabilities; the floor is their type's smallest number if none is given.

        Raises:
            InputError: a row that is not a distribution.
        """
        table = check_probs(probs)
        return cls(table, smallest(table.dtype) if floor is None else floor)

    @classmethod
    def joined(cls, parts: "Sequence[Scored]") -> "Scored":
        """Put the rows of several batches one after another; logits are known if they are of all."""
        probs, floor = np.concatenate([part.probs for part in parts]), min(part.floor for part in parts)
        known = all(part.has_logits for part in parts)
        batch = cls(probs, floor, np.concatenate([part.scores for part in parts]) if known else None)
        batch._least = min(part._least for part in parts)
        if known:
            batch._zeros_count = any(part._zeros_count for part in parts)
            batch._known = {name: np.concatenate([part._known[name] for part in parts]) for name in parts[0]._known}
        return batch

    def at_floor(self, floor: float) -> "Scored":
        """Return the same rows, where every probability below a floor counts as that where its logarithm is asked for.

        Two tables that were rounded differently compare in NLL only so: what one could not write, the other may have.
        """
        batch = self[np.arange(len(self))]
        batch.floor, batch._least = floor, float(np.log(floor))
        return batch

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and classes."""
        return self.probs.shape  # type: ignore[return-value]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.probs)

    def __getitem__(self, which: np.ndarray) -> "Scored":
        """Return the rows of a mask or an index array."""
        rows = None
        if self._logits is not None:
            rows = np.flatnonzero(which) if which.dtype == np.bool_ else which
            rows = rows if self._rows is None else self._rows[rows]
        batch = Scored(self.probs[which], self.floor, self._logits, rows)
        batch._zeros_count, batch._least = self._zeros_count, self._least
        batch._known = {name: values[which] for name, values in self._known.items()}
        return batch

    @cached_property
    def top(self) -> Int[np.ndarray, " n"]:
        """The largest class of each row; of equals the first."""
        return self._known["top"] if "top" in self._known else self.probs.argmax(1)

    @cached_property
    def confidence(self) -> Confidences:
        """The largest probability of each row."""
        return np.minimum(self.probs[np.arange(len(self)), self.top], 1)

    @cached_property
    def order(self) -> Float[np.ndarray, " n"]:
        """Numbers in the order of the confidences, which do not tie where those round to 1; see `order_of`."""
        if self._logits is None:
            return order_of(self.confidence)
        log_rest = self._known["log_rest"]
        order = np.where(log_rest < _LOG_HALF, -log_rest, self._known["log_top"])
        return (
            np.rint(order * _TIE) / _TIE
        )  # the same logits in another order of classes tie, whatever their last digit

    @cached_property
    def powers(self) -> tuple[np.ndarray, np.ndarray]:
        """Sums over classes of p^2 and p^3, (n,) each."""
        p = self.probs
        return np.einsum("nk,nk->n", p, p, dtype=np.float64), np.einsum("nk,nk,nk->n", p, p, p, dtype=np.float64)

    @property
    def scores(self) -> Float[np.ndarray, "n k"]:
        """Logits where they are known, else probabilities: the same order of classes, with the fewest ties."""
        if self._logits is None:
            return self.probs
        return self._logits if self._rows is None else self._logits[self._rows]

    @property
    def has_logits(self) -> bool:
        """Whether logarithms of probabilities are known where float64 cannot hold those."""
        return self._logits is not None

    def log_of(self, classes: Labels) -> Float[np.ndarray, " n"]:
        """Compute log p of one class a row."""
        return np.maximum(self._log_of(classes), self._least)

    def _log_of(self, classes: Labels) -> Float[np.ndarray, " n"]:
        at = np.arange(len(self))
        p = self.probs[at, classes].astype(np.float64)
        if self._logits is None:
            return np.log(np.where(p > 0, p, self.floor))
        low = np.flatnonzero(p < _ROUNDED)
        p[low] = 1.0
        log = np.log(p)
        log_top, top = self._known["log_top"], self.top
        log = np.where(classes == top, log_top, log)
        if len(low):
            rows = low if self._rows is None else self._rows[low]
            ends = [self._logits[rows, y[low]].astype(np.float64) for y in (classes, top)]
            log[low] = ends[0] - ends[1] + log_top[low]
            if self._zeros_count:
                log[low] = np.where(np.isneginf(ends[0]), np.log(self.floor), log[low])
        return log

    def orders_of_classes(self) -> Float[np.ndarray, "n k"]:
        """Compute, for each class, numbers in the order of its probabilities; see `order_of`."""
        if self._logits is None:
            return order_of(np.minimum(self.probs.astype(np.float64), 1.0))
        log_p, log_rest = log_probs_and_complements(self.scores)
        return np.where(log_rest < _LOG_HALF, -log_rest, log_p)

    def order_of_sums(self, classes: Int[np.ndarray, "n r"]) -> Float[np.ndarray, " n"]:
        """Compute numbers in the order of the sums of some classes' probabilities, from those of the others."""
        others = self.probs.copy()
        np.put_along_axis(others, classes, 0, 1)
        rest = others.sum(1, dtype=np.float64)
        with np.errstate(divide="ignore"):
            return np.where(rest < 0.5, -np.log(rest), np.log1p(-np.minimum(rest, 1.0)))


def scored(probs: "ArrayLike | Scored") -> Scored:
    """Return a batch as it is, or probabilities as one.

    Raises:
        InputError: a row that is not a distribution.
    """
    return probs if isinstance(probs, Scored) else Scored.of_probs(probs)


def order_of(score: np.ndarray) -> np.ndarray:
    """Compute numbers in the order of scores in [0, 1]: log s up to a half, -log(1 - s) above.

    >>> order_of(np.array([0.0, 0.25, 0.75, 1.0])).round(3)
    array([  -inf, -1.386,  1.386,    inf])
    """
    wide = score.astype(np.float64)
    upper = wide > 0.5
    with np.errstate(divide="ignore"):
        size = np.log(np.where(upper, 1 - wide, wide))
    return np.where(upper, -size, size)
