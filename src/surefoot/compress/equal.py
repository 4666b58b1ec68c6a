"""Are two networks equal over a domain, or by how much can they differ, or on which input do they?"""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surefoot.compress.channel_check import mapped_difference
from surefoot.compress.channels import ChannelMap, channels_of
from surefoot.compress.checkpoint import Journal
from surefoot.compress.dense_equality import (
    are_few,
    are_of_one_layout,
    bound_by_branching,
    bound_of_pair,
    dense_pair_of,
)
from surefoot.compress.interior import inside, pulled, with_interior, within_rounding
from surefoot.compress.stability import Patience, Stability, stability
from surefoot.core.deadline import NEVER, Deadline, tick
from surefoot.core.errors import InputError
from surefoot.core.rounding import REAL, softmax_change
from surefoot.graph.graph import Graph, evaluate
from surefoot.graph.passes.difference import difference_of
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.graph.same import same_operations
from surefoot.proof.affine_forms import affine_forms_of, difference
from surefoot.proof.constants import has_rounded, reading_error
from surefoot.reach.alpha_crown import ALPHA_STEPS, default_choice, optimize_slopes, tighten_by_alpha_crown
from surefoot.reach.crown import LARGEST_ROWS, lower_bounds
from surefoot.reach.difference import DensePair
from surefoot.reach.ibp import Box, size_of
from surefoot.reach.relaxation import relax
from surefoot.spec.input_set import InputSet

SAMPLES = 4000
BATCH_SAMPLES = 500  # at most
STARTS = 64  # of a search for a larger difference
STEPS = 30
NEARLY = 1e-4  # of the largest output: a bound below needs no other
MOST_VALUES = 2**26  # of all nodes, for the samples that are evaluated at once
# of the time that is left, at most: for forms, bounds; in forms for the two networks' stability; in bounds
# for tightening; for looking for a larger difference; for branch and bound on differences
FORMS, BOUNDS, STABLE, TIGHTENING, SEARCHING, BRANCHES = 0.6, 0.7, (0.4, 0.5), 0.6, 0.7, 0.8


@dataclass(frozen=True, eq=False)
class Equality:
    """A proven bound on the difference of each output, and the largest difference met, at `input`.

    `other` is an input where the largest output is another, or None if none was met. `confidence` bounds the
    difference of any probability of their softmax: tanh(eps / 2) for eps in the logits.
    """

    bound: Float[np.ndarray, " k"]
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
        return softmax_change(self.largest)

    def same_answer(self, logits: Float[np.ndarray, "n k"]) -> Bool[np.ndarray, " n"]:
        """Say for which of the first's outputs (n, k) the other's largest output is proven to be the same.

        Where the two largest are more than the sum of their bounds apart.
        """
        k = logits.shape[1]
        top = logits.argmax(1)
        gaps = logits[np.arange(len(top)), top][:, None] - logits
        spare = self.bound[top][:, None] + np.broadcast_to(self.bound, (len(top), k))
        gaps[np.arange(len(top)), top] = np.inf
        return np.asarray((gaps > spare).all(1))


def flat_boxes(stable: Stability) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return a network's boxes as flat arrays."""
    return [(box.lower.flatten().numpy(), box.upper.flatten().numpy()) for box in stable.boxes]


