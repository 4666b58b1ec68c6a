"""`surefoot compress`: the same answers from a smaller network."""

import json
from pathlib import Path
from typing import Annotated, Optional

import numpy as np
import torch
import typer
from torch import Tensor

from surefoot.cli.options import Json
from surefoot.cli.verify import numbers
from surefoot.compress.files import Report, compress_file, read_logits
from surefoot.compress.stability import Domain as Box
from surefoot.compress.stability import LinearConstraints, Patience
from surefoot.core.deadline import Deadline
from surefoot.core.errors import FileError, InputError
from surefoot.core.files import keep_inputs, open_npz
from surefoot.evaluate.evaluation import plain

Domain = Annotated[
    str,
    typer.Option(
        help="Least and largest value of every input, such as 0,1; or an .npz file of `lower` and `upper`, and perhaps "
        "`rows` and `bounds`: rows x <= bounds."
    ),
]
Limit = Annotated[
    float, typer.Option("--limit", "--timeout", min=0, help="Seconds, at most; what was found by then is said.")
]
SEARCH = 2.0  # seconds for each unit that is searched exactly,
SEARCH_SHARE = 0.003  # or so much of the limit, if that is more


def command(
    network: Annotated[Path, typer.Argument(help="An .onnx file.")],
    domain: Domain,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the smaller network.")] = Path("small.onnx"),
    certificate: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write what `surefoot check NETWORK SMALL CERTIFICATE` needs."),
    ] = None,
    images: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="An .npz file with inputs `x`: data shows quickly which units cannot be stable."),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(min=0, help="Also remove units that are almost stable, changing no logit by more than this."),
    ] = 0.0,
    clip: Annotated[bool, typer.Option("--clip", help="Let the file move every input into the domain first.")] = False,
    limit: Limit = 600.0,
    as_json: Json = False,
) -> None:
    """Remove what cannot matter for any input of the domain: the answers stay the same, outside nothing is promised.

    Example: surefoot compress net.onnx --domain 0,1 -o small.onnx --certificate proof.npz
    """
    keep_inputs({"--out": out, "--certificate": certificate}, (network, images, domain))
    shape = read_logits(network).input_shape
    sample_inputs = None if images is None else read_inputs(images, shape)
    report = compress_file(
        network, out, read_domain(domain, shape), patience_of(limit), sample_inputs, certificate, tolerance, clip
    )
    if as_json:
        print(json.dumps({**plain(report), "sentence": report.sentence}, allow_nan=False))
        return
    for line in report.log:
        print(line)
    print(report.sentence)
    print(_of_units(report))
    logits = "" if np.isnan(report.met) else f"no logit moved by more than {report.met:.2g}, "
    print(f"ONNX Runtime, float32: {logits}no confidence by more than {report.confidence_met:.2g}.")
    print(
        f"network: {out}" + ("" if certificate is None or not certificate.exists() else f"\ncertificate: {certificate}")
    )


def _of_units(report: Report) -> str:
    open_ = f", {report.unstable} not decided" if report.unstable else ""
    return (
        f"Over the domain {report.active} units are active, {report.inactive} inactive, "
        f"{report.open - report.unstable} neither{open_} ({report.searched} searched exactly)."
    )


def patience_of(limit: float) -> Patience:
    """Return how long to search each unit, and all of them, within so many seconds from now; 0: only what is quick."""
    return Patience(max(SEARCH, SEARCH_SHARE * limit), Deadline.of(limit))


def read_domain(text: str, shape: tuple[int, ...]) -> Box:
    """Read a box of inputs of a shape, and the its linear input constraints, if there are any.

    Raises:
        InputError: neither two numbers, lower first, nor a file with arrays of that many values.
        FileError: a file that cannot be read.
    """
    arrays: dict[str, np.ndarray] = {}
    if text.endswith(".npz"):
        arrays = _arrays(Path(text))
        if "lower" not in arrays or "upper" not in arrays:
            raise InputError(f"{text}: arrays `lower` and `upper` are needed")
        ends = [torch.from_numpy(np.asarray(arrays[name], dtype=np.float64)) for name in ("lower", "upper")]
        if any(end.numel() != torch.Size(shape).numel() for end in ends):
            raise InputError(f"{text}: {ends[0].numel()} and {ends[1].numel()} values; the network takes {shape}")
        lower, upper = (end.reshape(shape) for end in ends)
    else:
        low, high = numbers(text, 2, "--domain")
        lower, upper = (torch.full(shape, value, dtype=torch.float64) for value in (low, high))
    if not bool(torch.isfinite(lower + upper).all()) or bool((lower > upper).any()):
        raise InputError(f"--domain {text}: finite values are needed, the lower not above the upper")
    if ("rows" in arrays) != ("bounds" in arrays):
        raise InputError(f"{text}: `rows` and `bounds` belong together: rows x <= bounds")
    return Box(
        lower, upper, LinearConstraints.of(arrays["rows"], arrays["bounds"], lower, upper) if "rows" in arrays else None
    )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with open_npz(path) as held:
            return {name: held[name] for name in held.files}
    except Exception as error:
        raise FileError(f"{path} cannot be read as an .npz file: {error}") from error


def read_inputs(path: Path, shape: tuple[int, ...]) -> Tensor:
    """Read inputs (n, *shape) in float64 from an .npz file; bytes are divided by 255.

    Raises:
        InputError: no such array, or one that does not fit.
        FileError: a file that cannot be read.
    """
    x = _arrays(path).get("x")
    if x is None or x.dtype.kind not in "fiu" or x.ndim < 2 or x[0].size != torch.Size(shape).numel():
        raise InputError(f"{path}: an array `x` of inputs {shape} is needed")
    scaled = torch.from_numpy(x.astype(np.float64) / (255 if x.dtype == np.uint8 else 1))
    if not bool(torch.isfinite(scaled).all()):
        raise InputError(f"{path}: `x` holds a value that is not finite")
    return scaled.reshape(-1, *shape)
