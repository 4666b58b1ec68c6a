"""Rewrite a network until nothing changes: every layer between two linear maps, and channels of convolutions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from surefoot.compress.journal import Journal
from surefoot.compress.rewrites import REWRITES
from surefoot.compress.segment import Segment
from surefoot.compress.stable import Cuts, Stability, stability
from surefoot.graph.graph import Graph, GraphBuilder, Node
from surefoot.graph.ops import Conv2d, Linear, MaxPool2d, Reshape
from surefoot.reach.boxes import Box


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
    almost: float = 0.0,
    cuts: Cuts | None = None,
    journal: Journal | None = None,
) -> Compressed:
    """Make a network that gives the same output for every input of the box [lower, upper], with fewer units or layers.

    Outside of the box, or of what `cuts` leave of it, nothing is promised. `rewrites` names those of `REWRITES` to
    apply; layers without an open unit are folded only where `bottleneck` is among them. Units that pass 0 by less than
    `almost` are taken for stable: the output changes then, by an amount that `equal` bounds.

    Property: exact in real arithmetic where `almost` is 0, but for rounding of new weights to float64, which
    `forms.difference` bounds.

    Raises:
        InputError: a domain that is not a bounded box of the input's shape.

    Reference: Kumar, Serra, Ramalingam 2019.
    """
    graph = graph.to(torch.float64)
    graph = Graph(tuple(replace(node, name=f"{node.name}#{at}") for at, node in enumerate(graph.nodes)))
    first = found = stability(graph, lower, upper, seconds, witnesses, cuts=cuts, journal=journal)
    result = Compressed(graph, first)
    while _pass(result, found, rewrites, almost):  # ends: each change removes a unit
        found = stability(result.graph, lower, upper, seconds, witnesses, cuts=cuts, journal=journal)
    result.graph = Graph(tuple(replace(node, name=node.name.rsplit("#", 1)[0]) for node in result.graph.nodes))
    return result


def _pass(result: Compressed, found: Stability, rewrites: Sequence[str], almost: float) -> bool:
    """Rewrite every layer once, the last first: what was found of a layer's inputs then still holds of them."""
    changed = False
    for place in reversed(list(found.signs)):
        graph = result.graph
        at = next((i for i, node in enumerate(graph.nodes) if node.name == found.graph.nodes[place].name), None)
        if at is None:  # folded away with another
            continue
        readers = Counter(i for node in graph.nodes for i in node.inputs)
        before = graph.nodes[at].inputs[0]
        if readers[before] != 1:
            continue
        signs = _nearly(found, place, almost)
        match graph.nodes[before].op:
            case Linear() if len(graph.nodes[at].shape) == 1 and readers[at] == 1:
                after = next(i for i, node in enumerate(graph.nodes) if at in node.inputs)
                inputs = found.boxes[found.graph.nodes[found.graph.nodes[place].inputs[0]].inputs[0]]
                if isinstance(graph.nodes[after].op, Linear):
                    changed |= _dense(result, signs, inputs, before, at, after, rewrites)
            case Conv2d():
                changed |= _channels(result, signs, before, at, readers)
    return changed


def _nearly(found: Stability, place: int, almost: float) -> Tensor:
    """Return the signs of a layer's units; of one that passes 0 by little, the sign on the other side."""
    signs = found.signs[place]
    box = found.boxes[found.graph.nodes[place].inputs[0]]
    below, above = -box.lower[0], box.upper[0]
    sign = torch.where(above <= below, -1, 1).to(signs.dtype)
    return torch.where((signs == 0) & (torch.minimum(below, above) <= almost), sign, signs)


def open_amounts(found: Stability) -> Tensor:
    """Return by how much each unit that is neither active nor inactive passes 0, the least first."""
    amounts = [torch.zeros(0, dtype=torch.float64)]
    for place, signs in found.signs.items():
        box = found.boxes[found.graph.nodes[place].inputs[0]]
        amounts.append(torch.minimum(-box.lower[0], box.upper[0])[signs == 0])
    return torch.cat(amounts).sort().values


def _dense(
    result: Compressed, signs: Tensor, inputs: Box, before: int, at: int, after: int, rewrites: Sequence[str]
) -> bool:
    """Apply every rewrite to one layer; fold it if none of its units is open."""
    graph = result.graph
    first, second = graph.nodes[before].op, graph.nodes[after].op
    assert isinstance(first, Linear)
    assert isinstance(second, Linear)
    made = Segment(
        first.weight.numpy(),
        np.zeros(len(first.weight)) if first.offset is None else first.offset.numpy(),
        second.weight.numpy(),
        np.zeros(len(second.weight)) if second.offset is None else second.offset.numpy(),
        signs.numpy(),
        torch.cat([inputs.lower, inputs.upper]).numpy(),
    )
    begin = made.units
    name = graph.nodes[at].name.rsplit("#", 1)[0]

    def linear() -> bool:
        return bool((made.signs != 0).all()) and ("bottleneck" in rewrites or not made.units)

    for rewrite in () if linear() else rewrites:
        smaller = REWRITES[rewrite](made)
        if smaller.units < made.units:
            result.removed[rewrite] += made.units - smaller.units
            result.log.append(f"{name}: {made.units - smaller.units} of {made.units} units go ({rewrite})")
            made = smaller
    if linear():
        active = made.signs > 0
        weight = made.after[:, active] @ made.before[active]
        shift = made.shift + made.after[:, active] @ made.offset[active]
        result.graph = _replaced(graph, {after: Linear(_tensor(weight), _tensor(shift))}, {after: before, at: None})
        result.removed["fold"] += made.units
        result.log.append(f"{name}: no unit is open; what is left of its {begin} units is folded into one linear map")
        return True
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


def _channels(result: Compressed, signs: Tensor, before: int, at: int, readers: Counter[int]) -> bool:
    """Drop channels of a convolution that are inactive at every place, where a convolution or a linear map reads them.

    Active channels stay: at a zero-padded border what they pass on is no constant.
    """
    graph = result.graph
    conv = graph.nodes[before].op
    assert isinstance(conv, Conv2d)
    keep = (signs >= 0).flatten(1).any(1)
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
    name = result.graph.nodes[at].name.rsplit("#", 1)[0]
    result.log.append(f"{name}: {gone} of {len(keep)} channels are inactive everywhere")
    result.graph = _replaced(result.graph, {**ops, **reshape}, {})  # type: ignore[dict-item]
    return True