def equal(
    first: Graph,
    second: Graph,
    domain: InputSet,
    seconds: float | Patience = 2.0,
    known: Stability | None = None,
    forms_alone: bool = False,
    journal: Journal | None = None,
    branch: bool = True,
) -> Equality:
    """Bound the difference of two networks' outputs over a domain, and look for an input on which they differ.

    By their affine forms, which finds networks equal that are; else, or for networks that have no such forms, by
    bounds on the graph of their difference, but with `forms_alone`, which is what certificates show. Of dense networks
    of one layout differences are bounded before, and with `branch` the domain is divided for that. `known` is the
    first's stability, if it was found before. The same operations with the same constants are equal at once. With a
    limit in `seconds` the bound is the best that was found by then; intervals give one for nearly nothing.

    Property: sound in real arithmetic.

    Raises:
        InputError: networks of different inputs or outputs, a domain that is none, or, with `forms_alone`, operations
            without affine forms.
    """
    first, second = (pools_as_relus(g.to(torch.float64)) for g in (first, second))
    domain = with_interior(domain)
    search = _Search(first, second, domain, Patience.of(seconds), journal, difference_of(first, second))
    until = search.patience.until
    pair = None if forms_alone else dense_pair_of(first, second)
    if same_operations(first, second) or (pair is not None and pair.is_equal):
        search.bound = np.zeros_like(search.bound)
    elif forms_alone:
        search.by_forms(known)
    else:
        search.by_intervals()  # whatever the time is: it takes hardly any
        until.run(search.by_layers)
        if pair is not None:
            until.run(lambda: search.improve(bound_of_pair(pair, domain)))
        divided = pair if branch and are_few(domain) else None
        if divided is not None and are_of_one_layout(first, second):
            search.by_branching(divided, until.before(BRANCHES))
        if not search.is_close:
            until.before(FORMS).run(lambda: search.by_forms_if_any(known))
        if not search.is_close and not search.bound.max() <= NEARLY * search.scale:
            until.before(BOUNDS).run(search.by_bounds)
            if divided is not None and not are_of_one_layout(first, second):
                search.by_branching(divided, until.before(BRANCHES))
    if not same_operations(first, second):
        search.bound = search.bound + rounding_of_reading((first, second), domain)
    return searched(first, second, domain, search.bound, until)


def rounding_of_reading(graphs: tuple[Graph, Graph], domain: InputSet) -> Float[np.ndarray, " k"]:
    """Bound how much of the two files' difference is due to constants that reading rounded, for each output."""
    graphs = pools_as_relus(graphs[0].to(torch.float64)), pools_as_relus(graphs[1].to(torch.float64))
    total = np.zeros(math.prod(graphs[0].output_shape))
    for graph in graphs:
        if has_rounded(graph):
            boxes = relax(graph, Box.around(domain, graph.input_shape), REAL, multi_neuron=False).boxes
            flat = [(box.lower.flatten().numpy(), box.upper.flatten().numpy()) for box in boxes]
            total = total + reading_error(graph, flat)
    return np.where(total >= 0, total, np.inf)


