"""Choose slopes and multipliers by gradient ascent on the bound itself: a first-order method for the dual LPs.

All rows and regions at once, on whatever device the graph is on. What comes out is only a choice; that the bound it
gives is sound does not depend on it.
"""

from collections.abc import Mapping
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.core.deadline import NEVER, Deadline, tick
from surefoot.reach.adam import Adam
from surefoot.reach.crown import LARGEST_ROWS, lower_bounds
from surefoot.reach.ibp import Box, size_of
from surefoot.reach.relaxation import Choice, Relaxation, Tighten
from surefoot.reach.tightening import both_ends, tighten_by_crown, tighten_with, worth_tightening

ALPHA_STEPS = 20  # of gradient ascent, where nothing else is asked for
RATE = 0.25
UPPER_SLOPE_RATE = 0.05  # they start where triangles alone are best, and need not go far
FADE = 0.96  # of the rate, a step


def default_choice(relaxation: Relaxation, target: int, rows: int) -> Choice:
    """Return the slopes with the smaller areas, one for each row, and the triangles' upper slopes where they matter."""
    slopes, upper_slopes = {}, {}
    for at in relaxation.functions():
        if at <= target:
            shares = (x.expand(-1, rows, *x.shape[2:]) for x in relaxation.slopes(at).shares())
            slopes[at], upper_slopes[at] = shares
    for at in relaxation.relus():
        if at <= target:  # the target may be a ReLU itself
            x = relaxation.boxes[relaxation.graph.nodes[at].inputs[0]]
            wide = (-1, rows, *x.lower.shape[1:])
            slopes[at] = (x.upper > -x.lower).to(x.lower.dtype).unsqueeze(1).expand(wide)
            if at in relaxation.multi_neuron:
                width = torch.where(relaxation.unstable(at), x.upper - x.lower, 1.0)
                upper_slopes[at] = (x.upper / width).clamp(0, 1).unsqueeze(1).expand(wide)
    return Choice(slopes, {}, upper_slopes)


def optimize_slopes(
    relaxation: Relaxation,
    target: int,
    rows: Float[Tensor, "b s *shape"],
    start: Choice,
    signs: Mapping[int, Tensor],
    iterations: int,
    enough: float = float("inf"),
) -> tuple[Choice, Float[Tensor, "b s"]]:
    """Improve slopes, upper ones too, and multipliers where `signs` (b, 1, *shape) are 1 (>= 0) or -1 (<= 0), else 0.

    Stops when every bound is at least `enough`. Returns for each row the best that was met, and its bound, not rounded.
    """
    free = [{at: x.detach().clone().requires_grad_() for at, x in part.items()} for part in start.parts]
    slopes, sizes, upper_slopes = free
    with torch.no_grad():
        for x in sizes.values():
            x.abs_()
    variables = [x for part in free for x in part.values()]
    best = torch.full(rows.shape[:2], -torch.inf, dtype=rows.dtype, device=rows.device)
    kept = [{at: x.detach().clone() for at, x in part.items()} for part in free]
    if not variables:
        return start, lower_bounds(relaxation, target, rows, rounded=False)
    functions = relaxation.functions()
    lines = [*slopes.values(), *sizes.values(), *(x for at, x in upper_slopes.items() if at in functions)]
    triangles = [x for at, x in upper_slopes.items() if at not in functions]
    optimiser = Adam([(lines, RATE), (triangles, UPPER_SLOPE_RATE)])
    for turn in range(iterations + 1):
        tick()
        now = Choice(slopes, {at: signs[at] * x for at, x in sizes.items()}, upper_slopes)
        bounds = lower_bounds(relaxation, target, rows, now, rounded=False)
        with torch.no_grad():
            better = bounds > best
            best = torch.where(better, bounds, best)
            for kept_, part in zip(kept, free, strict=True):
                for at, x in part.items():
                    kept_[at] = torch.where(_wide(better, x), x, kept_[at])
            if turn == iterations or not bounds.requires_grad or bool((best > enough).all()):
                break
        optimiser.clear()
        torch.where(best > enough, 0.0, bounds).sum().neg().backward()
        optimiser.step(FADE**turn)
        with torch.no_grad():
            for x in (*slopes.values(), *upper_slopes.values()):
                x.clamp_(0, 1)
            for x in sizes.values():
                x.clamp_(min=0)
    return Choice(kept[0], {at: signs[at] * x for at, x in kept[1].items()}, kept[2]), best


