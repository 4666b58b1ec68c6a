"""Many images: in parallel, on a cluster, and on from where a run was stopped."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from surefoot.core.deadline import uninterrupted
from surefoot.core.errors import FileError
from surefoot.core.files import writing
from surefoot.core.inputs import read_labelled
from surefoot.core.onnx_file import digest_of
from surefoot.core.threads import one_thread
from surefoot.graph.onnx_inputs import Shapes
from surefoot.spec.input_set import InputSet
from surefoot.spec.opening import open_onnx
from surefoot.spec.query import Holds, Unknown, Verdict, Violated, other_classes
from surefoot.verify.network import Network, region_to_query
from surefoot.verify.run import verify


def open_network(path: Path | str, output: str | None = None, shapes: Shapes | None = None) -> Network:
    """Read an ONNX file as a network whose counterexamples ONNX Runtime replays, on the file as it is.

    `output` and `shapes` are as for `open_onnx`.

    Raises:
        FileError: missing or damaged.
        InputError: an operation that surefoot does not read, or a network that ONNX Runtime computes otherwise.
        MissingExtra: ONNX Runtime is not installed.
    """
    opened = open_onnx(path, output, shapes)
    return replace(Network.of(opened.graph, opened.run, opened.float32), given=opened.inputs)


@dataclass(frozen=True)
class Settings:
    """What every image of a run shares: it is the same run only with the same settings."""

    network: str
    method: str
    seconds: float
    seed: int
    output: str | None = None
    shapes: Shapes = field(default_factory=dict)


_RENAMED = {"programs": "lps_solved", "spared": "lps_avoided"}  # keys of before, kept for one version


def answer_of(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as what JSON can hold."""
    match verdict:
        case Holds():
            answer: dict[str, Any] = {"verdict": "holds", "margin": verdict.margin, "method": verdict.method}
            answer["proven_for"] = ["real", "float32"] if verdict.float32 else ["real"]
        case Violated():
            answer = {"verdict": "violated", "method": verdict.method}
            answer["input"], answer["output"] = verdict.input.tolist(), verdict.output.tolist()
            if verdict.distance_to_region:
                answer["distance_to_region"] = verdict.distance_to_region
        case Unknown():
            answer = {"verdict": "unknown", "why": verdict.why}
            answer["margin"] = verdict.margin if np.isfinite(verdict.margin) else None
    older = {old: verdict.details[new] for old, new in _RENAMED.items() if new in verdict.details}
    return answer | verdict.details | older


def verify_image(settings: Settings, region: InputSet, label: int, network: Network | None = None) -> dict[str, Any]:
    """Answer whether every image of a region keeps its class; a process of its own opens the network itself."""
    network = network or open_network(settings.network, settings.output, settings.shapes)
    along, query = region_to_query(network, region, other_classes(label, network.outputs))
    verdict = verify(along, query, settings.seconds, settings.method, settings.seed)
    answer = {"label": label} | answer_of(verdict)
    if isinstance(verdict, Violated) and along.moved is not None:  # it was found as a place along directions
        (image,) = along.moved(verdict.input[None])
        answer |= {"input": image.tolist(), "position": verdict.input.tolist()}
    return answer


