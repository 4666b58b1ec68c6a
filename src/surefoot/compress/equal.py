"""Are two networks equal over a domain, or by how much can they differ, or on which input do they?"""

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from surefoot.compress.forms import difference, forms_of
from surefoot.compress.journal import Journal
from surefoot.compress.stable import Cuts, Stability, inside, stability
from surefoot.core.errors import InputError
from surefoot.core.rounding import REAL
from surefoot.graph.graph import Graph, evaluate
from surefoot.graph.passes.difference import difference_of
from surefoot.graph.passes.pools import pools_as_rectifiers
from surefoot.graph.passes.softmax import flat_output, link_of, logits_of
from surefoot.reach.ascent import ascend, default_choice, tighten_by_ascent
from surefoot.reach.backward import lower_bounds, relax
from surefoot.reach.boxes import Box
from surefoot.verify.query import Holds, Query, Unknown, Unsafe, Verdict, Violated
from surefoot.verify.replay import Replay, Runner
from surefoot.verify.run import Network, verify

SAMPLES = 4000
STARTS = 64  # of a search for a larger difference
STEPS = 30
ASCENT = 20
MANY_CLASSES = 32
NEARLY = 1e-4  # of the largest output: a bound below needs no other


@dataclass(frozen=True, eq=False)
class Equality:
    """A proven bound on the difference of each output, and the largest difference met, at `input`.

    `other` is an input where the largest output is another, or None if none was met. `confidence` bounds the
    difference of any probability of their softmax: tanh(eps / 2) for eps in the logits.
    """

    bound: np.ndarray
    met: float
    input: np.ndarray
    other: np.ndarray | None = None

    @property
    def largest(self) -> float:
        """The largest bound of all outputs; infinite where nothing was proven."""
        return float(self.bound.max())

    @property
    def confidence(self) -> float:
        """The bound of any softmax probability."""
        return float(np.tanh(self.largest / 2))

    def same_answer(self, logits: np.ndarray) -> np.ndarray:
        """Say for which of the first's outputs (n, k) the other's largest output is proven to be the same.

        Where the two largest are more than the sum of their bounds apart.
        """
        k = logits.shape[1]
        top = logits.argmax(1)
        gaps = logits[np.arange(len(top)), top][:, None] - logits
        spare = self.bound[top][:, None] + np.broadcast_to(self.bound, (len(top), k))
        gaps[np.arange(len(top)), top] = np.inf
        return np.asarray((gaps > spare).all(1))


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
    forms_alone: bool = False,
    cuts: Cuts | None = None,
    journal: Journal | None = None,
) -> Equality:
    """Bound the difference of two networks' outputs over a box, and look for an input on which they differ.

    By their affine forms, which finds networks equal that are; else, or for networks that have no such forms, by
    bounds on the graph of their difference, but with `forms_alone`, which is what certificates show. `known` is the
    first's stability, if it was found before.

    Property: sound in real arithmetic.

    Raises:
        InputError: networks of different inputs or outputs, a domain that is none, or, with `forms_alone`, operations
            without affine forms.
    """
    first, second = (pools_as_rectifiers(g.to(torch.float64)) for g in (first, second))
    gap = difference_of(first, second)
    one = known or stability(first, lower, upper, seconds, cuts=cuts, journal=journal)
    bound = np.full(math.prod(first.output_shape), np.inf)
    try:
        two = stability(second, lower, upper, seconds, cuts=cuts, journal=journal)
        bound = difference(forms_of(one.graph, flat_boxes(one)), forms_of(two.graph, flat_boxes(two)))
    except InputError:  # products, or too many values for dense forms
        if forms_alone:
            raise
    scale = 1 + float(one.boxes[-1].magnitude.max())
    if not forms_alone and not bound.max() <= NEARLY * scale:
        bound = np.fmin(bound, _by_bounds(gap, lower, upper, 10 * seconds, cuts))
    return searched(first, second, lower, upper, bound, cuts)


