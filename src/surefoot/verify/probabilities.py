"""Thresholds of probabilities, answered by bounds on differences of logits.

p_j <= c says s >= level, and p_j >= c says s <= level, for s = log sum over i != j of exp(d_i), d_i = z_i - z_j.
Linear conditions that follow from these hold the unsafe set in polytopes, which every method can treat: s is at least
sum q_i d_i + H(q) for any weights q that sum to 1, H their entropy; exp is below its chords; and the largest d_i is at
least s - log(k - 1).
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import logsumexp, softmax
from torch import Tensor

from surefoot.core.deadline import Deadline
from surefoot.core.rounding import ELEMENTARY, REAL, difference_below, formula_error, step_error
from surefoot.graph.graph import Graph, evaluate
from surefoot.reach.crown import lower_bounds
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import Relaxation, relax
from surefoot.reach.tightening import tighten_by_crown
from surefoot.spec.outputs import Conditions, Threshold
from surefoot.spec.query import Query, Unsafe

_PARTS = 2.0**30  # weights are multiples of one of these, so that sums of them are exact
_STEEP = 300.0  # exp of more is not written as a chord
_FLAT = -200.0  # nor, exactly, exp of less
_FEW_CLASSES = 10  # up to so many, which class is the largest makes sets of their own
_BATCH_BOXES = 64
_NARROW = 1e-9  # of the region's width: no box is bisected further

HalfSpace = tuple[np.ndarray, np.ndarray]  # (b, k) and (b,): rows z <= bounds, one row a box


def polytopes(graph: Graph, query: Query, sets: Sequence[Conditions]) -> tuple[Unsafe, ...]:
    """Return polytopes of logits that hold all of the sets which the region's logits can reach.

    Property: sound. Without thresholds they are the sets.
    """
    if not any(conditions.thresholds for conditions in sets):
        return tuple(conditions.rows for conditions in sets)
    low, high = (torch.from_numpy(end[None]) for end in (query.inputs.lower, query.inputs.upper))
    spans = _Spans.over(graph, low, high, sets)
    polytopes: list[Unsafe] = []
    for conditions in sets:
        common = [(w, b) for w, b in zip(conditions.rows.weights, conditions.rows.bounds, strict=True)]
        choices: list[Threshold] = []
        for threshold in conditions.thresholds:
            for rows, bounds in spans.rows(threshold, every=True):
                common.append((rows[0], bounds[0]))
            if threshold.at_most and len(spans.centres[0]) <= _FEW_CLASSES:
                choices.append(threshold)
        if len(choices) != 1:
            polytopes.append(_unsafe(common, graph.output_shape[0]))
        else:
            polytopes += [_unsafe([*common, one], graph.output_shape[0]) for one in _largest(choices[0], graph)]
    return tuple(polytopes)


def _unsafe(rows: list[tuple[np.ndarray, float]], k: int) -> Unsafe:
    return Unsafe(np.array([w for w, _ in rows]).reshape(-1, k), np.array([b for _, b in rows], dtype=np.float64))


def _largest(threshold: Threshold, graph: Graph) -> list[tuple[np.ndarray, float]]:
    """One of the d_i is at least level - log(k - 1)."""
    (k,) = graph.output_shape
    rows = []
    for i in range(k):
        if i != threshold.output:
            row = np.zeros(k)
            row[threshold.output], row[i] = 1.0, -1.0
            rows.append((row, np.log(k - 1) - threshold.level + formula_error(np.log(k - 1) + abs(threshold.level))))
    return rows


def prove_by_bisection(
    graph: Graph,
    query: Query,
    sets: Sequence[Conditions],
    until: Deadline,
    candidate: Callable[[Tensor], Tensor | None],
) -> float:
    """Bisect the region until in each part each set misses one of its conditions; return by how much, at least.

    Minus infinity: time was up, or `candidate` knew an input for a counterexample.

    Property: sound; complete given time, but for sets that are touched and not entered.
    """
    low, high = (torch.from_numpy(bound[None]) for bound in (query.inputs.lower, query.inputs.upper))
    width = (high - low)[0]
    margin = float("inf")
    while len(low):
        if until.is_over():
            return -float("inf")
        here, rest = slice(-_BATCH_BOXES, None), slice(None, -_BATCH_BOXES)
        slack = _slack(_Spans.over(graph, low[here], high[here], sets), sets)
        closed = slack > 0
        margin = min(margin, float(slack[closed].min(initial=np.inf)))
        left, right = (bound[here][torch.from_numpy(~closed)] for bound in (low, high))
        if len(left):
            if candidate((left + right) / 2) is not None:
                return -float("inf")
            shares = (right - left) / width.clamp(min=1e-300)
            axis = shares.argmax(1)
            if float(shares.max()) < _NARROW:
                return -float("inf")
            middle, rows = (left + right) / 2, torch.arange(len(left))
            below, above = right.clone(), left.clone()
            below[rows, axis] = above[rows, axis] = middle[rows, axis]
            left, right = torch.cat([left, above]), torch.cat([below, right])
        low, high = torch.cat([low[rest], left]), torch.cat([high[rest], right])
    return margin


def _slack(spans: "_Spans", sets: Sequence[Conditions]) -> np.ndarray:
    """Bound, box by box, by how much each set is missed: the least over sets of the largest over its conditions."""
    least = np.full(len(spans.centres), np.inf)
    for conditions in sets:
        misses = [np.full(len(least), -np.inf)]
        if len(conditions.rows.bounds):
            misses += list(difference_below(spans.least(conditions.rows.weights), conditions.rows.bounds).T)
        for threshold in conditions.thresholds:
            misses += spans.misses(threshold)
        least = np.minimum(least, np.max(misses, axis=0))
    return least


class _Spans:
    """Between what the differences of logits stay that thresholds speak of, over boxes."""

    def __init__(self, relaxation: Relaxation, centres: np.ndarray) -> None:
        self.relaxation, self.centres = relaxation, centres
        self.known: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # output: least and greatest d (b, k - 1)

    @staticmethod
    def over(graph: Graph, low: Tensor, high: Tensor, sets: Sequence[Conditions]) -> "_Spans":
        shape = (-1, *graph.input_shape)
        box = Box(low.reshape(shape), high.reshape(shape))
        relaxation = relax(graph, box, REAL, tighten_by_crown)
        spans = _Spans(relaxation, evaluate(graph, (box.lower + box.upper) / 2).numpy())
        for j in {t.output for conditions in sets for t in conditions.thresholds}:
            rows = spans.others(j)
            spans.known[j] = spans.least(rows), -spans.least(-rows)
        return spans

    def others(self, j: int) -> np.ndarray:
        """Return the rows of z_i - z_j for all i but j."""
        k = self.centres.shape[1]
        rows = np.delete(np.eye(k), j, 0)
        rows[:, j] = -1.0
        return rows

    def least(self, rows: Float[np.ndarray, "r k"] | Float[np.ndarray, "b r k"]) -> np.ndarray:
        """Bound rows z from below over each box, (b, r)."""
        given = torch.from_numpy(np.broadcast_to(rows, (len(self.centres), *rows.shape[-2:])).copy())
        return lower_bounds(self.relaxation, len(self.relaxation.graph.nodes) - 1, given).numpy()

    def rows(self, threshold: Threshold, every: bool = False) -> list[HalfSpace]:
        """Return rows that hold wherever a threshold does, box by box; `every`: more than the best few."""
        j, level = threshold.output, threshold.level
        low, high = self.known[j]
        differences = self.others(j)
        if threshold.at_most:
            weights, bound, scale = _chord(low, high, level)
            if not np.isfinite(bound).all():
                return []
            # in parts of exp(level), of which s - level is -log(1 - part), which is more: the margin is one of log-odds
            part = np.exp2(np.floor(np.log2(scale)))
            return [(-(part[:, None] * weights) @ differences, -part * bound)]
        here = self.centres @ differences.T
        tried = [_weights(here), _weights(np.clip(np.zeros_like(low), low, high))]
        if every:
            tried += [_weights(low), _weights(high), *np.eye(len(differences))[:, None]]
        spare = formula_error(abs(level) + float(np.log(len(differences))), len(differences))
        return [(q @ differences, level - _entropy(q) + spare) for q in tried]

    def misses(self, threshold: Threshold) -> list[np.ndarray]:
        """Bound by how much s misses a threshold's level over each box."""
        low, high = self.known[threshold.output]
        with np.errstate(invalid="ignore"):
            reached = np.asarray(logsumexp(high if threshold.at_most else low, axis=1))
        sign = 1.0 if threshold.at_most else -1.0
        miss = sign * (threshold.level - reached) - formula_error(abs(threshold.level) + np.abs(reached), high.shape[1])
        misses = [np.where(np.isfinite(miss), miss, -np.inf)]
        if threshold.at_most:
            weights, bound, scale = _chord(low, high, threshold.level)
            missed = difference_below(self.least((-weights @ self.others(threshold.output))[:, None])[:, 0], -bound)
            # where that is above 0 the sum of exponentials is at most 1 - scale missed, as parts of exp(level)
            share = scale * np.maximum(missed, 0.0)
            closed = -np.log1p(-np.minimum(share - step_error(2, share), 1 - ELEMENTARY)) * (1 - ELEMENTARY)
            return [misses[0], np.where(missed > 0, closed, -np.inf)]
        for rows, bounds in self.rows(threshold):
            misses.append(difference_below(self.least(rows[:, None])[:, 0], bounds))
        return misses


