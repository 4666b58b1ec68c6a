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
from surefoot.core.errors import FileError, InputError
from surefoot.core.files import keep_inputs, writing
from surefoot.proof.files import load_certificate, save_certificate
from surefoot.proof.question import certificate_of_property
from surefoot.spec.opening import see_agreement_within
from surefoot.spec.outputs import no_certificate_of_thresholds, of_logits
from surefoot.spec.perturbations import Region, brightening, line, linf_ball, patch, pixels
from surefoot.spec.query import Query, Unknown
from surefoot.spec.vnnlib import read_vnnlib
from surefoot.verify.many import Settings, load_images, open_network, plain, verify_many
from surefoot.verify.run import Method, Network
from surefoot.verify.several import answer_all

Kind = Literal["linf", "brighten", "patch", "pixels", "line"]
SHOWN = 50  # values of an input or output
LARGEST_PLACE = 2**40
_LONG = re.compile("[eE][+-]?[0-9]{5}|[0-9_]{2000}")  # would take long to write out


def command(
    network: Annotated[Path, typer.Argument(help="An .onnx file, or an .onnx.gz.")],
    prop: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(metavar="[PROPERTY]", help="A .vnnlib file (VNNLIB 1.0), or a .vnnlib.gz."),
    ] = None,
    images: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Instead of a property: an .npz file of images `x` (uint8 is divided by 255) and classes `y`; each "
            "must keep its class."
        ),
    ] = None,
    region: Annotated[Kind, typer.Option(help="What may be done to an image.")] = "linf",
    eps: Annotated[str, typer.Option(help="linf: by how much each value may change, such as 2/255.")] = "",
    valid: Annotated[
        str,
        typer.Option("--range", help="linf, patch, pixels: the valid range, before any normalisation. Default: 0,1."),
    ] = "",
    threshold: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="brighten: values x from here on may be anything from 0 to delta x, the others stay."),
    ] = None,
    delta: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="brighten: see --threshold. line: how far along, 1 being the attacked image."),
    ] = None,
    at: Annotated[str, typer.Option(help="patch: top,left,size. pixels: places in the flat image.")] = "",
    towards: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="line: an .npz file whose `x` are the attacked images."),
    ] = None,
    start: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="line: where it begins; 0 is the image, the default, and 1 the attacked one."),
    ] = None,
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
        typer.Option(help="Where to leave the proof, for `surefoot check`, if it holds; else an older one there goes."),
    ] = None,
    output: Output = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Prove a property for every input of a region, or find an input that breaks it.

    A property file asserts what must NOT happen: the inputs, and the outputs that would be unsafe. To prove that Y_3
    stays above 0.9, assert (<= Y_3 0.9): `holds` says that no input of the region satisfies all assertions.

    Holds: proven, in real arithmetic and, if it says so, for any float32 evaluation. Violated: with an input that
    satisfies them, as ONNX Runtime was seen to compute on the file as it is. Unknown: neither, and why.

    Images of bytes (uint8) are divided by 255; others are taken as they are.

    A property speaks of the network's own outputs: of probabilities where it ends in a softmax, of which two can be
    compared and one bounded.

    The exit status is 0 for all three: read the verdict (--json). It is 2 or 3 for what cannot be asked or read.

    Example: surefoot verify net.onnx property.vnnlib --timeout 60 --json

    Example: surefoot verify net.onnx --images test.npz --eps 2/255 --jobs 2 --journal answers.jsonl
    """
    if (prop is None) == (images is None):
        raise InputError("give a property (.vnnlib), or --images")
    keep_inputs({"--certificate": certificate, "--journal": journal}, (network, prop, images, towards))
    about = {"eps": eps, "range": valid, "threshold": threshold, "delta": delta, "at": at, "towards": towards,
             "start": start}  # fmt: skip
    _check_options(about, region if images is not None else None)
    opened = open_network(network, output)
    if prop is not None:
        deadline = Deadline.of(timeout)
        queries = deadline.run(lambda: _read(prop, opened))
        if queries is None:
            late = {"seconds": round(timeout - deadline.left, 3)}
            _show_one(plain(Unknown("time is up", -math.inf, late)), as_json)
            return
        beyond = None if certificate is None else _beyond_certificates(queries, opened)
        prove = certificate is not None and beyond is None
        verdict, proofs = answer_all(opened, queries, deadline, method, seed, prove, jobs)
        answer = plain(verdict)
        if certificate is not None and proofs:
            save_certificate(certificate, certificate_of_property(opened.graph, proofs, (network, prop)))
            answer["certificate"] = str(certificate)
        elif certificate is not None:
            answer |= {"certificate": None, "no_certificate": _why_none(certificate, answer, beyond)}
        _show_one(answer, as_json)
        return
    if certificate is not None:
        raise InputError("--certificate goes with a property, one at a time")
    assert images is not None
    x, y = load_images(images, opened)
    x, y = x[:first], y[:first]
    span = numbers(valid or "0,1", 2, "--range")
    regions = _regions(x, region, eps, span, threshold or 0.0, delta or 0.0, at, towards, start or 0.0, opened)
    see_agreement_within(opened.whole, opened.run, [ends for box in regions for ends in _boxes_of(box)])
    settings = Settings(str(network.resolve()), method, timeout, seed, output)
    with workers(cluster):
        answers = _with_bar(settings, regions, y.tolist(), 2 if cluster and jobs == 1 else jobs, journal)
    _show_many(answers, as_json)


_NEEDED: dict[Kind, dict[str, str]] = {
    "linf": {"eps": "such as 2/255"},
    "brighten": {"threshold": "from which on values are attacked", "delta": "for values x from 0 to delta x"},
    "patch": {"at": "top,left,size"},
    "pixels": {"at": "places in the flat image between commas"},
    "line": {"towards": "the attacked images", "delta": "how far along, above 0"},
}
_MORE: dict[Kind, tuple[str, ...]] = {"linf": ("range",), "patch": ("range",), "pixels": ("range",), "line": ("start",)}


def _check_options(given: dict[str, Any], kind: Kind | None) -> None:
    """Refuse a region without what makes it one, and what another kind of region, or a property, has no use for.

    Raises:
        InputError: the option.
    """
    said = {name for name, value in given.items() if value is not None and value != ""}
    if kind is None:
        for name in sorted(said):
            raise InputError(f"--{name} goes with --images: a property names its own region")
        return
    for name, what in _NEEDED[kind].items():
        if name not in said:
            raise InputError(f"--region {kind} needs --{name}, {what}")
    for name in sorted(said - {*_NEEDED[kind], *_MORE.get(kind, ())}):
        raise InputError(f"--{name} does not go with --region {kind}")
    if kind == "line" and not given["delta"] > 0:
        raise InputError(f"--delta {given['delta']:g}: a line needs a length above 0, or it is the image alone")


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
            (radius,) = numbers(eps, 1, "--eps")
            return [linf_ball(image, radius, low, high) for image in x]
        case "brighten":
            return [brightening(image, threshold, delta) for image in x]
        case "patch":
            top, left, size = _whole(at, 3, "--at")
            return [patch(image.reshape(network.graph.input_shape), top, left, size, low, high) for image in x]
        case "pixels":
            places = np.array(_whole(at, None, "--at"))
            return [pixels(image, places, low, high) for image in x]
        case "line":
            assert towards is not None
            attacked, _ = load_images(towards, network)
            if len(attacked) < len(x):
                raise InputError(f"--towards has {len(attacked)} images for {len(x)}")
            return [line(image, other, start, delta) for image, other in zip(x, attacked, strict=False)]


def _boxes_of(region: Region) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return boxes of inputs within a region: it, or where it has directions its middle and two corners, as points."""
    if region.directions is None or region.centre is None:
        return [(region.lower, region.upper)]
    places = [0.5 * region.lower + 0.5 * region.upper, region.lower, region.upper]
    return [(x, x) for x in (region.centre.ravel() + place @ region.directions for place in places)]


