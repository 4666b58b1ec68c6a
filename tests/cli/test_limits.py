"""A limit of 0: time is up at once, and every command says what is known all the same, and leaves nothing half done."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from planted import dense
from surefoot.cli.main import run
from surefoot.core.deadline import Deadline
from surefoot.graph.onnx_out import write_onnx
from surefoot.spec.opening import open_onnx, see_agreement_within
from surefoot.verify import question
from typed import surefoot

PROPERTY = """(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const X_2 Real)
(declare-const Y_0 Real)
(declare-const Y_1 Real)
(declare-const Y_2 Real)
(assert (>= X_0 0.0))
(assert (<= X_0 1.0))
(assert (>= X_1 0.0))
(assert (<= X_1 1.0))
(assert (>= X_2 0.0))
(assert (<= X_2 1.0))
(assert (>= Y_0 0.0))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_onnx(dense(0, (), (8, 6), 3), tmp_path / "one.onnx")
    write_onnx(dense(1, (), (8, 6), 3), tmp_path / "two.onnx")
    (tmp_path / "p.vnnlib").write_text(PROPERTY)
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", x=rng.random((2, 3)).astype(np.float32), y=np.zeros(2, dtype=int))
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, object]:
    with pytest.raises(SystemExit) as done:
        run([*arguments, "--json"])
    assert done.value.code == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", ["--limit", "--timeout"])
def test_verify(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    found = said(capsys, "verify", "one.onnx", "p.vnnlib", name, "0")
    assert (found["verdict"], found["why"]) == ("unknown", "time is up")


def test_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "verify", "one.onnx", "--images", "x.npz", "--eps", "0.1", "--timeout", "0")
    assert found["counts"] == {"holds": 0, "violated": 0, "unknown": 2}