def verify_many(
    settings: Settings,
    regions: Sequence[InputSet],
    labels: Sequence[int],
    jobs: int = 1,
    journal: Path | None = None,
    done: Callable[[int, dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Verify every image; `journal` keeps each answer as it comes, and answers that it holds are not sought again.

    Raises:
        FileError: a journal of another run.
    """
    digest = digest_of(settings.network)  # a file that changed is another network
    keys = [_key(settings, digest, region, label) for region, label in zip(regions, labels, strict=True)]
    answers = _answers(journal)
    if done is not None:
        for i, key in enumerate(keys):
            if key in answers:
                done(i, answers[key])
    todo = [i for i, key in enumerate(keys) if key not in answers]
    for i, answer in _run(settings, regions, labels, todo, jobs):
        answers[keys[i]] = answer
        if journal is not None:
            _append(journal, {"key": keys[i], "answer": answer})
        if done is not None:
            done(i, answer)
    return [answers[key] for key in keys]


def _run(
    settings: Settings, regions: Sequence[InputSet], labels: Sequence[int], todo: list[int], jobs: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    if jobs == 1:
        network = open_network(settings.network, settings.output, settings.shapes)
        for i in todo:
            yield i, verify_image(settings, regions[i], labels[i], network)
        return

    from joblib import Parallel, delayed  # noqa: PLC0415  (not for one process)

    answers: Any = Parallel(n_jobs=jobs, return_as="generator_unordered")(
        delayed(_numbered)(i, settings, regions[i], labels[i]) for i in todo
    )
    yield from answers


def _numbered(i: int, settings: Settings, region: InputSet, label: int) -> tuple[int, dict[str, Any]]:
    one_thread()  # a process of its own: one core each
    return i, verify_image(settings, region, label)


def _key(settings: Settings, network: str, region: InputSet, label: int) -> str:
    about = asdict(settings) | {"network": network, "label": label}
    for left_out in ("output", "shapes"):  # journals of before have none
        if not about[left_out]:
            del about[left_out]
    digest = hashlib.sha256(json.dumps(about).encode())
    along = (None, None) if region.origin is None else (region.origin.centre, region.origin.directions)
    limits = (None, None) if region.constraints is None else (region.constraints.rows, region.constraints.bounds)
    ball = () if region.ball is None else (region.ball.centre, np.array([region.ball.radius, region.ball.norm]))
    for part in (region.lower, region.upper, *along, *limits, *ball):
        digest.update(b"-" if part is None else np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:32]


_EXAMPLE = '{"key": "' + 32 * "0" + '", "answer": {'  # how each entry begins
_BEGIN = re.compile(r'\{"key": "[0-9a-f]{32}", "answer": \{')


def _answers(journal: Path | None) -> dict[str, dict[str, Any]]:
    """Read a journal; its last line may be cut off, when the run was.

    Raises:
        FileError: any other file, which is left as it is.
    """
    if journal is None or not journal.exists():
        return {}
    no_journal = f"{journal} is not a journal of `surefoot verify`"
    if not journal.is_file():
        raise FileError(f"{no_journal}: it is no file")
    try:
        *lines, last = journal.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise FileError(f"{no_journal}: {error}") from error
    except OSError as error:
        raise FileError(f"cannot read {journal}: {error.strerror or error}") from error
    if last and not _BEGIN.match(last + _EXAMPLE[len(last) :]):
        raise FileError(f"{no_journal}: line {len(lines) + 1} does not end, and does not begin as an entry does")
    answers = {}
    for number, text in enumerate(lines, 1):
        try:
            entry = json.loads(text)
            if not _is_entry(entry):
                raise ValueError("it holds no answer")
        except (ValueError, RecursionError) as error:
            raise FileError(f"{no_journal}: line {number}: {error}") from error
        answers[entry["key"]] = entry["answer"]
    return answers


def _is_entry(entry: Any) -> bool:
    """Whether an entry holds what `answer_of` gives, as far as it is shown."""
    match entry:
        case {"key": str(), "answer": {"label": int(), "seconds": int() | float(), "verdict": verdict, **answer}}:
            pass
        case _:
            return False
    match verdict, answer:
        case "holds", {"margin": int() | float(), "method": str(), "proven_for": list()}:
            return True
        case "violated", {"method": str(), "input": list() as x, "output": list() as y}:
            return all(isinstance(v, int | float) for v in (*x, *y))
        case "unknown", {"why": str(), "margin": int() | float() | None}:
            return True
    return False


def _append(journal: Path, entry: dict[str, Any]) -> None:
    with writing(journal):
        journal.parent.mkdir(parents=True, exist_ok=True)
    with uninterrupted(), writing(journal), journal.open("a+b") as file:
        file.seek(0)
        whole = file.read().rfind(b"\n") + 1  # the run may have been stopped in the middle of a line
        file.truncate(whole)
        file.seek(whole)
        file.write((json.dumps(entry) + "\n").encode())


def load_images(path: Path | str, network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Read images `x` (n, ...) and classes `y` (n,) of an .npz file that a network takes and has.

    Raises:
        FileError, InputError: as `read_labelled`.
    """
    read = read_labelled(path, network.graph.input_shape, network.outputs)
    return read.x, read.y
