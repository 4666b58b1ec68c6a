"""Rewrite a network until nothing changes: every layer between two linear maps, and channels of convolutions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from surefoot.compress.rewrites import REWRITES
from surefoot.compress.segment import Segment
from surefoot.compress.stable import Stability, stability
from surefoot.graph.graph import Graph, GraphBuilder, Node
from surefoot.graph.ops import Conv2d, Linear, MaxPool2d, Relu, Reshape

ROUNDS = 8


@dataclass(eq=False)
class Compressed:
    """The smaller network, what was done, and what was known of the first."""

    graph: Graph
    stability: Stability  # of the network that was given
    log: list[str] = field(default_factory=list)
    removed: Counter[str] = field(default_factory=Counter)  # units, by rewrite


def compress(
    graph: Graph,
    lower: Tensor,
    upper: Tensor,
    seconds: float = 2.0,
    witnesses: Tensor | None = None,
    rewrites: Sequence[str] = tuple(REWRITES),
) -> Compressed:
    """Make a network that gives the same output for every input of the box [lower, upper], with fewer units or layers.

    Outside of the box nothing is promised. `rewrites` names those of `REWRITES` to apply; layers without an open unit
    are folded only where `bottleneck` is among them.

    Property: exact in real arithmetic, but for rounding of new weights to float64; `forms.difference` bounds it.

    Raises:
        InputError: a domain that is not a bounded box of the input's shape.

    Reference: Kumar, Serra, Ramalingam 2019.
    """
    graph = graph.to(torch.float64)
    first = found = stability(graph, lower, upper, seconds, witnesses)
    result = Compressed(graph, first)
    for turn in range(ROUNDS):
        changed = _once(result, found, rewrites)
        if not changed:
            break
        found = stability(result.graph, lower, upper, seconds if turn == 0 else 0.0, witnesses)
    return result


def _once(result: Compressed, found: Stability, rewrites: Sequence[str]) -> bool:
    graph = result.graph
    readers = Counter(i for node in graph.nodes for i in node.inputs)
    for at, node in enumerate(graph.nodes):
        if not isinstance(node.op, Relu) or readers[node.inputs[0]] != 1:
            continue
        before = node.inputs[0]
        if isinstance(graph.nodes[before].op, Linear) and len(node.shape) == 1 and readers[at] == 1:
            after = next(i for i, n in enumerate(graph.nodes) if at in n.inputs)
            if isinstance(graph.nodes[after].op, Linear) and _dense(result, found, before, at, after, rewrites):
                return True
        if isinstance(graph.nodes[before].op, Conv2d) and _channels(result, found, before, at, readers):
            return True
    return False


def _dense(result: Compressed, found: Stability, before: int, at: int, after: int, rewrites: Sequence[str]) -> bool:
    """Apply every rewrite to one layer; fold it if all that is left is active."""
    graph = result.graph
    first, second = graph.nodes[before].op, graph.nodes[after].op
    assert isinstance(first, Linear)
    assert isinstance(second, Linear)
    inputs = found.boxes[graph.nodes[before].inputs[0]]
    made = Segment(
        first.weight.numpy(),
        np.zeros(len(first.weight)) if first.offset is None else first.offset.numpy(),
        second.weight.numpy(),
        np.zeros(len(second.weight)) if second.offset is None else second.offset.numpy(),
        found.signs[at].numpy(),
        torch.cat([inputs.lower, inputs.upper]).numpy(),
    )
    begin = made.units
    name = graph.nodes[at].name
    if (made.signs != 0).all() and "bottleneck" in rewrites:
        active = made.signs > 0
        weight = made.after[:, active] @ made.before[active]
        shift = made.shift + made.after[:, active] @ made.offset[active]
        result.graph = _replaced(graph, {after: Linear(_tensor(weight), _tensor(shift))}, {after: before, at: None})
        result.removed["fold"] += begin
        result.log.append(f"{name}: no unit is open; its {begin} units are folded into one linear map")
        return True
    for rewrite in rewrites:
        smaller = REWRITES[rewrite](made)
        if smaller.units < made.units:
            result.removed[rewrite] += made.units - smaller.units
            result.log.append(f"{name}: {made.units - smaller.units} of {made.units} units go ({rewrite})")
            made = smaller
    if made.units == begin:
        return False
    result.graph = _replaced(
        graph,
        {
            before: Linear(_tensor(made.before), _tensor(made.offset)),
            after: Linear(_tensor(made.after), _tensor(made.shift)),
        },
        {},
    )
    return True


def _tensor(x: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(x))


def _replaced(graph: Graph, ops: dict[int, Linear | Conv2d], skip: dict[int, int | None]) -> Graph:
    """Build the graph anew with other operations; a node of `skip` reads what the named node reads, or is dropped."""
    builder = GraphBuilder(graph.input_shape, graph.nodes[0].name)
    new = {0: 0}
    for at, node in enumerate(graph.nodes[1:], 1):
        if at in skip and skip[at] is None:
            continue
        place = skip.get(at)
        inputs = node.inputs if place is None else graph.nodes[place].inputs
        if any(i not in new for i in inputs):
            continue
        new[at] = builder.add(ops.get(at, node.op), *(new[i] for i in inputs), name=node.name)
    return builder.build(new[len(graph.nodes) - 1])


def _channels(result: Compressed, found: Stability, before: int, at: int, readers: Counter[int]) -> bool:
    """Drop channels of a convolution that are inactive at every place, where a convolution or a linear map reads them.

    Active channels stay: at a zero-padded border what they pass on is no constant.
    """
    graph = result.graph
    conv = graph.nodes[before].op
    assert isinstance(conv, Conv2d)
    keep = (found.signs[at] >= 0).flatten(1).any(1)
    if bool(keep.all()) or not bool(keep.any()) or conv.groups != 1:
        return False
    ops: dict[int, Linear | Conv2d] = {}
    last = at
    while True:
        if readers[last] != 1:
            return False
        reader = next(i for i, n in enumerate(graph.nodes) if last in n.inputs)
        node: Node = graph.nodes[reader]
        match node.op:
            case Conv2d() if node.op.groups == 1:
                ops[reader] = replace(node.op, weight=node.op.weight[:, keep])
                break
            case Conv2d() if node.op.groups == len(keep) == len(node.op.weight):  # average pooling, as it is read
                offset = None if node.op.offset is None else node.op.offset[keep]
                ops[reader] = replace(node.op, weight=node.op.weight[keep], offset=offset, groups=int(keep.sum()))
            case MaxPool2d():
                pass
            case Reshape() if len(node.shape) == 1:
                after = next(i for i, n in enumerate(graph.nodes) if reader in n.inputs)
                linear = graph.nodes[after].op
                if not isinstance(linear, Linear) or readers[reader] != 1:
                    return False
                channels, height, width = graph.nodes[last].shape
                wide = linear.weight.reshape(-1, channels, height, width)[:, keep].flatten(1)
                ops[after] = replace(linear, weight=wide)
                reshape = {reader: Reshape((wide.shape[1],))}
                return _without(result, before, at, keep, conv, ops, reshape)
            case _:
                return False
        last = reader
    return _without(result, before, at, keep, conv, ops, {})


def _without(
    result: Compressed,
    before: int,
    at: int,
    keep: Tensor,
    conv: Conv2d,
    ops: dict[int, Linear | Conv2d],
    reshape: dict[int, Reshape],
) -> bool:
    offset = None if conv.offset is None else conv.offset[keep]
    ops[before] = replace(conv, weight=conv.weight[keep], offset=offset)
    gone = int((~keep).sum())
    result.removed["channel"] += gone
    result.log.append(f"{result.graph.nodes[at].name}: {gone} of {len(keep)} channels are inactive everywhere")
    result.graph = _replaced(result.graph, {**ops, **reshape}, {})  # type: ignore[dict-item]
    return True
