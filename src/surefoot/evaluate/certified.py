"""What is certain of a data set whose inputs may move: curves against the radius, and images with their pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from surefoot.core.deadline import NEVER, Deadline
from surefoot.recalibrate import Calibrator
from surefoot.sets.star import Star
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Query, other_classes
from surefoot.verify.confidence import Certified, Summary, certify, nothing_certain, summarise
from surefoot.verify.many import answer_of
from surefoot.verify.network import Network, region_to_query
from surefoot.verify.run import verify
from surefoot.verify.stars import ExactProgress, counterexamples, leaves, over_approximate, slack_of, star_of_inputs

PICTURE = 10.0  # seconds for the verdict of each image that is shown
DIRECTIONS = 32
MOST_SETS = 20
NEAR = 0.01  # of the width of the region, whose own patterns are too many to propagate


@dataclass(frozen=True)
class Radius:
    """One radius: what is certain of the data set, and for how many images the class was shown to stay."""

    eps: float | None  # how large the regions are; None where that is no number
    summary: Summary
    bounded: int  # images whose confidence was bounded in time; of the others nothing is claimed
    images: int
    late: bool  # time was up before all were

    @property
    def accuracy(self) -> tuple[Fraction, Fraction]:
        """Bounds on the accuracy, as exact shares of the images."""
        low, high = (Fraction(round(share * self.images), self.images) for share in self.summary.accuracy)
        return low, high

    @property
    def radius(self) -> str:
        """The radius as it is written."""
        return "-" if self.eps is None else f"{self.eps:.4g}"

    @property
    def warning(self) -> str:
        """Say what was not done in time."""
        return (
            f"Time is up: at radius {self.radius}, {self.bounded or 'none'} of {self.images} images were bounded; the "
            "others count as the worst and the best that could be."
        )


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
    sets: tuple[np.ndarray, ...]  # likewise of sets of counterexamples near the one above


def certify_images(
    network: Network,
    regions: Sequence[tuple[float | None, Sequence[InputSet]]],
    labels: Sequence[int],
    calibrator: Calibrator | None,
    done: Callable[[], object] | None = None,
    until: Deadline = NEVER,
) -> tuple[list[Radius], list[list[Certified]]]:
    """Bound recalibrated confidence over a region of every image, for every radius; return summaries, and bounds.

    In this order, radius by radius, until time is up: what comes then is not bounded, and nothing is claimed of it.
    """
    summaries, bounds = [], []
    for eps, around in regions:
        certified, bounded = [], 0
        for region in around:
            one = until.run(lambda region=region: certify(network, region, calibrator))
            bounded += one is not None
            certified.append(one or nothing_certain(network.outputs))
            if done is not None:
                done()
        summaries.append(Radius(eps, summarise(certified, labels), bounded, len(around), bounded < len(around)))
        bounds.append(certified)
    return summaries, bounds


def pictures_of(
    network: Network, images: np.ndarray, labels: Sequence[int], regions: Sequence[InputSet],
    bounds: Sequence[Certified], until: Deadline,
) -> list[Shown]:  # fmt: skip
    """Collect the pictures of images within their regions, each in an equal part of the time that is left."""
    shown = []
    for i, (image, label, region, certified) in enumerate(zip(images, labels, regions, bounds, strict=False)):
        mine = until.before(1 / (len(images) - i))
        one = mine.run(lambda i=i, image=image, label=label, region=region, certified=certified, mine=mine: show(
            network, i, image, label, region, certified, min(PICTURE, 0.6 * mine.left)))  # fmt: skip
        shown += [] if one is None else [one]
    return shown


def show(
    network: Network, number: int, image: np.ndarray, label: int, region: InputSet, certified: Certified, seconds: float
) -> Shown:
    """Collect the pictures of one image: its verdict, a counterexample, and where two outputs can be."""
    along, query = region_to_query(network, region, other_classes(label, network.outputs))
    answer = answer_of(verify(along, query, seconds))
    shape = network.graph.input_shape
    other = None
    if answer["verdict"] == "violated":
        other = np.asarray(answer["input"]).reshape(shape)
    likely = certified.upper if other is None else np.asarray(answer["output"])
    rival = int(np.argmax(np.where(np.arange(network.outputs) == label, -np.inf, likely)))
    star = star_of_inputs(query.inputs, shape)
    reached = over_approximate(along.pooled, star, query, use_lps=False).star
    corners = polygon(reached, label, rival)
    sets = () if other is None else _sets(along, query, other.ravel(), (label, rival), seconds / 4)
    return Shown(number, label, answer, image.reshape(shape), other, certified, (label, rival), corners, sets)


def _sets(
    network: Network, query: Query, near: np.ndarray, rivals: tuple[int, int], seconds: float
) -> tuple[np.ndarray, ...]:
    """Propagate exactly around a counterexample; of each pattern met, where its counterexamples put the two outputs."""
    label, rival = rivals
    low, high = query.inputs.lower, query.inputs.upper
    reach = NEAR * (high - low)
    around = replace(query.inputs, lower=np.maximum(low, near - reach), upper=np.minimum(high, near + reach))
    query = replace(query, inputs=around)
    star = star_of_inputs(query.inputs, network.pooled.input_shape)
    unsafe = query.unsafe[rival - (rival > label)]
    polygons: list[np.ndarray] = []
    try:
        for leaf in leaves(network.pooled, star, query, seconds, ExactProgress()):
            if slack_of(leaf.outputs, unsafe)[0] <= 0:
                unsafe_part = counterexamples(leaf, unsafe).predicate
                polygons.append(polygon(Star(leaf.outputs.form, unsafe_part), label, rival))
                if len(polygons) == MOST_SETS:
                    break
    except TimeoutError:
        pass  # a picture of some of them
    return tuple(polygons)


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
