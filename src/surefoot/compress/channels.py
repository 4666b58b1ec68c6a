"""Channels that go from the whole network at once: convolutions' channels, dense units, and rank components alike.

Sums, products and ReLUs pair the channels of what they read, so these stay or go together, also across residual
sums and through the factors of a polynomial's product. A set of channels goes where all of it is 0 over the domain or
read by nothing, and is merged into another where all of it is proportional to that.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from surefoot.graph.graph import Graph, GraphBuilder, Node
from surefoot.graph.ops import Add, Concat, Conv2d, ElementwiseAffine, Gather, Linear, MaxPool2d, Mul, Op, Relu, Reshape
from surefoot.reach.ibp import Box

DIGITS = 10  # to which ratios are compared; what a merge costs is bounded afterwards


@dataclass(frozen=True, eq=False)
class ChannelMap:
    """Where a node's channels are found in the smaller network: channel c is ratio[c] times channel to[c] there.

    to = -1: nowhere; it is 0, or nothing reads it.
    """

    to: Tensor  # (channels,)
    ratio: Tensor  # (channels,)
    kept: Tensor  # the channels that are themselves in the smaller network, in its order

    @staticmethod
    def same(channels: int) -> "ChannelMap":
        """Match a node that did not change."""
        return ChannelMap(torch.arange(channels), torch.ones(channels, dtype=torch.float64), torch.arange(channels))


@dataclass(frozen=True, eq=False)
class Pruned:
    """A smaller network with the same nodes, where each channel went, and how many sets of channels went and why."""

    graph: Graph
    matches: tuple[ChannelMap, ...]
    dead: int
    merged: int


def prune_channels(graph: Graph, boxes: Sequence[Box]) -> Pruned:
    """Remove the channels that nothing needs over the domain that `boxes` (of all nodes) are of.

    Property: exact in real arithmetic, up to the digits to which ratios are compared; `mapped_difference` bounds it.
    """
    sets = _sets(graph)
    gone = _dead(graph, boxes, sets)
    dead = int(gone.sum())
    into = _proportional(graph, sets, gone)
    merged = sum(into[k][0] != k for k in into)
    matches = _matches(graph, sets, gone, into)
    if not dead and not merged:
        return Pruned(graph, matches, 0, 0)
    return Pruned(_rebuilt(graph, matches), matches, dead, merged)


def channels_of(node: Node) -> int:
    """Count the channels of a node: images have their first axis, vectors their values."""
    return node.shape[0] if node.shape else 1


@dataclass(frozen=True, eq=False)
class _Sets:
    """Channels that stay or go together: the set of each channel of each node, and which sets must stay."""

    of: list[np.ndarray]
    pinned: np.ndarray


def elements(op: Gather | Reshape, given: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """Return which element of the input each channel's elements are, (channels, elements); -1 for none."""
    index = op.index if isinstance(op, Gather) else torch.arange(int(np.prod(given)))
    return index.reshape(shape[0], -1).numpy()


def _is_elementwise(op: Op) -> bool:
    return isinstance(op, Relu | MaxPool2d | ElementwiseAffine | Add | Mul)


def is_depthwise(op: Op) -> bool:
    """Whether a convolution makes each channel of one."""
    return isinstance(op, Conv2d) and op.groups > 1 and op.weight.shape[:2] == (op.groups, 1)


def _sets(graph: Graph) -> _Sets:
    starts = np.cumsum([0, *(channels_of(node) for node in graph.nodes)])
    ends: list[np.ndarray] = [np.zeros((0, 2), dtype=int)]
    pinned = np.zeros(starts[-1], dtype=bool)

    def pin(at: int) -> None:
        pinned[starts[at] : starts[at + 1]] = True

    pin(0)
    pin(len(graph.nodes) - 1)
    for at, node in enumerate(graph.nodes[1:], 1):
        channels = np.arange(starts[at], starts[at + 1])
        given = graph.nodes[node.inputs[0]]
        if _is_elementwise(node.op) or is_depthwise(node.op):
            ends += [np.stack([channels, starts[i] + np.arange(len(channels))], 1) for i in node.inputs]
        elif isinstance(node.op, Concat) and node.op.axis == 0:
            every = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in node.inputs])
            ends.append(np.stack([channels, every], 1))
        elif isinstance(node.op, Gather | Reshape) and given.shape and node.shape:
            taken = elements(node.op, given.shape, node.shape)
            which, place = np.nonzero(taken >= 0)
            from_ = taken[which, place] // max(int(np.prod(given.shape[1:])), 1)
            ends.append(np.unique(np.stack([channels[which], starts[node.inputs[0]] + from_], 1), axis=0))
        elif not is_plain(node, given):
            pin(at)
            for i in node.inputs:
                pin(i)
    pairs = np.concatenate(ends)
    ones = np.ones(len(pairs), dtype=bool)
    count, labels = connected_components(coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), (starts[-1], starts[-1])))
    pinned_sets = np.zeros(count, dtype=bool)
    pinned_sets[labels[pinned]] = True
    return _Sets([labels[a:b] for a, b in pairwise(starts)], pinned_sets)


