"""Rewrite a network until nothing changes: every layer between two linear maps, and channels of convolutions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from surefoot.compress.channels import Pruned, prune_channels
from surefoot.compress.checkpoint import Journal
from surefoot.compress.hidden_layer import HiddenLayer
from surefoot.compress.interior import with_interior
from surefoot.compress.rewrites import REWRITES
from surefoot.compress.stability import Patience, Stability, stability
from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Conv2d, Linear
from surefoot.reach.ibp import Box
from surefoot.spec.input_set import InputSet


@dataclass(eq=False)
class Compressed:
    """The smaller network, what was done, and what was known of the first."""

    graph: Graph
    stability: Stability  # of the network that was given
    log: list[str] = field(default_factory=list)
    removed: Counter[str] = field(default_factory=Counter)  # units, by rewrite
    steps: list[tuple[Stability, Pruned]] = field(default_factory=list)  # removals of channels, one after another


def compress(
    graph: Graph,
    domain: InputSet,
    seconds: float | Patience = 2.0,
    sample_inputs: Tensor | None = None,
    rewrites: Sequence[str] = tuple(REWRITES),
    almost: float = 0.0,
    journal: Journal | None = None,
) -> Compressed:
    """Make a network that gives the same output for every input of a domain, with fewer units or layers.

    Outside of the domain nothing is promised. `rewrites` names those of `REWRITES` to apply to dense layers, which are
    folded without an unstable neuron only where `bottleneck` is among them; channels that nothing needs go in any case.
    Units that pass 0 by less than `almost` are taken for stable: the output changes then, by an amount that `equal`
    bounds.

    Property: exact in real arithmetic where `almost` is 0, but for rounding of new weights to float64, which
    `forms.difference` bounds.

    Raises:
        InputError: a domain that is empty, or of other inputs than the graph's.

    Reference: Kumar, Serra, Ramalingam 2019.
    """
    graph, domain = graph.to(torch.float64), with_interior(domain)
    graph = Graph(tuple(replace(node, name=f"{node.name}#{at}") for at, node in enumerate(graph.nodes)))
    first = stable = stability(graph, domain, seconds, sample_inputs, journal=journal)
    result = Compressed(graph, first)
    while _pass(result, stable, rewrites, almost) or _leaner(result, stable, almost):  # ends: each removes a unit
        stable = stability(result.graph, domain, seconds, sample_inputs, journal=journal)
    result.log += _staying(stable)
    result.graph = Graph(tuple(replace(node, name=node.name.rsplit("#", 1)[0]) for node in result.graph.nodes))
    return result


def _staying(stable: Stability) -> list[str]:
    """Say of which convolutions active channels stay, and why: linear units that dense layers would combine."""
    lines, graph = [], stable.graph
    for place, signs in stable.signs.items():
        active = int((signs > 0).flatten(1).all(1).sum()) if signs.dim() > 1 else 0
        readers = [node for node in graph.nodes if place in node.inputs]
        if active and isinstance(graph.nodes[graph.nodes[place].inputs[0]].op, Conv2d):
            padded = [n.name.rsplit("#", 1)[0] for n in readers if isinstance(n.op, Conv2d) and any(n.op.padding)]
            why = f"{padded[0]} pads: what they pass on is not constant at the border" if padded else (
                "no channel is a multiple of another, and those of convolutions are not combined otherwise"
            )  # fmt: skip
            name = graph.nodes[place].name.rsplit("#", 1)[0]
            lines.append(f"{name}: {active} of {len(signs)} channels are active everywhere and stay: {why}")
    return lines


def _pass(result: Compressed, stable: Stability, rewrites: Sequence[str], almost: float) -> bool:
    """Rewrite every layer once, the last first: what was found of a layer's inputs then still holds of them."""
    changed = False
    for place in reversed(list(stable.signs)):
        graph = result.graph
        at = next((i for i, node in enumerate(graph.nodes) if node.name == stable.graph.nodes[place].name), None)
        if at is None:  # folded away with another
            continue
        readers = Counter(i for node in graph.nodes for i in node.inputs)
        before = graph.nodes[at].inputs[0]
        if readers[before] != 1:
            continue
        signs = _nearly(stable, place, almost)
        if isinstance(graph.nodes[before].op, Linear) and len(graph.nodes[at].shape) == 1 and readers[at] == 1:
            after = next(i for i, node in enumerate(graph.nodes) if at in node.inputs)
            inputs = stable.boxes[stable.graph.nodes[stable.graph.nodes[place].inputs[0]].inputs[0]]
            if isinstance(graph.nodes[after].op, Linear):
                changed |= _dense(result, signs, inputs, before, at, after, rewrites)
    return changed