def _wide(mask: Tensor, like: Tensor) -> Tensor:
    return mask.reshape(*mask.shape, *(1,) * (like.dim() - 2))


Tightened: TypeAlias = dict[int, tuple[Tensor, dict[int, Tensor]]]  # by node: which values, and each one's slopes


def _keep(record: Tightened, at: int, values: Tensor, chosen: Choice) -> None:
    if not len(values):
        return
    slopes = {
        place: x[0].to(torch.float16).reshape(2, len(values), -1) for place, x in chosen.proposals(batched=2).items()
    }
    if at in record:
        which, before = record[at]
        values = torch.cat([which, values])
        slopes = {place: torch.cat([before[place].reshape(2, len(which), -1), x], 1) for place, x in slopes.items()}
    record[at] = (values, {place: x.reshape(2 * len(values), -1) for place, x in slopes.items()})


def tighten_by_alpha_crown(iterations: int, until: Deadline = NEVER, record: "Tightened | None" = None) -> Tighten:
    """Make a way to tighten boxes: CROWN with slopes chosen for each value by so many steps of ascent.

    When `until` is over, what is left keeps the box that it has. `record` is given the
    slopes, in float16, with which the bounds were computed: a proof needs them (both ends one after the other).
    """

    def tighten(relaxation: Relaxation, at: int, box: Box) -> Box:
        first = worth_tightening(relaxation, at, box)
        if not len(first):
            return box
        before, box = box, tighten_by_crown(relaxation, at, box, until)  # that alone decides most, in one pass
        loose = worth_tightening(relaxation, at, box)
        if record is not None:
            decided = first[~torch.isin(first, loose)]
            _keep(record, at, decided, default_choice(relaxation, at, 2 * len(decided)))
        node = relaxation.graph.nodes[at]
        regions, size = len(box.lower), size_of(node)
        lower, upper = box.lower.flatten(1).clone(), box.upper.flatten(1).clone()
        widest = max(size_of(n) for n in relaxation.graph.nodes[: at + 1])
        chunk = max(LARGEST_ROWS // (2 * regions * widest), 1)
        single = relaxation.to(torch.float32)
        for begin in range(0, len(loose), chunk):
            values = loose[begin : begin + chunk]
            if until.is_over():
                if record is not None:  # what is not recorded may not be used
                    rest = loose[begin:]
                    lower[:, rest], upper[:, rest] = (t.flatten(1)[:, rest] for t in (before.lower, before.upper))
                break
            rows = both_ends(values, size, box).expand(regions, -1, *node.shape)
            start = default_choice(single, at, rows.shape[1])
            choice, _ = optimize_slopes(single, at, rows.float(), start, {}, iterations)
            short = choice.to(torch.float16)
            bounds = lower_bounds(relaxation, at, rows, short.to(rows.dtype)).reshape(regions, 2, -1)
            if record is not None:
                _keep(record, at, values, short)
                lower[:, values], upper[:, values] = (t.flatten(1)[:, values] for t in (before.lower, before.upper))
            lower[:, values] = torch.maximum(lower[:, values], bounds[:, 0])
            upper[:, values] = torch.minimum(upper[:, values], -bounds[:, 1])
        return Box(lower.reshape(box.lower.shape), upper.reshape(box.upper.shape))

    return tighten


def tighten_as_recorded(record: Tightened) -> Tighten:
    """Make a way to tighten boxes by recorded slopes alone, so that a check of a certificate finds the same bounds.

    Nodes that are not in the record are tightened by CROWN, and recorded without slopes.
    """

    def tighten(relaxation: Relaxation, at: int, box: Box) -> Box:
        which, slopes = record.setdefault(at, (worth_tightening(relaxation, at, box), {}))
        return tighten_with(relaxation, at, box, which, slopes)

    return tighten
