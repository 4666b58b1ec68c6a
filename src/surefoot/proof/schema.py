"""What a well-formed certificate is: one table of arrays and a few rules, for certificates from files and from memory.

Nothing is converted, completed or broadcast: an array of another type, rank, length or range is refused, so that the
checks after this one meet exactly what they were written for.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Elementwise, Mul, Relu
from surefoot.proof.certificate import Certificate, Proof, RefinedEnds, SplitLeaf

DIGEST = re.compile(r"[0-9a-f]{64}")
LONGEST = 10_000  # bits of a whole number
REAL, WHOLE, SIGNS = ("<f8",), ("<i8",), ("|i1",)
PROPOSED = ("<f2", "<f4", "<f8")  # slopes and multipliers: any value will do, and each is a float64 exactly


@dataclass(frozen=True)
class Array:
    """What one array must be: its types, its shape in letters, and for whole numbers the range and uniqueness."""

    types: tuple[str, ...]
    shape: tuple[str, ...]
    below: str = ""  # whole numbers are at least 0 and below the size of this letter
    unique: bool = False


# d inputs, k values that an unsafe set speaks of, r rows of it, h bisections, b boxes that they make, n values of the
# node that is tightened, w of them tightened, w2 both ends of these, m values of a ReLU (of a function twice as many:
# slopes of lines below, then above), c linear input constraints, n2 ends of a node's values, e of them refined, p parts
# of the region, s values whose signs these decide, a nodes before, v values at most of a node
ARRAYS = {
    "lower": Array(REAL, ("d",)),
    "upper": Array(REAL, ("d",)),
    "weights": Array(REAL, ("r", "k")),
    "bounds": Array(REAL, ("r",)),
    "boxes that are bisected": Array(WHOLE, ("h",), below="b", unique=True),
    "axes": Array(WHOLE, ("h",), below="d"),
    "places of bisections": Array(REAL, ("h",)),
    "values to tighten": Array(WHOLE, ("w",), below="n", unique=True),
    "slopes to tighten with": Array(PROPOSED, ("w2", "m")),
    "slopes": Array(PROPOSED, ("m",)),
    "multipliers": Array(PROPOSED, ("m",)),
    "ends that are refined": Array(WHOLE, ("e",), below="n2", unique=True),
    "owners of parts": Array(WHOLE, ("p",), below="e"),
    "ReLUs of parts": Array(WHOLE, ("s",), below="a"),
    "values of parts": Array(WHOLE, ("s",), below="v"),
    "signs of parts": Array(SIGNS, ("p", "s")),
    "slopes and multipliers of parts": Array(PROPOSED, ("p", "s")),
    "rows of linear input constraints": Array(REAL, ("c", "d")),
    "bounds of linear input constraints": Array(REAL, ("c",)),
}


def fail(what: str) -> InputError:
    """Make the error for what is not well-formed."""
    return InputError(f"the certificate is malformed: {what}")


def check_property_schema(certificate: Certificate, graph: Graph) -> None:
    """Check that a certificate is one of a property of the graph, and well-formed.

    Raises:
        InputError: what is not.
    """
    _check_certificate(certificate, 1)
    if not certificate.proofs:
        raise InputError("the certificate proves nothing: it has no proof")
    for number, proof in enumerate(certificate.proofs):
        if type(proof) is not Proof:
            raise fail(f"proof {number} is none")
        if proof.constraints is not None or proof.inside is not None:
            raise InputError("the certificate speaks of a part of a box: it is no proof of a property")
        if proof.places != ():
            raise InputError("the certificate speaks of inner nodes: it is no proof of a property")
        if not proof.unsafe:
            raise InputError(f"the certificate proves nothing: proof {number} names nothing that is unsafe")
        _Fit(f"proof {number}", graph).check(proof)


def check_equality_schema(certificate: Certificate, first: Graph, second: Graph) -> None:
    """Check that a certificate is one of the difference of two graphs, and well-formed.

    Raises:
        InputError: what is not.
    """
    _check_certificate(certificate, 2)
    if len(certificate.proofs) != 2:
        raise InputError(f"the certificate has {len(certificate.proofs)} proofs; two networks need two")
    for number, (proof, graph) in enumerate(zip(certificate.proofs, (first, second), strict=True)):
        if type(proof) is not Proof:
            raise fail(f"proof {number} is none")
        if proof.kind != "signs":
            raise fail(f"proof {number} is by {proof.kind!r}; the difference of networks is shown by signs")
        if proof.refined:
            raise fail(f"proof {number} refines bounds; the difference of networks is shown without")
        fit = _Fit(f"proof {number}", graph)
        fit.check(proof)
        if len(proof.places) != len(proof.unsafe):
            raise fail(f"proof {number} has {len(proof.unsafe)} unsafe sets at {len(proof.places)} nodes")


def _check_certificate(certificate: Certificate, networks: int) -> None:
    if type(certificate.networks) is not tuple or len(certificate.networks) != networks:
        raise InputError(f"the certificate is of {len(certificate.networks)} networks, not of {networks}")
    if certificate.version not in (1, 2):
        raise fail(f"its format is {certificate.version}")
    names = (*certificate.networks, *((certificate.property, certificate.region) if certificate.version == 2 else ()))
    if any(type(name) is not str or not DIGEST.fullmatch(name) for name in names):
        raise fail("a network, property or region is not named by a SHA-256")
    if type(certificate.proofs) is not tuple:
        raise fail("its proofs are no tuple")


@dataclass
class _Fit:
    """Checks one proof against the graph that it speaks of."""

    where: str
    graph: Graph
    sizes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.values = [int(np.prod(node.shape)) for node in self.graph.nodes]
        self.relus = [at for at, node in enumerate(self.graph.nodes) if isinstance(node.op, Relu)]
        self.bent = {
            i for node in self.graph.nodes if isinstance(node.op, Relu | Elementwise | Mul) for i in node.inputs
        }
        self.functions = [at for at, node in enumerate(self.graph.nodes) if isinstance(node.op, Elementwise)]
        self.linear = {self.graph.nodes[at].inputs[0] for at in self.relus}  # what enters a ReLU

    def fail(self, what: str) -> InputError:
        return fail(f"{self.where}, {what}")

    def check(self, proof: Proof) -> None:
        if proof.kind not in ("boxes", "signs") or type(proof.thorough) is not bool:
            raise self.fail(f"its kind {proof.kind!r} or thoroughness {proof.thorough!r} is unknown")
        if len(proof.bisections) != 3:
            raise self.fail(f"{len(proof.bisections)} arrays of bisections; 3 are needed")
        bisections = len(proof.bisections[0]) if np.ndim(proof.bisections[0]) else 0
        self.sizes = {"d": self.values[0], "b": 2 * bisections + 1}
        self.array("lower", proof.lower)
        self.array("upper", proof.upper)
        if not (proof.lower <= proof.upper).all():
            raise self.fail("a lower bound of the region is above its upper bound: it is empty")
        self.array("boxes that are bisected", proof.bisections[0])
        self.array("axes", proof.bisections[1])
        self.array("places of bisections", proof.bisections[2])
        if proof.kind == "boxes" and (proof.leaves or proof.tightened or proof.refined):
            raise self.fail("a proof by boxes has no leaves, no slopes and no parts")
        if proof.kind == "signs" and (bisections or proof.thorough):
            raise self.fail("a proof by signs bisects no box")
        self._check_constraints(proof)
        self._check_unsafe(proof)
        self._check_tightened(proof)
        for at, some in self.mapping("nodes that are refined", proof.refined).items():
            self.number("a node that is refined", at, self.bent)
            if type(some) is not tuple or any(type(ends) is not RefinedEnds for ends in some):
                raise self.fail(f"what is refined of node {at} are no ends")
            for ends in some:
                self._check_refined(at, ends)
        if type(proof.leaves) is not tuple:
            raise self.fail("its leaves are no tuple")
        for number, leaf in enumerate(proof.leaves):
            self._check_leaf(proof, leaf, number)

    def _check_constraints(self, proof: Proof) -> None:
        if proof.constraints is None:
            if proof.inside is not None:
                raise self.fail("an input is named that satisfies constraints, and no constraints")
            return
        if len(proof.constraints) != 2:
            raise self.fail("linear input constraints are not a pair of rows and bounds")
        self.array("rows of linear input constraints", proof.constraints[0])
        self.array("bounds of linear input constraints", proof.constraints[1])
        if proof.inside is None:
            raise InputError("the certificate names no input that satisfies its constraints: make it anew")
        if type(proof.inside) is not tuple or len(proof.inside) != self.sizes["d"] + 1:
            raise self.fail(
                f"the input that satisfies the constraints is not {self.sizes['d']} numerators and a denominator"
            )
        if any(type(x) is not int or x.bit_length() > LONGEST for x in proof.inside) or proof.inside[-1] < 1:
            raise self.fail(
                f"the input that satisfies the constraints is not of whole numbers of at most {LONGEST} bits"
            )

    def _check_unsafe(self, proof: Proof) -> None:
        if type(proof.unsafe) is not tuple or type(proof.places) is not tuple:
            raise self.fail("its unsafe sets, or their nodes, are no tuple")
        for place in proof.places:
            self.number("the node of an unsafe set", place, self.linear)
        if proof.places and len(proof.places) != len(proof.unsafe):
            raise self.fail(f"{len(proof.unsafe)} unsafe sets at {len(proof.places)} nodes")
        for number, pair in enumerate(proof.unsafe):
            if len(pair) != 2:
                raise self.fail(f"unsafe set {number} is no pair of weights and bounds")
            self.sizes.pop("r", None)
            self.sizes["k"] = self.values[proof.places[number] if proof.places else -1]
            self.array("weights", pair[0])
            self.array("bounds", pair[1])
            if not len(pair[1]):
                raise InputError(f"unsafe set {number} is every output: no network avoids that")
            if proof.places and not (
                pair[0].shape[0] == 1 and pair[1][0] == 0 and np.abs(pair[0]).sum() == 1 == np.abs(pair[0]).max()
            ):
                raise InputError("the certificate speaks of more than the sign of a value")

    def _check_tightened(self, proof: Proof) -> None:
        for at, pair in self.mapping("values to tighten", proof.tightened).items():
            self.number("a node to tighten", at, self.bent)
            if type(pair) is not tuple or len(pair) != 2:
                raise self.fail(f"node {at} has no pair of values and slopes")
            self.sizes.pop("w", None)
            self.sizes["n"] = self.values[at]
            self.array("values to tighten", pair[0])
            self.sizes["w2"] = 2 * self.sizes["w"]
            self.proposals("slopes to tighten with", pair[1], at)

    def _check_refined(self, at: int, ends: RefinedEnds) -> None:
        self.sizes = {"n2": 2 * self.values[at], "a": at, "v": max(self.values)}
        self.array("ends that are refined", ends.ends)
        self.array("owners of parts", ends.owners)
        self.array("ReLUs of parts", ends.relus)
        self.array("values of parts", ends.values)
        self.array("signs of parts", ends.signs)
        self.array("slopes and multipliers of parts", ends.duals)
        decided = set(zip(ends.relus.tolist(), ends.values.tolist(), strict=True))
        if any(relu not in self.relus or value >= self.values[relu] for relu, value in decided):
            raise self.fail(f"parts at node {at} decide what is no value of a ReLU")
        if len(decided) < len(ends.relus):
            raise self.fail(f"parts at node {at} decide a sign twice")
        if not (np.abs(ends.signs.astype(int)) <= 1).all():
            raise self.fail(f"parts at node {at} have a sign that is none of 1, -1 and 0")
        if not (ends.duals >= 0).all():
            raise self.fail(f"parts at node {at} have a slope or multiplier below 0")

    def _check_leaf(self, proof: Proof, leaf: SplitLeaf, number: int) -> None:
        if type(leaf) is not SplitLeaf or type(leaf.signs) is not tuple:
            raise self.fail(f"leaf {number} is none")
        self.number(f"the unsafe set of leaf {number}", leaf.unsafe, range(len(proof.unsafe)))
        self.number(f"the row of leaf {number}", leaf.row, range(len(proof.unsafe[leaf.unsafe][1])))
        last = proof.places[leaf.unsafe] if proof.places else len(self.values)
        units = set()
        for sign in leaf.signs:
            if type(sign) is not tuple or len(sign) != 3:
                raise self.fail(f"a sign of leaf {number} is not (ReLU, value, sign)")
            place, value, side = sign
            self.number(f"a ReLU or function of leaf {number}", place, [*self.relus, *self.functions])
            self.number(f"a value of leaf {number}", value, range(self.values[place]))
            self.number(f"a sign of leaf {number}", side, (1, -1))
            if place >= last:
                raise self.fail(f"leaf {number} decides a sign that comes after the node it speaks of")
            units.add((place, value))
        if len(units) < len(leaf.signs):
            raise self.fail(f"leaf {number} decides a sign twice")
        self.proposals("slopes", leaf.slopes, last)
        self.proposals("multipliers", leaf.multipliers, last)

    def proposals(self, name: str, value: object, before: int) -> None:
        """Check arrays that are named by the ReLUs and functions before a node; these have two slopes a value."""
        for place, array in self.mapping(name, value).items():
            self.number(f"the ReLU of {name}", place, [at for at in (*self.relus, *self.functions) if at < before])
            two = place in self.functions and name != "multipliers"
            self.sizes["m"] = self.values[place] * (2 if two else 1)
            self.array(name, array)

    def mapping(self, name: str, value: object) -> Mapping:
        if type(value) is not dict:
            raise self.fail(f"the {name} are not named by nodes")
        return value

    def number(self, name: str, value: object, allowed: object) -> None:
        """Check one whole number; True is none, and no number counts from the end."""
        if type(value) is not int or value not in allowed:  # type: ignore[operator]
            raise self.fail(f"{name} is {str(value)[:40]!r}, which cannot be")

    def array(self, name: str, x: object) -> None:
        """Check one array by the table."""
        form = ARRAYS[name]
        if type(x) is not np.ndarray:
            raise self.fail(f"{name}: {type(x).__name__} is no array")
        if x.dtype.newbyteorder("=") != x.dtype or x.dtype.newbyteorder("<").str not in form.types:
            raise self.fail(f"{name}: an array of {x.dtype.str}; {' or '.join(form.types)} is needed")
        if x.ndim != len(form.shape):
            raise self.fail(f"{name}: an array of shape {x.shape}; rank {len(form.shape)} is needed")
        wanted = tuple(self.sizes.setdefault(letter, n) for letter, n in zip(form.shape, x.shape, strict=True))
        if x.shape != wanted:
            raise self.fail(f"{name}: an array of shape {x.shape}; {wanted} is needed")
        if form.types != WHOLE and not np.isfinite(x).all():
            raise self.fail(f"{name}: {x[~np.isfinite(x)][0]} is not a finite number")
        if form.below and not ((x >= 0) & (x < self.sizes[form.below])).all():
            raise self.fail(f"{name}: a number that is not between 0 and {self.sizes[form.below] - 1}")
        if form.unique and len(np.unique(x)) < len(x):
            raise self.fail(f"{name}: a number that is there twice")
