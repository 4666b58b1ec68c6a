"""`surefoot check` on forged certificates, softmax outputs and odd files, as it is typed."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from mutations import archive
from planted import dense
from small_proofs import by_boxes, certified, distance
from surefoot.core.onnx_file import digest_of, load_onnx_model
from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.onnx_in import graph_of_onnx
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.ops import Linear, Relu, Softmax
from surefoot.proof.certificate import Proof
from surefoot.proof.files import save_certificate
from surefoot.proof.question import certificate_of_property, checked_graph
from typed import surefoot


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def property_file(path: Path, outputs: int, unsafe: str) -> None:
    text = "(declare-const X_0 Real)" + "".join(f"(declare-const Y_{i} Real)" for i in range(outputs))
    path.write_text(f"{text}\n(assert (>= X_0 0.0))(assert (<= X_0 1.0))\n(assert {unsafe})")


def forged(path: Path, network: Path, arrays: dict[str, np.ndarray], **changes: object) -> None:
    """Write a certificate of format 1 by hand, as it was accepted once."""
    base = {"region": ["l", "u"], "unsafe": [["w", "b"]], "halvings": ["h0", "h1", "h2"], "tightened": {}, "places": []}
    proof = {"kind": "boxes", "thorough": False, "leaves": [], **base, **changes}
    header = {"format": "surefoot certificate 1", "network": digest_of(network), "files": [], "proofs": [proof]}
    plain = {"l": np.array([-0.0]), "u": np.ones(1), "w": np.ones((1, 1)), "b": np.array([0.1])}
    bisections = {"h0": np.zeros(0, int), "h1": np.zeros(0, int), "h2": np.zeros(0)}
    path.write_bytes(archive(json.dumps(header).encode(), plain | bisections | arrays))


def test_four_kinds_of_forged_certificates_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net, prop, proof = folder / "net.onnx", folder / "p.vnnlib", folder / "proof.npz"
    write_onnx(distance(), net)
    cut = {"h0": np.array([0]), "h1": np.array([0]), "h2": np.array([0.999])}

    def check(why: str, code: int = 2) -> None:
        surefoot("check", net, prop, proof, code=code)
        assert why in "".join(capsys.readouterr())

    property_file(prop, 1, "(<= Y_0 -0.6)")  # true
    forged(proof, net, cut | {"b": np.array([-0.6])})
    check("(2 parts, least", code=0)
    property_file(prop, 1, "(<= Y_0 0.1)")  # false at 1/2
    forged(proof, net, cut)
    check("not proven")
    forged(proof, net, cut | {"u": np.array([1])})
    check("upper: an array of <i8")
    builder = GraphBuilder((1,))
    builder.add(Relu(), builder.add(Linear(torch.tensor([[1.0], [1.0]]), torch.tensor([0.0, -20.0])), 0))
    builder.add(Linear(torch.eye(2), torch.tensor([0.0, -10.0])), 2)
    write_onnx(builder.build(), net)
    property_file(prop, 2, "(and (<= Y_0 5.0) (<= Y_1 -5.0))")  # true everywhere: (x, -10)
    forged(proof, net, {"w": np.eye(2), "b": np.array([[5.0], [-5.0]])})
    check("rank 1 is needed")
    forged(proof, net, {"w": np.eye(2), "b": np.array([5.0, -5.0])})
    check("not proven")
    which = {"t": np.array([[0, 1]]), "w": np.array([[1.0, 0.0]]), "b": np.array([-1.0])}
    nodes = checked_graph(graph_of_onnx(load_onnx_model(net))).nodes
    (entering,) = (str(node.inputs[0]) for node in nodes if isinstance(node.op, Relu))
    property_file(prop, 2, "(<= Y_0 -1.0)")
    leaf = {"unsafe": 0, "row": 0, "signs": [], "slopes": {}, "multipliers": {}}
    forged(proof, net, which, kind="signs", tightened={entering: ["t", {}]}, leaves=[leaf])
    check("rank 1 is needed")
    forged(proof, net, which | {"t": np.array([0, 1])}, kind="signs", tightened={entering: ["t", {}]}, leaves=[leaf])
    check("(1 part, least", code=0)
    property_file(prop, 2, "(or (<= Y_0 -1.0) (<= Y_1 -20.0))")
    forged(proof, net, {"w": np.eye(2), "b": np.array([-1.0, -20.0])})  # both at once is less than either
    check("other outputs")


def with_softmax(graph: Graph) -> Graph:
    builder = GraphBuilder(graph.input_shape)
    for node in graph.nodes[1:]:
        builder.add(node.op, *node.inputs)
    builder.add(Softmax(), len(builder.nodes) - 1)
    return builder.build()


@pytest.mark.parametrize(
    ("unsafe", "row", "bound", "code"),
    [
        ("(<= Y_0 Y_1)", [1.0, -1.0], 0.0, 0),  # of logits (5 + x, 0): never; of probabilities too
        ("(<= Y_0 0.9999)", [1.0, 0.0], 0.9999, 2),  # of probabilities everywhere, of logits never
        ("(<= (- Y_0 Y_1) 1.0)", [1.0, -1.0], 1.0, 2),
        ("(<= (- (* 2 Y_0) Y_1) 0.0)", [2.0, -1.0], 0.0, 2),
    ],
)  # fmt: skip
def test_what_is_proven_of_logits_is_not_said_of_probabilities(
    folder: Path, capsys: pytest.CaptureFixture[str], unsafe: str, row: list[float], bound: float, code: int
) -> None:
    builder = GraphBuilder((1,))
    builder.add(Linear(torch.tensor([[1.0], [0.0]]), torch.tensor([5.0, 0.0])), 0)
    write_onnx(with_softmax(builder.build()), folder / "net.onnx")
    property_file(folder / "p.vnnlib", 2, unsafe)
    graph = checked_graph(graph_of_onnx(load_onnx_model(folder / "net.onnx")))
    proof = Proof(np.zeros(1), np.ones(1), ((np.array([row]), np.array([bound])),), "boxes")
    save_certificate(folder / "proof.npz", certificate_of_property(graph, (proof,)))
    surefoot("check", "net.onnx", "p.vnnlib", "proof.npz", code=code)
    said = capsys.readouterr()
    assert ("valid" in said.out) if code == 0 else ("is about another property" in said.err)


def test_thresholds_of_probabilities_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    builder = GraphBuilder((1,))
    builder.add(Linear(torch.ones(3, 1), torch.tensor([5.0, 0.0, 0.0])), 0)
    write_onnx(with_softmax(builder.build()), folder / "net.onnx")
    graph = checked_graph(graph_of_onnx(load_onnx_model(folder / "net.onnx")))
    proof = Proof(np.zeros(1), np.ones(1), ((np.array([[1.0, 0.0, 0.0]]), np.array([0.9])),), "boxes")
    save_certificate(folder / "proof.npz", certificate_of_property(graph, (proof,)))
    for unsafe, why in (
        ("(<= Y_0 0.9)", "the property has a threshold of probabilities"),
        ("(<= (- (* 2 Y_0) Y_1) 0.5)", "speaks of probabilities"),
    ):
        property_file(folder / "p.vnnlib", 3, unsafe)
        surefoot("check", "net.onnx", "p.vnnlib", "proof.npz", code=2)
        (line,) = capsys.readouterr().err.splitlines()
        assert why in line
        assert "--certificate" not in line


def test_what_always_breaks_is_never_proven(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of probabilities Y_0 - Y_1 <= 1 always: a set of no rows, of which nothing can be left out."""
    builder = GraphBuilder((1,))
    builder.add(Linear(torch.tensor([[1.0], [0.0]]), torch.tensor([5.0, 0.0])), 0)
    write_onnx(with_softmax(builder.build()), folder / "net.onnx")
    property_file(folder / "p.vnnlib", 2, "(<= (- Y_0 Y_1) 1.0)")
    graph = checked_graph(graph_of_onnx(load_onnx_model(folder / "net.onnx")))
    proof = Proof(np.zeros(1), np.ones(1), ((np.zeros((0, 2)), np.zeros(0)),), "boxes")
    save_certificate(folder / "proof.npz", certificate_of_property(graph, (proof,)))
    surefoot("check", "net.onnx", "p.vnnlib", "proof.npz", code=2)
    assert "Traceback" not in capsys.readouterr().err


