"""Certified confidence: between what the recalibrated confidence of a class stays, over a whole region."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import entr, softmax
from torch import Tensor

from surefoot.core.bins import bin_index
from surefoot.core.errors import InputError
from surefoot.core.rounding import ELEMENTARY, REAL, formula_error
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Linear
from surefoot.reach.alpha_crown import ALPHA_STEPS, default_choice, optimize_slopes
from surefoot.reach.crown import Trace, lower_bounds
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import relax
from surefoot.reach.tightening import tighten_by_crown
from surefoot.recalibrate import Calibrator
from surefoot.recalibrate.steps import Affine, Softmax, Step, apply, keeps_top
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Unsafe
from surefoot.verify.enclose import Differences, ProbabilityBox, enclose
from surefoot.verify.large import is_large, lower_bounds_in_lots, relax_large
from surefoot.verify.network import Network, region_to_query

CUTS = 8  # planes for the upper end, at most


@dataclass(frozen=True, eq=False)
class Certified:
    """Bounds for every input of a region, in real arithmetic, after the calibrator: `label` is the class at its centre.

    `stays` says that no input of the region has another class; `lower` and `upper` bound every class's probability.
    """

    label: int
    stays: bool
    lower: Float[np.ndarray, " k"]
    upper: Float[np.ndarray, " k"]

    @property
    def confidence(self) -> tuple[float, float]:
        """Bounds on the confidence: the probability of the class at the centre."""
        return float(self.lower[self.label]), float(self.upper[self.label])

    def brier(self, truth: int) -> tuple[float, float]:
        """Bounds on sum_j (p_j - [j = truth])²."""
        target = np.eye(len(self.lower))[truth]
        ends = np.abs(np.stack([self.lower - target, self.upper - target]))
        inside = (self.lower <= target) & (target <= self.upper)
        least = np.where(inside, 0.0, ends.min(0))
        return float((least**2).sum()), min(float((ends.max(0) ** 2).sum()), 2.0)  # of two points of the simplex


def certify(network: Network, region: InputSet, calibrator: Calibrator | None = None) -> Certified:
    """Bound the recalibrated probabilities of every class over a region.

    The calibrator's first affine step (temperature, vector, matrix) is appended to the network, so that it is
    bounded whole; the rest travels as bounds on differences and boxes (`enclose`), an affine step behind a log-softmax
    too. The upper end of the confidence, whose logarithm's opposite is convex, is improved by cutting planes: each
    tangent is one more linear bound, sound by itself.

    Raises:
        InputError: a calibrator of another number of classes, or one without bounds.

    Reference: Wei et al. 2023 (arXiv 2303.01713) for the bounds on softmax; deterministic, where Emde et al. 2024
    (arXiv 2405.13922) and Kumar et al. 2020 (arXiv 2009.08061) smooth by noise.
    """
    steps: tuple[Step, ...] = (Softmax(),) if calibrator is None else calibrator.steps_
    k = network.outputs
    if calibrator is not None and calibrator.n_classes_ != k:
        raise InputError(f"the calibrator is of {calibrator.n_classes_} classes; the network has {k}")
    along, query = region_to_query(network, region, (Unsafe(np.zeros((1, k)), np.zeros(1)),))
    graph = along.pooled
    if isinstance(steps[0], Affine):
        graph, steps = _appended(graph, steps[0]), steps[1:]
    bounds = _Bounds(graph, query.inputs)
    pairs = [(i, j) for i in range(k) for j in range(k) if i != j]
    rows = np.zeros((len(pairs), k))
    for row, (i, j) in enumerate(pairs):
        rows[row, j], rows[row, i] = 1.0, -1.0  # from below: z_j - z_i
    upper = np.zeros((k, k))
    for (i, j), low in zip(pairs, bounds.lower(rows), strict=True):
        upper[i, j] = -low
    label = int(apply(steps, bounds.centre[None])[0].argmax())
    try:
        box = enclose(steps, Differences(upper))
    except InputError as error:
        raise InputError(f"{type(calibrator).__name__}: {error}") from error
    if len(steps) == 1 and isinstance(steps[0], Softmax):
        box = bounds.tightened(box, label, upper)
    stays = bool((np.delete(box.upper, label) < box.lower[label]).all())
    if keeps_top(steps):  # then differences of logits tell more
        stays = stays or bool((np.delete(upper[:, label], label) < 0).all())
    return Certified(label, stays, box.lower, box.upper)


def _appended(graph: Graph, step: Affine) -> Graph:
    (k,) = graph.output_shape
    weight = step.weight if step.weight.ndim == 2 else np.eye(k) * step.weight
    builder = GraphBuilder.of(graph)
    offset = torch.tensor(np.zeros(k) + step.bias, dtype=torch.float64)
    builder.add(Linear(torch.tensor(weight, dtype=torch.float64), offset), len(graph.nodes) - 1, name="map")
    return builder.build()


class _Bounds:
    """Linear functions of a graph's outputs over a box, bounded from below by CROWN, with ascent if it is not large."""

    def __init__(self, graph: Graph, inputs: InputSet) -> None:
        region = Box.around(inputs, graph.input_shape)
        self.graph, self.out = graph, len(graph.nodes) - 1
        large = is_large(graph)
        self.double = relax_large(graph, inputs) if large else relax(graph, region, REAL, tighten_by_crown)
        self.single = None if large else self.double.to(torch.float32)
        self.centre = evaluate(graph, (region.lower + region.upper) / 2)[0].numpy()
        self.corners: list[Tensor] = []

    def lower(self, rows: np.ndarray) -> np.ndarray:
        given, trace = torch.from_numpy(rows).unsqueeze(0), Trace()
        if self.single is None:
            bounds = lower_bounds_in_lots(self.double, given, trace)[0]
        else:
            start = default_choice(self.single, self.out, len(rows))
            choice, _ = optimize_slopes(self.single, self.out, given.float(), start, {}, ALPHA_STEPS)
            bounds = lower_bounds(self.double, self.out, given, choice.to(torch.float64), trace)[0]
        if trace.input is not None:
            box = self.double.boxes[0]
            self.corners += list(torch.where(trace.input[0] > 0, box.lower, box.upper))
        return torch.where(bounds.isnan(), -torch.inf, bounds).numpy()  # of infinite weights: no bound

    def tightened(self, box: ProbabilityBox, label: int, upper: np.ndarray) -> ProbabilityBox:
        """Improve both ends of the label's probability: f = log sum_j exp(z_j - z_label) is convex."""
        low, high = box.lower.copy(), box.upper.copy()
        low[label] = max(low[label], self._from_below(label, upper))
        high[label] = min(high[label], self._from_above(label, high[label]))
        return ProbabilityBox(low, high)

    def _from_above(self, label: int, high: float) -> float:
        """Bound p = exp(-f): f >= sum_j w_j (z_j - z_label) + entropy(w), whatever the distribution w (Gibbs).

        The softmax at a point makes that the tangent there; the corner that attains its least value is the next point.
        """
        z = self.centre
        for _ in range(CUTS):
            if not np.isfinite(z).all():
                break
            less = formula_error(0.0, len(z))
            weights = _exact(softmax(z) * (1 - less), 1.0, label)  # a sum below 1, however it is rounded
            row = weights.copy()
            row[label] = -weights.sum()
            weights[label] = 1 + row[label]  # exact, and at least 0
            entropy = float(entr(weights).sum())
            value = float(self.lower(row[None])[0]) + entropy
            value -= formula_error(abs(value) + entropy, len(z))
            reached = float(np.exp(-max(value, 0.0))) + ELEMENTARY
            if not reached < high * (1 - 1e-6):
                return min(high, reached)
            high = reached
            z = (z + evaluate(self.graph, self.corners[-1].unsqueeze(0))[0].numpy()) / 2
        return high

    def _from_below(self, label: int, upper: np.ndarray) -> float:
        """Bound p = 1 / sum_j exp(d_j): exp is under its chord, so the sum is at most a linear function of differences.

        A line with any slope is above exp between two points if it is above it at both.
        """
        least, most = -upper[label], np.maximum(upper[:, label], -1e3)
        if not most.max() < 300:  # else the bound is 0, and chords overflow
            return 0.0
        wide = np.isfinite(least) & (most > least)
        with np.errstate(all="ignore"):
            slope = np.where(wide, (np.exp(most) - np.exp(least)) / (most - least), 0.0)
        slope = _exact(slope, float(slope.max()), label)
        left = np.where(np.isfinite(least), np.exp(least) - slope * np.where(wide, least, 0.0), 0.0)
        offset = np.maximum(left, np.exp(most) - slope * most)
        offset[label] = 0.0
        row = -slope
        row[label] = slope.sum()
        total = -float(self.lower(row[None])[0]) + float(offset.sum())
        size = np.exp(most) + slope * (np.abs(most) + np.where(wide, np.abs(least), 0.0))
        total += formula_error(float(size.sum()) + abs(total), len(size))
        return max(1 / (1 + total) - ELEMENTARY, 0.0) if total > 0 else 0.0