def _leaner(result: Compressed, stable: Stability, almost: float) -> bool:
    """Remove channels that nothing needs, from all layers at once."""
    boxes = [*stable.boxes]
    for place in stable.signs:  # what is taken for inactive gives nothing
        silent = _nearly(stable, place, almost) < 0
        boxes[place] = Box(*(torch.where(silent, 0.0, end) for end in (boxes[place].lower, boxes[place].upper)))
    pruned = prune_channels(stable.graph, boxes)
    if not pruned.dead and not pruned.merged:
        return False
    result.steps.append((stable, pruned))
    result.graph = pruned.graph
    for count, kind in ((pruned.dead, "channel"), (pruned.merged, "merged channel")):
        if count:
            result.removed[kind] += count
    few = [
        f"{len(m.to) - len(m.kept)} of {len(m.to)} channels of {node.name.rsplit('#', 1)[0]}"
        for node, m in zip(stable.graph.nodes, pruned.matches, strict=True)
        if isinstance(node.op, Linear | Conv2d) and len(m.kept) < len(m.to)
    ]
    result.log.append(
        f"{', '.join(few)} go: {pruned.dead} sets read by nothing or 0, {pruned.merged} multiples of others"
    )
    return True


def _nearly(stable: Stability, place: int, almost: float) -> Tensor:
    """Return the signs of a layer's units; of one that passes 0 by little, the sign on the other side."""
    signs = stable.signs[place]
    box = stable.boxes[stable.graph.nodes[place].inputs[0]]
    below, above = -box.lower[0], box.upper[0]
    sign = torch.where(above <= below, -1, 1).to(signs.dtype)
    return torch.where((signs == 0) & (torch.minimum(below, above) <= almost), sign, signs)


def open_amounts(stable: Stability) -> Tensor:
    """Return by how much each unit that is neither active nor inactive passes 0, the least first."""
    amounts = [torch.zeros(0, dtype=torch.float64)]
    for place, signs in stable.signs.items():
        box = stable.boxes[stable.graph.nodes[place].inputs[0]]
        amounts.append(torch.minimum(-box.lower[0], box.upper[0])[signs == 0])
    return torch.cat(amounts).sort().values


def _dense(
    result: Compressed, signs: Tensor, inputs: Box, before: int, at: int, after: int, rewrites: Sequence[str]
) -> bool:
    """Apply every rewrite to one layer; fold it if none of its units is unstable."""
    graph = result.graph
    first, second = graph.nodes[before].op, graph.nodes[after].op
    assert isinstance(first, Linear)
    assert isinstance(second, Linear)
    layer = HiddenLayer(
        first.weight.numpy(),
        np.zeros(len(first.weight)) if first.bias is None else first.bias.numpy(),
        second.weight.numpy(),
        np.zeros(len(second.weight)) if second.bias is None else second.bias.numpy(),
        signs.numpy(),
        torch.cat([inputs.lower, inputs.upper]).numpy(),
    )
    begin = layer.units
    name = graph.nodes[at].name.rsplit("#", 1)[0]

    def linear() -> bool:
        return bool((layer.signs != 0).all()) and ("bottleneck" in rewrites or not layer.units)

    for rewrite in () if linear() else rewrites:
        smaller = REWRITES[rewrite](layer)
        if smaller.units < layer.units:
            result.removed[rewrite] += layer.units - smaller.units
            result.log.append(f"{name}: {layer.units - smaller.units} of {layer.units} units go ({rewrite})")
            layer = smaller
    if linear():
        active = layer.signs > 0
        weight = layer.after[:, active] @ layer.before[active]
        bias = layer.output_bias + layer.after[:, active] @ layer.bias[active]
        result.graph = _replaced(graph, {after: Linear(_tensor(weight), _tensor(bias))}, {after: before, at: None})
        result.removed["fold"] += layer.units
        result.log.append(
            f"{name}: no unit is unstable; what is left of its {begin} units is folded into one linear map"
        )
        return True
    if layer.units == begin:
        return False
    result.graph = _replaced(
        graph,
        {
            before: Linear(_tensor(layer.before), _tensor(layer.bias)),
            after: Linear(_tensor(layer.after), _tensor(layer.output_bias)),
        },
        {},
    )
    return True


def _tensor(x: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(x))


def _replaced(graph: Graph, ops: dict[int, Linear], skip: dict[int, int | None]) -> Graph:
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
