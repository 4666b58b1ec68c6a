"""What a certificate is about, in canonical form: compared as values, and named by SHA-256.

The canonical form of a network is that of the graph that is checked: operations, wiring, shapes and constants as
float64, no names. That of a property is, box by box, the set of its unsafe sets, each the set of its rows (weights,
bound): order and repetition do not matter, and -0 is 0. Every field is written after its length, so that no two forms
share their bytes.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph
from surefoot.graph.ops import Conv2d, ElementwiseAffine, Gather, Linear
from surefoot.graph.passes.functions import with_joined_functions
from surefoot.graph.passes.pools import pools_as_relus
from surefoot.graph.passes.softmax import flat_output, logits_of
from surefoot.proof.certificate import Certificate, Proof

Unsafe: TypeAlias = tuple[
    np.ndarray, np.ndarray
]  # weights (r, k) and bounds (r,): the outputs y with weights y <= bounds
Region: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]
RowSet: TypeAlias = frozenset[tuple[float, ...]]  # of one unsafe set, each row with its bound
Claims: TypeAlias = dict[Region, frozenset[RowSet]]


@dataclass(frozen=True, eq=False)
class Question:
    """Is there an input in the box [lower, upper], flat, whose output lies in one of the unsafe sets?"""

    lower: np.ndarray
    upper: np.ndarray
    unsafe: Sequence[Unsafe]


def checked_graph(graph: Graph) -> Graph:
    """Return the graph that certificates speak of: flat logits, in float64, max pooling written with ReLUs.

    Products of a value and a function of it are one function.
    """
    return pools_as_relus(with_joined_functions(flat_output(logits_of(graph)).to(torch.float64)))


def claims_of(questions: Iterable[Question | Proof]) -> Claims:
    """Return what is asked, or proven, as values that can be compared.

    >>> one = Question(np.zeros(1), np.ones(1), [(np.array([[1.0]]), np.array([-0.0]))])
    >>> claims_of([one, one])
    {((0.0,), (1.0,)): frozenset({frozenset({(1.0, 0.0)})})}
    """
    claims: Claims = {}
    for question in questions:
        region = (_plain(question.lower), _plain(question.upper))
        sets = (frozenset(_plain(row) for row in np.column_stack(pair)) for pair in question.unsafe)
        claims[region] = claims.get(region, frozenset()) | frozenset(sets)
    return claims


def _plain(x: np.ndarray) -> tuple[float, ...]:
    return tuple((x + 0.0).tolist())  # -0 + 0 is 0


# as certificates have named them from the first
_NAMES: dict[type, str] = {Gather: "Take", ElementwiseAffine: "Scale"}
_BIASES: dict[type, str] = {Linear: "offset", Conv2d: "offset", ElementwiseAffine: "shift"}


def network_digest(graph: Graph) -> str:
    """Return the SHA-256 of a network's canonical form."""
    digest = _Digest("network")
    for node in graph.nodes:
        digest.words(
            _NAMES.get(type(node.op), type(node.op).__name__), *map(str, node.inputs), "gives", *map(str, node.shape)
        )
        for field in fields(node.op):
            if field.name == "rounded":  # the constants are named by themselves
                continue
            value = getattr(node.op, field.name)
            digest.words(_BIASES[type(node.op)] if field.name == "bias" else field.name)
            if not isinstance(value, Tensor):
                digest.words(repr(value))
            else:
                digest.array((value.double() if value.is_floating_point() else value.long()).detach().numpy())
    return digest.hex()


def property_digest(claims: Claims) -> str:
    """Return the SHA-256 of what is unsafe, box by box."""
    digest = _Digest("property")
    for region in sorted(claims):
        digest.words("box")
        for rows in sorted(sorted(rows) for rows in claims[region]):
            digest.words("unsafe")
            for row in rows:
                digest.array(np.array(row))
    return digest.hex()


def region_digest(claims: Claims) -> str:
    """Return the SHA-256 of the boxes."""
    digest = _Digest("region")
    for lower, upper in sorted(claims):
        digest.array(np.array(lower))
        digest.array(np.array(upper))
    return digest.hex()


def domain_digest(proof: Proof) -> str:
    """Return the SHA-256 of the domain over which two networks are compared: a box and linear constraints."""
    digest = _Digest("domain")
    for array in (proof.lower, proof.upper, *(proof.constraints or ())):
        digest.array(array)
    return digest.hex()


DIFFERENCE = hashlib.sha256(b"by how much can two networks differ?").hexdigest()


class _Digest:
    """Fields, each after its length."""

    def __init__(self, what: str) -> None:
        self.digest = hashlib.sha256()
        self.words(what)

    def words(self, *words: str) -> None:
        for word in (str(len(words)), *words):
            content = word.encode()
            self.digest.update(len(content).to_bytes(8, "little") + content)

    def array(self, x: np.ndarray) -> None:
        whole = x.dtype.kind == "i"
        self.words("whole numbers" if whole else "numbers", *map(str, x.shape))
        self.digest.update(np.ascontiguousarray(x if whole else x + 0.0, dtype="<i8" if whole else "<f8").tobytes())

    def hex(self) -> str:
        return self.digest.hexdigest()


def certificate_of_property(graph: Graph, proofs: tuple[Proof, ...], files: tuple = ()) -> Certificate:
    """Make the certificate of proofs about a graph."""
    claims = claims_of(proofs)
    return Certificate((network_digest(graph),), property_digest(claims), region_digest(claims), proofs, files)


def certificate_of_difference(
    graphs: tuple[Graph, Graph], proofs: tuple[Proof, Proof], files: tuple = ()
) -> Certificate:
    """Make the certificate of the difference of two graphs, of proofs of which signs each has over one domain."""
    networks = tuple(network_digest(graph) for graph in graphs)
    return Certificate(networks, DIFFERENCE, domain_digest(proofs[0]), proofs, files)


def check_networks(certificate: Certificate, graphs: Sequence[Graph]) -> None:
    """Check that a certificate names these graphs; format 1 names the networks' files, and who has them checks that.

    Raises:
        InputError: it is about another network, or another number of networks.
    """
    if len(certificate.networks) != len(graphs):
        raise InputError(f"the certificate is of {len(certificate.networks)} networks, not of {len(graphs)}")
    if certificate.version == 2 and certificate.networks != tuple(network_digest(graph) for graph in graphs):
        raise InputError("the certificate is about another network")


def check_named(certificate: Certificate, graphs: Sequence[Graph], property_: str, region: str) -> None:
    """Check that a certificate names these graphs, this property and this region; format 1 names no more than files.

    Raises:
        InputError: which of them is another.
    """
    check_networks(certificate, graphs)
    if certificate.version == 1:
        return
    if certificate.region != region:
        raise InputError("the certificate is about another region")
    if certificate.property != property_:
        raise InputError("the certificate is about another property")
