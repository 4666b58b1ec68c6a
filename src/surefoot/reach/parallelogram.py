"""A function of the values of an affine form: two parallel lines around it, a new variable for what lies between."""

import numpy as np
import torch

from surefoot.core.rounding import LEAST, UPWARD, magnitude, step_error
from surefoot.graph.functions import Function
from surefoot.reach.lines import offset, slopes_of
from surefoot.sets.affine_form import AffineForm
from surefoot.sets.predicate import Predicate


def parallelogram(function: Function, form: AffineForm, predicate: Predicate) -> tuple[AffineForm, Predicate]:
    """Apply a function: f(x) = s x + m + h e with -1 <= e <= 1, one e for each value that is not fixed.

    The slope s is the mean of those of the lines of least area (Singh et al. 2018, and any other would be sound). Where
    nothing is known of f the error is infinite.

    Property: sound.
    """
    low, high = form.box(predicate)
    low, high = low - form.error, high + form.error
    slopes = slopes_of(function, low, high)
    slope = (slopes.below + slopes.above) / 2
    least, most = -offset(function, slope, low, high, -1.0), offset(function, slope, low, high, 1.0)
    known = (most - least).isfinite()
    slope, least, most = (torch.where(known, x, 0.0) for x in (slope, least, most))
    middle = least / 2 + most / 2
    half = torch.maximum(most - middle, middle - least)
    half = half + step_error(2, magnitude(middle) + half)
    size = magnitude(slope) * magnitude(form.size(predicate) + form.error) + magnitude(middle) + half
    error = UPWARD * (magnitude(slope) * magnitude(form.error) + step_error(4, size)) + LEAST
    error = torch.where(known, error, torch.inf)
    places, m = torch.arange(half.numel()), predicate.variables
    out = form.scaled(slope, error)
    out = out.shifted(places, middle.flatten(), torch.zeros_like(middle).flatten())
    wide = half.flatten() > 0
    out = out.with_units(places[wide], half.flatten()[wide], m)
    n = int(wide.sum())
    return out, predicate.extended(-np.ones(n), np.ones(n))
