"""Certificates as values: what a proof consists of.

A proof divides the question (by bisecting boxes, or by deciding signs) and proves each part by one pass of
CROWN, whose slopes and multipliers it names. The check divides again, finds that nothing is missing, and
computes each bound anew. Nothing here is checked: `schema` does that, before anything is done with a certificate.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

Signs = tuple[tuple[int, int, int], ...]  # (ReLU, value, 1 or -1)


@dataclass(frozen=True, eq=False)
class SplitLeaf:
    """One part of a proof by signs: of which unsafe set, under which signs, with which row, slopes and multipliers."""

    unsafe: int
    row: int
    signs: Signs
    slopes: dict[int, np.ndarray]
    multipliers: dict[int, np.ndarray]


@dataclass(frozen=True, eq=False)
class RefinedEnds:
    """Ends of a node's values, 2 i the lower and 2 i + 1 the upper one of value i, each bounded by parts of the region.

    The parts of an end decide signs of values of earlier ReLUs, and leave nothing out.
    """

    ends: np.ndarray  # (e,)
    owners: np.ndarray  # (p,), which of the ends each part is of
    relus: np.ndarray  # (s,)
    values: np.ndarray  # (s,), which value of the ReLU
    signs: np.ndarray  # (p, s): 1, -1, or 0 for what is not decided
    duals: np.ndarray  # (p, s): the slope of the line below, or of what is decided the size of the multiplier


@dataclass(frozen=True, eq=False)
class Proof:
    """The proof that no input of a box has an output in any of the unsafe sets (weights y <= bounds, all rows).

    `bisections` are (box, axis, place), n of each: the box is bisected along the axis, its halves get the next two
    numbers not yet given; whatever is not bisected is proven whole. `leaves` are there instead for a proof by signs.
    """

    lower: np.ndarray
    upper: np.ndarray
    unsafe: tuple[tuple[np.ndarray, np.ndarray], ...]
    kind: Literal["boxes", "signs"]
    thorough: bool = False  # boxes: whether parallel lines are to be tried too
    bisections: tuple[np.ndarray, np.ndarray, np.ndarray] = (np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    leaves: tuple[SplitLeaf, ...] = ()
    tightened: dict[int, tuple[np.ndarray, dict[int, np.ndarray]]] = field(default_factory=dict)
    places: tuple[int, ...] = ()  # the node that each unsafe set speaks of; empty: all of the output
    constraints: tuple[np.ndarray, np.ndarray] | None = (
        None  # rows and bounds: of the box the inputs with rows x <= bounds
    )
    inside: tuple[int, ...] | None = None  # an input (p_1 / q, ..., p_d / q) that satisfies the constraints, q last
    refined: dict[int, tuple[RefinedEnds, ...]] = field(default_factory=dict)  # signs: by node, after `tightened`


@dataclass(frozen=True, eq=False)
class Certificate:
    """Proofs of one question about one network, or of the difference of two.

    Networks, property and region are named by the SHA-256 of their canonical forms (`question`); a certificate of
    format 1 names the networks' files instead, and no property. `files` are where the network, and the property or the
    other network, were found: a hint, nothing is proven by it.
    """

    networks: tuple[str, ...]
    property: str
    region: str
    proofs: tuple[Proof, ...]
    files: tuple[Path, ...] = ()
    version: Literal[1, 2] = 2