def _with_bar(
    settings: Settings, regions: list[Region], labels: list[int], jobs: int, journal: Path | None
) -> list[dict[str, Any]]:
    counts = {"holds": 0, "violated": 0, "unknown": 0}
    lps_avoided = lps_solved = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("verifying", total=len(regions))

        def done(_: int, answer: dict[str, Any]) -> None:
            nonlocal lps_avoided, lps_solved
            counts[answer["verdict"]] += 1
            lps_avoided += int(answer.get("spared", 0))
            lps_solved += int(answer.get("programs", 0))
            words = ", ".join(f"{n} {name}" for name, n in counts.items())
            progress.update(task, advance=1, description=f"{words}; {lps_solved} LPs, {lps_avoided} spared")

        return verify_many(settings, regions, labels, jobs, journal, done)


def _show_one(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer, allow_nan=False))
        return
    print(_sentence(answer))
    if answer["verdict"] == "violated":
        for name in ("input", "output"):
            more = " ..." if len(answer[name]) > SHOWN else ""
            print(f"{name}: " + " ".join(f"{v:.9g}" for v in answer[name][:SHOWN]) + more)
    if answer.get("certificate"):
        print(f"certificate: {answer['certificate']}")
    elif "no_certificate" in answer:
        print(f"no certificate: {answer['no_certificate']}")


