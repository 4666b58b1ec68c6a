"""`surefoot equal`: can two networks differ?"""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Optional

import numpy as np
import typer

from surefoot.cli.arguments import patience_of, read_domain, read_images
from surefoot.cli.options import Domain, Json, Limit, Memory
from surefoot.core.errors import InputError
from surefoot.core.files import whole_file
from surefoot.core.proven import at_most

if TYPE_CHECKING:
    from surefoot.compress.stability import Patience
    from surefoot.spec.input_set import InputSet
    from surefoot.spec.query import Verdict

POLYNOMIAL = 0.5  # of the limit, to decide whether two networks are the same polynomial


def command(
    first: Annotated[Path, typer.Argument(help="An .onnx file.")],
    second: Annotated[Path, typer.Argument(help="Another, of the same inputs and outputs.")],
    domain: Domain,
    within: Annotated[
        Optional[float],
        typer.Option(help="Prove that no output differs by so much, or find an input where one does."),
    ] = None,
    answer: Annotated[
        bool,
        typer.Option("--answer", help="Prove that the largest output is the same everywhere, or find where it is not."),
    ] = False,
    sure: Annotated[
        Optional[float],
        typer.Option(help="With --answer: only where the first's confidence is at least so much."),
    ] = None,
    limit: Limit = 60.0,
    images: Annotated[
        Optional[Path],
        typer.Option(help="An .npz file with inputs `x`: for how many is the answer proven to be the same?"),
    ] = None,
    map_file: Annotated[
        Optional[Path],
        typer.Option(
            "--map", help="A fitted calibrator: bound calibrated confidences too, anywhere or at the --images."
        ),
    ] = None,
    out: Annotated[
        Optional[Path],
        typer.Option("--out", "-o", help="Write the input of the largest difference (.npy)."),
    ] = None,
    memory: Memory = None,
    as_json: Json = False,
) -> None:
    """Bound by how much two networks' logits and confidences can differ over a domain; show the largest difference met.

    With --within the exit status is 1 where the networks differ by more, or where that could not be decided. It speaks
    of the files' outputs: of logits, or of probabilities where both end in a softmax. With --answer it is 1 where the
    answers differ, or where that could not be decided.

    Example: surefoot equal net.onnx quantised.onnx --domain 0,1 --within 0.1
    """
    from surefoot.compress.file_equality import read_logits, same_polynomial_files

    if within is not None and not 0 < within < math.inf:
        raise InputError(f"--within {within}: a positive number is needed")
    if within is not None and answer:
        raise InputError("--within and --answer are two questions: ask one")
    if sure is not None and not answer:
        raise InputError("--sure belongs to --answer")
    if sure is not None and not 0 <= sure < 1:
        raise InputError(f"--sure {sure}: a confidence from 0 to below 1 is needed")
    shape = read_logits(first).input_shape
    where = read_domain(domain, shape)
    patience = patience_of(limit)
    polynomial = patience.until.before(POLYNOMIAL).run(lambda: same_polynomial_files(first, second))
    if polynomial is not None and polynomial.same:
        said = {"verdict": "equal", "proven": True, "bound": {"logits": 0.0, "confidence": 0.0}}
        sentence = (
            "the same polynomial: equal for every input whatever, in exact arithmetic (evaluated at random points "
            f"of finite fields; wrong with a probability of at most {polynomial.error:.0e}, whoever made the files)"
        )
        said |= {"same_polynomial": True, "error": polynomial.error}
        print(json.dumps(said, allow_nan=False) if as_json else sentence)
    elif answer:
        _decide_answer(first, second, where, sure or 0.0, patience, out, as_json)
    elif within is not None:
        _decide(first, second, where, within, patience, out, as_json)
    else:
        _bound(first, second, where, shape, patience, images, map_file, out, as_json)


def _decide(
    first: Path, second: Path, where: "InputSet", within: float, patience: "Patience", out: Path | None, as_json: bool
) -> NoReturn:
    """Say whether the networks differ by so much anywhere in the domain."""
    from surefoot.compress.file_equality import ends_of, read_logits, within_files
    from surefoot.graph.passes.softmax import OUTPUT
    from surefoot.spec.query import Holds, Violated

    answer = within_files(first, second, where, within, patience.until)
    if isinstance(answer, Violated) and out is not None:
        _save(out, answer.input.reshape(read_logits(first).input_shape))
    _say(answer, within, OUTPUT[ends_of(first, second)], as_json)
    raise typer.Exit(0 if isinstance(answer, Holds) else 1)


def _decide_answer(
    first: Path, second: Path, where: "InputSet", sure: float, patience: "Patience", out: Path | None, as_json: bool
) -> NoReturn:
    """Say whether the networks' answers differ anywhere in the domain."""
    from surefoot.compress.file_equality import read_logits, same_answer_files
    from surefoot.spec.query import Holds, Unknown, Violated

    answer = same_answer_files(first, second, where, patience.until, sure)
    if isinstance(answer, Violated) and out is not None:
        _save(out, answer.input.reshape(read_logits(first).input_shape))
    inputs = f"every input for which {first} is sure to {sure:g}" if sure else "every input"
    if as_json:
        print(json.dumps(_content(answer), allow_nan=False))
    elif isinstance(answer, Holds):
        print(f"holds: the answer is the same for {inputs} of the domain ({answer.method})")
    elif isinstance(answer, Violated):
        one, two = (int(logits.argmax()) for logits in np.split(answer.output, 2))
        print(f"violated: an input has the answers {one} and {two}, replayed in float32")
    elif isinstance(answer, Unknown):
        print(f"unknown: {answer.why}")
    raise typer.Exit(0 if isinstance(answer, Holds) else 1)


