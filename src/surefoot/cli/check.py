"""`surefoot check`: is a certificate a proof?"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from surefoot.cli.options import Json, Output
from surefoot.core.errors import InputError
from surefoot.core.proven import at_least, at_most

if TYPE_CHECKING:
    from surefoot.graph.graph import Graph
    from surefoot.proof.certificate import Certificate
    from surefoot.proof.question import Question
    from surefoot.spec.query import Query


def command(
    network: Annotated[
        Path, typer.Argument(help="The .onnx file that the certificate speaks of; or the certificate, alone.")
    ],
    prop: Annotated[
        Optional[Path],
        typer.Argument(metavar="PROPERTY", help="The .vnnlib file that was proven, or the .onnx file of `compress`."),
    ] = None,
    certificate: Annotated[
        Optional[Path],
        typer.Argument(help="What `verify` or `compress` left by `--certificate`."),
    ] = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Replay a certificate: that it is of this network and this property, leaves nothing out, and every bound holds.

    Alone, a certificate tells where the files were, seen from it; that they are the same is checked as always.

    The check shares no code with the search: NumPy and sparse matrices, rounded outward (docs/trusted_base.md).

    Example: surefoot check net.onnx property.vnnlib proof.npz

    Example: surefoot check proof.npz
    """
    if prop is None:
        network, prop, certificate = (*_files_of(network), network)
    if certificate is None:
        raise InputError("either a certificate alone, or network, property and certificate")
    if prop.name.endswith((".onnx", ".onnx.gz")):
        _check_equal(network, prop, certificate, as_json)
    else:
        _check_property(network, prop, certificate, output, as_json)


def _check_property(network: Path, prop: Path, certificate: Path, output: str | None, as_json: bool) -> None:
    from surefoot.proof.files import load_certificate
    from surefoot.proof.property import check_property, parts_of
    from surefoot.proof.question import check_networks, checked_graph
    from surefoot.spec.opening import open_onnx
    from surefoot.spec.vnnlib import read_vnnlib

    loaded = load_certificate(certificate)
    whole = open_onnx(network, output).graph
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
    parts = sum(map(parts_of, loaded.proofs))
    if as_json:
        print(json.dumps({"valid": True, "margin": margin, "parts": parts}, allow_nan=False))
    else:
        least = at_least(margin, 4)
        print(
            f"valid: in real arithmetic no input of the region of {prop} has an output of {network} that it calls "
            f"unsafe ({parts} part{'s' if parts != 1 else ''}, least margin {least})"
        )


def _files_of(certificate: Path) -> tuple[Path, Path]:
    from surefoot.proof.files import load_certificate

    files = load_certificate(certificate).files
    if len(files) != 2:
        raise InputError(f"{certificate} does not say where its files are: name network, property and certificate")
    for file in files:
        if file.exists() and not file.is_file():  # a pipe or a device may have no end
            raise InputError(f"{certificate} names {file}, which is no file: name network, property and certificate")
    return files[0], files[1]


def _check_files_named(loaded: "Certificate", certificate: Path, files: tuple[Path, ...]) -> None:
    """See that a certificate of format 1 names these files; format 2 names networks, and is compared with those."""
    from surefoot.core.onnx_file import digest_of

    if loaded.version == 1 and loaded.networks != tuple(digest_of(file) for file in files):
        raise InputError(f"{certificate} is about another network than {' and '.join(map(str, files))}")


def _asked(whole: "Graph", queries: "Sequence[Query]") -> "list[Question]":
    """Return what a property asks of the logits, which `checked_graph` ends in."""
    from surefoot.graph.passes.softmax import link_of
    from surefoot.proof.question import Question
    from surefoot.spec.outputs import comparisons_of_logits

    if not all(query.has_exact_weights for query in queries):
        raise InputError("the property has weights of more digits than float64 holds, which certificates do not cover")
    of_logits = [comparisons_of_logits(query, link_of(whole)) for query in queries]
    return [
        Question(query.inputs.lower, query.inputs.upper, [(unsafe.weights, unsafe.bounds) for unsafe in query.unsafe])
        for query in of_logits
        if query is not None  # no output is what it calls unsafe
    ]


def _check_equal(first: Path, second: Path, certificate: Path, as_json: bool) -> None:
    from surefoot.core.rounding import softmax_change
    from surefoot.graph.passes.softmax import OUTPUTS, link_of
    from surefoot.proof.equality import check_equal
    from surefoot.proof.files import load_certificate
    from surefoot.proof.question import checked_graph
    from surefoot.spec.opening import open_onnx

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
    bound, domain = float(bounds.max()), _domain(loaded)
    confidence = softmax_change(bound)
    if as_json:
        answer = {"valid": True, "domain": domain, "logits": bound, "confidence": confidence}
        print(json.dumps(answer, allow_nan=False))
    else:
        print(
            f"valid: in real arithmetic for {domain} no logit of {first} and {second} differs by more than "
            f"{at_most(bound, 3)}, no confidence by {at_most(confidence, 3)}"
        )
        from surefoot.graph.same import same_operations

        if same_operations(*wholes):
            print("the two networks are the same, constant for constant: that bound is what the check itself rounds")


def _domain(certificate: "Certificate") -> str:
    proof = certificate.proofs[0]

    def plain(value: float) -> str:  # 0.9999999 is not 1
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)

    low, high = (
        "..".join(plain(value) for value in dict.fromkeys((float(end.min()), float(end.max()))))
        for end in (proof.lower, proof.upper)
    )
    satisfying = "" if proof.constraints is None else f" that satisfy {len(proof.constraints[1])} linear rows"
    return f"inputs from {low} to {high}{satisfying}"
