"""Max pooling over stars: which value of each window may be the largest."""

from dataclasses import dataclass

import torch
from torch import Tensor

from surefoot.core.rounding import step_error, sum_error
from surefoot.graph.ops import MaxPool2d
from surefoot.sets.affine_form import AffineForm
from surefoot.sets.predicate import Predicate, Solver


@dataclass(eq=False)
class Windows:
    """What is known of each window of a pool before any LP is solved."""

    members: Tensor  # (w, k) places in the flat image, -1 for padding
    candidates: Tensor  # (w, k) which may be the largest; that with the best lower bound always, padding never
    best: Tensor  # (w,) which of the k that is
    floor: Tensor  # (w,) its lower bound
    ceiling: Tensor  # (w,) the greatest upper bound
    error: Tensor  # (w,) by how much the winner's form may miss the true maximum

    @staticmethod
    def of(op: MaxPool2d, form: AffineForm, predicate: Predicate) -> "Windows":
        """Bound every value of every window; values that differ by rounding alone are one."""
        members = op.windows(tuple(form.centre.shape))
        low, high = (t.flatten() for t in form.box(predicate))
        place, padding = members.clamp(min=0), members < 0
        lows = torch.where(padding, -torch.inf, low[place])
        highs = torch.where(padding, -torch.inf, high[place])
        best = lows.argmax(1)
        floor, ceiling = lows.max(1).values, highs.max(1).values
        candidates = highs > floor.unsqueeze(1)
        rounding = 64 * sum_error(form.variables, form.size(predicate).flatten())
        # equal values, as on a plain background, differ by rounding alone: the error takes it, nothing is split
        tied = ceiling - floor <= torch.where(padding, 0.0, rounding[place]).max(1).values
        candidates &= ~tied.unsqueeze(1)
        candidates[torch.arange(len(best)), best] = True
        error = torch.where(padding, 0.0, form.error.flatten()[place]).max(1).values
        return Windows(members, candidates, best, floor, ceiling, error + torch.where(tied, ceiling - floor, 0.0))

    @property
    def undecided(self) -> Tensor:
        """Which windows have several candidates."""
        return (self.candidates.sum(1) > 1).nonzero().squeeze(1)

    @property
    def winner(self) -> Tensor:
        """The place of the best candidate of each window."""
        return self.members[torch.arange(len(self.best)), self.best]


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
            ahead = solver.minimum(generators[:, b] - generators[:, i]) + (centre[b] - centre[i])
            if ahead - step_error(4, size[b] + size[i]) >= 0:
                windows.candidates[w, k] = False
    return solver.solved
