"""What each command writes, said once: before it runs, its inputs are safe and its outputs can be written."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surefoot.cli.names import TABLES
from surefoot.core.errors import FileError, InputError
from surefoot.core.files import check_writable, keep_inputs, read_json
from surefoot.core.memory import GIB, limited_memory

_OF_A_RUN = {"data", "model", "loss", "recipe", "seed"}
PAGES = (".html",)  # may be written anew into a folder that is read: nobody reads them


@dataclass(frozen=True)
class Output:
    """An option that names what is written.

    Attributes:
        option: as it is typed.
        files: in the folder that it names; None where it names a file.
        only_with: another parameter without which it writes nothing.
        mine: the file by which a folder is known to be of an earlier run; without one nothing in it is replaced. None:
            all are such files.
    """

    option: str = "--out"
    files: tuple[str, ...] | None = None
    only_with: str | None = None
    mine: str | None = None


ASSESSED = (
    "predictions.parquet", "map.json", "network.onnx", "calibrated.onnx", "small.onnx", "report.html",
    "assessment.json", "README.md",
)  # fmt: skip
TRAINED = ("run.json", "predictions.parquet", "model.safetensors", "map.json", "log", "checkpoints")
# Of each command that writes, by the names of its parameters.
WRITTEN: dict[str, dict[str, Output]] = {
    "assess": {"out": Output(files=ASSESSED, mine="assessment.json")},
    "recalibrate": {"out": Output(), "predictions": Output("--predictions"), "onnx": Output("--onnx")},
    "export": {"out": Output()},
    "report": {"out": Output()},
    "compare": {"out": Output(files=("comparison.json", "report.html"), mine="comparison.json")},
    "reproduce": {"out": Output(files=tuple(f"{table}.json" for table in TABLES))},
    "explain": {"out": Output()},
    "verify": {"certificate": Output("--certificate"), "journal": Output("--journal")},
    "certify": {"page": Output("--page")},
    "compress": {"out": Output(), "certificate": Output("--certificate")},
    "regions": {
        "out": Output(only_with="around"), "two": Output("--two-layers"), "page": Output("--page")
    },
    "equal": {"out": Output()},
    "train": {"out": Output(files=TRAINED, mine="run.json")},
    "predict": {"out": Output()},
}  # fmt: skip


def guarded(name: str, command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command that first asks `check_outputs`, and keeps to its memory if it has a limit of it."""

    @functools.wraps(command)
    def run(*values: Any, **named: Any) -> Any:
        bound = inspect.signature(command).bind(*values, **named)
        bound.apply_defaults()
        check_outputs(WRITTEN.get(name, {}), bound.arguments)
        if "memory" not in bound.arguments:
            return command(*values, **named)
        memory = bound.arguments["memory"]
        with limited_memory(memory and memory * GIB, bound.arguments.get("jobs", 1)):
            return command(*values, **named)

    return run


def check_outputs(outputs: Mapping[str, Output], given: Mapping[str, Any]) -> None:
    """Refuse outputs that are an input, one another, or could not be written.

    Raises:
        InputError: an output is a file that is read, or in a folder that is read, or would replace a file that is not
            this command's own.
        FileError: an output is a folder, or its place lets nothing be written.
    """
    read = [file for path in _paths(value for name, value in given.items() if name not in outputs)
            for file in _with_weights(path)]  # fmt: skip
    files: dict[str, Path | None] = {}
    for name, output in outputs.items():
        path = given[name]
        if path is None or (output.only_with is not None and given[output.only_with] is None):
            continue
        path = Path(path)
        check_writable(path, output.files is not None)
        if output.files is None:
            files[output.option] = path
            continue
        existing = [path / file for file in output.files if (path / file).exists()]
        known_by = existing if output.mine is None else [path / output.mine]
        if existing and not all(map(_is_ours, known_by)):
            raise InputError(
                f"{output.option} {path}: {existing[0]} is there already, and of something else; name another"
            )
        for file in filter(Path.is_file, existing):
            keep_inputs({output.option: file}, read)
    keep_inputs(files, read)
    for option, path in files.items():
        folder = next((f for f in read if path is not None and _replaces_in(path, f)), None)
        if folder is not None:
            raise InputError(f"{option} {path}: the command reads the files of {folder}; name another")


def _is_ours(file: Path) -> bool:
    """Whether a file is a record that a command of ours left."""
    try:
        content = read_json(file)
    except FileError:
        return False
    if not isinstance(content, dict):
        return False
    cell = content.get("cell")  # of runs from before records named their schema
    return str(content.get("schema", "")).startswith("surefoot.") or (
        isinstance(cell, dict) and cell.keys() >= _OF_A_RUN
    )


def _paths(values: Iterator[Any]) -> Iterator[Path]:
    """Give what may be paths among the values of a command."""
    for value in values:
        if isinstance(value, str | Path) and str(value):
            yield Path(value)
        elif isinstance(value, list | tuple):
            yield from _paths(iter(value))


def _with_weights(path: Path) -> tuple[Path, ...]:
    """Give a file, and those that hold its weights."""
    if not path.name.endswith((".onnx", ".onnx.gz")):
        return (path,)
    from surefoot.core.onnx_file import files_of

    return files_of(path)


def _replaces_in(path: Path, folder: Path) -> bool:
    """Whether a path is a file, other than a page, in a folder."""
    if path.suffix in PAGES or not path.is_file():
        return False
    try:
        return folder.is_dir() and path.resolve().is_relative_to(folder.resolve())
    except OSError:
        return False