def within(
    first: Graph,
    second: Graph,
    lower: Tensor,
    upper: Tensor,
    most: float,
    seconds: float,
    run: Runner | None = None,
    cuts: Cuts | None = None,
) -> Verdict:
    """Prove that no output differs by `most` or more over a domain, or give an input where one does.

    By `equal`, else by splitting the domain of the difference's graph.

    `run` gives the difference of the networks as they are deployed, for the replay; default: both in float32.

    Property: sound; complete given time.

    Raises:
        InputError: networks of different inputs or outputs, or a difference that is not positive.
    """
    if not 0 < most < math.inf:
        raise InputError(f"a difference of {most} cannot be kept; a positive number is needed")
    begin = time.monotonic()
    found = equal(first, second, lower, upper, min(seconds / 20, 2.0), cuts=cuts)
    if found.largest < most:
        return Holds(most - found.largest, "forms", False, {"seconds": round(time.monotonic() - begin, 3)})
    gap = difference_of(*(g.to(torch.float64) for g in (first, second)))
    k = math.prod(gap.output_shape)
    unsafe = tuple(Unsafe(sign * np.eye(k)[i : i + 1], np.array([-most])) for i in range(k) for sign in (1.0, -1.0))
    query = Query(lower.flatten().numpy(), upper.flatten().numpy(), unsafe, cuts and (cuts.rows, cuts.bounds))
    return verify(Network.of(gap, run), query, begin + seconds - time.monotonic(), float32=False)


def within_softmax(
    first: Graph,
    second: Graph,
    lower: Tensor,
    upper: Tensor,
    most: float,
    seconds: float,
    run: Runner,
    cuts: Cuts | None = None,
) -> Verdict:
    """Prove that no probability of two networks differs by `most` or more, or no log-probability, as both end.

    Where the differences of logits are less than S apart, no probability differs by tanh(S / 4), and no log-probability
    by S: what is added to all logits changes nothing. The opposite is not true: what is said to differ is what `run`,
    the difference of the outputs as deployed, was seen to give.

    Property: sound, not complete.

    Raises:
        InputError: networks of different inputs or outputs, or a difference that is not positive.
    """
    if not 0 < most < math.inf:
        raise InputError(f"a difference of {most} cannot be kept; a positive number is needed")
    begin, k = time.monotonic(), math.prod(first.output_shape)

    def details() -> dict[str, float]:
        return {"seconds": round(time.monotonic() - begin, 3)}

    if k == 1 or (most >= 1 and link_of(first) == "softmax"):  # probabilities differ by less than 1
        return Holds(most if k == 1 else most - 1, "softmax", False, details())
    low, high, rows = lower.flatten().numpy(), upper.flatten().numpy(), cuts and (cuts.rows, cuts.bounds)
    differ = tuple(Unsafe(sign * np.eye(k)[i : i + 1], np.array([-most])) for i in range(k) for sign in (1.0, -1.0))
    replay = Replay(Query(low, high, differ, rows), run)
    met = searched(flat_output(first), flat_output(second), lower, upper, np.full(k, np.inf), cuts)
    hit, why = replay(torch.from_numpy(met.input)[None]), ""
    if hit is None:
        apart = most if link_of(first) == "log-softmax" else 4 * math.atanh(most) * (1 - 1e-12)
        logits = [flat_output(logits_of(graph)) for graph in (first, second)]
        found = _apart(logits[0], logits[1], (lower, upper, cuts), apart, begin + seconds)
        if isinstance(found, Violated):
            hit = replay(torch.from_numpy(found.input)[None])
            why = f"differences of logits are {apart:.3g} apart and more, but no output was seen to differ by {most:g}"
        else:
            return replace(found, details=details())
    if hit is not None:
        return Violated(hit[0].astype(np.float64), hit[1], "search", details())
    return Unknown(why, -math.inf, details())


