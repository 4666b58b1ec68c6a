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
    for own in sides[1:]:
        given = [sides[i] for i in own.node.inputs]
        gap = _gap(own, given, [gaps[i] for i in own.node.inputs])
        gap = torch.where(own.column(own.match.to < 0), torch.fmin(gap, own.size), gap)
        gaps.append(torch.where(gap >= 0, gap, torch.inf))  # also where it is not a number
    return gaps[-1].flatten().numpy()


def _whole(match: ChannelMap) -> bool:
    return bool((match.to == torch.arange(len(match.to))).all() and (match.ratio == 1).all())


@dataclass(frozen=True, eq=False)
class _Side:
    """One node in both networks: the largest values it takes in each, and where its channels are found."""

    node: Node
    other: Node
    match: ChannelMap
    size: Float[Tensor, " 1 *shape"]
    kept: Float[Tensor, " 1 *other"]

    @property
    def found(self) -> Tensor:
        """Which channels are found."""
        return (self.match.to >= 0) & (self.match.to < channels_of(self.other))

    @property
    def ratio(self) -> Tensor:
        """The ratios; 0 of those that went."""
        return torch.where(self.found, self.match.ratio, 0.0)

    def column(self, x: Tensor) -> Tensor:
        """Let one number a channel stand beside values."""
        return x.reshape(1, -1, *[1] * (self.size.dim() - 2))

    def picked(self, x: Tensor) -> Tensor:
        """Take the smaller network's values (channels, ...) of each channel, 0 of those that went."""
        there = self.found.reshape(-1, *[1] * (x.dim() - 1))
        return torch.where(there, x[torch.where(self.found, self.match.to, 0)], 0.0)

    @property
    def seen(self) -> Tensor:
        """The largest values of the smaller network where each channel is found."""
        return self.picked(self.kept[0]).unsqueeze(0)


def _gap(own: _Side, given: Sequence[_Side], gaps: Sequence[Tensor]) -> Tensor:
    infinite = torch.full_like(own.size, torch.inf)
    if type(own.node.op) is not type(own.other.op) or not own.node.shape:
        return infinite
    match own.node.op:
        case Linear() | Conv2d():
            return _affine(own, given[0], gaps[0])
        case Gather() | Reshape():
            return _taken(own, given[0], gaps[0])
        case Concat() as op:
            starts = np.cumsum([0, *(channels_of(side.other) for side in given)]).tolist()
            to = torch.cat([torch.where(g.found, g.match.to + s, -1) for g, s in zip(given, starts, strict=False)])
            same = op.axis == 0 and torch.equal(torch.where(own.found, own.match.to, -1), to)
            same = same and torch.equal(own.ratio, torch.cat([g.ratio for g in given]))
            whole = all(_whole(side.match) for side in (own, *given))
            return torch.cat(list(gaps), op.axis + 1) if same or whole else infinite
        case _:
            pass
    if any(not torch.equal(own.match.to, side.match.to) for side in given):  # the others pair their channels
        return infinite
    off = [own.column(magnitude(side.ratio - own.ratio)) * side.seen for side in given]
    match own.node.op:
        case ElementwiseAffine():
            return _scaled(own, given[0], gaps[0])
        case Relu() | MaxPool2d():
            return torch.where(own.column(own.ratio < 0), torch.inf, apply(own.node.op, [_raised(gaps[0] + off[0])]))
        case Add():
            return _raised(gaps[0] + gaps[1] + off[0] + off[1])
        case Mul():
            one, two = given
            mixed = one.ratio * two.ratio
            apart = (mixed - own.ratio).abs() + step_error(3, magnitude(one.ratio) * magnitude(two.ratio))
            scaled = own.column(magnitude(two.ratio)) * two.seen
            exact = one.size * magnitude(gaps[1]) + magnitude(scaled) * magnitude(gaps[0])
            exact = exact + magnitude(own.column(magnitude(apart)) * one.seen) * two.seen
            return _raised(exact)
        case _:
            return infinite


def _raised(x: Tensor) -> Tensor:
    """Round up what a few sums and products of numbers that are not negative gave."""
    return x + step_error(8, x)


