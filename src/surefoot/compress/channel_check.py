"""By how much can a network and one with fewer channels differ? Node by node, along where each channel went.

It takes the two networks and the claim v = E w at every node, w being the smaller network's values, and bounds
|v - E w| from the weights alone, whoever made the claim. Any size of network will do; affine forms know more of small
ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.compress.channels import ChannelMap, channels_of, combined, elements, is_depthwise, is_plain
from surefoot.core.rounding import DOUBLE, gamma, magnitude, step_error
from surefoot.graph.graph import Graph, Node, apply
from surefoot.graph.ops import Add, Concat, Conv2d, ElementwiseAffine, Gather, Linear, MaxPool2d, Mul, Relu, Reshape
from surefoot.reach.ibp import Box


def mapped_difference(
    first: Graph, second: Graph, matches: Sequence[ChannelMap], boxes: Sequence[Box], others: Sequence[Box]
) -> np.ndarray:
    """Bound |first - second| for each output, flat, over the domain that `boxes` and `others`, of all nodes, are of.

    Of a channel that went it is claimed that it is 0: its gap is at most its largest value.

    Property: sound in real arithmetic for any matches; infinite where they make no sense.
    """
    nothing = np.full(int(np.prod(first.output_shape)), np.inf)
    ends = (matches[0], matches[-1])
    if [first.input_shape, first.output_shape] != [second.input_shape, second.output_shape] or not all(
        map(_whole, ends)
    ):
        return nothing
    if [n.inputs for n in first.nodes] != [n.inputs for n in second.nodes]:
        return nothing
    sides = [
        _Side(node, other, match, box.magnitude, seen.magnitude)
        for node, other, match, box, seen in zip(first.nodes, second.nodes, matches, boxes, others, strict=True)
    ]
    gaps: list[Tensor] = [torch.zeros_like(sides[0].size)]
    for side in sides[1:]:
        given = [sides[i] for i in side.node.inputs]
        gap = _gap(side, given, [gaps[i] for i in side.node.inputs])
        gap = torch.where(side.column(side.match.to < 0), torch.fmin(gap, side.size), gap)
        gaps.append(torch.where(gap >= 0, gap, torch.inf))  # also where it is not a number
    return gaps[-1].flatten().numpy()


def _whole(match: ChannelMap) -> bool:
    return bool((match.to == torch.arange(len(match.to))).all() and (match.ratio == 1).all())


@dataclass(frozen=True, eq=False)
class _Side:
    """One node in both networks: the largest values it takes in each, and where its channels went."""

    node: Node
    other: Node
    match: ChannelMap
    size: Float[Tensor, " 1 *shape"]
    kept: Float[Tensor, " 1 *other"]

    @property
    def stays(self) -> Tensor:
        """Which channels are in the smaller network too."""
        return (self.match.to >= 0) & (self.match.to < channels_of(self.other))

    @property
    def ratio(self) -> Tensor:
        """The ratios; 0 of those that went."""
        return torch.where(self.stays, self.match.ratio, 0.0)

    def column(self, x: Tensor) -> Tensor:
        """Let one number a channel stand beside values."""
        return x.reshape(1, -1, *[1] * (self.size.dim() - 2))

    def picked(self, x: Tensor) -> Tensor:
        """Take the smaller network's values (channels, ...) of each channel, 0 of those that went."""
        stays = self.stays.reshape(-1, *[1] * (x.dim() - 1))
        return torch.where(stays, x[torch.where(self.stays, self.match.to, 0)], 0.0)

    @property
    def seen(self) -> Tensor:
        """The largest values of the smaller network where each channel went."""
        return self.picked(self.kept[0]).unsqueeze(0)


