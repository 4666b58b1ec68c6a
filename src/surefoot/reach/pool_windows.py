"""Max pooling over stars: which value of each window may be the largest."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from surefoot.core.rounding import UPWARD, step_error, sum_error
from surefoot.graph.ops import MaxPool2d
from surefoot.reach.reference import Reference
from surefoot.sets.affine_form import AffineForm
from surefoot.sets.predicate import Predicate, Solver


@dataclass(eq=False)
class Windows:
    """What is known of each window of a pool before any LP is solved. Around a point all is less its maximum there."""

    members: Tensor  # (w, k) places in the flat image, -1 for padding
    candidates: Tensor  # (w, k) which may be the largest; that with the best lower bound always, padding never
    best: Tensor  # (w,) which of the k that is
    floor: Tensor  # (w,) its lower bound
    ceiling: Tensor  # (w,) the greatest upper bound
    error: Tensor  # (w,) by how much the winner's form may miss the true maximum
    behind: Tensor  # (w, k) by how much a value's form is to be moved: 0, or what it is behind the maximum at the point

    @staticmethod
    def of(
        op: MaxPool2d,
        form: AffineForm,
        predicate: Predicate,
        point: "PoolAtPoint | None" = None,
        decided: Mapping[int, int] = MappingProxyType({}),
    ) -> "Windows":
        """Bound every value of every window; those that differ by rounding alone are one. `decided` gives winners."""
        members = op.windows(tuple(form.centre.shape))
        low, high = (t.flatten() for t in form.box(predicate))
        place, padding = members.clamp(min=0), members < 0
        behind = torch.zeros_like(place, dtype=low.dtype) if point is None else point.behind(members)
        spare = step_error(2, behind.abs())
        lows = torch.where(padding, -torch.inf, low[place] + behind - spare)
        highs = torch.where(padding, -torch.inf, high[place] + behind + spare)
        best = lows.argmax(1)
        floor, ceiling = lows.max(1).values, highs.max(1).values
        candidates = highs > floor.unsqueeze(1)
        rounding = 64 * sum_error(form.variables, form.size(predicate).flatten())
        # equal values, as on a plain background, differ by rounding alone: the error takes it, nothing is split
        tied = ceiling - floor <= torch.where(padding, 0.0, rounding[place]).max(1).values
        candidates &= ~tied.unsqueeze(1)
        candidates[torch.arange(len(best)), best] = True
        for w, i in decided.items():
            candidates[w] = members[w] == i
            best[w] = int(candidates[w].nonzero()[0, 0])
        errors = torch.where(padding, 0.0, form.error.flatten()[place])
        error = errors.max(1).values + torch.where(tied, ceiling - floor, 0.0)
        if point is not None:
            error = point.error(members, best, lows, highs, errors, error)
        return Windows(members, candidates, best, floor, ceiling, error, behind)

    @property
    def undecided(self) -> Tensor:
        """Which windows have several candidates."""
        return (self.candidates.sum(1) > 1).nonzero().squeeze(1)

    @property
    def moved(self) -> Tensor:
        """By how much the best candidate's form is to be moved."""
        return self.behind[torch.arange(len(self.best)), self.best]

    @property
    def winner(self) -> Tensor:
        """The place of the best candidate of each window."""
        return self.members[torch.arange(len(self.best)), self.best]


@dataclass(frozen=True, eq=False)
class PoolAtPoint:
    """The values that enter a pool at a point, as high + low within an error, and their maxima, as high + low."""

    high: Tensor  # flat
    low: Tensor
    within: Tensor
    top: Tensor  # (w,)
    top_low: Tensor

    @staticmethod
    def of(reference: Reference, entering: int, at: int) -> "PoolAtPoint":
        """Take them from a reference."""
        parts = (reference.values[entering], reference.lows[entering], reference.errors[entering])
        return PoolAtPoint(*(x.flatten() for x in (*parts, reference.values[at], reference.lows[at])))

    def behind(self, members: Tensor) -> Tensor:
        """Return by how much each value is behind the maximum of its window."""
        place = members.clamp(min=0)
        return (self.high[place] - self.top.unsqueeze(1)) + (self.low[place] - self.top_low.unsqueeze(1))

    def error(self, members: Tensor, best: Tensor, lows: Tensor, highs: Tensor, errors: Tensor, most: Tensor) -> Tensor:
        """Return by how much the best value's form, moved, may miss how far the maximum is from that at the point.

        Where no other value can be the largest, here or at the point, it is the form's own error; else at most `most`,
        and that of the point.
        """
        padding = members < 0
        within = torch.where(padding, 0.0, self.within[members.clamp(min=0)])
        wrong = torch.where(padding, 0.0, errors + within)
        index = best.unsqueeze(1)
        others = torch.zeros_like(padding).scatter(1, index, True) | padding
        ahead = (lows.gather(1, index) - wrong.gather(1, index) >= highs + wrong) | others
        behind = self.behind(members)
        ahead_there = (behind.gather(1, index) - within.gather(1, index) >= behind + within) | others
        alone = ahead.all(1) & ahead_there.all(1)
        moved = behind.gather(1, index).squeeze(1).abs()
        less_sure = UPWARD * (most + 2 * within.max(1).values + step_error(3, moved))
        return torch.where(alone, errors.gather(1, index).squeeze(1), less_sure)


def drop_losers(form: AffineForm, predicate: Predicate, windows: Windows) -> int:
    """Strike out candidates that an LP on the difference shows never to exceed the best one; count the LPs."""
    centre, generators = form.flat()
    size = form.size(predicate).flatten().numpy()
    solver = Solver(predicate)
    for w in windows.undecided.tolist():
        b = int(windows.winner[w])
        for k in windows.candidates[w].nonzero().squeeze(1).tolist():
            i = int(windows.members[w, k])
            if i == b:
                continue
            moved = float(windows.behind[w, windows.best[w]] - windows.behind[w, k])
            ahead = solver.minimum(generators[:, b] - generators[:, i]) + (centre[b] - centre[i]) + moved
            if ahead - step_error(6, size[b] + size[i] + abs(moved)) >= 0:
                windows.candidates[w, k] = False
    return solver.solved
