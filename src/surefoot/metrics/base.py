"""What every metric is: one pure function that turns a batch into a tally, one that reads a tally."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, final

import numpy as np
from jaxtyping import Float

from surefoot.core.scored import Scored
from surefoot.core.types import Labels, Probs

T = TypeVar("T", bound="Tally")


class Tally(ABC):
    """What a metric keeps of the rows it has seen: a fixed number of sums. Tallies add; + is associative, commutative.

    A tally of all rows is the sum of the tallies of its parts, over batches, shards and machines, in any order.
    """

    @staticmethod
    @abstractmethod
    def recombine(tallies: "Sequence[Tally]", weights: Float[np.ndarray, "d m"]) -> "list[Tally]":
        """Add m tallies up d times, each time with other non-negative weights: sums and bootstrap draws alike."""

    @abstractmethod
    def bounded(self: T, share: int) -> T:
        """Return the tally at its bounded size, where this is one of `share` that are kept side by side."""

    @final
    def __add__(self: T, other: T) -> T:
        """Return the tally of both lots of rows."""
        return self.recombine([self, other], np.ones((1, 2)))[0]  # type: ignore[return-value]


@dataclass(frozen=True)
class Metric(Generic[T]):
    """A reading of probabilities against labels.

    Attributes:
        name: as in tables and JSON.
        title: as on a page.
        better: which way is better; `none` for a p-value, or a difference whose sign matters.
        observe: one batch of (n, k) probabilities (an array, or `Scored`, which keeps their logarithms) and (n,) labels
            to a tally.
        read: one tally to one number; NaN where it is not defined.
        span: least and greatest value a reading can have.
        interval: how its confidence interval is made. `share`: the reading is a share of the rows, and the interval
            exact; `mean`: it is a mean of a score over the rows; `bootstrap`: anything else; `none`: it has none.
        untold: why these rows have no interval, None where they have one; for metrics that need more than rows.
        of_sums: the readings of sums of tallies with each of d rows of weights, where there is a fast way.
    """

    name: str
    title: str
    better: Literal["lower", "higher", "none"]
    observe: Callable[[Probs | Scored, Labels], T]
    read: Callable[[T], float]
    span: tuple[float, float] = (0.0, 1.0)
    interval: Literal["share", "mean", "bootstrap", "none"] = "bootstrap"
    untold: Callable[[T], str | None] | None = None
    of_sums: "Callable[[Sequence[Tally], Float[np.ndarray, 'd m']], Float[np.ndarray, ' d']] | None" = None
