"""`surefoot verify`: does a property hold for every input of a region?"""

import json
import math
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import numpy as np
import typer

from surefoot.cli.arguments import say_inputs
from surefoot.cli.image_regions import (
    ChannelsAt,
    Places,
    Range,
    Region,
    Start,
    Threshold,
    Towards,
    check_options,
    regions_of,
)
from surefoot.cli.live import Heard, explained, sentence
from surefoot.cli.names import METHODS, RENAMED_METHODS
from surefoot.cli.options import Cluster, Json, Memory, Output, Seed, Shape, shapes_of
from surefoot.cli.standard import answer_query, networks_of
from surefoot.core.errors import InputError
from surefoot.core.proven import at_least, percent_at_least

if TYPE_CHECKING:
    from surefoot.graph.onnx_inputs import Shapes
    from surefoot.spec.input_set import InputSet
    from surefoot.verify.many import Settings
    from surefoot.verify.network import Network

SHOWN = 50  # values of an input or output
KEPT = 0.8  # of the limit for the search, where the rest is for `--explain`


def command(
    network: Annotated[
        Path, typer.Argument(help="An .onnx file, or an .onnx.gz; with --network the property instead, alone.")
    ],
    prop: Annotated[
        Optional[Path],
        typer.Argument(metavar="[PROPERTY]", help="A .vnnlib file (VNN-LIB 1.0 or 2.0), or a .vnnlib.gz."),
    ] = None,
    networks: Annotated[
        Optional[list[str]],
        typer.Option(
            "--network",
            metavar="NAME=FILE",
            help="The .onnx file of a network that a VNN-LIB 2.0 property declares, once for each. The answer is then "
            "the standard's: sat, unsat, unknown or timed-out, and what satisfies it.",
        ),
    ] = None,
    assignments: Annotated[
        Optional[Path],
        typer.Option(
            "--serialise-assignments", help="With --network: a folder for what satisfies it, a TensorProto a tensor."
        ),
    ] = None,
    images: Annotated[
        Optional[Path],
        typer.Option(
            help="Instead of a property: an .npz file of images `x` (uint8 is divided by 255) and classes `y`; each "
            "must keep its class."
        ),
    ] = None,
    region: Region = "linf",
    eps: Annotated[
        str,
        typer.Option(help="linf: by how much each value may change, such as 2/255. l1, l2: the radius of the ball."),
    ] = "",
    valid: Range = "",
    threshold: Threshold = None,
    delta: Annotated[
        Optional[float],
        typer.Option(help="brighten: see --threshold. line: how far along, 1 being the attacked image."),
    ] = None,
    at: Places = "",
    towards: Towards = None,
    start: Start = None,
    layout: ChannelsAt = None,
    first: Annotated[Optional[int], typer.Option(min=1, help="Only so many images.")] = None,
    limit: Annotated[
        float, typer.Option("--limit", "--timeout", min=0.0, help="Seconds for each property or image.")
    ] = 60.0,
    method: Annotated[str, typer.Option(help=f"One of: {', '.join(METHODS)}.")] = "auto",
    jobs: Annotated[int, typer.Option(min=1, help="Processes at once: images, or the parts of a property.")] = 1,
    cluster: Cluster = None,
    journal: Annotated[
        Optional[Path],
        typer.Option(help="Keep each image's answer here; the same command goes on where it was stopped."),
    ] = None,
    certificate: Annotated[
        Optional[Path],
        typer.Option(help="Where to leave the proof, for `surefoot check`, if it holds; else an older one there goes."),
    ] = None,
    output: Output = None,
    shape: Shape = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Say which stages took how long, and which unstable neurons cost the bound most; for a property, or "
            "one image (--first 1). A fifth of the limit is kept for it.",
        ),
    ] = False,
    seed: Seed = 0,
    memory: Memory = None,
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

    Example: surefoot verify net.onnx property.vnnlib --limit 60 --json

    Example: surefoot verify net.onnx --images test.npz --eps 2/255 --jobs 2 --journal answers.jsonl

    Example: surefoot verify equal.vnnlib --network f=net.onnx --network g=pruned.onnx --timeout 60
    """
    method = _method(method)
    if networks:
        others = (prop, images, certificate, journal, output, cluster, shape)
        if explain or as_json or any(other is not None for other in others):
            raise InputError("--network goes with one property (VNN-LIB 2.0), and options of its search alone")
        answer_query(network, networks_of(networks), limit, method, seed, jobs, assignments)
        return
    if assignments is not None:
        raise InputError("--serialise-assignments goes with --network NAME=FILE")
    if (prop is None) == (images is None):
        raise InputError("give a property (.vnnlib), or --images; with a property of several networks, --network")
    about = {"eps": eps, "range": valid, "threshold": threshold, "delta": delta, "at": at, "towards": towards,
             "start": start, "layout": layout}  # fmt: skip
    check_options(about, region if images is not None else None)
    if images is None:
        assert prop is not None
        answer = _of_property(network, prop, output, shapes_of(shape), limit, method, seed, jobs, certificate, explain)
        _show_one(answer, as_json)
        return
    if certificate is not None:
        raise InputError("--certificate goes with a property, one at a time")
    from surefoot.verify.many import Settings, load_images, open_network

    opened = open_network(network, output, shapes_of(shape))
    say_inputs(opened.given)
    x, y = load_images(images, opened)
    x, labels = x[:first], y[:first].tolist()
    if explain and len(x) != 1:
        raise InputError(f"--explain goes with one image, and there are {len(x)}: add --first 1")
    regions = regions_of(x, region, about, opened)
    settings = Settings(
        str(network.resolve()), method, KEPT * limit if explain else limit, seed, output, shapes_of(shape)
    )
    seconds = (1 - KEPT) * limit if explain else None
    _show_many(_of_images(opened, x, labels, regions, settings, jobs, cluster, journal, seconds), as_json)


def _method(name: str) -> str:
    if name in RENAMED_METHODS:
        print(f"surefoot: --method {name} is now called {RENAMED_METHODS[name]}", file=sys.stderr)
        name = RENAMED_METHODS[name]
    if name not in METHODS:
        raise InputError(f"--method {name}: there are {', '.join(METHODS)}")
    return name


def _of_images(
    network: "Network", x: np.ndarray, labels: list[int], regions: "list[InputSet]", settings: "Settings", jobs: int,
    cluster: str | None, journal: Path | None, explain: float | None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Answer whether images keep their classes; explain the first one's bound, within so many seconds."""
    from surefoot.core.cluster import workers
    from surefoot.spec.opening import see_agreement_within
    from surefoot.spec.query import other_classes
    from surefoot.verify.network import region_to_query

    see_agreement_within(network.whole, network.run, [ends for box in regions for ends in box.boxes])
    heard = Heard()
    with workers(cluster), heard.shown(not sys.stderr.isatty()):  # on a terminal there is a bar
        answers = _with_bar(settings, regions, labels, 2 if cluster and jobs == 1 else jobs, journal)
    predicted = network.run(x.reshape(len(x), -1).astype(np.float32)).argmax(1).tolist()
    holding = [_holds_its_image(one, image) for one, image in zip(regions, x, strict=True)]
    answers = [
        {**answer, "predicted": top, "misclassified": inside and top != answer["label"]}
        for answer, top, inside in zip(answers, predicted, holding, strict=True)
    ]
    if explain is not None:
        along, query = region_to_query(network, regions[0], other_classes(labels[0], network.outputs))
        answers[0]["explanation"] = heard.explanation(along, query, explain)
    return answers


