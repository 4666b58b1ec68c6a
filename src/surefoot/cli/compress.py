"""`surefoot compress`: the same answers from a smaller network."""

import json
import math
from pathlib import Path
from typing import Annotated, Optional

import typer

from surefoot.cli.arguments import patience_of, read_domain, read_images
from surefoot.cli.options import Domain, Json, Limit, Memory
from surefoot.core.proven import at_most


def command(
    network: Annotated[Path, typer.Argument(help="An .onnx file.")],
    domain: Domain,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the smaller network.")] = Path("small.onnx"),
    certificate: Annotated[
        Optional[Path],
        typer.Option(help="Write what `surefoot check NETWORK SMALL CERTIFICATE` needs."),
    ] = None,
    images: Annotated[
        Optional[Path],
        typer.Option(help="An .npz file with inputs `x`: data shows quickly which units cannot be stable."),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(min=0, help="Also remove units that are almost stable, changing no logit by more than this."),
    ] = 0.0,
    clip: Annotated[bool, typer.Option("--clip", help="Let the file move every input into the domain first.")] = False,
    limit: Limit = 600.0,
    memory: Memory = None,
    as_json: Json = False,
) -> None:
    """Remove what cannot matter for any input of the domain: the answers stay the same, outside nothing is promised.

    Example: surefoot compress net.onnx --domain 0,1 -o small.onnx --certificate proof.npz
    """
    from surefoot.compress.file_equality import read_logits
    from surefoot.compress.files import compress_file
    from surefoot.core.plain import plain

    shape = read_logits(network).input_shape
    where, seen = read_domain(domain, shape), read_images(images, shape)
    report = compress_file(network, out, where, patience_of(limit), seen, certificate, tolerance, clip)
    if as_json:
        print(json.dumps({**plain(report), "sentence": report.sentence}, allow_nan=False))
        return
    for line in report.log:
        print(line)
    print(report.sentence)
    print(report.of_units)
    logits = "" if math.isnan(report.met) else f"no logit moved by more than {at_most(report.met, 2)}, "
    print(f"ONNX Runtime, float32: {logits}no confidence by more than {at_most(report.confidence_met, 2)}.")
    print(f"network: {out}")
    if report.certified:
        print(f"certificate: {certificate}")