def _chord(low: np.ndarray, high: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return n, bound and scale with n d >= bound wherever log-sum-exp of d is at least the level and low <= d <= high.

    exp(d_i - level) <= a_i + scale n_i (d_i - level) on the interval, a line through or above both its ends; these sum
    to at least 1. The bound is minus infinity where exponentials are too large to be of use.
    """
    usable = np.isfinite(low).all(1) & (high.max(1) < level + _STEEP)
    a, z = (np.where(usable[:, None], end - level, 0.0) for end in (low, high))
    z = np.maximum(z, _FLAT)
    first, last = np.exp(a), np.exp(z)
    slope = np.where(z - a > 1e-9, (last - first) / np.maximum(z - a, 1e-9), last)
    scale = np.maximum(slope.max(1), 1e-200)
    n = np.floor(slope / scale[:, None] * _PARTS) / _PARTS
    slope = scale[:, None] * n
    above = np.maximum(first - slope * a, last - slope * z)
    size = 1 + (first + last + np.abs(slope * a) + np.abs(slope * z)).sum(1)
    bound = (1 - above.sum(1) - formula_error(size, low.shape[1])) / scale
    moved = level * n.sum(1)
    bound = bound + moved - step_error(4, np.abs(moved) + np.abs(bound))
    return n, np.where(usable, bound, -np.inf), scale


def _weights(d: np.ndarray) -> np.ndarray:
    """Return softmax(d), row by row, in parts of 2^-30 that sum to 1 exactly."""
    q = np.floor(softmax(np.nan_to_num(d), axis=1) * _PARTS)
    q[np.arange(len(q)), q.argmax(1)] += _PARTS - q.sum(1)
    return np.asarray(q / _PARTS)


def _entropy(q: np.ndarray) -> np.ndarray:
    return -(q * np.log(np.where(q > 0, q, 1.0))).sum(1)