def test_certify(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = said(capsys, "certify", "one.onnx", "--images", "x.npz", "--eps", "0.1", "--limit", "0")
    assert (found["bounded"], found["images"], found["late"]) == (0, 2, True)  # pyright: ignore[reportArgumentType]
    assert found["summary"]["accuracy"] == [0.0, 1.0]  # pyright: ignore[reportArgumentType]


def test_certify_says_what_is_no_result(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    surefoot("certify", "one.onnx", "--images", "x.npz", "--eps", "0.1", "--limit", "0")
    text = " ".join(capsys.readouterr().out.split())
    assert "0.0% to" not in text
    assert "none of 2 images were bounded" in text


@pytest.mark.parametrize("name", ["--limit", "--timeout"])
def test_compress(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    found = said(capsys, "compress", "one.onnx", "--domain", "0,1", "-o", "small.onnx", name, "0")
    assert found["late"]
    assert "time is up" in str(found["log"])
    assert "time was up" in str(found["sentence"])
    assert (folder / "small.onnx").read_bytes() == (folder / "one.onnx").read_bytes()


@pytest.mark.parametrize("name", ["--limit", "--timeout"])
def test_equal(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    found = said(capsys, "equal", "one.onnx", "two.onnx", "--domain", "0,1", name, "0")
    assert found["proven"]
    assert found["met"] <= found["bound"]["logits"]  # pyright: ignore[reportIndexIssue]
    assert said(capsys, "equal", "one.onnx", "one.onnx", "--domain", "0,1", name, "0")["bound"] == {
        "logits": 0.0,
        "confidence": 0.0,
    }


def test_equal_within(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "equal", "one.onnx", "two.onnx", "--domain", "0,1", "--within", "1e-3", "--limit", "0", code=1)
    assert found["verdict"] == "unknown"
    assert "no output differs by more than" in str(found["why"])


def test_regions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--images", "x.npz", "--count", "--around", "0", "--two-layers", "flat.onnx", "--limit", "0")
    found = said(capsys, "regions", "one.onnx", "--domain", "0,1", *given)
    late = ["signs", "all regions", "all segments", "the region around the image", "flat.onnx"]
    assert found["time_is_up"] == late
    assert found["regions_at_least"] == 0
    assert not (folder / "flat.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--eps", "1e400"), "beyond what float64 holds"),
        (("--eps", "0.1", "--range", "-1e400,1e400"), "beyond what float64 holds"),
        (("--eps", "1e999999999"), "so many digits"),
        (("--eps", "0.1", "--seed", str(2**64)), "less than or equal"),
        (("--region", "pixels", "--at", "0.7"), "whole numbers"),
        (("--region", "pixels", "--at", "1/3"), "whole numbers"),
        (("--region", "patch", "--at", "0,0.5,1"), "whole numbers"),
        (("--eps", "0.1", "--journal", "x.npz"), "reads or writes this file"),
    ],
)
def test_odd_options_are_refused_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    with pytest.raises(SystemExit) as done:
        run(["verify", "one.onnx", "--images", "x.npz", *arguments])
    assert done.value.code == 2
    said = capsys.readouterr().err.strip()
    assert words in said.replace("\n", " ")


def test_outputs_that_are_inputs_are_refused_before_any_work(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = (folder / "one.onnx").read_bytes()
    for command in (
        ("verify", "one.onnx", "p.vnnlib", "--certificate", "one.onnx"),
        ("verify", "one.onnx", "p.vnnlib", "--certificate", "p.vnnlib"),
        ("compress", "one.onnx", "--domain", "0,1", "-o", "one.onnx"),
        ("compress", "one.onnx", "--domain", "0,1", "-o", "s.onnx", "--certificate", "s.onnx"),
        ("equal", "one.onnx", "two.onnx", "--domain", "0,1", "-o", "one.onnx"),
        ("equal", "one.onnx", "two.onnx", "--domain", "0,1e400"),
        ("export", "one.onnx", "--classes", "3", "-o", "one.onnx"),
    ):
        with pytest.raises(SystemExit) as done:
            run([*command])
        assert done.value.code == 2
        assert (folder / "one.onnx").read_bytes() == content
    assert not (folder / "s.onnx").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "o.onnx", "p.vnnlib", "--certificate", "w"),
        ("compress", "o.onnx", "--domain", "0,1", "-o", "w"),
        ("compress", "o.onnx", "--domain", "0,1", "-o", "s.onnx", "--certificate", "link"),
        ("equal", "one.onnx", "o.onnx", "--domain", "0,1", "--out", "w"),
        ("regions", "o.onnx", "--domain", "0,1", "--page", "w"),
        ("certify", "o.onnx", "--images", "x.npz", "--eps", "0.1", "--page", "w"),
        ("export", "o.onnx", "--classes", "3", "-o", "w"),
        ("assess", "o.onnx", "--images", "x.npz", "-o", "assessed"),
    ],
)
def test_weights_beside_a_network_are_kept(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """An output never replaces a file that a network's weights lie in."""
    model = onnx.load("one.onnx")
    assessed = arguments[0] == "assess"
    weights = Path("assessed/map.json" if assessed else "w")
    weights.parent.mkdir(exist_ok=True)
    onnx.save_model(
        model, "o.onnx", save_as_external_data=True, location=str(weights), size_threshold=0, convert_attribute=False
    )
    Path("link").symlink_to(weights)
    before = weights.read_bytes()
    with pytest.raises(SystemExit) as done:
        run(list(arguments))
    assert done.value.code == 2
    said_why = " ".join(capsys.readouterr().err.split())
    assert ("is there already, and of something else" if assessed else "reads or writes this file already") in said_why
    assert weights.read_bytes() == before


def test_seconds_are_those_that_the_limit_was_spent_on(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading the property, and seeing that reader and runtime agree in it, count."""
    plain = question.see_agreement_within

    def slow(*arguments: Any) -> None:
        plain(*arguments)
        time.sleep(0.3)

    monkeypatch.setattr(question, "see_agreement_within", slow)
    found = said(capsys, "verify", "one.onnx", "p.vnnlib", "--timeout", "20")
    assert found["seconds"] >= 0.3  # pyright: ignore[reportOperatorIssue]
    found = said(capsys, "verify", "one.onnx", "p.vnnlib", "--timeout", "0.2")
    assert (found["verdict"], found["why"]) == ("unknown", "time is up")
    assert 0.19 <= found["seconds"] <= 0.3  # pyright: ignore[reportOperatorIssue]


def test_agreement_is_seen_within_the_limit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened = open_onnx("one.onnx")
    boxes = [(np.zeros(3), np.ones(3))] * 50
    deadline = Deadline.of(0.0)
    assert deadline.run(lambda: see_agreement_within(opened.graph, opened.run, boxes)) is None


def test_a_property_may_be_named_after_its_network(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prop = folder / "one.onnx.vnnlib"
    prop.write_text(PROPERTY.replace("(assert (>= Y_0 0.0))", "(assert (>= Y_0 1000.0))"))
    assert said(capsys, "verify", "one.onnx", prop.name, "--certificate", "c.npz")["verdict"] == "holds"
    assert said(capsys, "check", "one.onnx", prop.name, "c.npz")["valid"]


@pytest.mark.parametrize(
    ("command", "limit"),
    [
        (("verify", "one.onnx", "p.vnnlib"), "--timeout"),
        (("equal", "one.onnx", "one.onnx", "--domain", "0,1"), "--limit"),
        (("compress", "one.onnx", "--domain", "0,1"), "--limit"),
        (("certify", "one.onnx", "--images", "x.npz", "--eps", "0"), "--limit"),
    ],
)
def test_a_limit_longer_than_any_timer_is_none(
    folder: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], limit: str
) -> None:
    surefoot(*command, limit, "1e18")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("values", [np.array(["a", "b"]), np.array([5j, 1]), np.array([None, 1], dtype=object)])
@pytest.mark.parametrize("name", ["lower", "upper"])
def test_a_domain_is_of_real_numbers(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, values: np.ndarray
) -> None:
    np.savez("box.npz", allow_pickle=True, **({"lower": np.zeros(2), "upper": np.ones(2)} | {name: values}))
    for command in ("equal one.onnx one.onnx", "compress one.onnx", "regions one.onnx"):
        with pytest.raises(SystemExit) as done:
            run([*command.split(), "--domain", "box.npz"])
        assert done.value.code in (2, 3)
        assert "fault" not in capsys.readouterr().err


@pytest.mark.parametrize("command", ["equal one.onnx one.onnx --json", "compress one.onnx", "regions one.onnx --count"])
def test_a_domain_that_float32_does_not_reach_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with pytest.raises(SystemExit) as done:
        run([*command.split(), "--domain", "1e39,1e40"])
    assert done.value.code == 2
    assert "no input of the region has a number in float32" in capsys.readouterr().err.replace("\n", " ")
    assert not (folder / "small.onnx").exists()