def _gap(side: _Side, given: Sequence[_Side], gaps: Sequence[Tensor]) -> Tensor:
    infinite = torch.full_like(side.size, torch.inf)
    if type(side.node.op) is not type(side.other.op) or not side.node.shape:
        return infinite
    match side.node.op:
        case Linear() | Conv2d():
            return _affine(side, given[0], gaps[0])
        case Gather() | Reshape():
            return _taken(side, given[0], gaps[0])
        case Concat() as op:
            starts = np.cumsum([0, *(channels_of(g.other) for g in given)]).tolist()
            to = torch.cat([torch.where(g.stays, g.match.to + s, -1) for g, s in zip(given, starts, strict=False)])
            same = op.axis == 0 and torch.equal(torch.where(side.stays, side.match.to, -1), to)
            same = same and torch.equal(side.ratio, torch.cat([g.ratio for g in given]))
            whole = all(_whole(g.match) for g in (side, *given))
            return torch.cat(list(gaps), op.axis + 1) if same or whole else infinite
        case _:
            pass
    if any(not torch.equal(side.match.to, g.match.to) for g in given):  # the others pair their channels
        return infinite
    off = [side.column(magnitude(g.ratio - side.ratio)) * g.seen for g in given]
    match side.node.op:
        case ElementwiseAffine():
            return _scaled(side, given[0], gaps[0])
        case Relu() | MaxPool2d():
            return torch.where(side.column(side.ratio < 0), torch.inf, apply(side.node.op, [_raised(gaps[0] + off[0])]))
        case Add():
            return _raised(gaps[0] + gaps[1] + off[0] + off[1])
        case Mul():
            one, two = given
            mixed = one.ratio * two.ratio
            apart = (mixed - side.ratio).abs() + step_error(3, magnitude(one.ratio) * magnitude(two.ratio))
            scaled = side.column(magnitude(two.ratio)) * two.seen
            exact = one.size * magnitude(gaps[1]) + magnitude(scaled) * magnitude(gaps[0])
            exact = exact + magnitude(side.column(magnitude(apart)) * one.seen) * two.seen
            return _raised(exact)
        case _:
            return infinite


def _raised(x: Tensor) -> Tensor:
    """Round up what a few sums and products of numbers that are not negative gave."""
    return x + step_error(8, x)


