"""The check of a certificate as files: that it is of these networks and this question, and that every bound holds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from surefoot.core.errors import FileError, InputError
from surefoot.core.files import writing
from surefoot.core.onnx_file import digest_of
from surefoot.core.rounding import softmax_change
from surefoot.graph.graph import Graph
from surefoot.graph.onnx_inputs import Shapes
from surefoot.graph.passes.softmax import OUTPUTS, link_of
from surefoot.graph.same import same_operations
from surefoot.proof.certificate import Certificate, Proof
from surefoot.proof.equality import check_equal
from surefoot.proof.files import load_certificate
from surefoot.proof.property import check_property, parts_of
from surefoot.proof.question import Question, check_networks, checked_graph
from surefoot.spec.opening import open_onnx
from surefoot.spec.outputs import comparisons_of_logits
from surefoot.spec.query import Query
from surefoot.spec.vnnlib import read_vnnlib

BEYOND_CONSTRAINTS = "the property relates several inputs, which certificates do not cover"


@dataclass(frozen=True)
class CheckedProperty:
    """A property that is proven: the least margin of its subproblems, and how many these are."""

    margin: float
    parts: int


@dataclass(frozen=True, eq=False)
class CheckedEquality:
    """A proven difference of two networks: of any logit, and of any confidence, over the domain that the proof names.

    `same`: whether the two are the same operations with the same constants.
    """

    logits: float
    confidence: float
    domain: Proof
    same: bool


def check_property_file(
    network: Path | str,
    prop: Path | str,
    certificate: Path | str,
    output: str | None = None,
    shapes: Shapes | None = None,
) -> CheckedProperty:
    """Check that a certificate proves a VNN-LIB property of an ONNX network.

    Property: sound in real arithmetic: shares nothing with the search but the readers of networks and questions.

    Raises:
        FileError: a file that cannot be read.
        InputError: the certificate proves something else, or nothing; the message says what is missing.
    """
    loaded = load_certificate(certificate)
    whole = open_onnx(network, output, shapes).graph
    graph = checked_graph(whole)
    _check_files_named(loaded, certificate, (network,))
    try:
        check_networks(loaded, [graph])
    except InputError as error:
        raise InputError(f"{certificate} and {network}: {error}") from error
    asked = _asked(whole, read_vnnlib(prop, math.prod(whole.input_shape), math.prod(whole.output_shape)))
    if not asked:
        raise InputError(
            f"no output is what {prop} calls unsafe, whatever {network} computes: no certificate is needed"
        )
    try:
        margin = check_property(loaded, graph, asked)
    except InputError as error:
        raise InputError(f"{certificate} does not prove {prop} of {network}: {error}") from error
    return CheckedProperty(margin, sum(map(parts_of, loaded.proofs)))


def check_equal_files(first: Path | str, second: Path | str, certificate: Path | str) -> CheckedEquality:
    """Check that a certificate bounds the difference of two ONNX networks over its domain.

    Property: sound in real arithmetic: shares nothing with the search but the readers of networks.

    Raises:
        FileError: a file that cannot be read.
        InputError: the certificate speaks of other networks, or a bound of it does not hold.
    """
    loaded = load_certificate(certificate)
    wholes = [open_onnx(path).graph for path in (first, second)]
    one, two = (OUTPUTS[link_of(whole)] for whole in wholes)
    if one != two:
        raise InputError(f"the outputs of {first} are {one} and those of {second} {two}: they cannot be compared")
    _check_files_named(loaded, certificate, (first, second))
    try:
        bounds = check_equal(loaded, *map(checked_graph, wholes))
    except InputError as error:
        raise InputError(f"{certificate} does not show that {first} and {second} agree: {error}") from error
    bound = float(bounds.max())
    return CheckedEquality(bound, softmax_change(bound), loaded.proofs[0], same_operations(*wholes))


def files_of_certificate(certificate: Path | str) -> tuple[Path, Path]:
    """Return where a certificate says that its two files are, seen from it.

    Raises:
        FileError: it cannot be read.
        InputError: it does not say, or names what is no file.
    """
    files = load_certificate(certificate).files
    if len(files) != 2:
        raise InputError(f"{certificate} does not say where its files are: name network, property and certificate")
    for file in files:
        if file.exists() and not file.is_file():  # a pipe or a device may have no end
            raise InputError(f"{certificate} names {file}, which is no file: name network, property and certificate")
    return files[0], files[1]


def remove_certificate(path: Path) -> bool:
    """Remove a certificate of before; return False where the file is none, which is left as it is."""
    try:
        load_certificate(path)
    except FileError:
        return False
    with writing(path):
        path.unlink()
    return True


def _check_files_named(loaded: Certificate, certificate: Path | str, files: tuple[Path | str, ...]) -> None:
    """See that a certificate of format 1 names these files; format 2 names networks, and is compared with those."""
    if loaded.version == 1 and loaded.networks != tuple(digest_of(file) for file in files):
        raise InputError(f"{certificate} is about another network than {' and '.join(map(str, files))}")


def _asked(whole: Graph, queries: Sequence[Query]) -> list[Question]:
    """Return what a property asks of the logits, which `checked_graph` ends in."""
    if not all(query.has_exact_weights for query in queries):
        raise InputError("the property has weights of more digits than float64 holds, which certificates do not cover")
    if any(query.inputs.constraints is not None for query in queries):
        raise InputError(BEYOND_CONSTRAINTS)
    of_logits = [comparisons_of_logits(query, link_of(whole)) for query in queries]
    return [
        Question(query.inputs.lower, query.inputs.upper, [(unsafe.weights, unsafe.bounds) for unsafe in query.unsafe])
        for query in of_logits
        if query is not None  # no output is what it calls unsafe
    ]