@dataclass(eq=False)
class _Search:
    """The best bound so far of two networks' difference, and the ways to a better one."""

    first: Graph
    second: Graph
    domain: InputSet
    patience: Patience
    journal: Journal | None
    gap: Graph
    scale: float = 1.0
    is_close: bool = False  # to the largest difference that was met
    region: Box = field(init=False)
    bound: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        """Begin with no bound."""
        self.region = Box.around(self.domain, self.gap.input_shape)
        self.bound = np.full(math.prod(self.gap.output_shape), np.inf)

    def improve(self, bound: np.ndarray) -> None:
        self.bound = np.fmin(self.bound, np.where(bound >= 0, bound, np.inf))  # also where it is not a number

    def by_intervals(self) -> None:
        box = relax(self.gap, self.region, REAL, multi_neuron=False).boxes[-1]
        self.improve(torch.maximum(-box.lower, box.upper).flatten().numpy())

    def by_layers(self) -> None:
        """Bound how far values of the same node can be apart, layer after layer, where both are of the same shapes."""
        if [node.shape for node in self.first.nodes] != [node.shape for node in self.second.nodes]:
            return
        boxes = [relax(graph, self.region, REAL, multi_neuron=False).boxes for graph in (self.first, self.second)]
        same = [ChannelMap.same(channels_of(node)) for node in self.second.nodes]
        self.improve(mapped_difference(self.first, self.second, same, *boxes))

    def by_branching(self, pair: DensePair, until: Deadline) -> None:
        """Divide the domain until the bound is close to what is met, for a while."""
        bounded = until.run(lambda: bound_by_branching(pair, self.domain, until.at_most(10 * self.patience.each)))
        if bounded is not None:
            self.improve(np.full_like(self.bound, bounded[0]))
            self.is_close = bounded[1]

    def by_forms_if_any(self, known: Stability | None) -> None:
        with suppress(InputError):  # products, or too many values for dense forms
            self.by_forms(known)

    def by_forms(self, known: Stability | None) -> None:
        search = [self.patience.before(part) for part in STABLE]
        one = known or stability(self.first, self.domain, search[0], journal=self.journal)
        self.scale = 1 + float(one.boxes[-1].magnitude.max())
        two = stability(self.second, self.domain, search[1], journal=self.journal)
        self.improve(
            difference(affine_forms_of(one.graph, flat_boxes(one)), affine_forms_of(two.graph, flat_boxes(two)))
        )

    def by_bounds(self) -> None:
        """Bound the outputs of the difference's graph by CROWN with slopes from alpha-CROWN."""
        until = self.patience.until.before(TIGHTENING).at_most(10 * self.patience.each)
        tighten, constraints = tighten_by_alpha_crown(ALPHA_STEPS, until), self.domain.constraints
        relaxation = relax(self.gap, self.region, REAL, tighten, constraints=constraints)
        out, k = len(self.gap.nodes) - 1, math.prod(self.gap.output_shape)
        widest, single = max(size_of(node) for node in self.gap.nodes), relaxation.to(torch.float32)
        for outputs in torch.arange(k).split(
            max(LARGEST_ROWS // (2 * widest), 1)
        ):  # one output after another, if large
            tick()
            rows = torch.eye(k)[outputs].double()
            rows = torch.cat([rows, -rows]).reshape(1, 2 * len(outputs), *self.gap.output_shape)
            start = default_choice(single, out, 2 * len(outputs))
            choice, _ = optimize_slopes(single, out, rows.float(), start, {}, ALPHA_STEPS)
            ends = lower_bounds(relaxation, out, rows, choice.to(torch.float64))[0].reshape(2, len(outputs)).numpy()
            bound = np.full(k, np.inf)
            bound[outputs.numpy()] = np.maximum(-ends[0], -ends[1])
            self.improve(bound)


def searched(first: Graph, second: Graph, domain: InputSet, bound: np.ndarray, until: Deadline = NEVER) -> Equality:
    """Give a bound with the largest difference that is met, and with another answer if one is.

    Samples first, then steps of the gradient's sign, while there is time.
    """
    fit = MOST_VALUES // sum(size_of(node) for graph in (first, second) for node in graph.nodes)
    domain = with_interior(domain)
    x = inside(domain, first.input_shape, SAMPLES)
    tried = x[:1]  # that one whatever the time is

    def search() -> None:
        nonlocal tried
        for batch in x.split(int(np.clip(fit, 1, BATCH_SAMPLES))):
            _outputs(first, second, batch)
            tried = torch.cat([tried, batch])
        one, two = _outputs(first, second, tried)
        gaps = (one - two).abs().amax(1)
        top = one.topk(min(2, one.shape[1]), 1).values
        margin = (top[:, 0] - top[:, -1]) / gaps.clamp(min=1e-300)
        for by_margin, goal in enumerate((gaps, -margin)):
            best = tried[goal.topk(min(STARTS, len(tried))).indices]
            for met in _climbed(first, second, domain, best, by_margin):
                tried = torch.cat([tried, pulled(domain, met)])

    until.before(SEARCHING).run(search)
    tried = tried[torch.from_numpy(within_rounding(domain, tried.flatten(1).numpy()))]
    batches = tried.split(max(fit, 1))
    one, two = map(torch.cat, zip(*(_outputs(first, second, batch) for batch in batches), strict=True))
    gaps = (one - two).abs().amax(1)
    worst = int(gaps.argmax())
    differ = ((one.argmax(1) != two.argmax(1)) & (one.amax(1) > one.gather(1, two.argmax(1, True))[:, 0])).nonzero()
    other = tried[int(differ[0])].numpy() if len(differ) else None
    return Equality(bound, float(gaps[worst]), tried[worst].numpy(), other)


def _outputs(first: Graph, second: Graph, x: Tensor) -> tuple[Tensor, Tensor]:
    tick()
    return evaluate(first, x).flatten(1), evaluate(second, x).flatten(1)


def _climbed(first: Graph, second: Graph, domain: InputSet, x: Tensor, by_margin: int) -> Iterator[Tensor]:
    """Climb from each start: up the difference, or towards where the first cannot decide; give all points met."""
    box = Box.around(domain, first.input_shape)
    for step in range(STEPS):
        x = x.detach().requires_grad_()
        one, two = _outputs(first, second, x)
        if by_margin and one.shape[1] > 1:
            top = one.topk(2, 1).values
            goal = -(top[:, 0] - top[:, 1])
        else:
            goal = (one - two).abs().amax(1)
        if not goal.requires_grad:
            break
        (gradient,) = torch.autograd.grad(goal.sum(), x)
        size = 0.1 * (box.upper - box.lower) * 0.8**step
        x = (x.detach() + size * gradient.sign()).clamp(box.lower, box.upper)
        yield x