def _exact(x: np.ndarray, largest: float, label: int) -> np.ndarray:
    """Round non-negative numbers down to multiples of a power of 2, whose sums are exact; leave the label's out.

    A row of such, and of the opposite of their sum, is a function of differences alone: how large logits are does not
    matter to it, however it is rounded.
    """
    unit = 2.0 ** (np.ceil(np.log2(max(largest, 1e-250))) + np.ceil(np.log2(len(x))) - 52)
    rounded = np.floor(x / unit) * unit
    rounded[label] = 0.0
    return rounded


def nothing_certain(classes: int) -> Certified:
    """Return bounds that claim nothing: what is certain where there was no time."""
    return Certified(0, False, np.zeros(classes), np.ones(classes))


@dataclass(frozen=True)
class Summary:
    """What is certain of a data set whose every input may move within its region. Each pair is (least, greatest)."""

    accuracy: tuple[float, float]
    brier: tuple[float, float]
    ece: tuple[float, float]
    mean_confidence: tuple[float, float]


def summarise(answers: Sequence[Certified], truth: Sequence[int], bins: int = 15) -> Summary:
    """Bound accuracy, Brier score and ECE over all that can happen to the inputs.

    ECE = (1 / n) sum over bins |sum of (confidence - hit)|. Inputs whose confidence stays in one bin contribute to that
    bin an interval; the others may be anywhere, and count in full. ECE is at least |mean confidence - accuracy| too.

    Raises:
        InputError: nothing to summarise, or lengths that differ.
    """
    if not answers or len(answers) != len(truth):
        raise InputError(f"{len(answers)} answers and {len(truth)} classes: one of each is needed for every input")
    n = len(answers)
    low, high = (np.array([c.confidence[end] for c in answers]) for end in (0, 1))
    right = np.array([c.label == t for c, t in zip(answers, truth, strict=True)])
    stays = np.array([c.stays for c in answers])
    # where the class may change, confidence is that of whatever class wins: from 1 / k up to the largest upper end
    k = len(answers[0].lower)
    low = np.where(stays, low, np.array([max(float(c.lower.max()), 1 / k) for c in answers]))
    high = np.where(stays, high, np.array([float(c.upper.max()) for c in answers]))
    hit_low, hit_high = (right & stays).astype(float), (right | ~stays).astype(float)
    gap_low, gap_high = low - hit_high, high - hit_low
    first, last = (bin_index(c, bins) for c in (low, high))
    fixed = first == last
    least = most = 0.0
    for b in range(bins + 1):
        inside = fixed & (first == b)
        a, z = gap_low[inside].sum(), gap_high[inside].sum()
        least += max(a, -z, 0.0)
        most += max(abs(a), abs(z))
    loose = np.maximum(np.abs(gap_low), np.abs(gap_high))[~fixed].sum()
    overall = max(gap_low.sum(), -gap_high.sum(), 0.0)
    brier = np.array([c.brier(t) for c, t in zip(answers, truth, strict=True)]).mean(0)
    return Summary(
        (float(hit_low.mean()), float(hit_high.mean())),
        (float(brier[0]), float(brier[1])),
        (max(least - loose, overall, 0.0) / n, min((most + loose) / n, 1.0)),
        (float(low.mean()), float(high.mean())),
    )