def is_plain(node: Node, given: Node) -> bool:
    """Whether each of its channels is a sum over all channels that it reads."""
    if isinstance(node.op, Linear):
        return len(given.shape) == 1
    return isinstance(node.op, Conv2d) and node.op.groups == 1


def _bias(op: Linear | Conv2d) -> Tensor:
    return torch.zeros(len(op.weight), dtype=op.weight.dtype) if op.bias is None else op.bias


def _over_rest(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Broadcast a constant to a shape, and flatten all but its channels."""
    return torch.broadcast_to(x, shape).reshape(shape[0], -1)


def _zeros(graph: Graph, boxes: Sequence[Box]) -> list[Tensor]:
    """Return which channels of each node are 0 over the whole domain."""
    zeros: list[Tensor] = []
    for at, node in enumerate(graph.nodes):
        zero = boxes[at].magnitude.reshape(channels_of(node), -1).amax(1) == 0
        given = [zeros[i] for i in node.inputs]
        match node.op:
            case Linear() | Conv2d() as op if is_plain(node, graph.nodes[node.inputs[0]]):
                zero = zero | ((op.weight[:, ~given[0]] == 0).flatten(1).all(1) & (_bias(op) == 0))
            case Relu() | MaxPool2d():
                zero = zero | given[0]
            case ElementwiseAffine() as op:
                still = (_over_rest(op.scale, node.shape) == 0).all(1)
                lifted = None if op.bias is None else (_over_rest(op.bias, node.shape) != 0).any(1)
                zero = zero | ((given[0] | still) if lifted is None else ((given[0] | still) & ~lifted))
            case Add():
                zero = zero | (given[0] & given[1])
            case Mul():
                zero = zero | given[0] | given[1]
            case _:
                pass
        zeros.append(zero)
    return zeros


def _dead(graph: Graph, boxes: Sequence[Box], sets: _Sets) -> np.ndarray:
    """Return which sets of channels are 0, or read by nothing that matters, wherever they are."""
    zeros = _zeros(graph, boxes)
    while True:
        gone = _unread(graph, zeros, sets)
        for numbers in sets.of:  # a node without channels is none
            if gone[numbers].all():
                gone[numbers[0]] = False
        stays = [torch.from_numpy(~gone[numbers]) for numbers in sets.of]
        if not any(bool((zero & stay).any()) for zero, stay in zip(zeros, stays, strict=True)):
            return gone
        zeros = [zero & ~stay for zero, stay in zip(zeros, stays, strict=True)]  # must be computed, to be 0 again


def _unread(graph: Graph, zeros: Sequence[Tensor], sets: _Sets) -> np.ndarray:
    needed = [torch.zeros(channels_of(node), dtype=torch.bool) for node in graph.nodes]
    needed[-1][:] = True
    gone = ~sets.pinned
    for at in range(len(graph.nodes) - 1, -1, -1):
        node, live = graph.nodes[at], needed[at] & ~zeros[at]
        gone[sets.of[at][live.numpy()]] = False
        for number, i in enumerate(node.inputs):
            needed[i] |= _read(node, number, [graph.nodes[j] for j in node.inputs], live)
    return gone


def _read(node: Node, number: int, given: Sequence[Node], live: Tensor) -> Tensor:
    """Return which channels of one of its inputs a node reads for channels that matter."""
    before = given[number]
    match node.op:
        case Linear() | Conv2d() as op if is_plain(node, before):
            return (op.weight[live] != 0).transpose(0, 1).flatten(1).any(1)
        case Gather() | Reshape() as op if before.shape and node.shape:
            taken = elements(op, before.shape, node.shape)[live.numpy()]
            read = torch.zeros(channels_of(before), dtype=torch.bool)
            read[np.unique(taken[taken >= 0] // max(int(np.prod(before.shape[1:])), 1))] = True
            return read
        case Concat() as op if op.axis == 0:
            begin = sum(channels_of(other) for other in given[:number])
            return live[begin : begin + channels_of(before)]
        case op if _is_elementwise(op) or is_depthwise(op):
            return live
        case _:
            return torch.ones(channels_of(before), dtype=torch.bool)


def _proportional(graph: Graph, sets: _Sets, gone: np.ndarray) -> dict[int, tuple[int, list[tuple[int, Tensor]]]]:
    """Return for each set that stays the set that it is merged into, itself if into none, and the ratios by node."""
    firsts, ratios = _numbered(graph)
    members: dict[int, list[tuple[int, np.ndarray]]] = defaultdict(list)
    for at, numbers in enumerate(sets.of):
        order = np.argsort(numbers, kind="stable")
        constraints = np.flatnonzero(np.diff(numbers[order])) + 1
        for channels in np.split(order, constraints):
            members[int(numbers[channels[0]])].append((at, channels))
    targets: dict[bytes, int] = {}
    into: dict[int, tuple[int, list[tuple[int, Tensor]]]] = {}
    for number, of_set in sorted(members.items()):
        if gone[number]:
            continue
        into[number] = (number, [(at, torch.ones(len(channels), dtype=torch.float64)) for at, channels in of_set])
        if sets.pinned[number]:
            continue
        signature = b"|".join(np.array([at, *firsts[at][channels]]).tobytes() for at, channels in of_set)
        target = targets.setdefault(signature, number)
        if target != number:
            other = dict(members[target])
            shares = [(at, ratios[at][channels] / ratios[at][other[at]]) for at, channels in of_set]
            if all(bool(torch.isfinite(share).all()) for _, share in shares):
                into[number] = (target, shares)
    return into


def _numbered(graph: Graph) -> tuple[list[np.ndarray], list[Tensor]]:
    """Number channels by value: of each the first channel of its node that it is a multiple of, and the ratio."""
    firsts: list[np.ndarray] = []
    ratios: list[Tensor] = []
    for node in graph.nodes:
        count = channels_of(node)
        keys, ratio = _keys(graph, node, [firsts[i] for i in node.inputs], [ratios[i] for i in node.inputs])
        if keys is None:
            first = np.arange(count)
        else:
            seen: dict[bytes, int] = {}
            first = np.array([seen.setdefault(np.ascontiguousarray(key).tobytes(), c) for c, key in enumerate(keys)])
        firsts.append(first)
        ratios.append(ratio / ratio[first])
    return firsts, ratios


def _keys(graph: Graph, node: Node, first: list[np.ndarray], ratio: list[Tensor]) -> tuple[np.ndarray | None, Tensor]:
    """Return what tells a node's channels apart up to a factor, (channels, ...), and the factors; None: nothing."""
    ones = torch.ones(channels_of(node), dtype=torch.float64)

    def rounded(x: Tensor) -> np.ndarray:
        return x.numpy().round(DIGITS) + 0.0

    match node.op:
        case Linear() | Conv2d() as op if is_plain(node, graph.nodes[node.inputs[0]]):
            rows = torch.cat([op.weight.flatten(1), _bias(op)[:, None]], 1)
            size = rows.gather(1, rows.abs().argmax(1, keepdim=True))[:, 0]
            size = torch.where(size == 0, 1.0, size)
            return rounded(rows / size[:, None]), size
        case Relu() | MaxPool2d():
            return np.stack([first[0], ratio[0].sign().numpy()], 1), ratio[0].abs()
        case ElementwiseAffine() as op:
            scale = _over_rest(op.scale, node.shape)
            bias = torch.zeros_like(scale) if op.bias is None else _over_rest(op.bias, node.shape)
            rows = torch.cat([scale * ratio[0][:, None], bias], 1)
            size = torch.where(rows[:, 0] == 0, 1.0, rows[:, 0])
            return np.concatenate([first[0][:, None], rounded(rows / size[:, None])], 1), size
        case Add():
            share = rounded(ratio[1] / ratio[0])
            return np.stack([first[0], first[1], share], 1), ratio[0]
        case Mul():
            return np.stack([first[0], first[1]], 1), ratio[0] * ratio[1]
        case Gather() | Reshape() as op if graph.nodes[node.inputs[0]].shape and node.shape:
            given = graph.nodes[node.inputs[0]].shape
            rest = max(int(np.prod(given[1:])), 1)
            taken = elements(op, given, node.shape)
            from_ = taken // rest
            if (taken < 0).any() or (from_ != from_[:, :1]).any():
                return None, ones
            return np.concatenate([first[0][from_[:, :1]], taken % rest], 1), ratio[0][from_[:, 0]]
        case _:
            return None, ones


def _matches(
    graph: Graph, sets: _Sets, gone: np.ndarray, into: dict[int, tuple[int, list[tuple[int, Tensor]]]]
) -> tuple[ChannelMap, ...]:
    shares = {(number, at): share for number, (_, of_set) in into.items() for at, share in of_set}
    matches = []
    for at, numbers in enumerate(sets.of):
        stays = np.array([not gone[s] and into[s][0] == s for s in numbers.tolist()])
        new = np.cumsum(stays) - 1
        to, ratio = np.full(len(numbers), -1), np.ones(len(numbers))
        places: dict[int, list[int]] = defaultdict(list)
        for c, s in enumerate(numbers.tolist()):
            places[s].append(c)
        for s, channels in places.items():
            if not gone[s]:
                to[channels] = new[places[into[s][0]]]
                ratio[channels] = shares[s, at].numpy()
        matches.append(
            ChannelMap(torch.from_numpy(to), torch.from_numpy(ratio), torch.from_numpy(np.flatnonzero(stays)))
        )
    return tuple(matches)


def combined(weight: Tensor, match: ChannelMap, channels: int) -> Tensor:
    """Let a weight (out, in, ...) read the smaller network's channels: columns of merged ones are added up."""
    stays = match.to >= 0
    share = match.ratio[stays].reshape(-1, *[1] * (weight.dim() - 2))
    out = weight.new_zeros(len(weight), channels, *weight.shape[2:])
    return out.index_add(1, match.to[stays], weight[:, stays] * share)


def _rebuilt(graph: Graph, matches: Sequence[ChannelMap]) -> Graph:
    builder = GraphBuilder(graph.input_shape, graph.nodes[0].name)
    for at, node in enumerate(graph.nodes[1:], 1):
        builder.add(_smaller(graph, node, matches[at], [matches[i] for i in node.inputs]), *node.inputs, name=node.name)
    return builder.build()


def _smaller(graph: Graph, node: Node, match: ChannelMap, given: Sequence[ChannelMap]) -> Op:
    keep = match.kept
    before = graph.nodes[node.inputs[0]]
    match node.op:
        case Linear() | Conv2d() as op if is_plain(node, before):
            bias = None if op.bias is None else op.bias[keep]
            return replace(op, weight=combined(op.weight[keep], given[0], len(given[0].kept)), bias=bias)
        case Conv2d() as op if is_depthwise(op):
            bias = None if op.bias is None else op.bias[keep]
            return replace(op, weight=op.weight[keep], bias=bias, groups=len(keep))
        case ElementwiseAffine() as op:
            return ElementwiseAffine(
                _cut(op.scale, node.shape, keep), None if op.bias is None else _cut(op.bias, node.shape, keep)
            )
        case Gather() | Reshape() as op if before.shape and node.shape:
            if isinstance(op, Reshape):
                return Reshape((len(keep), *node.shape[1:]))
            rest = max(int(np.prod(before.shape[1:])), 1)
            index = op.index.reshape(len(match.to), -1)[keep]
            moved = given[0].to[index.clamp(min=0) // rest] * rest + index.clamp(min=0) % rest
            return Gather(torch.where(index < 0, -1, moved).reshape(len(keep), *node.shape[1:]))
        case op:
            return op


def _cut(constant: Tensor, shape: tuple[int, ...], keep: Tensor) -> Tensor:
    if constant.dim() < len(shape) or constant.shape[0] == 1 != shape[0]:
        return constant
    return constant[keep]
