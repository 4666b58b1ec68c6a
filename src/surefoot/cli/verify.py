"""`surefoot verify`: does a property hold for every input of a region?"""

import json
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from surefoot.cli.options import Cluster, Json, Output, Seed
from surefoot.core.cluster import workers
from surefoot.core.deadline import Deadline
from surefoot.core.errors import InputError
from surefoot.core.files import keep_inputs
from surefoot.proof.files import save_certificate
from surefoot.proof.question import certificate_of_property
from surefoot.verify.many import Settings, load_images, open_network, plain, verify_many
from surefoot.verify.opening import see_agreement_over
from surefoot.verify.query import Unknown
from surefoot.verify.regions import Region, ball, brightening, line, patch, pixels
from surefoot.verify.run import Method, Network
from surefoot.verify.several import answer_all
from surefoot.verify.vnnlib import read_vnnlib

Kind = Literal["linf", "brighten", "patch", "pixels", "line"]
LARGEST_PLACE = 2**40
_LONG = re.compile("[eE][+-]?[0-9]{5}|[0-9_]{2000}")  # would take long to write out
SEEN = 3  # regions in which the network is compared with ONNX Runtime, beside what every network is asked


def command(
    network: Annotated[Path, typer.Argument(help="An .onnx file, or an .onnx.gz.")],
    prop: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(metavar="[PROPERTY]", help="A .vnnlib file (VNNLIB 1.0), or a .vnnlib.gz."),
    ] = None,
    images: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Instead of a property: an .npz file of images `x` and classes `y`; each must keep its class."
        ),
    ] = None,
    region: Annotated[Kind, typer.Option(help="What may be done to an image.")] = "linf",
    eps: Annotated[str, typer.Option(help="linf: by how much each value may change, such as 2/255.")] = "",
    valid: Annotated[str, typer.Option("--range", help="The valid range of values, before any normalisation.")] = "0,1",
    threshold: Annotated[float, typer.Option(help="brighten: values from here on are attacked.")] = 0.0,
    delta: Annotated[float, typer.Option(help="brighten: to [0, delta x]. line: how far along.")] = 0.0,
    at: Annotated[str, typer.Option(help="patch: top,left,size. pixels: places in the flat image.")] = "",
    towards: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="line: an .npz file whose `x` are the attacked images."),
    ] = None,
    start: Annotated[float, typer.Option(help="line: where it begins; 0 is the image, 1 the attacked one.")] = 0.0,
    first: Annotated[Optional[int], typer.Option(min=1, help="Only so many images.")] = None,  # noqa: UP045
    timeout: Annotated[float, typer.Option(min=0.0, help="Seconds for each property or image.")] = 60.0,
    method: Annotated[
        Method, typer.Option(help="auto tries the cheap ones first; exact and split are complete.")
    ] = "auto",
    jobs: Annotated[int, typer.Option(min=1, help="Processes at once: images, or the parts of a property.")] = 1,
    cluster: Cluster = None,
    journal: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Keep each image's answer here; the same command goes on where it was stopped."),
    ] = None,
    certificate: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Where to leave the proof, for `surefoot check`."),
    ] = None,
    output: Output = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Prove a property for every input of a region, or find an input that breaks it.

    Holds: proven, in real arithmetic and, if it says so, for any float32 evaluation. Violated: with an input that ONNX
    Runtime was seen to break the property with, on the file as it is. Unknown: neither, and why.

    A property speaks of the network's own outputs: of probabilities where it ends in a softmax, of which two can be
    compared and one bounded.

    Example: surefoot verify net.onnx property.vnnlib --timeout 60 --json

    Example: surefoot verify net.onnx --images test.npz --eps 2/255 --jobs 2 --journal answers.jsonl
    """
    if (prop is None) == (images is None):
        raise InputError("give a property (.vnnlib), or --images")
    keep_inputs({"--certificate": certificate, "--journal": journal}, (network, prop, images, towards))
    opened = open_network(network, output)
    if prop is not None:
        deadline = Deadline.of(timeout)
        queries = deadline.run(lambda: read_vnnlib(prop, opened.inputs, opened.outputs))
        if queries is None:
            late = {"seconds": round(timeout - deadline.left, 3)}
            _show_one(plain(Unknown("time is up", -math.inf, late)), as_json)
            return
        for query in queries[:SEEN]:
            see_agreement_over(opened.whole, opened.run, query.lower, query.upper)
        verdict, proofs = answer_all(opened, queries, deadline, method, seed, certificate is not None, jobs)
        if certificate is not None and proofs:
            save_certificate(certificate, certificate_of_property(opened.graph, proofs, (network, prop)))
        _show_one(plain(verdict), as_json)
        return
    if certificate is not None:
        raise InputError("--certificate goes with a property, one at a time")
    assert images is not None
    x, y = load_images(images, opened)
    x, y = x[:first], y[:first]
    regions = _regions(x, region, eps, numbers(valid, 2, "--range"), threshold, delta, at, towards, start, opened)
    for box in regions[:SEEN] if region in ("linf", "brighten", "patch", "pixels") else ():
        see_agreement_over(opened.whole, opened.run, box.lower, box.upper)
    settings = Settings(str(network.resolve()), method, timeout, seed, output)
    with workers(cluster):
        answers = _with_bar(settings, regions, y.tolist(), 2 if cluster and jobs == 1 else jobs, journal)
    _show_many(answers, as_json)


def numbers(text: str, count: int | None, option: str) -> list[float]:
    """Read numbers between commas, fractions too.

    Raises:
        InputError: something else, or another count.
    """
    if _LONG.search(text):
        raise InputError(f"{option} {text[:40]!r}: a number of so many digits is none that float64 holds")
    try:
        numbers = [float(Fraction(part.strip())) for part in text.split(",")]
    except OverflowError:
        raise InputError(f"{option} {text!r}: a number is beyond what float64 holds, 1.8e308") from None
    except (ValueError, ZeroDivisionError):
        raise InputError(f"{option} {text!r}: numbers such as 2/255 or 0.1 are needed") from None
    if count is not None and len(numbers) != count:
        raise InputError(f"{option} {text!r}: {count} numbers between commas are needed")
    return numbers


def _whole(text: str, count: int | None, option: str) -> list[int]:
    values = numbers(text, count, option)
    for value in values:
        if not value.is_integer() or abs(value) > LARGEST_PLACE:
            raise InputError(f"{option} {text!r}: places of pixels are whole numbers, and {value:g} is none")
    return [int(value) for value in values]


def _regions(
    x: np.ndarray,
    kind: Kind,
    eps: str,
    valid: list[float],
    threshold: float,
    delta: float,
    at: str,
    towards: Path | None,
    start: float,
    network: Network,
) -> list[Region]:
    low, high = valid
    if not low < high:
        raise InputError(f"--range {low:g},{high:g}: the first must be below the second")
    match kind:
        case "linf":
            if not eps:
                raise InputError("--region linf needs --eps, such as 2/255")
            (radius,) = numbers(eps, 1, "--eps")
            return [ball(image, radius, low, high) for image in x]
        case "brighten":
            return [brightening(image, threshold, delta) for image in x]
        case "patch":
            top, left, size = _whole(at, 3, "--at")
            return [patch(image.reshape(network.graph.input_shape), top, left, size, low, high) for image in x]
        case "pixels":
            places = np.array(_whole(at, None, "--at"))
            return [pixels(image, places, low, high) for image in x]
        case "line":
            if towards is None:
                raise InputError("--region line needs --towards, the attacked images")
            attacked, _ = load_images(towards, network)
            if len(attacked) < len(x):
                raise InputError(f"--towards has {len(attacked)} images for {len(x)}")
            return [line(image, other, start, delta) for image, other in zip(x, attacked, strict=False)]


def _with_bar(
    settings: Settings, regions: list[Region], labels: list[int], jobs: int, journal: Path | None
) -> list[dict[str, Any]]:
    counts = {"holds": 0, "violated": 0, "unknown": 0}
    spared = programs = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("verifying", total=len(regions))

        def done(_: int, answer: dict[str, Any]) -> None:
            nonlocal spared, programs
            counts[answer["verdict"]] += 1
            spared += int(answer.get("spared", 0))
            programs += int(answer.get("programs", 0))
            words = ", ".join(f"{n} {name}" for name, n in counts.items())
            progress.update(task, advance=1, description=f"{words}; {programs} LPs, {spared} spared")

        return verify_many(settings, regions, labels, jobs, journal, done)


def _show_one(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer, allow_nan=False))
        return
    print(_sentence(answer))
    if answer["verdict"] == "violated":
        print(
            "input: "
            + " ".join(f"{v:.9g}" for v in answer["input"][:50])
            + (" ..." if len(answer["input"]) > 50 else "")
        )
        print("output: " + " ".join(f"{v:.9g}" for v in answer["output"][:50]))


def _sentence(answer: dict[str, Any]) -> str:
    time = f"{answer['seconds']:.1f} s"
    match answer["verdict"]:
        case "holds":
            also = (
                "and for any float32 evaluation" if "float32" in answer["proven_for"] else "only; not shown for float32"
            )
            return f"holds: margin {answer['margin']:.4g}, by {answer['method']}, in real arithmetic {also} ({time})"
        case "violated":
            far = answer.get("distance_to_region")
            where = f", {far:.2g} outside of the region, which holds no such float32 input" if far else ""
            return f"violated: by {answer['method']}, seen by ONNX Runtime{where} ({time})"
        case _:
            margin = "none" if answer["margin"] is None else f"{answer['margin']:.4g}"
            return f"unknown: {answer['why']}; best margin {margin} ({time})"


def _show_many(answers: list[dict[str, Any]], as_json: bool) -> None:
    counts = {name: sum(a["verdict"] == name for a in answers) for name in ("holds", "violated", "unknown")}
    float32 = sum("float32" in a.get("proven_for", ()) for a in answers)
    if as_json:
        print(json.dumps({"counts": counts, "holds_float32": float32, "images": answers}, allow_nan=False))
        return
    n = len(answers)
    for number, answer in enumerate(answers):
        print(f"image {number} (class {answer['label']}) {_sentence(answer)}")
    print(
        f"certified accuracy: {counts['holds'] / n:.1%} of {n} ({float32} of {counts['holds']} also in float32); ",
        end="",
    )
    print(f"violated {counts['violated'] / n:.1%}, unknown {counts['unknown'] / n:.1%}")
