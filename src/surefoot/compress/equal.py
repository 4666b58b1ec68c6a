"""Are two networks equal over a domain, or by how much can they differ, or on which input do they?"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from surefoot.compress.forms import difference, forms_of
from surefoot.compress.stable import Stability, inside, stability
from surefoot.graph.graph import Graph, evaluate

SAMPLES = 4000


@dataclass(frozen=True, eq=False)
class Equality:
    """A proven bound on the difference of each output, and the largest difference met, at `input`.

    `confidence` bounds the difference of any probability of their softmax: tanh(eps / 2) for eps in the logits.
    """

    bound: np.ndarray
    met: float
    input: np.ndarray

    @property
    def largest(self) -> float:
        """The largest bound of all outputs; infinite where nothing was proven."""
        return float(self.bound.max())

    @property
    def confidence(self) -> float:
        """The bound of any softmax probability."""
        return float(np.tanh(self.largest / 2))


def flat_boxes(found: Stability) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return a network's boxes as flat arrays."""
    return [(box.lower.flatten().numpy(), box.upper.flatten().numpy()) for box in found.boxes]


def equal(
    first: Graph,
    second: Graph,
    lower: Tensor,
    upper: Tensor,
    seconds: float = 2.0,
    known: Stability | None = None,
) -> Equality:
    """Bound the difference of two networks' outputs over a box, and look for an input on which they differ.

    `known` is the first's stability, if it was found before.

    Property: sound in real arithmetic.

    Raises:
        InputError: networks of different inputs or outputs, a domain that is none, or operations without affine forms.
    """
    one = known or stability(first, lower, upper, seconds)
    two = stability(second, lower, upper, seconds)
    bound = difference(forms_of(one.graph, flat_boxes(one)), forms_of(two.graph, flat_boxes(two)))
    x = inside(lower, upper, SAMPLES)
    gaps = (evaluate(one.graph, x) - evaluate(two.graph, x)).flatten(1).abs().max(1).values
    worst = int(gaps.argmax())
    return Equality(bound, float(gaps[worst]), x[worst].numpy())
