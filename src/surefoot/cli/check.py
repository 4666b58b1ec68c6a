"""`surefoot check`: is a certificate a proof?"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from surefoot.cli.options import Json, Memory, Output, Shape, shapes_of
from surefoot.core.errors import InputError
from surefoot.core.proven import at_least, at_most

if TYPE_CHECKING:
    from surefoot.graph.onnx_inputs import Shapes
    from surefoot.proof.certificate import Proof


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
    shape: Shape = None,
    memory: Memory = None,
    as_json: Json = False,
) -> None:
    """Replay a certificate: that it is of this network and this property, leaves nothing out, and every bound holds.

    A certificate alone is enough where it names its files, by paths relative to itself. That they are the files that
    it is about is checked as always.

    The check imports nothing of the search; the reader of networks and questions is shared. It computes with NumPy and
    sparse matrices, rounded outward (docs/trusted_base.md).

    Example: surefoot check net.onnx property.vnnlib proof.npz

    Example: surefoot check proof.npz
    """
    from surefoot.spec.checking import files_of_certificate

    if prop is None:
        network, prop, certificate = (*files_of_certificate(network), network)
    if certificate is None:
        raise InputError("either a certificate alone, or network, property and certificate")
    if prop.name.endswith((".onnx", ".onnx.gz")):
        _check_equal(network, prop, certificate, as_json)
    else:
        _check_property(network, prop, certificate, output, shapes_of(shape), as_json)


def _check_property(
    network: Path, prop: Path, certificate: Path, output: str | None, shapes: "Shapes", as_json: bool
) -> None:
    from surefoot.spec.checking import check_property_file

    checked = check_property_file(network, prop, certificate, output, shapes)
    if as_json:
        print(json.dumps({"valid": True, "margin": checked.margin, "parts": checked.parts}, allow_nan=False))
        return
    print(
        f"valid: in real arithmetic no input of the region of {prop} has an output of {network} that it calls unsafe "
        f"({checked.parts} part{'s' if checked.parts != 1 else ''}, least margin {at_least(checked.margin, 4)})"
    )


def _check_equal(first: Path, second: Path, certificate: Path, as_json: bool) -> None:
    from surefoot.spec.checking import check_equal_files

    checked = check_equal_files(first, second, certificate)
    domain = _domain(checked.domain)
    if as_json:
        answer = {"valid": True, "domain": domain, "logits": checked.logits, "confidence": checked.confidence}
        print(json.dumps(answer, allow_nan=False))
        return
    print(
        f"valid: in real arithmetic for {domain} no logit of {first} and {second} differs by more than "
        f"{at_most(checked.logits, 3)}, no confidence by {at_most(checked.confidence, 3)}"
    )
    if checked.same:
        print("the two networks are the same, constant for constant: that bound is what the check itself rounds")


def _domain(proof: "Proof") -> str:
    def plain(value: float) -> str:  # 0.9999999 is not 1
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)

    low, high = (
        "..".join(plain(value) for value in dict.fromkeys((float(end.min()), float(end.max()))))
        for end in (proof.lower, proof.upper)
    )
    satisfying = "" if proof.constraints is None else f" that satisfy {len(proof.constraints[1])} linear rows"
    return f"inputs from {low} to {high}{satisfying}"
