"""The check of refined bounds: an end is the worst of its bounds over parts of the region that leave nothing out."""

import numpy as np

from surefoot.core.errors import InputError
from surefoot.proof.certificate import RefinedEnds
from surefoot.proof.checker import BATCH_NUMBERS, Checker
from surefoot.proof.lines import Box


def refine(checker: Checker, at: int, boxes: list[Box], refined: RefinedEnds) -> None:
    """Narrow the box of a node by ends of its values, each bounded anew over all of its parts.

    Property: sound, as long as the boxes of earlier nodes are; those of later ones are not used.

    Raises:
        InputError: a part that is missing, or a bound that is no finite number.
    """
    ends, owners = refined.ends, refined.owners
    order = np.argsort(owners, kind="stable")
    for own in np.split(order, np.searchsorted(owners[order], np.arange(1, len(ends)))) if len(ends) else []:
        check_split(refined.signs[own])
    least = np.full(len(ends), np.inf)
    step = max(BATCH_NUMBERS // (4 * checker.widest), 1)
    for begin in range(0, len(owners), step):
        some = slice(begin, begin + step)
        np.minimum.at(least, owners[some], _bounds(checker, at, boxes, refined, some))
    low, high = boxes[at]
    upper = ends % 2 == 1
    below, above = ends[~upper] // 2, ends[upper] // 2
    low[below] = np.maximum(low[below], least[~upper])
    high[above] = np.minimum(high[above], -least[upper])


def _bounds(checker: Checker, at: int, boxes: list[Box], refined: RefinedEnds, some: slice) -> np.ndarray:
    """Bound the ends, upper ones negated, that some parts are of, over these parts."""
    ends = refined.ends[refined.owners[some]]
    rows = np.zeros((len(ends), len(boxes[at][0])))
    rows[np.arange(len(ends)), ends // 2] = 1.0 - 2.0 * (ends % 2)
    signs, slopes, multipliers = {}, {}, {}
    for relu in np.unique(refined.relus).tolist():
        columns = np.flatnonzero(refined.relus == relu)
        values = refined.values[columns]
        low, high = boxes[checker.graph.nodes[relu].inputs[0]]
        sign, dual = np.zeros((len(ends), len(low))), refined.duals[some][:, columns].astype(float)
        sign[:, values] = refined.signs[some][:, columns]
        slope = np.tile((high > -low) * 1.0, (len(ends), 1))  # of what the parts do not name
        slope[:, values] = dual
        multiplier = np.zeros_like(sign)
        multiplier[:, values] = sign[:, values] * np.maximum(dual, 0.0)
        signs[relu], slopes[relu], multipliers[relu] = sign, slope, multiplier
    return checker.bound(at, rows, boxes, slopes, multipliers, signs)


def check_split(signs: np.ndarray) -> None:
    """Check that parts (p, s), which decide the signs 1 and -1, leave nothing out: that a tree of splits makes them.

    The order of splits is not said. A value that all parts of a branch decide may come first there, whatever the tree.

    Raises:
        InputError: a part that is missing, or lies in another, or parts that no tree makes.
    """
    todo = [signs[:, signs.any(0)]]
    while todo:
        branch = todo.pop()
        if not len(branch):
            raise InputError("a part of a refined bound is missing")
        decided = branch != 0
        if not decided.any(1).all():
            if len(branch) > 1:
                raise InputError("a part of a refined bound lies in another")
            continue
        common = np.flatnonzero(decided.all(0))
        if not len(common):
            raise InputError("parts of a refined bound decide different values")
        first = branch[:, common[0]]
        rest = np.delete(branch, common[0], 1)
        todo += [rest[first == sign] for sign in (1, -1)]
