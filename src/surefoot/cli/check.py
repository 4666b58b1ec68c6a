"""`surefoot check`: is a certificate a proof?"""

import json
from pathlib import Path
from typing import Annotated, Optional

import numpy as np
import torch
import typer

from surefoot.cli.options import Json, Output
from surefoot.compress.files import check_files
from surefoot.core.errors import InputError
from surefoot.graph.passes.pools import pools_as_rectifiers
from surefoot.graph.passes.softmax import link_of, logits_of
from surefoot.reach.certificate import check, load_certificate
from surefoot.verify.many import digest_of, same_property
from surefoot.verify.opening import open_onnx
from surefoot.verify.outputs import comparisons_of_logits
from surefoot.verify.vnnlib import read_vnnlib


def command(
    network: Annotated[
        Path, typer.Argument(help="The .onnx file that the certificate speaks of; or the certificate, alone.")
    ],
    prop: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(metavar="PROPERTY", help="The .vnnlib file that was proven, or the .onnx file of `compress`."),
    ] = None,
    certificate: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(help="What `verify` or `compress` left by `--certificate`."),
    ] = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Replay a certificate: that it is of this network and this property, leaves nothing out, and every bound holds.

    Alone, a certificate tells where the files were, seen from it; that they are the same is checked as always.

    The check shares no code with the search: NumPy and sparse matrices, rounded outward (`reach/checker.py`).

    Example: surefoot check net.onnx property.vnnlib proof.npz

    Example: surefoot check proof.npz
    """
    if prop is None:
        network, prop, certificate = (*_files_of(network), network)
    if certificate is None:
        raise InputError("either a certificate alone, or network, property and certificate")
    if ".onnx" in prop.suffixes:
        return _check_equal(network, prop, certificate, as_json)
    held = load_certificate(certificate)
    if held.network != digest_of(network):
        raise InputError(f"{certificate} is about another network than {network}")
    whole = open_onnx(network, output).graph
    graph = pools_as_rectifiers(logits_of(whole))
    inputs, outputs = torch.Size(graph.input_shape).numel(), torch.Size(graph.output_shape).numel()
    asked = [comparisons_of_logits(query, link_of(whole)) for query in read_vnnlib(prop, inputs, outputs)]
    if not same_property(held, [query for query in asked if query is not None]):
        raise InputError(f"{certificate} proves another property than {prop}")
    margin = check(held, graph)
    parts = sum(len(proof.leaves) or len(proof.halvings[0]) + 1 for proof in held.proofs)
    if as_json:
        print(json.dumps({"valid": True, "margin": margin, "parts": parts}))
    else:
        print(f"valid: {network} has the property {prop}: {parts} parts, least margin {margin:.4g}")


def _files_of(certificate: Path) -> tuple[Path, Path]:
    files = load_certificate(certificate).files
    if len(files) != 2:
        raise InputError(f"{certificate} does not say where its files are: name network, property and certificate")
    return files[0], files[1]


def _check_equal(first: Path, second: Path, certificate: Path, as_json: bool) -> None:
    bounds, domain = check_files(first, second, certificate)
    bound = float(bounds.max())
    confidence = float(np.tanh(bound / 2))
    if as_json:
        print(json.dumps({"valid": True, "domain": domain, "logits": bound, "confidence": confidence}))
    else:
        print(
            f"valid: for {domain} no logit of {first} and {second} differs by more than {bound:.3g}, no confidence by "
            f"{confidence:.3g}"
        )