def _scaled(own: _Side, given: _Side, gap: Tensor) -> Tensor:
    op, small = own.node.op, own.other.op
    assert isinstance(op, ElementwiseAffine)
    assert isinstance(small, ElementwiseAffine)

    def constants(x: Tensor | None, y: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        nothing = torch.zeros(1, dtype=torch.float64)
        mine = torch.broadcast_to(nothing if x is None else x, own.node.shape)
        other = own.picked(torch.broadcast_to(nothing if y is None else y, own.other.shape)).unsqueeze(0)
        most = own.column(magnitude(own.ratio)) * magnitude(other)
        return mine.unsqueeze(0), own.column(own.ratio) * other, most

    (scale, moved, most), (shift, there, far) = constants(op.scale, small.scale), constants(op.shift, small.shift)
    ratio = own.column(given.ratio)
    off = (scale * ratio - moved).abs() + step_error(4, magnitude(scale) * magnitude(ratio) + most)
    base = (shift - there).abs() + step_error(4, shift.abs() + far)
    return _raised(magnitude(off) * given.seen + magnitude(scale) * magnitude(gap) + base)


def _taken(own: _Side, given: _Side, gap: Tensor) -> Tensor:
    """Compare which element each element is, in both networks."""
    op, small, shape = own.node.op, own.other.op, own.node.shape
    assert isinstance(op, Gather | Reshape)
    assert isinstance(small, Gather | Reshape)
    if not given.node.shape:
        return torch.full_like(own.size, torch.inf)
    mine = torch.from_numpy(elements(op, given.node.shape, shape))
    small_place = torch.from_numpy(elements(small, given.other.shape, own.other.shape))
    rest = max(int(np.prod(given.node.shape[1:])), 1)
    channel = mine.clamp(min=0) // rest
    there = given.match.to[channel] * rest + mine.clamp(min=0) % rest
    there = torch.where((mine >= 0) & given.found[channel], there, -1)  # where it is found in the smaller input
    here = own.picked(small_place + 1).long() - 1  # where the smaller network takes it from
    same = (there == here) & ((there < 0) | (given.ratio[channel] == own.ratio[:, None]))
    moved = torch.where(mine >= 0, gap.flatten()[mine.clamp(min=0)], 0.0)
    return torch.where(same, moved, torch.inf).reshape(1, *shape)


def _affine(own: _Side, given: _Side, gap: Tensor) -> Tensor:
    """Bound W (E x + r) + b - E' (W' x + b') by |W E - E' W'| |x| + |W| |r| + |b - E' b'|."""
    op, small = own.node.op, own.other.op
    assert isinstance(op, Linear | Conv2d)
    assert isinstance(small, Linear | Conv2d)
    infinite = torch.full_like(own.size, torch.inf)
    if isinstance(op, Conv2d) and isinstance(small, Conv2d):
        if (op.stride, op.padding, op.dilation) != (small.stride, small.padding, small.dilation):
            return infinite
        if op.weight.shape[2:] != small.weight.shape[2:]:
            return infinite
    ratio = own.ratio.reshape(-1, *[1] * (op.weight.dim() - 1))
    if is_plain(own.node, given.node) and is_plain(own.other, given.other):
        match = replace(given.match, to=torch.where(given.found, given.match.to, -1))
        mine, size = (combined(w, m, channels_of(given.other)) for w, m in (
            (op.weight, match), (magnitude(op.weight), replace(match, ratio=magnitude(match.ratio))),
        ))  # fmt: skip
        seen, moved = given.kept, op
        groups = 1
    elif is_depthwise(op) and is_depthwise(small) and torch.equal(own.match.to, given.match.to):
        mine = op.weight * given.ratio[:, None, None, None]
        size = magnitude(op.weight) * magnitude(given.ratio)[:, None, None, None]
        seen, moved, groups = given.seen, op, len(op.weight)
    elif op.weight.shape == small.weight.shape and _whole(own.match) and _whole(given.match):
        mine, size, seen, moved = op.weight, magnitude(op.weight), given.kept, op
        groups = getattr(op, "groups", 1)
        if groups != getattr(small, "groups", 1):
            return infinite
    else:
        return infinite
    weight = own.picked(small.weight)
    unit = gamma(2 * op.terms + 8, DOUBLE)
    off = (mine - ratio * weight).abs() + unit * (size + magnitude(ratio) * magnitude(weight))
    nothing = op.weight.new_zeros(1)
    offset = torch.broadcast_to(nothing if op.offset is None else op.offset, (len(op.weight),))
    other = own.picked(torch.broadcast_to(nothing if small.offset is None else small.offset, (len(small.weight),)))
    far = magnitude(own.ratio) * magnitude(other)
    base = (offset - own.ratio * other).abs() + unit * (offset.abs() + far)
    wide = replace(moved, weight=off, offset=None, groups=groups) if isinstance(moved, Conv2d) else Linear(off)
    base = base if isinstance(op, Linear) else base[:, None, None]
    return (wide.absolute(seen) + op.absolute(magnitude(gap))) * (1 + unit) + base
