"""What the VNN-LIB 2.0 standard asks of a solver's `verify`: networks by name, one word, a satisfying assignment.

Reference: VNN-LIB standard 2.0, chapter 5.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from surefoot.core.errors import InputError
from surefoot.core.files import check_writable, whole_file, writing

if TYPE_CHECKING:
    from surefoot.spec.declared import Joint
    from surefoot.spec.query import Verdict
    from surefoot.spec.vnnlib2 import Tensor

SERIALISED = {"real": np.float64, "float32": np.float32}


def networks_of(options: list[str]) -> dict[str, Path]:
    """Read --network NAME=FILE.

    Raises:
        InputError: another form, or a name twice.
    """
    files: dict[str, Path] = {}
    for option in options:
        name, equals, path = option.partition("=")
        if not (name and equals and path):
            raise InputError(f"--network {option}: NAME=FILE.onnx is needed, NAME as the property declares it")
        if name in files:
            raise InputError(f"--network {name}: two files are given for it")
        files[name] = Path(path)
    return files


def answer_query(query: Path, files: dict[str, Path], limit: float, method: str, seed: int, jobs: int,
                 folder: Path | None) -> None:  # fmt: skip
    """Answer a query as the standard says: sat, unsat, unknown or timed-out on the first line, then the assignment.

    Unsat of tensors that are declared float32 is said only where it is proven for float32.
    """
    from surefoot.core.deadline import Deadline
    from surefoot.spec.cases import EmptyRegion
    from surefoot.spec.query import Holds, Violated
    from surefoot.verify.question import read_question
    from surefoot.verify.several import answer_all

    if folder is not None:
        check_writable(folder, is_folder=True)
    deadline = Deadline.of(limit)
    try:
        asked = deadline.run(lambda: read_question(query, files))
    except EmptyRegion as error:
        print("unsat")
        _note(str(error))
        return
    if asked is None or asked.joint is None:  # no file of VNN-LIB 1.0 names networks
        print("timed-out")
        return
    joint = asked.joint
    if folder is not None:
        _keep_others(folder, joint)
    in_float32 = joint.must_hold_in_float32
    verdict, _ = answer_all(asked.network, asked.queries, deadline, method, seed, jobs=jobs, float32=in_float32)
    print(_word(verdict, in_float32))
    match verdict:
        case Violated():
            _assign(joint, verdict.input, verdict.output, folder)
            if verdict.distance_to_region:
                _note(f"the input was rounded to float32, and is {verdict.distance_to_region:.2g} from the region")
        case Holds() if in_float32 and not verdict.float32:
            _note("no real input satisfies it; that is not shown for float32: declare the tensors real to ask for less")
        case Holds():
            pass
        case _:
            _note(verdict.why)


def _word(verdict: "Verdict", in_float32: bool) -> str:
    from surefoot.spec.query import Holds, Violated

    match verdict:
        case Violated():
            return "sat"
        case Holds():
            return "unsat" if verdict.float32 or not in_float32 else "unknown"
        case _:
            return "timed-out" if verdict.why.startswith("time is up") else "unknown"


def _assign(joint: "Joint", x: np.ndarray, y: np.ndarray, folder: Path | None) -> None:
    """Print every tensor, or leave each as a file."""
    for tensor, values in joint.assignment(x, y):
        if folder is None:
            print(f"{tensor.name} {tensor.type} [{','.join(map(str, tensor.shape))}]")
            print(*(f"{value:.9g}" for value in values), sep="\n")
        else:
            _save(tensor, values, folder)


def _keep_others(folder: Path, joint: "Joint") -> None:
    """Refuse a folder in which something else has the name of a tensor's file.

    Raises:
        InputError: it has.
    """
    import onnx

    for tensor in joint.specification.tensors("input", "hidden", "output"):
        path = folder / f"{tensor.name}.pb"
        if not path.exists():
            continue
        try:
            is_ours = path.is_file() and onnx.load_tensor(path).name == tensor.name
        except Exception:  # whatever a parser of other files says
            is_ours = False
        if not is_ours:
            raise InputError(f"--serialise-assignments {folder}: {path} is there already, and of something else")


def _save(tensor: "Tensor", values: np.ndarray, folder: Path) -> None:
    from onnx import numpy_helper

    array = values.reshape(tensor.shape).astype(SERIALISED[tensor.type])
    path = folder / f"{tensor.name}.pb"
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_bytes(numpy_helper.from_array(array, tensor.name).SerializeToString())


def _note(words: str) -> None:
    print(f"surefoot: {words}", file=sys.stderr)