def _apart(
    first: Graph, second: Graph, domain: tuple[Tensor, Tensor, Cuts | None], apart: float, end: float
) -> Verdict:
    """Prove that the differences of two networks' logits are less than so much apart from each other."""
    lower, upper, cuts = domain
    found = equal(first, second, lower, upper, min((end - time.monotonic()) / 20, 2.0), cuts=cuts)
    if 2 * found.largest < apart:
        return Holds(apart - 2 * found.largest, "forms", False)
    k = math.prod(first.output_shape)
    if k > MANY_CLASSES:  # pairs would be too many: each difference on its own
        return within(first, second, lower, upper, apart / 2, end - time.monotonic(), cuts=cuts)
    rows = [np.eye(k)[i] - np.eye(k)[j] for i in range(k) for j in range(k) if i != j]
    unsafe = tuple(Unsafe(row[None], np.array([-apart])) for row in rows)
    query = Query(lower.flatten().numpy(), upper.flatten().numpy(), unsafe, cuts and (cuts.rows, cuts.bounds))
    return verify(Network.of(difference_of(first, second)), query, end - time.monotonic(), float32=False)


def _by_bounds(gap: Graph, lower: Tensor, upper: Tensor, seconds: float, cuts: Cuts | None) -> np.ndarray:
    """Bound the outputs of the difference's graph by back-substitution with slopes from dual ascent."""
    made = relax(
        gap,
        Box(lower.unsqueeze(0), upper.unsqueeze(0)),
        REAL,
        tighten_by_ascent(ASCENT, time.monotonic() + seconds),
        cuts=None if cuts is None else cuts.tensors,
    )
    out, k = len(gap.nodes) - 1, math.prod(gap.output_shape)
    rows = torch.cat([torch.eye(k), -torch.eye(k)]).double().reshape(1, 2 * k, *gap.output_shape)
    single = made.to(torch.float32)
    choice, _ = ascend(single, out, rows.float(), default_choice(single, out, 2 * k), {}, ASCENT)
    low, negative_high = lower_bounds(made, out, rows, choice.to(torch.float64))[0].reshape(2, k).numpy()
    found = np.maximum(-low, -negative_high)
    return np.where(found >= 0, found, np.inf)  # also where it is not a number


def searched(
    first: Graph, second: Graph, lower: Tensor, upper: Tensor, bound: np.ndarray, cuts: Cuts | None
) -> Equality:
    """Give a bound with the largest difference that is met, and with another answer if one is.

    Samples first, then steps of the gradient's sign.
    """
    x = inside(lower, upper, SAMPLES, cuts=cuts)
    one, two = (evaluate(g, x).flatten(1) for g in (first, second))
    gaps = (one - two).abs().amax(1)
    top = one.topk(min(2, one.shape[1]), 1).values
    margin = (top[:, 0] - top[:, -1]) / gaps.clamp(min=1e-300)
    starts = [x[gaps.topk(STARTS).indices], x[(-margin).topk(STARTS).indices]]
    tried = torch.cat([x, *(_climbed(first, second, lower, upper, s, g) for g, s in enumerate(starts))])
    tried = tried if cuts is None else cuts.pulled(tried)
    one, two = (evaluate(g, tried).flatten(1) for g in (first, second))
    gaps = (one - two).abs().amax(1)
    worst = int(gaps.argmax())
    differ = ((one.argmax(1) != two.argmax(1)) & (one.amax(1) > one.gather(1, two.argmax(1, True))[:, 0])).nonzero()
    other = tried[int(differ[0])].numpy() if len(differ) else None
    return Equality(bound, float(gaps[worst]), tried[worst].numpy(), other)


def _climbed(first: Graph, second: Graph, lower: Tensor, upper: Tensor, x: Tensor, by_margin: int) -> Tensor:
    """Climb from each start: up the difference, or towards where the first cannot decide; return all points met."""
    met = []
    for step in range(STEPS):
        x = x.detach().requires_grad_()
        one, two = evaluate(first, x).flatten(1), evaluate(second, x).flatten(1)
        if by_margin and one.shape[1] > 1:
            top = one.topk(2, 1).values
            goal = -(top[:, 0] - top[:, 1])
        else:
            goal = (one - two).abs().amax(1)
        if not goal.requires_grad:
            break
        (gradient,) = torch.autograd.grad(goal.sum(), x)
        size = 0.1 * (upper - lower) * 0.8**step
        x = (x.detach() + size * gradient.sign()).clamp(lower, upper)
        met.append(x)
    return torch.cat([m.detach() for m in met]) if met else x.detach()[:0]
