"""The `surefoot` command: finds the subcommand, runs it, and turns our errors into one line and an exit code."""

import contextlib
import gc
import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn

import typer

from surefoot import __version__
from surefoot.cli.names import EXTRAS
from surefoot.cli.outputs import guarded
from surefoot.core.allocation import keep_freed_memory
from surefoot.core.errors import FileError, InputError, MissingExtra, SurefootError, Taken, pip_install
from surefoot.core.memory import is_out_of_memory

EXIT_CODES = {InputError: 2, FileError: 3, MissingExtra: 4}
INTERRUPTED = 130
OUT_OF_MEMORY = 5
FAULT = 70  # of surefoot itself
_SMALLER = "give it a smaller question, or more memory"
_show_warning = warnings.showwarning
# Threads that wait sleep: by default they spin, each on a core, take the time of others on a busy machine, and keep the
# thread that has work waiting for those that the machine does not run. Said before the libraries are loaded.
PATIENT = {"OMP_WAIT_POLICY": "passive", "KMP_BLOCKTIME": "0", "OPENBLAS_THREAD_TIMEOUT": "4"}


class Entry(NamedTuple):
    """Where a command is, which extra it needs, and its line in the help."""

    module: str
    extra: str
    line: str


COMMANDS: dict[str, Entry] = {
    "assess": Entry("assess", "report,verify", "Assess a model, whole: one page, one paragraph, one model card."),
    "measure": Entry("measure", "", "Measure the calibration of a table of predictions."),
    "recalibrate": Entry("recalibrate", "", "Learn a calibrator that repairs confidence; apply it."),
    "export": Entry("export", "onnx", "Append a calibrator to a network: one ONNX file."),
    "contrast": Entry("contrast", "", "Compare calibrators or models on the same rows, with paired tests."),
    "report": Entry("report", "report", "Measure, repair, and write a page on what to do."),
    "compare": Entry("compare", "train,report", "Train losses side by side; print the table of Mukhoti et al. 2020."),
    "reproduce": Entry("reproduce", "train", "Train a table of that paper; print it beside the published numbers."),
    "explain": Entry("explain", "report", "Say why a training became miscalibrated; write its page."),
    "verify": Entry("verify", "verify", "Prove a property of a network for a whole region of inputs, or break it."),
    "certify": Entry("certify", "verify", "Certify between what confidence, accuracy and ECE stay when inputs move."),
    "compress": Entry("compress", "verify", "Make a network smaller without changing one answer."),
    "regions": Entry("regions", "verify", "Count, bound and draw the linear regions of a network."),
    "equal": Entry("equal", "verify", "Bound by how much two networks can differ."),
    "check": Entry("check", "verify", "Check what `verify` or `compress` proved, with other code."),
    "supports": Entry("supports", "verify", "Say what `verify` can be asked, as the VNN-LIB 2.0 standard wants it."),
    "train": Entry("train", "train", "Train one network with one loss."),
    "doctor": Entry("doctor", "", "Say what is installed, and what a missing extra would add."),
    "predict": Entry("predict", "train", "Predict with a trained network; leave a table."),
}


def _version(show: bool) -> None:
    if show:
        print(__version__)  # alone, as the VNN-LIB standard has solvers say it
        raise typer.Exit


def _name(show: bool) -> None:
    if show:
        print("surefoot")
        raise typer.Exit


_Version = Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")]
_Name = Annotated[bool, typer.Option("--name", callback=_name, is_eager=True, help="Show the name.")]


def _top(version: _Version = False, name: _Name = False) -> None:
    """Classifiers that know how sure they are: train them calibrated, measure it honestly, repair what is left.

    Commands take and leave files. Exit codes: 0 done, 1 `equal --within` not shown, 2 bad input, 3 a file that cannot
    be read or written, 4 an optional dependency is missing, 5 out of memory, 70 a fault of surefoot itself, 130
    interrupted (the same command goes on).
    """


