"""Linear input constraints in a bound of CROWN, and inputs that satisfy them, for attacks.

Inputs that count have rows x <= bounds, so y (rows x - bounds) may be added to a lower bound for any y >= 0.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from surefoot.spec.input_set import LinearConstraints

SWEEPS = 50  # of projections onto one halfspace after another
INSIDE = 1e-6  # of a row's length and bound: from there on float32 inputs lie inside


def multipliers_of_constraints(
    a: Float[Tensor, "b s d"],
    low: Float[Tensor, "#b d"],
    high: Float[Tensor, "#b d"],
    rows: Float[Tensor, "r d"],
    bounds: Float[Tensor, " r"],
) -> Float[Tensor, "b s r"]:
    """Choose y >= 0, (b, s, r), so that the least value of (a + y rows) x - y bounds over the box is large.

    For one row exactly: the slope in y falls by |row_j| (high_j - low_j) where the sign of a coefficient changes, so
    the best y is the change at which it passes 0. For several, one after the other, twice.
    """
    y = a.new_zeros(*a.shape[:2], len(rows))
    width = (high - low).unsqueeze(1)
    for i in [*range(len(rows))] * min(len(rows), 2):
        row = rows[i]
        others = y.clone()
        others[:, :, i] = 0.0
        base = a + others @ rows
        positive = (base > 0) | ((base == 0) & (row > 0))
        slope = (row * torch.where(positive, low.unsqueeze(1), high.unsqueeze(1))).sum(2) - bounds[i]
        at = torch.where(row == 0, torch.inf, -base / torch.where(row == 0, 1.0, row))
        at = torch.where(at > 0, at, torch.inf)
        at, order = at.sort(2)
        falls = (row.abs() * width).expand(at.shape).gather(2, order)
        left = slope.unsqueeze(2) - torch.where(at < torch.inf, falls, 0.0).cumsum(2)
        place = (left > 0).sum(2, keepdim=True).clamp(max=at.shape[2] - 1)
        best = at.gather(2, place).squeeze(2)
        y[:, :, i] = torch.where((slope > 0) & (best < torch.inf), best, 0.0)
    return y


def moved_inside(
    x: Float[Tensor, "n d"], low: Float[Tensor, " d"], high: Float[Tensor, " d"], constraints: LinearConstraints
) -> Float[Tensor, "n d"]:
    """Return inputs of the box near to the given ones that satisfy linear constraints, mostly: nothing is promised.

    They are projected onto one halfspace after another, and back into the box. Of two opposite rows, an equation, both
    are met as well as rounding lets them be.
    """
    rows, bounds = (torch.as_tensor(part, dtype=x.dtype) for part in (constraints.rows, constraints.bounds))
    along = rows * (high > low)  # what can move
    squares = (along * along).sum(1)
    opposite = ((rows.unsqueeze(0) + rows.unsqueeze(1)).abs().amax(2) == 0).any(1)
    bounds = bounds - torch.where(opposite, 0.0, INSIDE * (squares.sqrt() + bounds.abs()))
    for _ in range(SWEEPS):
        if not bool((x @ rows.T > bounds).any()):
            break
        for row, step, bound, square in zip(rows, along, bounds, squares, strict=True):
            if square > 0:
                x = x - ((x @ row - bound).clamp(min=0) / square).unsqueeze(1) * step
        x = x.clamp(low, high)
    return x