def _holds_its_image(region: "InputSet", image: np.ndarray) -> bool:
    """Whether the image that a region is made of lies in it; of a line it is the place 0."""
    place = image.ravel() if region.origin is None else np.zeros(region.size)
    return bool(((region.lower <= place) & (place <= region.upper)).all())


def _of_property(
    network: Path, prop: Path, output: str | None, shapes: "Shapes", limit: float, method: str, seed: int, jobs: int,
    certificate: Path | None, explain: bool,
) -> dict[str, Any]:  # fmt: skip
    """Answer a property, and leave its proof where there is one and it is asked for; explain the first box's bound."""
    from surefoot.core.deadline import Deadline
    from surefoot.spec.query import Unknown
    from surefoot.verify.many import answer_of
    from surefoot.verify.question import read_question
    from surefoot.verify.several import answer_all, beyond_certificates

    deadline = Deadline.of(KEPT * limit if explain else limit)
    begin = deadline.clock.wall()
    asked = deadline.run(lambda: read_question(prop, network, output, shapes))
    if asked is None:
        return answer_of(Unknown("time is up", -math.inf, {"seconds": round(deadline.clock.wall() - begin, 3)}))
    opened, queries = asked.network, asked.queries
    say_inputs(opened.given)
    beyond = None if certificate is None else beyond_certificates(queries, opened, asked.plain)
    prove = certificate is not None and beyond is None
    heard = Heard()
    with heard.shown():
        verdict, proofs = answer_all(opened, queries, deadline, method, seed, prove, jobs, begin)
    answer = answer_of(asked.as_asked(verdict))
    if opened.given is not None and opened.given.described:
        answer["inputs"] = opened.given.described
    if explain and queries:
        answer["explanation"] = heard.explanation(opened, queries[0], (1 - KEPT) * limit)
    if certificate is None:
        return answer
    if not proofs:
        return answer | {"certificate": None, "no_certificate": _why_none(certificate, answer, beyond)}
    from surefoot.proof.files import save_certificate
    from surefoot.proof.question import certificate_of_property

    save_certificate(certificate, certificate_of_property(opened.graph, proofs, (network, prop)))
    return answer | {"certificate": str(certificate)}


