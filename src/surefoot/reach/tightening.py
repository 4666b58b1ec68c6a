"""Tighten the boxes of what enters ReLUs by CROWN, value by value."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.core.deadline import NEVER, Deadline
from surefoot.reach.crown import LARGEST_ROWS, lower_bounds
from surefoot.reach.ibp import Box, size_of
from surefoot.reach.relaxation import Choice, Relaxation

NEGLIGIBLE = 1e-4  # of the widest: not worth tightening
ABOUT_0 = 1e-10  # of the largest value: no certain sign by rounding alone


def tighten_by_crown(relaxation: Relaxation, at: int, box: Box, until: Deadline = NEVER) -> Box:
    """Bound each value whose sign is not certain, in any region, or that enters a function, by CROWN: both ends.

    When `until` is over, what is left keeps the box that it has.
    """
    which = worth_tightening(relaxation, at, box)
    return _substituted(relaxation, at, box, which, until=until) if len(which) else box


def worth_tightening(relaxation: Relaxation, at: int, box: Box) -> Int[Tensor, " which"]:
    """Return the places of values with no certain sign in some region, but for those about 0 by rounding alone.

    Of what enters a function the sign does not matter.
    """
    matters = torch.ones_like(box.lower, dtype=torch.bool)
    if not relaxation.enters_function(at):
        matters = (box.lower < 0) & (box.upper > 0)
    width = torch.where(matters, box.upper - box.lower, 0.0).flatten(1)
    least = torch.maximum(NEGLIGIBLE * width.max(1).values, ABOUT_0 * box.magnitude.flatten(1).max(1).values)
    return (width > least.unsqueeze(1)).any(0).nonzero().squeeze(1)


def tighten_all(relaxation: Relaxation, at: int, box: Box) -> Box:
    """Bound every value, also certain ones: their boxes, met with intervals, tighten those of later layers.

    What one region's bounds are does not depend on which others are bounded with it.
    """
    return _substituted(relaxation, at, box, torch.arange(size_of(relaxation.graph.nodes[at])))


def tighten_thoroughly(relaxation: Relaxation, at: int, box: Box) -> Box:
    """Bound every value twice, with the slopes of smaller area and with parallel lines, and keep the better."""
    which = torch.arange(size_of(relaxation.graph.nodes[at]))
    return _substituted(relaxation, at, tighten_all(relaxation, at, box), which, parallel_slopes(relaxation, at))


def parallel_slopes(relaxation: Relaxation, target: int) -> Choice:
    """Return u / (u - l) for each ReLU before the target: the line below parallel to that above."""
    slopes = {}
    for at in relaxation.relus():
        if at < target:
            x = relaxation.boxes[relaxation.graph.nodes[at].inputs[0]]
            slopes[at] = (x.upper / (x.upper - x.lower).clamp(min=1e-300)).clamp(0, 1).unsqueeze(1)
    return Choice(slopes)


def tighten_with(
    relaxation: Relaxation, at: int, box: Box, which: Int[Tensor, " w"], slopes: Mapping[int, Tensor]
) -> Box:
    """Bound values of one region with slopes for both ends of each, lower ends first: by ReLU (2 w, size), below.

    Of functions there are as many again, above.
    """
    if not slopes:
        return _substituted(relaxation, at, box, which) if len(which) else box
    for some in torch.arange(len(which)).split(_at_once(relaxation, at)):
        rows = torch.cat([some, some + len(which)])
        own: list[dict[int, Tensor]] = [{}, {}]
        for place, x in slopes.items():
            node = relaxation.graph.nodes[place]
            for part, chosen in zip(x[rows].to(box.lower.dtype).split(size_of(node), 1), own, strict=False):
                chosen[place] = part.reshape(1, len(rows), *node.shape)
        box = _substituted(relaxation, at, box, which[some], Choice(own[0], {}, own[1]))
    return box


def _substituted(
    relaxation: Relaxation,
    at: int,
    box: Box,
    which: Tensor,
    choice: Choice | None = None,
    until: Deadline = NEVER,
) -> Box:
    node = relaxation.graph.nodes[at]
    regions, size = len(box.lower), size_of(node)
    lower, upper = box.lower.flatten(1).clone(), box.upper.flatten(1).clone()
    for values in which.split(_at_once(relaxation, at)):
        if until.is_over():
            break
        bounds = lower_bounds(relaxation, at, both_ends(values, size, box).expand(regions, -1, *node.shape), choice)
        bounds = bounds.reshape(regions, 2, -1)
        lower[:, values] = torch.maximum(lower[:, values], bounds[:, 0])
        upper[:, values] = torch.minimum(upper[:, values], -bounds[:, 1])
    return Box(lower.reshape(box.lower.shape), upper.reshape(box.upper.shape))


def _at_once(relaxation: Relaxation, at: int) -> int:
    """Return how many values of a node are bounded in one pass."""
    widest = max(size_of(n) for n in relaxation.graph.nodes[: at + 1])
    return max(LARGEST_ROWS // (2 * len(relaxation.boxes[0].lower) * widest), 1)


def both_ends(values: Int[Tensor, " which"], size: int, box: Box) -> Float[Tensor, "1 s *shape"]:
    """Return rows (1, 2 s, *shape) that pick s values, then their negatives."""
    rows = box.lower.new_zeros(2, len(values), size)
    rows[0, torch.arange(len(values)), values] = 1.0
    rows[1, torch.arange(len(values)), values] = -1.0
    return rows.reshape(1, -1, *box.lower.shape[1:])
