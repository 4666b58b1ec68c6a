"""No command writes over what it reads, whatever its options are called: all commands, by introspection."""

import inspect
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import typer
from typer.core import TyperArgument, TyperGroup, TyperOption

from surefoot.cli.main import COMMANDS, build
from surefoot.cli.outputs import ASSESSED, TRAINED, WRITTEN
from surefoot.core.files import whole_files, write_text
from surefoot.train.fit import CHECKPOINTS, forget_checkpoints
from typed import call

MEANS_WRITTEN = re.compile(r"^(Where to (write|leave)|Where --\w+ writes|Write |Folder (of|for)|Draw |Keep each)")
PATHS_AS_TEXT = {"table", "tables", "data", "domain"}


def params_of(name):
    group = typer.main.get_command(build(name))
    assert isinstance(group, TyperGroup)
    return [p for p in group.commands[name].params if isinstance(p, TyperArgument | TyperOption)]


def is_path(command, parameter):
    hint = get_type_hints(inspect.unwrap(command))[parameter]
    return parameter in PATHS_AS_TEXT or hint is Path or Path in get_args(hint)


def command_of(name):
    return next(c.callback for c in build(name).registered_commands if c.name == name)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_that_says_it_writes_is_guarded(name):
    said = {p.name for p in params_of(name) if is_path(command_of(name), p.name) and MEANS_WRITTEN.match(p.help or "")}
    assert said <= set(WRITTEN.get(name, {}))


def cases():
    return [(name, output) for name, outputs in WRITTEN.items() for output in outputs]


def arguments(folder, name, given):
    """Type a command: what is given, and files of nonsense for everything else that it insists on."""
    typed = [name]
    for p in params_of(name):
        value = given.get(p.name)
        if value is None and p.required:
            value = folder / f"{p.name}.other"
            value.write_text("nonsense")
        if value is not None:
            typed += [str(value)] if p.param_type_name == "argument" else [p.opts[0], str(value)]
    return typed


@pytest.mark.parametrize(("name", "output"), cases())
def test_no_output_replaces_an_input(capsys, tmp_path, name, output):
    paths = [p.name for p in params_of(name) if is_path(command_of(name), p.name)]
    what = WRITTEN[name][output]
    more = {each.only_with: 0 for each in WRITTEN[name].values() if each.only_with}
    for other in paths:
        if other == output or (what.files is not None and other in WRITTEN[name]):
            continue
        inside = what.files[0] if what.files else "x.npz"
        file = tmp_path / inside
        file.write_text("mine")
        place = tmp_path if what.files else file
        code, _, err = call(capsys, *arguments(tmp_path, name, {other: file, output: place} | more))
        assert (code, file.read_text()) == (2, "mine"), (other, err)
        assert "reads or writes this file already" in err or "of something else" in err
        if other not in WRITTEN[name] and what.files is None:  # in a folder that is read
            code, _, err = call(capsys, *arguments(tmp_path, name, {other: tmp_path, output: place} | more))
            assert file.read_text() == "mine", (other, err)


@pytest.mark.parametrize(("name", "output"), cases())
def test_what_cannot_be_written_is_refused_before_anything_is_done(capsys, tmp_path, name, output):
    what = WRITTEN[name][output]
    more = {what.only_with: 0} if what.only_with else {}
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path if what.files is None else tmp_path / "file", tmp_path / "file" / "x.npz"):
        code, out, err = call(capsys, *arguments(tmp_path, name, {output: place} | more))
        assert (code, out) == (3, ""), err
        assert "cannot write" in err
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("content", ["mine", '{"mine": 1}', '{"cell": 5}', '{"cell": {"row": 1}}', "[]"])
@pytest.mark.parametrize(
    ("command", "files"),
    [
        (("assess", "n.onnx", "--images", "x.npz"), ASSESSED),
        (("train", "--epochs", 1), (*TRAINED[:-2], "log/metrics.csv", "checkpoints/mine.pt")),
        (("compare", "--epochs", 1, "--losses", "ce"), ("comparison.json", "report.html")),
        (("reproduce", "ece", "--epochs", 1), ("ece.json",)),
    ],
)
def test_a_folder_of_something_else_is_left_alone(capsys, tmp_path, command, files, content):
    for name in files:
        folder = tmp_path / name.replace("/", "-")
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(content)
        code, _, err = call(capsys, *command, "-o", folder)
        assert (code, (folder / name).read_text()) == (2, content)
        assert "of something else" in err


def test_what_lies_beside_our_checkpoints_is_kept(tmp_path):
    for name in (*CHECKPOINTS, "mine.pt"):
        write_text(tmp_path / "checkpoints" / name, "")
    forget_checkpoints(tmp_path)
    assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == ["mine.pt"]
    (tmp_path / "checkpoints" / "mine.pt").unlink()
    forget_checkpoints(tmp_path)
    assert not (tmp_path / "checkpoints").exists()


def test_files_are_written_together_or_not_at_all(tmp_path):
    def half():
        with whole_files(tmp_path / "a", None, tmp_path / "b") as (a, nothing, b):
            assert nothing is None
            assert a is not None
            assert b is not None
            a.write_text("a")
            b.write_text("b")
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        half()
    assert not list(tmp_path.iterdir())


def test_recalibrate_leaves_all_or_nothing(capsys, tmp_path):
    (tmp_path / "t.csv").write_text("logit_0,logit_1,label\n" + "2,0,0\n0,1,1\n1,0,1\n" * 5)
    (tmp_path / "folder").mkdir()
    more = ["--predictions", tmp_path / "p.npz", "--onnx", tmp_path / "m.onnx"]
    for out in ("folder", "t.csv/m.json"):
        assert call(capsys, "recalibrate", tmp_path / "t.csv", *more, "-o", tmp_path / out)[0] == 3
        assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "t.csv"]
    assert call(capsys, "recalibrate", tmp_path / "t.csv", *more, "-o", tmp_path / "m.json")[0] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "m.json", "m.onnx", "p.npz", "t.csv"]
