"""`surefoot verify` and `surefoot check`, as they are typed."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from networks import random_network
from surefoot.cli.main import run
from surefoot.graph.graph import GraphBuilder
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.ops import Linear, Softmax
from surefoot.verify.many import open_network
from typed import surefoot


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network, a property that holds, one that is violated, and images."""
    monkeypatch.chdir(tmp_path)
    write_onnx(random_network(3), tmp_path / "net.onnx")
    network = open_network(tmp_path / "net.onnx")
    n = network.inputs
    x = np.full((3, n), 0.5, np.float32)
    y = network.run(x)
    names = [f"X_{i}" for i in range(n)] + [f"Y_{i}" for i in range(3)]
    text = "".join(f"(declare-const {name} Real)\n" for name in names)
    text += "".join(f"(assert (>= X_{i} 0.49))(assert (<= X_{i} 0.51))\n" for i in range(n))
    (tmp_path / "safe.vnnlib").write_text(text + f"(assert (<= Y_0 {y[0, 0] - 50}))")
    (tmp_path / "broken.vnnlib").write_text(text + f"(assert (<= Y_0 {y[0, 0] + 50}))")
    np.savez(tmp_path / "x.npz", x=x, y=np.array([0, 1, int(y[0].argmax())]))
    return tmp_path


def test_holds_with_a_certificate_that_others_can_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    surefoot("verify", "net.onnx", "safe.vnnlib", "--json", "--certificate", "proof.npz")
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdict"] == "holds"
    assert "real" in answer["proven_for"]
    surefoot("check", "net.onnx", "safe.vnnlib", "proof.npz", "--json")
    valid = json.loads(capsys.readouterr().out)
    assert valid["valid"]
    surefoot("check", "proof.npz", "--json")
    assert json.loads(capsys.readouterr().out) == valid
    surefoot("check", "net.onnx", "broken.vnnlib", "proof.npz", code=2)
    assert "another property" in capsys.readouterr().err
    write_onnx(random_network(4), folder / "other.onnx")
    surefoot("check", "other.onnx", "safe.vnnlib", "proof.npz", code=2)
    assert "another network" in capsys.readouterr().err
    content = (folder / "proof.npz").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(20):
        broken = bytearray(content)
        broken[int(rng.integers(len(broken)))] ^= 255
        (folder / "proof.npz").write_bytes(bytes(broken))
        with pytest.raises(SystemExit) as left:
            run(["check", "net.onnx", "safe.vnnlib", "proof.npz"])
        assert left.value.code in (0, 2, 3)
    capsys.readouterr()
    (folder / "proof.npz").write_bytes(content[:100])
    surefoot("check", "net.onnx", "safe.vnnlib", "proof.npz", code=3)


def test_violated_with_an_input_that_can_be_replayed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    surefoot("verify", "net.onnx", "broken.vnnlib", "--json", "--timeout", "5")
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdict"] == "violated"
    x = np.array(answer["input"], dtype=np.float32)[None]
    assert np.array_equal(open_network("net.onnx").run(x)[0], answer["output"])
    surefoot("verify", "net.onnx", "broken.vnnlib")
    assert "seen by ONNX Runtime" in capsys.readouterr().out