def _bound(
    first: Path, second: Path, where: "InputSet", shape: tuple[int, ...], patience: "Patience", images: Path | None,
    map_file: Path | None, out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Say by how much the networks can differ over the domain, and by how much they were seen to."""
    from surefoot.compress.file_equality import ends_of, equal_files, logits_of_file, replayed
    from surefoot.core.plain import plain

    difference = equal_files(first, second, where, patience)
    proven, replay = bool(np.isfinite(difference.largest)), replayed(first, second, difference.input)[0]
    other = difference.other is not None and replayed(first, second, difference.other)[1]
    x = read_images(images, shape)
    logits = None if x is None else logits_of_file(first, x)
    same = None if logits is None else int(difference.same_answer(logits).sum())
    repaired = _calibrated(map_file, difference.bound, logits) if map_file is not None and proven else {}
    if out is not None:
        _save(out, difference.input if not other or difference.other is None else difference.other)
    if as_json:
        bounds = {"logits": difference.largest, "confidence": difference.confidence} if proven else None
        met = {
            "largest_difference_seen": replay,
            "met": difference.met,
            "met_in_float32": replay,
            "answers_differ": other,
        }
        verdict = "equal" if difference.largest == 0 else "different" if replay > 0 else "unknown"
        rows = {} if x is None else {"images": len(x), "same_answer": same}
        answer = plain({"verdict": verdict, "proven": proven, "bound": bounds, **met, **rows, **repaired})
        print(json.dumps(answer, allow_nan=False))
        return
    if proven:
        before = "" if ends_of(first, second) == "identity" else " (before the softmax)"
        print(
            f"proven: no logit{before} differs by more than {at_most(difference.largest, 3)}, no confidence by "
            f"{at_most(difference.confidence, 3)}"
        )
        apart = at_most(2 * difference.largest, 3)
        print(f"so the answer is the same wherever the two largest logits are more than {apart} apart"
              + ("" if x is None else f": for {same} of {len(x)} inputs of {images}"))  # fmt: skip
        for name, value in repaired.items():
            where_ = "for any input" if name == "calibrated" else f"at the inputs of {images}"
            print(f"after {map_file} no confidence differs by more than {at_most(value, 3)} {where_}")
    else:
        print("not proven: no bound could be found")
    print(
        f"the largest difference of a logit that was met: {difference.met:.3g}, by ONNX Runtime in float32 {replay:.3g}"
    )
    print("an input was met on which the answers differ" if other else "no input was met on which the answers differ")
    if out is not None:
        print(f"input: {out}")


def _calibrated(path: Path, bound: np.ndarray, logits: np.ndarray | None) -> dict[str, float]:
    """Bound calibrated confidences everywhere, and at inputs, where each can be had."""
    from surefoot.compress import calibrated
    from surefoot.recalibrate import load_calibrator

    calibrator = load_calibrator(path)
    if calibrator.n_classes_ != len(bound):
        raise InputError(f"{path} is of {calibrator.n_classes_} classes; the networks have {len(bound)}")
    always = calibrated.everywhere(calibrator, bound)
    if always is None and logits is None:
        raise InputError(f"{path} is more than affine: its changes are bounded input by input; add --images")
    here = {} if logits is None else {"calibrated_at_images": float(calibrated.at(calibrator, logits, bound).max())}
    return here if always is None else {"calibrated": always, **here}


def _say(answer: "Verdict", within: float, output: str, as_json: bool) -> None:
    from surefoot.spec.query import Holds, Unknown, Violated

    if as_json:
        content = _content(answer)
        if isinstance(answer, Violated):
            content["difference"] = content["output"]  # which was its only name once, and goes with the next version
        print(json.dumps(content, allow_nan=False))
    elif isinstance(answer, Holds):
        print(f"holds: no {output} differs by {within!r} or more, over the whole domain ({answer.method})")
    elif isinstance(answer, Violated):
        print(f"violated: a {output} differs by {np.abs(answer.output).max():.3g}, replayed in float32")
    elif isinstance(answer, Unknown):
        print(f"unknown: {answer.why}")


def _content(answer: "Verdict") -> dict[str, Any]:
    """Return a verdict as what JSON can hold, in the words of two networks."""
    from surefoot.spec.query import Holds, Violated
    from surefoot.verify.many import answer_of

    verdict = "equal" if isinstance(answer, Holds) else "different" if isinstance(answer, Violated) else "unknown"
    return {"bound": None} | answer_of(answer) | {"verdict": verdict}


def _save(path: Path, x: np.ndarray) -> None:
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, x)