def test_a_network_and_its_softmax_are_not_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_onnx(dense(0, ("inactive",), (6,), 3), folder / "net.onnx")
    surefoot("compress", "net.onnx", "--domain", "0,1", "-o", "small.onnx", "--certificate", "proof.npz")
    capsys.readouterr()
    surefoot("check", "proof.npz")
    assert "inputs from 0 to 1 no logit" in capsys.readouterr().out
    write_onnx(with_softmax(graph_of_onnx(load_onnx_model("small.onnx"))), folder / "probs.onnx")
    surefoot("check", "net.onnx", "probs.onnx", "proof.npz", code=2)
    assert "the outputs of net.onnx are logits and those of probs.onnx probabilities" in capsys.readouterr().err


def test_files_that_a_certificate_names_are_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(folder / "pipe")
    held = certified(by_boxes(-0.1))
    save_certificate("proof.npz", type(held)(**{**vars(held), "files": (folder / "pipe", folder / "p.vnnlib")}))
    surefoot("check", "proof.npz", code=2)
    assert "which is no file" in capsys.readouterr().err


def test_another_network_is_said_before_what_does_not_fit_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_onnx(dense(0, ("inactive",), (6,), 3), folder / "net.onnx")
    surefoot("compress", "net.onnx", "--domain", "0,1", "-o", "small.onnx", "--certificate", "proof.npz")
    write_onnx(dense(1, ("inactive",), (6, 5), 3), folder / "deep.onnx")
    surefoot("check", "deep.onnx", "small.onnx", "proof.npz", code=2)
    assert "the certificate is about another network" in capsys.readouterr().err
