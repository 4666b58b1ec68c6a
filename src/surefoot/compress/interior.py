"""Inputs inside of a set: one as far inside as there is, others moved there, and samples."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from surefoot.compress.linear_regions import SOLVED, Polytope
from surefoot.core.errors import InputError
from surefoot.core.rounding import sum_error
from surefoot.reach.ibp import Box
from surefoot.spec.input_set import InputSet

PLAINLY = (
    1e-9  # of its size: signs that were met, and inputs inside, are told by more than rounding; no part of a proof
)


def with_interior(inputs: InputSet) -> InputSet:
    """Return the set with an input that satisfies its constraints: the centre of the largest ball, if there is one.

    Balls are those of the box drawn as a cube. What has an interior already, or no constraints, is returned as it is.

    Raises:
        InputError: no input was found that satisfies the constraints, but for rounding; a ball, of which inputs are met
            and bounds are had by `verify` alone.
    """
    if inputs.ball is not None:
        raise InputError("the domain is a ball; here boxes and linear constraints are treated: give the box around it")
    if inputs.constraints is None or inputs.interior is not None:
        return inputs
    rows, bounds = inputs.constraints.rows, inputs.constraints.bounds
    width = inputs.upper - inputs.lower
    free = width > 0
    scaled = rows[:, free] * width[free]  # of a box of side 1
    largest = np.abs(scaled).max(1, initial=0.0)
    rooms = bounds - rows @ inputs.lower
    cell = Polytope.box(np.zeros(free.sum()), np.ones(free.sum()))
    for at in np.flatnonzero(largest):
        row = np.append(rooms[at], -scaled[at]) / largest[at]
        cell = cell.with_row(row / np.linalg.norm(row[1:]))  # the solver's tolerance is absolute
    interior = inputs.lower.copy()
    interior[free] += width[free] * cell.inside.clip(0, 1)
    interior = interior.clip(inputs.lower, inputs.upper)
    if cell.radius < -SOLVED or not within_rounding(inputs, interior[None])[0]:
        raise InputError("no input of the box was found that satisfies the rows: the domain is empty, or too thin")
    return replace(inputs, interior=interior)


def within_rounding(inputs: InputSet, x: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
    """Whether inputs satisfy the constraints of a set, as far as the rounding of a sum of products can tell."""
    if inputs.constraints is None:
        return np.ones(len(x), dtype=bool)
    rows, bounds = inputs.constraints.rows, inputs.constraints.bounds
    size = np.abs(x) @ np.abs(rows).T + np.abs(bounds)
    return np.all(x @ rows.T - bounds <= sum_error(rows.shape[1] + 1, size), axis=1)


def pulled(inputs: InputSet, x: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *shape"]:
    """Move inputs (n, *shape) of the box towards the interior until they satisfy the constraints."""
    inputs = with_interior(inputs)
    if inputs.constraints is None or inputs.interior is None:
        return x
    rows, bounds, interior = inputs.constraints.rows, inputs.constraints.bounds, inputs.interior
    flat = x.flatten(1).numpy()
    room = bounds - rows @ interior  # (r,) not negative, but for rounding
    step = (flat - interior) @ rows.T
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(step > 0, room.clip(min=0) / step, np.inf).min(1).clip(0, 1) * (1 - PLAINLY)
    return torch.from_numpy(interior + share[:, None] * (flat - interior)).reshape(x.shape)


def inside(inputs: InputSet, shape: tuple[int, ...], count: int, seed: int = 0) -> Float[Tensor, " n *shape"]:
    """Return so many inputs of a set: some from anywhere, some from the corners of its box, some between."""
    box = Box.around(inputs, shape)
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(count, *shape, generator=generator, dtype=torch.float64)
    sharp = torch.rand(count, *(1 for _ in shape), generator=generator, dtype=torch.float64)
    x = box.lower + (0.5 + (x - 0.5) / sharp.clamp(min=1e-3)).clamp(0, 1) * (box.upper - box.lower)
    return pulled(inputs, x)
