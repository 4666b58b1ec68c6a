"""What holds a proof up: the unstable neurons whose relaxation costs the bound most, and each layer's part of it.

A triangle's height times the size of the coefficient that meets it is what one ReLU may cost (Bunel et al. 2020 choose
where to branch by it). The bound explained is CROWN's over the whole region, the first that a search has.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from surefoot.core.deadline import NEVER, Deadline
from surefoot.core.errors import InputError
from surefoot.core.rounding import REAL, difference_below
from surefoot.reach.crown import Trace
from surefoot.reach.ibp import Box
from surefoot.reach.relaxation import Relaxation, relax
from surefoot.reach.tightening import tighten_by_crown
from surefoot.spec.outputs import comparisons_of_logits, of_logits
from surefoot.spec.query import Query
from surefoot.verify.input_splitting import OutputConstraints
from surefoot.verify.large import is_large, lower_bounds_in_lots, relax_large
from surefoot.verify.network import Network

NEURONS = 10


@dataclass(frozen=True)
class Layer:
    """One ReLU layer: its name, how many of its values are unstable, and its share of what relaxing costs the bound."""

    name: str
    values: int
    unstable: int
    share: float


@dataclass(frozen=True)
class Neuron:
    """One unstable neuron: its layer, its place there, its bounds, and its share of what relaxing costs the bound."""

    layer: str
    place: tuple[int, ...]
    lower: float
    upper: float
    share: float


@dataclass(frozen=True)
class Explanation:
    """The bound of CROWN, and where it loses: layers in order, neurons from the dearest on."""

    bound: float
    layers: tuple[Layer, ...]
    neurons: tuple[Neuron, ...]


def explain(network: Network, query: Query, until: Deadline = NEVER) -> Explanation | None:
    """Bound a query by CROWN, and say which neurons cost the bound most; None where no output can be unsafe.

    Behind a softmax the bound is of the logits that are compared.

    Property: the bound is sound; shares are of what triangles may cost, not of what a split would gain.

    Raises:
        InputError: a threshold of probabilities, which no bound of logits alone is about.
    """
    if network.link != "identity" and any(asked.thresholds for asked in of_logits(query, network.link).sets):
        raise InputError("neurons are not weighed for thresholds of probabilities, only where outputs are compared")
    of_the_logits = comparisons_of_logits(query, network.link)
    if of_the_logits is None:
        return None
    query, graph = of_the_logits, network.pooled
    region = Box.around(query.inputs, graph.input_shape)
    if is_large(graph):
        relaxation = relax_large(graph, query.inputs)
    else:

        def tighten(r: Relaxation, at: int, box: Box) -> Box:
            return tighten_by_crown(r, at, box, until)

        relaxation = relax(graph, region, REAL, tighten, constraints=query.inputs.limits)
    rows = OutputConstraints(query)
    given = rows.weights.reshape(1, -1, *graph.output_shape)
    bounds = difference_below(lower_bounds_in_lots(relaxation, given), rows.bounds)
    of_sets = rows.of_sets(bounds)
    worst = int(of_sets[0].argmin())
    row = int(torch.where(rows.owner == worst, bounds[0], -torch.inf).argmax())
    trace = Trace()
    lower_bounds_in_lots(relaxation, given[:, row : row + 1], trace)
    losses = {at: _loss(relaxation, at, trace) for at in relaxation.relus()}
    total = sum(float(x.sum()) for x in losses.values()) or 1.0
    layers, neurons = [], []
    for at, loss in losses.items():
        entering, name = graph.nodes[at].inputs[0], graph.nodes[at].name
        unstable = relaxation.unstable(at)[0]
        layers.append(Layer(name, unstable.numel(), int(unstable.sum()), float(loss.sum()) / total))
        box = relaxation.boxes[entering]
        for flat in loss.flatten().topk(min(NEURONS, loss.numel())).indices.tolist():
            share = float(loss.flatten()[flat]) / total
            if share > 0:
                place = tuple(int(i) for i in np.unravel_index(flat, loss.shape))
                low, high = (float(end.flatten()[flat]) for end in (box.lower, box.upper))
                neurons.append(Neuron(name, place, low, high, share))
    neurons.sort(key=lambda neuron: -neuron.share)
    return Explanation(float(of_sets.min()), tuple(layers), tuple(neurons[:NEURONS]))


def _loss(relaxation: Relaxation, at: int, trace: Trace) -> Tensor:
    box = relaxation.boxes[relaxation.graph.nodes[at].inputs[0]]
    low, high = box.lower[0], box.upper[0]
    unstable = (low < 0) & (high > 0)
    height = torch.where(unstable, -high * low / torch.where(unstable, high - low, 1.0), 0.0)
    entering = trace.entering.get(at)
    return height * (torch.zeros_like(height) if entering is None else entering[0, 0].abs())
