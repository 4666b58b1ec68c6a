"""Images that are certified, made up: what figures and pages of them are drawn from."""

import numpy as np

from surefoot.evaluate.certified import Radius, Shown
from surefoot.verify.confidence import Certified, Summary

TRIANGLE = np.array([[1.0, 0.0], [2.0, 0.0], [1.5, 1.0]])


def shown(verdict: str = "holds", label: int = 0, flat: bool = False) -> Shown:
    """Make an image predicted as class 0, with a counterexample of class 1 if it is violated."""
    image = np.linspace(0, 1, 4).reshape((4,) if flat else (1, 2, 2))
    violated = verdict == "violated"
    answer = {"verdict": verdict} | ({"output": [0.1, 0.9, 0.0]} if violated else {})
    certified = Certified(0, verdict == "holds", np.array([0.625, 0.125, 0.0]), np.array([0.75, 0.25, 0.0625]))
    sets = (TRIANGLE[:, ::-1], TRIANGLE[:, ::-1] + 1) if violated else ()
    return Shown(7, label, answer, image, 1 - image if violated else None, certified, (0, 1), TRIANGLE, sets)


def radius(eps: float, late: bool = False) -> Radius:
    """Make the summary of one radius: everything is certain within `eps` of one half."""
    ends = (0.5 - eps, 0.5 + eps)
    return Radius(eps, Summary(ends, ends, ends, ends), 3 if late else 8, 8, late)
