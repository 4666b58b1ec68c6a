"""A network ready to be proven things about."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch

from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph
from surefoot.graph.onnx_inputs import Inputs
from surefoot.graph.ops import Linear, Reshape
from surefoot.graph.passes.functions import with_joined_functions
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.graph.passes.prefix import prefixed
from surefoot.graph.passes.softmax import Link, flat_output, link_of, logits_of
from surefoot.spec.exact import above
from surefoot.spec.input_set import InputSet, Origin
from surefoot.spec.query import Query, Unsafe
from surefoot.spec.runtime import Runner, runner_of_graph


@dataclass(frozen=True, eq=False)
class Network:
    """Its graphs, each for one use, and how it is executed."""

    graph: Graph  # float64, ends in logits, max pooling written with ReLUs, x sigmoid(x) as one function
    pooled: Graph  # float64, ends in logits, max pooling as it is
    single: Graph  # the same in float32, as it was read
    whole: Graph  # float64, up to the network's own outputs: with a softmax, if it ends in one
    run: Runner  # gives its own outputs
    float32: bool = True  # whether it is executed in float32
    off: Callable[[np.ndarray], float] | None = None  # how far what `run` runs is from the input that was asked
    moved: Callable[[np.ndarray], np.ndarray] | None = None  # what `run` runs for positions (n, m), where not these
    given: Inputs | None = None  # the inputs of its file

    @staticmethod
    def of(graph: Graph, run: Runner | None = None, float32: bool = True) -> "Network":
        """Prepare a graph. `run` is how it is executed; default: its operations in float32."""
        logits = flat_output(logits_of(graph))
        single = logits.to(torch.float32)
        double = with_joined_functions(logits.to(torch.float64))
        whole = graph.to(torch.float64)
        return Network(pools_as_relus(double), double, single, whole, run or runner_of_graph(graph), float32)

    @property
    def link(self) -> Link:
        """What takes the logits to the outputs that a property speaks of."""
        return link_of(self.whole)

    def along(self, origin: Origin) -> "Network":
        """Return the network as a function of coordinates a, for inputs centre + a · directions.

        A candidate is replayed at the float32 image nearest to it.
        """
        centre, directions = origin.centre, origin.directions
        ops = [
            Linear(torch.tensor(directions.T, dtype=torch.float64), torch.tensor(centre, dtype=torch.float64)),
            Reshape(self.graph.input_shape),
        ]
        shape = (len(directions),)

        def moved(a: np.ndarray) -> np.ndarray:  # one product after another: a batch rounds as each of its rows does
            x = np.repeat(centre[None], len(a), 0)
            for step, direction in zip(a.astype(np.float64).T, directions, strict=True):
                x = x + step[:, None] * direction
            return x.astype(np.float32)

        def run(a: np.ndarray) -> np.ndarray:
            return self.run(moved(a))

        def off(a: np.ndarray) -> float:
            given = a.astype(np.float64)
            (rounded,) = moved(a[None])
            far = [Fraction(0)]
            for j in np.flatnonzero((directions != 0).any(0) | (rounded != centre)):
                value = Fraction(float(centre[j]))
                value += sum((Fraction(x) * Fraction(float(d)) for x, d in zip(given.tolist(), directions[:, j],
                              strict=True)), Fraction(0))  # fmt: skip
                far.append(abs(Fraction(float(rounded[j])) - value))
            return above(max(far))

        return Network(
            prefixed(self.graph, shape, ops),
            prefixed(self.pooled, shape, ops),
            prefixed(self.single, shape, [op.to(torch.float32) for op in ops]),
            prefixed(self.whole, shape, ops),
            run,
            self.float32,
            off,
            moved,
        )

    @property
    def inputs(self) -> int:
        """How many numbers it takes."""
        return math.prod(self.graph.input_shape)

    @property
    def outputs(self) -> int:
        """How many numbers it gives."""
        return math.prod(self.graph.output_shape)


def region_to_query(network: Network, region: InputSet, unsafe: tuple[Unsafe, ...]) -> tuple[Network, Query]:
    """Give the network and the query that answer whether a region holds an input with an unsafe output.

    Of a region with an origin the network is one of its coordinates.
    """
    along = network if region.origin is None else network.along(region.origin)
    return along, Query(replace(region, origin=None), unsafe)


def must_fit(network: Network, query: Query) -> None:
    """Refuse a query of other inputs or outputs than the network's.

    Raises:
        InputError: it is.
    """
    if query.inputs.size != network.inputs:
        raise InputError(f"the region has {query.inputs.size} inputs; the network takes {network.inputs}")
    for unsafe in query.unsafe:
        if unsafe.weights.shape[1] != network.outputs:
            raise InputError(
                f"the property is about {unsafe.weights.shape[1]} outputs; the network gives {network.outputs}"
            )