def _read(prop: Path, network: Network) -> list[Query]:
    """Read a property; see that its network and the runtime agree in its boxes."""
    queries = read_vnnlib(prop, network.inputs, network.outputs)
    see_agreement_within(network.whole, network.run, [(query.lower, query.upper) for query in queries])
    return queries


def _beyond_certificates(queries: list[Query], network: Network) -> str | None:
    """Say why no certificate speaks of a property, whatever the answer; None where one can."""
    if not all(query.has_exact_weights for query in queries):
        return "the property has weights of more digits than float64 holds: no certificate speaks of it"
    for query in queries:
        if network.link == "identity":
            break
        if any(conditions.thresholds for conditions in of_logits(query, network.link).sets):
            return no_certificate_of_thresholds(network.link)
    return None


def _why_none(certificate: Path, answer: dict[str, Any], beyond: str | None) -> str:
    """Say why no certificate was written; one that was there goes: it is not of this answer."""
    why = answer["verdict"]
    if why == "holds" and beyond is not None:
        why = beyond
    elif why == "holds":
        never = answer["method"] == "softmax"
        why = "none is needed, whatever the network computes" if never else "the proof by this method leaves none"
    if not certificate.is_file():
        return why
    try:
        load_certificate(certificate)
    except FileError:  # no certificate: not ours to remove
        return f"{why}; {certificate}, which is no certificate, was left as it is"
    with writing(certificate):
        certificate.unlink()
    return f"{why}; the older {certificate} was removed"


def _sentence(answer: dict[str, Any]) -> str:
    time = f"{answer['seconds']:.1f} s"
    match answer["verdict"]:
        case "holds":
            also = (
                "and for any float32 evaluation" if "float32" in answer["proven_for"] else "only; not shown for float32"
            )
            how = f"margin {answer['margin']:.4g}, by {answer['method']}"
            if "label" not in answer:
                how = f"no input satisfies the property file's assertions; {how}"
            if answer["method"] == "softmax":
                how = "no output of a softmax is what the property calls unsafe"
            return f"holds: {how}, in real arithmetic {also} ({time})"
        case "violated":
            where = f" at {' '.join(f'{a:.9g}' for a in answer['position'])}" if "position" in answer else ""
            what = "an input has another class" if "label" in answer else (
                "this input satisfies the property file's assertions")  # fmt: skip
            return f"violated{where}: {what}, by {answer['method']}, seen by ONNX Runtime{_where(answer)} ({time})"
        case _:
            margin = "no bound" if answer["margin"] is None else f"best margin {answer['margin']:.4g}"
            return f"unknown: {answer['why']}; {margin} ({time})"


def _where(answer: dict[str, Any]) -> str:
    far = answer.get("distance_to_region")
    if not far:
        return ""
    if "position" in answer:
        return f" (rounded to float32, {far:.2g} from the line)"
    return f" (no float32 input lies in the region; this one is {far:.2g} from it)"


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
