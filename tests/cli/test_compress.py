"""`surefoot compress`, and `check` of what it leaves, as they are typed."""

import base64
import gzip
import importlib
import json
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from compressed_files import KINDS, run
from planted import convolutional, dense, hard
from surefoot.compress.file_equality import read_logits
from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.onnx_in import read_onnx
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.ops import Linear, Softmax
from typed import surefoot


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_onnx(dense(0, KINDS, (16, 14)), tmp_path / "net.onnx")
    return tmp_path


def test_the_flow(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    surefoot("compress", "net.onnx", "--domain", "0,1", "--certificate", "proof.npz", "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["units"][1] < report["units"][0] == 30
    assert report["parameters"][1] < report["parameters"][0]
    assert report["bound"] < 1e-4
    surefoot("check", "net.onnx", "small.onnx", "proof.npz", "--json")
    checked = json.loads(capsys.readouterr().out)
    assert checked["valid"]
    assert checked["domain"] == "inputs from 0 to 1"
    surefoot("equal", "net.onnx", "small.onnx", "--domain", "0,1", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["proven"]
    assert found["met"] <= found["bound"]["logits"]
    x = np.random.default_rng(0).choice([0.0, 0.3, 1.0], size=(5000, 5))
    gap = np.abs(run("net.onnx", x) - run("small.onnx", x)).max()
    assert gap <= checked["logits"] + 1e-4
    assert (run("net.onnx", x).argmax(1) == run("small.onnx", x).argmax(1)).all()
    domain = {p.key: p.value for p in onnx.load("small.onnx").metadata_props}
    assert domain == {"surefoot.domain.lower": "0.0", "surefoot.domain.upper": "1.0"}
    surefoot("compress", "net.onnx", "--domain", "0,1")
    assert "units became" in capsys.readouterr().out


def test_bounds_say_of_what_arithmetic_they_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    surefoot("compress", "net.onnx", "--domain", "0,1")
    assert "; in real arithmetic no logit differs by more than " in capsys.readouterr().out
    surefoot("compress", "small.onnx", "--domain", "0,1", "-o", "again.onnx", "--certificate", "p.npz")
    assert "Nothing changed" in capsys.readouterr().out
    surefoot("check", "small.onnx", "again.onnx", "p.npz")
    assert "the two networks are the same, constant for constant" in capsys.readouterr().out


def test_a_certificate_is_of_its_files_only(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    surefoot("compress", "net.onnx", "--domain", "0,1", "--certificate", "proof.npz")
    write_onnx(dense(1, KINDS, (16, 14)), folder / "other.onnx")
    surefoot("check", "other.onnx", "small.onnx", "proof.npz", code=2)
    (folder / "cut.npz").write_bytes((folder / "proof.npz").read_bytes()[:500])
    surefoot("check", "net.onnx", "small.onnx", "cut.npz", code=3)
    capsys.readouterr()


def test_a_certificate_in_json_is_checked_alone_from_anywhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "out").mkdir()
    surefoot("compress", "net.onnx", "--domain", "0,1", "-o", "out/small.onnx", "--certificate", "out/proof.json")
    told = json.loads((folder / "out" / "proof.json").read_text())
    assert told["files"] == ["../net.onnx", "small.onnx"]
    capsys.readouterr()
    surefoot("check", "net.onnx", "out/small.onnx", "out/proof.json", "--json")
    valid = json.loads(capsys.readouterr().out)
    monkeypatch.chdir(folder / "out")
    surefoot("check", "proof.json", "--json")
    assert json.loads(capsys.readouterr().out) == valid
    name, packed = next((k, v) for k, v in told["arrays"].items() if v["base64"])
    for damage in ({"type": "object"}, {"shape": [7, 7, 7]}, {"base64": "%"}, {"base64": packed["base64"][:-4]}):
        (folder / "out" / "damaged.json").write_text(
            json.dumps(told | {"arrays": told["arrays"] | {name: packed | damage}})
        )
        surefoot("check", "damaged.json", code=3)
    (folder / "out" / "homeless.json").write_text(json.dumps(told | {"files": []}))
    surefoot("check", "homeless.json", code=2)
    surefoot("check", "small.onnx", "../net.onnx", code=2)
    (folder / "out" / "small.onnx").unlink()
    surefoot("check", "proof.json", code=3)
    capsys.readouterr()


def test_convolutions_softmax_and_a_narrow_domain(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = convolutional(1)
    builder = GraphBuilder(graph.input_shape)
    for node in graph.nodes[1:]:
        builder.add(node.op, *node.inputs)
    builder.add(Softmax(), len(builder.nodes) - 1)
    write_onnx(builder.build(), folder / "conv.onnx")
    np.savez(folder / "box.npz", lower=np.full((1, 6, 6), 0.4), upper=np.full((1, 6, 6), 0.5))
    surefoot("compress", "conv.onnx", "--domain", "box.npz", "--certificate", "proof.npz", "--json")
    assert json.loads(capsys.readouterr().out)["units"][1] < 300
    x = np.random.default_rng(0).uniform(0.4, 0.5, size=(200, 1, 6, 6))
    assert np.abs(run("conv.onnx", x) - run("small.onnx", x)).max() < 1e-5
    surefoot("check", "conv.onnx", "small.onnx", "proof.npz")
    assert "valid" in capsys.readouterr().out


def test_what_cannot_go_stays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    builder = GraphBuilder((4,))
    builder.add(Linear(torch.eye(4).double()), 0)
    linear = builder.build()
    write_onnx(linear, folder / "linear.onnx")
    surefoot("compress", "linear.onnx", "--domain", "0,1")
    assert "no ReLU" in capsys.readouterr().out
    write_onnx(dense(5, (), (4,)), folder / "open.onnx")
    (folder / "open.onnx.gz").write_bytes(gzip.compress((folder / "open.onnx").read_bytes()))
    surefoot("compress", "open.onnx.gz", "--domain=-9,9")
    assert "Nothing changed" in capsys.readouterr().out
    x = np.random.default_rng(0).normal(size=(10, 5))
    assert np.array_equal(run("open.onnx", x), run("small.onnx", x))


def test_mistakes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    surefoot("compress", "net.onnx", "--domain", "1,0", code=2)
    surefoot("compress", "net.onnx", "--domain", "0,inf", code=2)
    surefoot("compress", "net.onnx", "--domain", "a,b", code=2)
    surefoot("compress", "net.onnx", "--domain", "absent.npz", code=3)
    surefoot("compress", "absent.onnx", "--domain", "0,1", code=3)
    surefoot("compress", "net.onnx", "--domain", "0,1", "-o", "net.onnx", code=2)
    np.savez(folder / "short.npz", lower=np.zeros(2), upper=np.ones(2))
    surefoot("compress", "net.onnx", "--domain", "short.npz", code=2)
    broken = dense(0)
    nodes = list(broken.nodes)
    nodes[1].op.weight[0, 0] = torch.nan  # pyright: ignore[reportAttributeAccessIssue]
    write_onnx(Graph(tuple(nodes)), folder / "nan.onnx")
    surefoot("compress", "nan.onnx", "--domain", "0,1", code=2)
    write_onnx(dense(0, (), (4,), inputs=3), folder / "three.onnx")
    surefoot("equal", "net.onnx", "three.onnx", "--domain", "0,1", code=2)
    assert len(capsys.readouterr().err.splitlines()) == 9


@pytest.mark.parametrize("wide", [False, True])
def test_a_clip_makes_the_file_promise_something_for_every_input(
    folder: Path, capsys: pytest.CaptureFixture[str], wide: bool
) -> None:
    domain = "0,1"
    if wide:  # another box for every input: a maximum and a minimum instead of ONNX's Clip
        domain = "box.npz"
        np.savez(domain, lower=np.linspace(0, 0.4, 5), upper=np.linspace(0.5, 1, 5))
    surefoot("compress", "net.onnx", "--domain", domain, "--clip", "--certificate", "proof.npz", "--json")
    capsys.readouterr()
    low, high = (np.zeros(5), np.ones(5)) if not wide else (np.linspace(0, 0.4, 5), np.linspace(0.5, 1, 5))
    x = np.random.default_rng(0).normal(size=(500, 5)) * 3
    gap = np.abs(run("small.onnx", x) - run("net.onnx", np.clip(x, low, high))).max()
    assert gap < 1e-4
    assert np.abs(run("net.onnx", x) - run("net.onnx", np.clip(x, low, high))).max() > 0.1
    surefoot("check", "net.onnx", "small.onnx", "proof.npz", "--json")
    assert json.loads(capsys.readouterr().out)["logits"] < 1e-4


def test_a_clip_is_rounded_into_the_domain(folder: Path) -> None:
    low, high = (torch.full((2,), end, dtype=torch.float64) for end in (0.1, 0.3))  # float32 rounds both up
    builder = GraphBuilder((2,))
    builder.add(Linear(torch.eye(2).double()), 0)
    write_onnx(builder.build(), folder / "clip.onnx", clip=(low, high))
    y = run("clip.onnx", np.array([[-9.0, 9.0]])).astype(np.float64)
    assert 0.1 <= y[0, 0] < 0.1 + 1e-7
    assert 0.3 - 1e-7 < y[0, 1] <= 0.3


def test_almost_stable_units_go_within_a_proven_tolerance(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.random.default_rng(0).choice([0.0, 0.2, 1.0], size=(5000, 5))
    units = []
    for tolerance in ("0", "0.05", "0.5", "50"):
        surefoot(
            "compress", "net.onnx", "--domain", "0,1", "--tolerance", tolerance, "--certificate", "p.npz", "--json"
        )
        report = json.loads(capsys.readouterr().out)
        units.append(report["units"][1])
        assert report["bound"] <= max(float(tolerance), 1e-4)
        assert np.abs(run("net.onnx", x) - run("small.onnx", x)).max() <= report["bound"] + 1e-5
        surefoot("check", "net.onnx", "small.onnx", "p.npz", "--json")
        assert json.loads(capsys.readouterr().out)["logits"] <= report["bound"] * 1.001 + 1e-6
    assert units == sorted(units, reverse=True)
    assert units[-1] < units[0]


def packed(array: np.ndarray) -> dict[str, object]:
    data = base64.b64encode(array.tobytes()).decode()
    return {"type": str(array.dtype), "shape": array.shape, "base64": data}


def test_a_domain_cut_by_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ends = {"lower": np.zeros(5), "upper": np.ones(5)}
    np.savez("cut.npz", allow_pickle=False, **ends, rows=np.ones((1, 5)), bounds=np.array([0.5]))
    units = []
    for domain in ("0,1", "cut.npz"):
        surefoot("compress", "net.onnx", "--domain", domain, "--json")
        report = json.loads(capsys.readouterr().out)
        units.append(report["active"] + report["inactive"])
        assert report["met"] <= report["bound"] + 1e-5
    assert units[1] > units[0]
    kept = {p.key: p.value for p in onnx.load("small.onnx").metadata_props}
    assert json.loads(kept["surefoot.domain.bounds"]) == [0.5]
    surefoot("equal", "net.onnx", "small.onnx", "--domain", "cut.npz", "--json")
    assert json.loads(capsys.readouterr().out)["bound"]["logits"] < 1e-4
    surefoot("equal", "net.onnx", "small.onnx", "--domain", "cut.npz", "--within", "0.01", "--json")
    assert json.loads(capsys.readouterr().out)["verdict"] == "equal"
    surefoot("compress", "net.onnx", "--domain", "cut.npz", "--certificate", "p.json", "--json")
    bound = json.loads(capsys.readouterr().out)["bound"]
    surefoot("check", "p.json", "--json")
    checked = json.loads(capsys.readouterr().out)
    assert checked["logits"] <= bound * 1.001 + 1e-6
    assert "1 linear rows" in checked["domain"]
    told = json.loads((folder / "p.json").read_text())
    for number, proof in enumerate(told["proofs"]):  # another domain: the whole box, a larger part, no input, no number
        kept = {name: dict(told["arrays"][name]) for name in proof["cuts"]}
        wider, none, nan = (packed(np.array([end])) for end in (5.0, -1.0, np.nan))
        for arrays in ({}, {proof["cuts"][1]: wider}, {proof["cuts"][1]: none}, {proof["cuts"][1]: nan}):
            proofs = [dict(p) for p in told["proofs"]]
            every = told["arrays"] | kept | arrays
            if not arrays:
                for name in proofs[number].pop("cuts"):
                    del every[name]
                del proofs[number]["inside"]
            forged = told | {"proofs": proofs, "arrays": every}
            (folder / "forged.json").write_text(json.dumps(forged))
            surefoot("check", "forged.json", code=2)
    for end in (5.0, -1.0):  # of both networks
        arrays = {proof["cuts"][1]: packed(np.array([end])) for proof in told["proofs"]}
        (folder / "forged.json").write_text(json.dumps(told | {"arrays": told["arrays"] | arrays}))
        surefoot("check", "forged.json", "--json", code=2)
        assert "another region" in capsys.readouterr().err
    surefoot("compress", "net.onnx", "--domain", "cut.npz", "--clip", code=2)
    assert "moves inputs into a box" in capsys.readouterr().err
    surefoot("regions", "net.onnx", "--domain", "cut.npz", code=2)
    np.savez("half.npz", allow_pickle=False, **ends, rows=np.ones((1, 5)))
    surefoot("compress", "net.onnx", "--domain", "half.npz", code=2)
    np.savez("empty.npz", allow_pickle=False, **ends, rows=np.ones((1, 5)), bounds=np.array([-1.0]))
    surefoot("compress", "net.onnx", "--domain", "empty.npz", code=2)
    assert "empty" in capsys.readouterr().err


def test_a_run_that_was_stopped_keeps_what_it_found(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_onnx(hard(), folder / "hard.onnx")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr("surefoot.compress.files.write_onnx", stop)
        surefoot("compress", "hard.onnx", "--domain", "0,1", code=130)
    assert not (folder / "small.onnx").exists()
    assert list((folder / "small.onnx.journal").iterdir())
    with monkeypatch.context() as patched:  # what is left to search would fail
        patched.setattr(importlib.import_module("surefoot.compress.stability"), "prove_by_relu_splitting", stop)
        surefoot("compress", "hard.onnx", "--domain", "0,1")
    assert "units became" in capsys.readouterr().out
    assert not (folder / "small.onnx.journal").exists()


def test_what_was_not_decided_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    surefoot("compress", "net.onnx", "--domain", "0,1", "--limit", "0", "--json")
    report = json.loads(capsys.readouterr().out)
    assert (report["open"], report["undecided"], report["late"]) == (30, 30, True)
    assert report["parameters"][0] == report["parameters"][1]
    assert not any("journal" in line for line in report["log"])
    surefoot("compress", "net.onnx", "--domain", "0,1", "--limit", "0")
    assert "0 neither, 30 not decided" in capsys.readouterr().out
    surefoot("compress", "net.onnx", "--domain", "0,1", "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["undecided"] == 0
    assert report["active"] + report["inactive"] + report["open"] == 30


def test_what_an_operation_remembers_is_no_parameter(folder: Path) -> None:
    graph = read_logits("net.onnx")  # it was evaluated beside ONNX Runtime: linear operations keep magnitudes since
    fresh = read_onnx("net.onnx")
    assert graph.parameters() == fresh.parameters()


def test_a_clip_alone_rounds_weights_and_says_by_how_much(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    third = onnx.numpy_helper.from_array(np.array([[3.0]]), "c")
    nodes = [onnx.helper.make_node("Div", ["x", "c"], ["z"]), onnx.helper.make_node("Relu", ["z"], ["y"])]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, [1, 1]) for name in "xy"]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], [third]))
    model.ir_version = 10
    onnx.save(model, "third.onnx")
    capsys.readouterr()
    surefoot("compress", "third.onnx", "--domain=-3,3", "--clip", "-o", "s.onnx", "--json")
    bound = json.loads(capsys.readouterr().out)["bound"]
    assert 3 * abs(float(np.float32(1 / 3)) - 1 / 3) <= bound < 1e-6


@pytest.mark.parametrize("far", [0.1234, 0.0123999838, 1.0000001e-3, 3.33333e-7])
def test_sentences_promise_no_more_than_is_proven(folder: Path, capsys: pytest.CaptureFixture[str], far: float) -> None:
    """Two networks that differ by a constant everywhere: each number in a sentence is at least what the JSON says."""
    for name, bias in (("one", 0.0), ("two", far)):
        builder = GraphBuilder((1,))
        weight = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
        write_onnx(builder.build(builder.add(Linear(weight, torch.tensor([bias, 0.0])), 0)), folder / f"{name}.onnx")
    surefoot("equal", "one.onnx", "two.onnx", "--domain", "0,1", "--json")
    bound = json.loads(capsys.readouterr().out)["bound"]
    surefoot("equal", "one.onnx", "two.onnx", "--domain", "0,1")
    said = capsys.readouterr().out
    logit, confidence = re.findall(r"by (?:more than )?([\d.e+-]+)", said)[:2]
    assert Fraction(logit) >= Fraction(bound["logits"]) >= Fraction(float(np.float32(far)))
    assert Fraction(confidence.rstrip(".")) >= Fraction(bound["confidence"])
    (apart,) = re.findall(r"more than ([\d.e+-]+) apart", said)
    assert Fraction(apart) >= 2 * Fraction(bound["logits"])
    within = bound["logits"] * (1 + 1e-9)
    surefoot("equal", "one.onnx", "two.onnx", "--domain", "0,1", "--within", repr(within))
    assert f"differs by {within!r} or more" in capsys.readouterr().out


def test_the_sentence_of_a_compression_promises_no_more_than_is_proven(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    surefoot("compress", "net.onnx", "--domain", "0,1", "--json")
    report = json.loads(capsys.readouterr().out)
    logit, confidence = re.findall(r"by more than ([\d.]+(?:e[+-]?\d+)?)", report["sentence"])
    assert Fraction(logit) >= Fraction(report["bound"])
    assert Fraction(confidence) >= Fraction(report["confidence_bound"])


def test_no_older_certificate_is_passed_off_as_that_of_this_run(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time is up before one can be made: one of before goes, another file stays, and neither is named as made."""
    given = ("compress", "net.onnx", "--domain", "0,1", "-o", "small.onnx", "--certificate")
    surefoot(*given, "old.npz")
    assert "certificate: old.npz" in capsys.readouterr().out
    (folder / "mine.npz").write_text("hello")
    monkeypatch.setattr("surefoot.compress.files._certified", lambda *_: None)
    for name, words in (("old.npz", "was removed"), ("mine.npz", "is no certificate: it was left as it is")):
        surefoot(*given, name)
        out = capsys.readouterr().out
        assert f"the {name} of before {words}" in out
        assert "\ncertificate: " not in out
    assert not (folder / "old.npz").exists()
    assert (folder / "mine.npz").read_text() == "hello"