def _scaled(side: _Side, given: _Side, gap: Tensor) -> Tensor:
    op, small = side.node.op, side.other.op
    assert isinstance(op, ElementwiseAffine)
    assert isinstance(small, ElementwiseAffine)

    def constants(x: Tensor | None, y: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        nothing = torch.zeros(1, dtype=torch.float64)
        mine = torch.broadcast_to(nothing if x is None else x, side.node.shape)
        other = side.picked(torch.broadcast_to(nothing if y is None else y, side.other.shape)).unsqueeze(0)
        most = side.column(magnitude(side.ratio)) * magnitude(other)
        return mine.unsqueeze(0), side.column(side.ratio) * other, most

    (scale, moved, most), (bias, other_bias, far) = constants(op.scale, small.scale), constants(op.bias, small.bias)
    ratio = side.column(given.ratio)
    off = (scale * ratio - moved).abs() + step_error(4, magnitude(scale) * magnitude(ratio) + most)
    base = (bias - other_bias).abs() + step_error(4, bias.abs() + far)
    return _raised(magnitude(off) * given.seen + magnitude(scale) * magnitude(gap) + base)


def _taken(side: _Side, given: _Side, gap: Tensor) -> Tensor:
    """Compare which element each element is, in both networks."""
    op, small, shape = side.node.op, side.other.op, side.node.shape
    assert isinstance(op, Gather | Reshape)
    assert isinstance(small, Gather | Reshape)
    if not given.node.shape:
        return torch.full_like(side.size, torch.inf)
    place = torch.from_numpy(elements(op, given.node.shape, shape))
    place_in_small = torch.from_numpy(elements(small, given.other.shape, side.other.shape))
    rest = max(int(np.prod(given.node.shape[1:])), 1)
    channel = place.clamp(min=0) // rest
    went = given.match.to[channel] * rest + place.clamp(min=0) % rest
    went = torch.where((place >= 0) & given.stays[channel], went, -1)  # where it is in the smaller input
    comes = side.picked(place_in_small + 1).long() - 1  # where the smaller network takes it from
    same = (went == comes) & ((went < 0) | (given.ratio[channel] == side.ratio[:, None]))
    moved = torch.where(place >= 0, gap.flatten()[place.clamp(min=0)], 0.0)
    return torch.where(same, moved, torch.inf).reshape(1, *shape)


def _affine(side: _Side, given: _Side, gap: Tensor) -> Tensor:
    """Bound W (E x + r) + b - E' (W' x + b') by |W E - E' W'| |x| + |W| |r| + |b - E' b'|."""
    op, small = side.node.op, side.other.op
    assert isinstance(op, Linear | Conv2d)
    assert isinstance(small, Linear | Conv2d)
    infinite = torch.full_like(side.size, torch.inf)
    if isinstance(op, Conv2d) and isinstance(small, Conv2d):
        if (op.stride, op.padding, op.dilation) != (small.stride, small.padding, small.dilation):
            return infinite
        if op.weight.shape[2:] != small.weight.shape[2:]:
            return infinite
    ratio = side.ratio.reshape(-1, *[1] * (op.weight.dim() - 1))
    if is_plain(side.node, given.node) and is_plain(side.other, given.other):
        match = replace(given.match, to=torch.where(given.stays, given.match.to, -1))
        mine, size = (combined(w, m, channels_of(given.other)) for w, m in (
            (op.weight, match), (magnitude(op.weight), replace(match, ratio=magnitude(match.ratio))),
        ))  # fmt: skip
        seen, moved = given.kept, op
        groups = 1
    elif is_depthwise(op) and is_depthwise(small) and torch.equal(side.match.to, given.match.to):
        mine = op.weight * given.ratio[:, None, None, None]
        size = magnitude(op.weight) * magnitude(given.ratio)[:, None, None, None]
        seen, moved, groups = given.seen, op, len(op.weight)
    elif isinstance(op, Linear) and isinstance(small, Linear) and op.weight.shape == small.weight.shape:
        same = side.node.shape == side.other.shape and given.node.shape == given.other.shape
        whole = _whole(side.match) and _whole(given.match)
        return _along_last(op, small, given.kept, gap) if same and whole else infinite
    elif op.weight.shape == small.weight.shape and _whole(side.match) and _whole(given.match):
        mine, size, seen, moved = op.weight, magnitude(op.weight), given.kept, op
        groups = getattr(op, "groups", 1)
        if groups != getattr(small, "groups", 1):
            return infinite
    else:
        return infinite
    weight = side.picked(small.weight)
    unit = gamma(2 * op.terms + 8, DOUBLE)
    off = (mine - ratio * weight).abs() + unit * (size + magnitude(ratio) * magnitude(weight))
    nothing = op.weight.new_zeros(1)
    bias = torch.broadcast_to(nothing if op.bias is None else op.bias, (len(op.weight),))
    other = side.picked(torch.broadcast_to(nothing if small.bias is None else small.bias, (len(small.weight),)))
    far = magnitude(side.ratio) * magnitude(other)
    base = (bias - side.ratio * other).abs() + unit * (bias.abs() + far)
    wide = replace(moved, weight=off, bias=None, groups=groups) if isinstance(moved, Conv2d) else Linear(off)
    base = base if isinstance(op, Linear) else base[:, None, None]
    return (wide.absolute(seen) + op.absolute(magnitude(gap))) * (1 + unit) + base


def _along_last(op: Linear, small: Linear, seen: Tensor, gap: Tensor) -> Tensor:
    """Bound the same where a matrix acts on the last axis, which is not that of the channels: all stay as they are."""
    unit = gamma(2 * op.terms + 8, DOUBLE)
    off = (op.weight - small.weight).abs() + unit * (magnitude(op.weight) + magnitude(small.weight))
    nothing = op.weight.new_zeros(1)
    bias, other = (nothing if b is None else b for b in (op.bias, small.bias))
    base = (bias - other).abs() + unit * (magnitude(bias) + magnitude(other))
    return (Linear(off).absolute(seen) + op.absolute(magnitude(gap))) * (1 + unit) + base