def test_images_in_every_region(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in (
        ("--eps", "1/255", "--jobs", "2", "--journal", "a.jsonl"),
        ("--region", "brighten", "--threshold", "0.4", "--delta", "0.9"),
        ("--region", "pixels", "--at", "0,1"),
        ("--region", "patch", "--at", "0,0,1"),
        ("--region", "line", "--towards", "x.npz", "--delta", "0.1"),
    ):
        surefoot("verify", "net.onnx", "--images", "x.npz", "--json", "--timeout", "5", *options)
        found = json.loads(capsys.readouterr().out)
        assert sum(found["counts"].values()) == 3
        assert found["images"][2]["verdict"] != "violated" or options[0] != "--eps"
    surefoot("verify", "net.onnx", "--images", "x.npz", "--eps", "0.001", "--first", "1")
    assert "certified accuracy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["net.onnx"], 2, "give a property"),
        (["net.onnx", "safe.vnnlib", "--images", "x.npz"], 2, "give a property"),
        (["absent.onnx", "safe.vnnlib"], 3, "cannot read absent.onnx"),
        (["x.npz", "safe.vnnlib"], 3, "not an ONNX file"),
        (["net.onnx", "x.npz"], 3, "not a whole text"),
        (["net.onnx", "--images", "x.npz"], 2, "needs --eps"),
        (["net.onnx", "--images", "x.npz", "--eps", "much"], 2, "numbers such as 2/255"),
        (["net.onnx", "--images", "x.npz", "--eps", "0.1", "--range", "1,0"], 2, "must be below"),
        (["net.onnx", "--images", "x.npz", "--eps", "0.1", "--range", "0.6,1"], 2, "valid range is 0.6 to 1"),
        (["net.onnx", "--images", "x.npz", "--region", "line"], 2, "needs --towards"),
        (["net.onnx", "--images", "x.npz", "--region", "line", "--towards", "x.npz"], 2, "needs --delta, how"),
        (["net.onnx", "--images", "x.npz", "--region", "line", "--towards", "x.npz", "--delta", "0"], 2, "image alone"),
        (["net.onnx", "--images", "x.npz", "--region", "brighten"], 2, "needs --threshold"),
        (["net.onnx", "--images", "x.npz", "--region", "brighten", "--threshold", "0"], 2, "needs --delta"),
        (["net.onnx", "--images", "x.npz", "--region", "brighten", "--eps", "0.1", "--threshold", "0", "--delta", "1"],
         2, "--eps does not go with --region brighten"),
        (["net.onnx", "--images", "x.npz", "--eps", "0.1", "--delta", "0"], 2, "--delta does not go with"),
        (["net.onnx", "safe.vnnlib", "--eps", "0.1"], 2, "--eps goes with --images"),
        (["net.onnx", "--images", "x.npz", "--region", "patch"], 2, "needs --at, top,left,size"),
        (["net.onnx", "--images", "x.npz", "--region", "pixels"], 2, "needs --at, places"),
        (["net.onnx", "safe.vnnlib", "--method", "star", "--certificate", "p.npz"], 2, "writes no certificate"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    surefoot("verify", *arguments, code=code)
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1


def probabilities(path: Path, log: bool = False, bias: float = 0.0) -> None:
    """Write a network of two inputs and three probabilities."""
    builder = GraphBuilder((2,))
    weight = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    last = builder.add(Linear(weight, torch.tensor([0.0, bias, 0.0], dtype=torch.float64)), 0)
    write_onnx(builder.build(builder.add(Softmax(log), last)), path)


BOX = "".join(f"(declare-const {name} Real)" for name in ("X_0", "X_1", "Y_0", "Y_1", "Y_2"))
BOX += "(assert (>= X_0 0.5))(assert (<= X_0 1))(assert (>= X_1 -0.25))(assert (<= X_1 0.25))"


@pytest.mark.parametrize(
    ("unsafe", "verdict"),
    [
        ("(<= Y_0 Y_1)", "holds"),  # 2 x_0 > x_1
        ("(>= Y_0 Y_2)", "violated"),
        ("(<= Y_0 0.4)", "holds"),
        ("(<= Y_0 0.75)", "violated"),
        ("(>= Y_0 0.9)", "holds"),
        ("(>= Y_0 0.8)", "violated"),
        ("(<= Y_0 -1)", "holds"),
        ("(>= Y_1 2)", "holds"),
        ("(<= Y_2 1)", "violated"),
        ("(and (<= Y_1 Y_0) (>= Y_2 0.3))", "holds"),
    ],
)
def test_a_property_speaks_of_probabilities(
    folder: Path, capsys: pytest.CaptureFixture[str], unsafe: str, verdict: str
) -> None:
    probabilities(folder / "probs.onnx")
    (folder / "p.vnnlib").write_text(f"{BOX}(assert {unsafe})")
    surefoot("verify", "probs.onnx", "p.vnnlib", "--json")
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdict"] == verdict
    if verdict == "holds":
        assert answer["proven_for"] == ["real"]
    else:
        assert sum(answer["output"]) == pytest.approx(1, abs=1e-6)
        x = np.array(answer["input"], dtype=np.float32)[None]
        assert np.array_equal(open_network("probs.onnx").run(x)[0], answer["output"])


def test_certificates_of_probabilities(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Comparisons have one, which `check` reads as the same question; thresholds have none."""
    probabilities(folder / "probs.onnx")
    (folder / "p.vnnlib").write_text(f"{BOX}(assert (<= Y_0 Y_1))")
    surefoot("verify", "probs.onnx", "p.vnnlib", "--certificate", "proof.npz")
    surefoot("check", "probs.onnx", "p.vnnlib", "proof.npz")
    (folder / "other.npz").write_bytes((folder / "proof.npz").read_bytes())
    (folder / "p.vnnlib").write_text(f"{BOX}(assert (<= Y_0 0.1))")
    surefoot("check", "probs.onnx", "p.vnnlib", "proof.npz", code=2)
    capsys.readouterr()
    surefoot("verify", "probs.onnx", "p.vnnlib", "--certificate", "proof.npz", "--json")
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdict"] == "holds"
    assert answer["certificate"] is None
    assert "the property has a threshold of probabilities" in answer["no_certificate"]
    assert not (folder / "proof.npz").exists()  # an older one, of another question
    (folder / "p.vnnlib").write_text(f"{BOX}(assert (<= Y_0 0.9))")
    surefoot("verify", "probs.onnx", "p.vnnlib", "--certificate", "proof.npz")
    assert "no certificate written: the answer is violated" in capsys.readouterr().out
    (folder / "p.vnnlib").write_text(f"{BOX}(assert (<= Y_0 -1))")
    capsys.readouterr()
    surefoot("verify", "probs.onnx", "p.vnnlib", "--certificate", "proof.npz")
    said = capsys.readouterr().out
    assert said.startswith("holds: ")
    assert "whatever the network computes: none is needed" in said
    surefoot("check", "probs.onnx", "p.vnnlib", "other.npz", code=2)
    assert "no output is what" in capsys.readouterr().err
    (folder / "p.vnnlib").write_text(f"{BOX}(assert (<= (+ Y_0 Y_1) 0.5))")
    surefoot("verify", "probs.onnx", "p.vnnlib", code=2)
    assert "+1 Y_0 +1 Y_1 <= 0.5 (row 1 of unsafe set 1)" in capsys.readouterr().err


def test_images_of_a_network_of_probabilities(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    probabilities(folder / "probs.onnx")
    np.savez(folder / "two.npz", x=np.array([[0.75, 0.0], [0.0, 0.1]]), y=np.array([0, 0]))
    surefoot("verify", "probs.onnx", "--images", "two.npz", "--eps", "0.1", "--range=-1,1", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["counts"] == {"holds": 1, "violated": 1, "unknown": 0}
    assert found["holds_float32"] == 1  # of all classes one is the largest, and no other ties it


def test_equal_means_the_outputs_of_the_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    probabilities(folder / "probs.onnx")
    probabilities(folder / "log.onnx", log=True)
    surefoot("equal", "probs.onnx", "log.onnx", "--domain", "0,1", code=2)
    assert "probs.onnx gives probabilities and log.onnx log-probabilities" in capsys.readouterr().err
    for log, (held, broken) in ((False, (0.01, 0.004)), (True, (0.03, 0.02))):
        for name, bias in (("one", 0.0), ("two", 0.025)):
            probabilities(folder / f"{name}.onnx", log, bias)
        surefoot("equal", "one.onnx", "two.onnx", "--domain", "0,1", "--within", str(held))
        assert "probability differs" in capsys.readouterr().out
        surefoot("equal", "one.onnx", "two.onnx", "--domain", "0,1", "--within", str(broken), code=1)
        assert "violated: a " in capsys.readouterr().out
    probabilities(folder / "one.onnx")
    surefoot("equal", "one.onnx", "two.onnx", "--domain", "0,1", "--within", "1", code=2)
    probabilities(folder / "two.onnx", bias=5.0)
    surefoot("equal", "one.onnx", "two.onnx", "--domain", "0,1", "--within", "1")


def test_the_output_that_is_meant(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.load("net.onnx")
    hidden = next(node.output[0] for node in model.graph.node if node.op_type == "MatMul")
    model.graph.output.append(onnx.helper.make_tensor_value_info(hidden, onnx.TensorProto.FLOAT, None))
    onnx.save(model, "several.onnx")
    surefoot("verify", "several.onnx", "safe.vnnlib", code=2)
    assert "2 outputs" in capsys.readouterr().err
    name = model.graph.output[0].name
    surefoot("verify", "several.onnx", "safe.vnnlib", "--output", name, "--certificate", "proof.npz")
    surefoot("check", "several.onnx", "safe.vnnlib", "proof.npz", "--output", name)


def test_a_counterexample_of_a_line_is_the_image_that_was_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    probabilities(folder / "probs.onnx")
    x, other = np.array([[0.7, 0.1], [0.3, 0.1]]), np.array([[-0.7, 0.15], [-0.9, 0.4]])
    np.savez(folder / "two.npz", x=x, y=np.array([0, 0]))
    np.savez(folder / "attacked.npz", x=other, y=np.array([0, 0]))
    line = ("--images", "two.npz", "--region", "line", "--towards", "attacked.npz", "--delta", "0.7")
    surefoot("verify", "probs.onnx", *line, "--start", "0.301", "--json")
    network = open_network("probs.onnx")
    for i, answer in enumerate(json.loads(capsys.readouterr().out)["images"]):
        assert answer["verdict"] == "violated"
        image, (position,) = np.array(answer["input"], np.float32), answer["position"]
        assert np.array_equal(image, answer["input"])
        assert network.run(image[None])[0].tolist() == answer["output"]
        assert np.abs(image - (x[i] + position * (other[i] - x[i]))).max() <= answer.get("distance_to_region", 0)
    surefoot("verify", "probs.onnx", *line, "--start", "0.301", "--first", "1")
    assert "violated at 0." in (said := capsys.readouterr().out)
    assert " from the line)" in said


def test_what_a_property_asserts_is_what_must_not_happen(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    surefoot("verify", "net.onnx", "broken.vnnlib")
    assert capsys.readouterr().out.startswith("violated: this input satisfies the property file's assertions, by ")
    surefoot("verify", "net.onnx", "safe.vnnlib")
    assert capsys.readouterr().out.startswith("holds: no input satisfies the property file's assertions; margin ")
    surefoot("verify", "net.onnx", "--images", "x.npz", "--eps", "0.01")
    assert "violated: the image itself has class " in capsys.readouterr().out
    surefoot("verify", "--help")
    told = " ".join(capsys.readouterr().out.split())
    assert "A property file asserts what must NOT happen" in told
    assert "divided by 255" in told


def test_sentences(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    probabilities(folder / "probs.onnx")
    for unsafe, words in (
        ("(>= Y_0 1)", "holds: no output of a softmax is what the property calls unsafe, in real"),
        ("(<= Y_1 0.9)", "(rounded to float32, 1"),
    ):
        text = BOX.replace("(assert (>= X_0 0.5))(assert (<= X_0 1))", "(assert (>= X_0 0.1))(assert (<= X_0 0.1))")
        (folder / "p.vnnlib").write_text(f"{text}(assert {unsafe})")
        surefoot("verify", "probs.onnx", "p.vnnlib")
        assert words in capsys.readouterr().out


def test_no_older_certificate_is_left_beside_another_answer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    surefoot("verify", "net.onnx", "safe.vnnlib", "--certificate", "proof.npz")
    assert "certificate: proof.npz" in capsys.readouterr().out
    surefoot("verify", "net.onnx", "broken.vnnlib", "--certificate", "proof.npz")
    assert (
        "the answer is violated, and only a proof has one; the older proof.npz was removed" in capsys.readouterr().out
    )
    surefoot("check", "net.onnx", "broken.vnnlib", "proof.npz", code=3)
    (folder / "notes.npz").write_text("mine")
    surefoot("verify", "net.onnx", "broken.vnnlib", "--certificate", "notes.npz", "--json")
    capsys.readouterr()
    assert (folder / "notes.npz").read_text() == "mine"


@pytest.mark.usefixtures("folder")
def test_an_explanation_names_stages_layers_and_neurons(capsys: pytest.CaptureFixture[str]) -> None:
    surefoot("verify", "net.onnx", "safe.vnnlib", "--explain", "--json")
    told = json.loads(capsys.readouterr().out)["explanation"]
    assert told["stages"][0]["stage"] == "preparation"
    assert {"bound", "layers", "neurons"} <= set(told)
    surefoot("verify", "net.onnx", "safe.vnnlib", "--explain")
    assert "CROWN's bound of the first region" in capsys.readouterr().out
    ask = ("verify", "net.onnx", "--images", "x.npz", "--eps", "0.3", "--limit", "20", "--explain")
    surefoot(*ask, code=2)
    assert "add --first 1" in capsys.readouterr().err
    surefoot(*ask, "--first", "1")
    assert "neurons unstable" in capsys.readouterr().out


def test_balls_of_images(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for region in ("l1", "l2"):
        asked = ("verify", "net.onnx", "--images", "x.npz", "--first", "1", "--region", region, "--json")
        surefoot(*asked, "--eps", "1/100", "--journal", f"{region}.jsonl")
        first = capsys.readouterr().out
        surefoot(*asked, "--eps", "1/100", "--journal", f"{region}.jsonl")  # from the journal
        assert capsys.readouterr().out == first
        surefoot(*asked, "--eps", "0.1", "--method", "exact", code=2)
        assert "does not know of balls" in capsys.readouterr().err
        surefoot(*asked, code=2)
        assert f"--region {region} needs --eps" in capsys.readouterr().err
    assert (folder / "l1.jsonl").read_text()[:40] != (folder / "l2.jsonl").read_text()[:40]  # another question
    surefoot("certify", "net.onnx", "--images", "x.npz", "--region", "l2", "--eps", "0.1", code=2)
    assert "`verify` takes balls" in capsys.readouterr().err
