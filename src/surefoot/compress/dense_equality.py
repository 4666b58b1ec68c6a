"""Two dense networks of one layout: how far their outputs can be apart, by branch and bound on their differences.

A question about both is one about their outputs f(x), and the differences f(x) - g(x), one after another: `Unsafe` sets
of these 2k numbers.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.compress.alignment import aligned
from surefoot.compress.interior import inside, pulled
from surefoot.core.deadline import Deadline, tick
from surefoot.core.rounding import difference_below
from surefoot.graph.graph import Graph
from surefoot.reach.dense import DenseNetwork, dense_network_of
from surefoot.reach.difference import DensePair
from surefoot.reach.ibp import Box
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Query, Unknown, Unsafe, Verdict, Violated
from surefoot.spec.replay import Replay
from surefoot.spec.runtime import Runner
from surefoot.verify.branch_and_bound import Replay as Confirm
from surefoot.verify.dense_splitting import DenseResult, prove_dense

SAMPLES, STARTS, STEPS = 4000, 32, 15  # of an attack: inputs, the best of them, and steps from each
CLOSE, ROUNDING = 1.25, 1e-6  # a bound of so much more than what is met is close; and relative to outputs
NEAR, REPLAYED = 1e-4, 8  # relative to outputs: what float32 may break though float64 does not; how many at once
METHOD = "differences"
FEW_INPUTS = 16  # that are free: bisecting them is quick


def dense_pair_of(first: Graph, second: Graph) -> DensePair | None:
    """Read two graphs as dense networks, unit by unit; None if they are none of one depth."""
    one, two = (dense_network_of(graph.to(torch.float64)) for graph in (first, second))
    return None if one is None or two is None else aligned(one, two)


def are_of_one_layout(first: Graph, second: Graph) -> bool:
    """Whether two dense networks have as many units in each layer: none is likely to have lost its partner."""
    one, two = (dense_network_of(graph.to(torch.float64)) for graph in (first, second))
    return one is not None and two is not None and DensePair.of(one, two) is not None


def differ_by(most: float, outputs: int) -> tuple[Unsafe, ...]:
    """Return what must not be met where no output may differ by so much."""
    return tuple(
        Unsafe(sign * np.eye(2 * outputs)[i : i + 1], np.array([-most]))
        for i in range(outputs, 2 * outputs)
        for sign in (1.0, -1.0)
    )


def bound_of_pair(pair: DensePair, domain: InputSet) -> Float[np.ndarray, " k"]:
    """Bound the difference of each output over the box of a domain, without branching.

    Property: sound in real arithmetic.
    """
    low, high = (torch.from_numpy(end)[None] for end in (domain.lower, domain.upper))
    k = len(pair.biases[-1])
    rows = torch.from_numpy(np.concatenate([unsafe.weights for unsafe in differ_by(0.0, k)]))
    ends = pair.over(low, high, torch.zeros(1, dtype=torch.bool), None).rows(rows)[0]
    return -ends.reshape(k, 2).amin(1).numpy()


def bound_by_branching(pair: DensePair, domain: InputSet, seconds: Deadline) -> tuple[float, bool]:
    """Bound the difference of all outputs, to not much more than the largest that is met, while there is time.

    Returns the bound, and whether it is so close.

    Property: sound in real arithmetic.
    """
    k = len(pair.biases[-1])
    both = outputs_of(pair, attacked(pair, domain))
    met, size = float(both[:, k:].abs().max()), float(both.abs().max())
    goal = max(CLOSE * met, ROUNDING * (1 + size))
    result = prove_differences(pair, domain, differ_by(goal, k), seconds, lambda _: None)
    return -float(difference_below(result.margin, goal)), result.result.proven


def prove_differences(
    pair: DensePair, domain: InputSet, unsafe: Sequence[Unsafe], seconds: float | Deadline, replay: Confirm
) -> DenseResult:
    """Bisect the box of a domain until no part of it meets what is unsafe, or an input does that `replay` confirms.

    Property: sound in real arithmetic; complete given time, over boxes.
    """
    box = InputSet(domain.lower, domain.upper)
    return prove_dense(pair, Query(box, tuple(unsafe)), seconds, replay, float32=False)


def attacked(pair: DensePair, domain: InputSet, goal: Callable[[Tensor], Tensor] | None = None) -> Float[Tensor, "n d"]:
    """Return inputs of a domain where a goal of (f, f - g), else the largest difference, is largest: the best first."""
    x = inside(domain, (domain.size,), SAMPLES)
    box = Box.around(domain, (domain.size,))

    def value(x: Tensor) -> Tensor:
        tick()
        both = outputs_of(pair, x)
        return both.chunk(2, 1)[1].abs().amax(1) if goal is None else goal(both)

    tried = [x]
    x = x[value(x).topk(STARTS).indices]
    for step in range(STEPS):
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            reached = value(x).sum()
        if not reached.requires_grad:
            break
        (gradient,) = torch.autograd.grad(reached, x)
        x = x.detach() + 0.3 * 0.7**step * (box.upper - box.lower) * gradient.sign()
        x = pulled(domain, torch.minimum(torch.maximum(x, box.lower), box.upper))
        tried.append(x)
    met = torch.cat(tried)
    return met[value(met).argsort(descending=True)[:STARTS]]


def outputs_of(pair: DensePair, x: Float[Tensor, "n d"]) -> Float[Tensor, "n both"]:
    """Evaluate (f, f - g) in float64."""
    one, two = _output(pair.first, x), _output(pair.second, x)
    return torch.cat([one, one - two], 1)


def _output(network: DenseNetwork, x: Tensor) -> Tensor:
    for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
        x = (x @ weight.T + bias).clamp(min=0)
    return x @ network.weights[-1].T + network.biases[-1]


def decide_differences(
    pair: DensePair, domain: InputSet, unsafe: Sequence[Unsafe], seconds: Deadline, run: Runner,
    tried: Tensor | None = None, confirmed: Callable[[np.ndarray], bool] = lambda output: True,
) -> Verdict:  # fmt: skip
    """Prove that no input of a domain leads to what is unsafe of (f, f - g), or give one.

    `run` gives (f, f - g) in float32 execution, for the replay, of inputs that an attack has `tried` first; an output
    that is unsafe must be `confirmed` too.

    Property: sound in real arithmetic.
    """
    query = Query(domain, tuple(unsafe))
    replay, found = Replay(query, run), []

    def replayed(x: Tensor) -> Tensor | None:
        both = outputs_of(pair, x).numpy()
        slack, reach = query.slack(both), NEAR * (1 + np.abs(both).max(initial=0.0))
        near = [i for i in slack.argsort()[:REPLAYED].tolist() if slack[i] <= reach]
        counterexample = replay(x[near]) if near else None
        if counterexample is None or not confirmed(counterexample.output):
            return None
        found.append(counterexample)
        return torch.from_numpy(counterexample.input)

    if tried is None or replayed(tried) is None:
        result = prove_differences(pair, domain, unsafe, seconds, replayed)
        details = {"subproblems": float(result.subproblems)}
        if result.result.proven:
            return Holds(result.margin, METHOD, False, details)
        if not found:
            return Unknown(str(result.result.why), result.margin, details)
    best = found[-1]
    return Violated(best.input.astype(np.float64), best.output, METHOD, {}, best.distance)


def are_few(domain: InputSet) -> bool:
    """Whether the free inputs of a domain are so few that bisecting them is quick."""
    return int((domain.upper > domain.lower).sum()) <= FEW_INPUTS