def _with_bar(
    settings: "Settings", regions: "list[InputSet]", labels: list[int], jobs: int, journal: Path | None
) -> list[dict[str, Any]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from surefoot.verify.many import verify_many
    from surefoot.verify.progress import listening

    counts = {"holds": 0, "violated": 0, "unknown": 0}
    lps_avoided = lps_solved = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    told = "verifying"
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(told, total=len(regions))

        def done(_: int, answer: dict[str, Any]) -> None:
            nonlocal lps_avoided, lps_solved, told
            counts[answer["verdict"]] += 1
            lps_avoided += int(answer.get("lps_avoided", 0))
            lps_solved += int(answer.get("lps_solved", 0))
            words = ", ".join(f"{n} {name}" for name, n in counts.items())
            told = f"{words}; {lps_solved} LPs, {lps_avoided} avoided"
            progress.update(task, advance=1, description=told)

        with listening(lambda now: progress.update(task, description=f"{told}; {sentence(now)}")):
            return verify_many(settings, regions, labels, jobs, journal, done)


def _show_one(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer, allow_nan=False))
        return
    print(_sentence(answer))
    print(*explained(answer), sep="\n", end="")
    if answer["verdict"] == "violated":
        for name in ("input", "output"):
            more = " ..." if len(answer[name]) > SHOWN else ""
            print(f"{name}: " + " ".join(f"{v:.9g}" for v in answer[name][:SHOWN]) + more)
    if answer.get("certificate"):
        print(f"certificate: {answer['certificate']}")
    elif "no_certificate" in answer:
        print(f"no certificate written: {answer['no_certificate']}")


def _why_none(certificate: Path, answer: dict[str, Any], beyond: str | None) -> str:
    """Say why no certificate was written; one that was there goes: it is not of this answer."""
    from surefoot.spec.checking import remove_certificate

    why = f"the answer is {answer['verdict']}, and only a proof has one"
    if answer["verdict"] == "holds":
        never = "no output is what the property calls unsafe, whatever the network computes: none is needed"
        why = beyond or (never if answer["method"] == "softmax" else f"{answer['method']} writes none")
    if not certificate.is_file():
        return why
    if not remove_certificate(certificate):
        return f"{why}; {certificate}, which is no certificate, was left as it is"
    return f"{why}; the older {certificate} was removed"


def _sentence(answer: dict[str, Any]) -> str:
    time = f"{answer['seconds']:.1f} s"
    match answer["verdict"]:
        case "holds":
            also = (
                "and for any float32 evaluation" if "float32" in answer["proven_for"] else "only; not shown for float32"
            )
            how = f"margin {at_least(answer['margin'], 4)}, by {answer['method']}"
            if "label" not in answer:
                how = f"no input satisfies the property file's assertions; {how}"
            if answer["method"] == "softmax":
                how = "no output of a softmax is what the property calls unsafe"
            return f"holds: {how}, in real arithmetic {also} ({time})"
        case "violated":
            where = f" at {' '.join(f'{a:.9g}' for a in answer['position'])}" if "position" in answer else ""
            what = "this input satisfies the property file's assertions"
            if "label" in answer:
                what = "an input has another class"
                if answer["misclassified"]:
                    what = f"the image itself has class {answer['predicted']}"
            return f"violated{where}: {what}, by {answer['method']}, seen by ONNX Runtime{_where(answer)} ({time})"
        case _:
            margin = "no bound" if answer["margin"] is None else f"best margin {at_least(answer['margin'], 4)}"
            return f"unknown: {answer['why']}; {margin} ({time})"


def _where(answer: dict[str, Any]) -> str:
    far = answer.get("distance_to_region")
    if not far:
        return ""
    if "position" in answer:
        return f" (rounded to float32, {far:.2g} from the line)"
    return f" (rounded to float32, {far:.2g} from the region)"


def _show_many(answers: list[dict[str, Any]], as_json: bool) -> None:
    counts = {name: sum(a["verdict"] == name for a in answers) for name in ("holds", "violated", "unknown")}
    float32 = sum("float32" in a.get("proven_for", ()) for a in answers)
    if as_json:
        print(json.dumps({"counts": counts, "holds_float32": float32, "images": answers}, allow_nan=False))
        return
    n = len(answers)
    for number, answer in enumerate(answers):
        print(f"image {number} (class {answer['label']}) {_sentence(answer)}")
        print(*explained(answer), sep="\n", end="")
    right = sum(answer["predicted"] == answer["label"] for answer in answers)
    print(f"accuracy on the images themselves: {right / n:.1%} of {n}")
    print(
        f"certified accuracy: {percent_at_least(Fraction(counts['holds'], n))} of {n} "
        f"({float32} of {counts['holds']} also in float32); ",
        end="",
    )
    print(f"violated {counts['violated'] / n:.1%}, unknown {counts['unknown'] / n:.1%}")
