"""`surefoot check`: is a certificate a proof?"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from surefoot.cli.options import Json
from surefoot.compress.files import check_files
from surefoot.core.errors import InputError
from surefoot.graph.onnx_file import load_model
from surefoot.graph.onnx_in import graph_of_onnx
from surefoot.graph.passes.pools import pools_as_rectifiers
from surefoot.graph.passes.softmax import logits_of
from surefoot.reach.certificate import check, load_certificate
from surefoot.verify.many import digest_of, same_property
from surefoot.verify.vnnlib import read_vnnlib


def command(
    network: Annotated[Path, typer.Argument(help="The .onnx file that the certificate speaks of.")],
    prop: Annotated[
        Path,
        typer.Argument(metavar="PROPERTY", help="The .vnnlib file that was proven, or the .onnx file of `compress`."),
    ],
    certificate: Annotated[Path, typer.Argument(help="What `verify` or `compress` left by `--certificate`.")],
    as_json: Json = False,
) -> None:
    """Replay a certificate: that it is of this network and this property, leaves nothing out, and every bound holds.

    The check shares no code with the search: NumPy and sparse matrices, rounded outward (`reach/checker.py`).

    Example: surefoot check net.onnx property.vnnlib proof.npz
    """
    if ".onnx" in prop.suffixes:
        return _check_equal(network, prop, certificate, as_json)
    held = load_certificate(certificate)
    if held.network != digest_of(network):
        raise InputError(f"{certificate} is about another network than {network}")
    graph = pools_as_rectifiers(logits_of(graph_of_onnx(load_model(network))).to(torch.float64))
    inputs, outputs = torch.Size(graph.input_shape).numel(), torch.Size(graph.output_shape).numel()
    if not same_property(held, read_vnnlib(prop, inputs, outputs)):
        raise InputError(f"{certificate} proves another property than {prop}")
    margin = check(held, graph)
    parts = sum(len(proof.leaves) or len(proof.halvings[0]) + 1 for proof in held.proofs)
    if as_json:
        print(json.dumps({"valid": True, "margin": margin, "parts": parts}))
    else:
        print(f"valid: {parts} parts, least margin {margin:.4g}")


def _check_equal(first: Path, second: Path, certificate: Path, as_json: bool) -> None:
    bounds, domain = check_files(first, second, certificate)
    bound = float(bounds.max())
    confidence = float(np.tanh(bound / 2))
    if as_json:
        print(json.dumps({"valid": True, "domain": domain, "logits": bound, "confidence": confidence}))
    else:
        print(f"valid: for {domain} no logit differs by more than {bound:.3g}, no confidence by {confidence:.3g}")
