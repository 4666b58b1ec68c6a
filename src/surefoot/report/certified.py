"""What is certain of a data set whose inputs may move: curves against the radius, and images with their pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from surefoot.reach.stars import Star
from surefoot.recalibrate import Recalibrator
from surefoot.verify.confidence import Certified, Summary, certify, summarise
from surefoot.verify.many import plain
from surefoot.verify.query import robustness
from surefoot.verify.regions import Region, ball
from surefoot.verify.run import Network, ask, verify
from surefoot.verify.stars import over_approximate, star_of_box

DIRECTIONS = 32


@dataclass(frozen=True)
class Radius:
    """One radius: what is certain of the data set, and for how many images the class was shown to stay."""

    eps: float
    summary: Summary


@dataclass(frozen=True, eq=False)
class Shown:
    """One image at the largest radius, for the page."""

    number: int
    label: int
    answer: dict[str, Any]
    image: np.ndarray  # (c, h, w)
    other: np.ndarray | None  # the counterexample
    certified: Certified
    rivals: tuple[int, int]
    reach: np.ndarray  # (d, 2) corners of a polygon that holds all outputs of the two rivals


def certify_images(
    network: Network,
    images: np.ndarray,
    labels: Sequence[int],
    radii: Sequence[float],
    valid: tuple[float, float],
    recalibrator: Recalibrator | None,
    done: Callable[[], None] | None = None,
) -> tuple[list[Radius], list[list[Certified]]]:
    """Bound recalibrated confidence around every image at every radius; return the summaries, and the bounds."""
    summaries, bounds = [], []
    for eps in radii:
        found = []
        for image in images:
            found.append(certify(network, ball(image, eps, *valid), recalibrator))
            if done is not None:
                done()
        summaries.append(Radius(eps, summarise(found, labels)))
        bounds.append(found)
    return summaries, bounds


def show(
    network: Network, number: int, image: np.ndarray, label: int, region: Region, certified: Certified, seconds: float
) -> Shown:
    """Collect the pictures of one image: its verdict, a counterexample, and where two outputs can be."""
    there, query = ask(network, region, robustness(np.zeros(1), np.zeros(1), label, network.outputs).unsafe)
    answer = plain(verify(there, query, seconds))
    shape = network.graph.input_shape
    other = None
    if answer["verdict"] == "violated":
        other = np.asarray(answer["input"]).reshape(shape)
    rival = int(np.argmax(np.where(np.arange(network.outputs) == label, -np.inf, certified.upper)))
    star = star_of_box(query, shape)
    reached = over_approximate(there.pooled, star, query, programs=False).star
    corners = polygon(reached, label, rival)
    return Shown(number, label, answer, image.reshape(shape), other, certified, (label, rival), corners)


def polygon(star: Star, first: int, second: int, directions: int = DIRECTIONS) -> np.ndarray:
    """Return the corners of a polygon that holds two outputs of a star: one half-plane a direction, each proven."""
    angles = 2 * np.pi * np.arange(directions) / directions
    normals = np.stack([np.cos(angles), np.sin(angles)], 1)
    size = star.form.centre.numel()
    offsets = []
    for normal in normals:
        row = star.form.centre.new_zeros(size)
        row[first], row[second] = normal.tolist()
        offsets.append(star.minimum(row))  # normal · (y_first, y_second) >= offset
    corners = []
    for i in range(directions):
        pair = np.array([normals[i], normals[(i + 1) % directions]])
        corners.append(np.linalg.solve(pair, [offsets[i], offsets[(i + 1) % directions]]))
    return np.array(corners)