def build(wanted: str | None) -> typer.Typer:
    """Make the application. Only the wanted command is imported; it imports what it needs when it runs."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.callback()(_top)
    for name, entry in COMMANDS.items():
        if name == wanted:
            module = importlib.import_module(f"surefoot.cli.{entry.module}")
            app.command(name)(guarded(name, module.command))
        else:
            app.command(name, help=entry.line)(lambda: None)
    return app


def main() -> NoReturn:
    """Run the command line as all that a process does."""
    try:
        run()
    finally:
        if "triton" not in sys.modules:  # whose binding would call what is left leaked
            gc.freeze()  # all ends with the process: to look once more what is garbage takes a third of a second


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for name, value in PATIENT.items():
        os.environ.setdefault(name, value)  # what a user said stays
    keep_freed_memory()
    warnings.showwarning = _warn
    warnings.simplefilter("default", Taken)
    try:
        _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        _silence()
        sys.exit(0)
    except OSError as error:
        _silence()
        _end(f"cannot write {error.filename or 'the output'}: {error.strerror or error}", EXIT_CODES[FileError])
    sys.exit(0)


def _run(arguments: list[str]) -> None:
    """Run the command line; whatever goes wrong becomes one line and an exit code."""
    wanted = next((a for a in arguments if a in COMMANDS), None)
    try:
        with _naming_extras(wanted):
            code = build(wanted)(arguments, standalone_mode=False)
    except SystemExit as done:  # by whom a command calls: the trainer, where it is interrupted
        code = done.code
    except SurefootError as error:
        _end(str(error), next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind)))
    except MemoryError as error:
        _end(f"out of memory{f': {error}' if str(error) else ''}; {_SMALLER}", OUT_OF_MEMORY)
    except OSError:
        raise
    except Exception as error:
        if hasattr(error, "format_message"):  # of what was typed, by Typer
            _end_of_usage(error)
        if is_out_of_memory(error):
            _end(f"out of memory; {_SMALLER}", OUT_OF_MEMORY)
        if os.environ.get("SUREFOOT_TRACEBACK"):
            raise
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        _end(f"a fault of surefoot, please report it: {what} ({place}; SUREFOOT_TRACEBACK=1 shows where)", FAULT)
    if code == INTERRUPTED:
        print("surefoot: stopped; the same command goes on from here", file=sys.stderr)
    if code:
        sys.exit(code)


@contextlib.contextmanager
def _naming_extras(command: str | None) -> Iterator[None]:
    """Say which extra a module belongs to that a command did not find.

    Raises:
        MissingExtra: the command's own extra, or the one that it turned out to need.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").split(".")[0]
        extras = [name for name, (modules, _) in EXTRAS.items() if module in modules]
        if command is None or not extras:
            raise
        needed = COMMANDS[command].extra
        extra = needed if set(extras) & set(needed.split(",")) else extras[0]
        raise MissingExtra(f"`surefoot {command}` needs {error.name}: {pip_install(extra)}") from error


def _warn(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    """Say in one line what was taken for what; leave other warnings to Python."""
    if issubclass(category, Taken):
        print(f"surefoot: {message}", file=sys.stderr)
    else:
        _show_warning(message, category, *place, **more)


def _end_of_usage(error: Any) -> NoReturn:
    """Say in one line what is wrong with what was typed; without any word, show the help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        sys.exit(error.exit_code)
    context = getattr(error, "ctx", None)
    words = " ".join(error.format_message().split()).rstrip(".")
    command = "surefoot" if context is None or context.info_name not in COMMANDS else f"surefoot {context.info_name}"
    _end(f"{words}; see `{command} --help`", error.exit_code)


def _end(line: str, code: int) -> NoReturn:
    print(f"surefoot: {line}", file=sys.stderr)
    sys.exit(code)


def _silence() -> None:
    """Send what standard output still holds nowhere: the interpreter would try to write it again when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
