"""Declared networks are their files, joined: the same values as ONNX Runtime gives of each, and no other types."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from surefoot.core.errors import InputError
from surefoot.graph.graph import evaluate
from surefoot.spec.declared import Joint, join
from surefoot.spec.vnnlib2 import parse_vnnlib2
from two_layers import box, declared, two_layers


def joint_of(text: str, **files: Path) -> Joint:
    return join(parse_vnnlib2("(vnnlib-version <2.0>)" + text), files)


def runtime(path: Path, names: list[str], x: np.ndarray) -> np.ndarray:
    """Run a file whose further values are outputs, too."""
    model = onnx.load(path)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    model.graph.node.extend(helper.make_node("Identity", [name], [f"{name} out"]) for name in names)
    for value in model.graph.output:
        value.name += " out"
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([np.asarray(y).ravel() for y in session.run(None, {"x": x.reshape(1, 3)})])


def test_values_are_those_of_the_runtime(tmp_path: Path) -> None:
    f, g = two_layers(tmp_path / "f.onnx", 0), two_layers(tmp_path / "g.onnx", 1)
    text = declared("f", "XY", hidden='(declare-hidden H float32 [1,4] "h")') + declared("g", "UV", "(isomorphic-to f)",
                    '(declare-hidden I float32 [1,4] "h")')  # fmt: skip
    joint = joint_of(text + box("X") + box("U") + "(assert (<= Y[0,0] V[0,1]))", f=f, g=g)
    rng = np.random.default_rng(2)
    for _ in range(5):
        x = rng.normal(size=6).astype(np.float32)
        theirs = np.concatenate([runtime(f, ["h", "y"], x[:3]), runtime(g, ["h", "y"], x[3:])])
        np.testing.assert_array_equal(joint.run(x[None])[0], theirs.astype(np.float64))
        ours = evaluate(joint.graph, torch.from_numpy(x[None]).double()).numpy()[0]
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
        tensors = dict((tensor.name, value) for tensor, value in joint.assignment(x, theirs))
        np.testing.assert_array_equal(tensors["U"], x[3:])
        np.testing.assert_array_equal(tensors["I"], theirs[6:10])
        np.testing.assert_array_equal(tensors["V"], theirs[10:])


def test_inputs_that_must_be_equal_are_one(tmp_path: Path) -> None:
    f = two_layers(tmp_path / "f.onnx", 0)
    text = declared("f", "XY") + declared("g", "UV", "(equal-to f)") + box("X")
    equal = "".join(f"(assert (== X[0,{i}] U[0,{i}]))" for i in range(3))
    joint = joint_of(text + equal + "(assert (<= Y[0,0] V[0,1]))", f=f)
    assert joint.graph.input_shape == (3,)
    assert joint.places.tolist() == [0, 1, 2, 0, 1, 2]
    assert joint.asked.queries[0].inputs.constraints is None
    x = np.array([[0.1, -0.5, 0.25]], np.float32)
    np.testing.assert_array_equal(joint.run(x)[0, :2], joint.run(x)[0, 2:])
    once = "(assert (or (== X[0,0] U[0,0]) (<= Y[0,0] 0.0)))"  # of one case: not of all
    assert joint_of(text + box("U") + once, f=f).graph.input_shape == (6,)


def test_several_outputs_are_taken_in_their_order(tmp_path: Path) -> None:
    f = two_layers(tmp_path / "f.onnx", 0, ("z", "y"))
    text = "(declare-network f (declare-input X real [3]) (declare-output Z real [4]) (declare-output Y real [1,2]))"
    joint = joint_of(text + box("X").replace("[0,", "[") + "(assert (<= (+ Z[0] Y[0,1]) 0.0))", f=f)
    x = np.array([[0.1, -0.5, 0.25]], np.float32)
    np.testing.assert_array_equal(joint.run(x)[0], runtime(f, ["z", "y"], x))
    assert not joint.must_hold_in_float32


def test_values_of_float64_are_joined_as_they_are(tmp_path: Path) -> None:
    f = two_layers(tmp_path / "f.onnx", 0, kind=TensorProto.DOUBLE)
    text = declared("f", "XY", hidden='(declare-hidden H real [1,4] "h")', kind="real") + box("X")
    joint = joint_of(text + "(assert (<= H[0,1] Y[0,0]))", f=f)
    assert not joint.float32
    x = np.array([[0.1, -0.5, 0.25]], np.float32)
    ours = evaluate(joint.graph, torch.from_numpy(x).double()).numpy()
    np.testing.assert_allclose(joint.run(x), ours, rtol=1e-14)


def test_one_network_stays_as_it_is(tmp_path: Path) -> None:
    joint = joint_of(declared("f", "XY") + box("X") + "(assert (<= Y[0,0] 0.0))", f=two_layers(tmp_path / "f.onnx", 0))
    assert len(joint.graph.nodes) == 4
    assert joint.must_hold_in_float32


def test_inputs_of_float32_are_bounded_by_its_numbers(tmp_path: Path) -> None:
    joint = joint_of(declared("f", "XY") + "(assert (<= Y[0,0] 0.0))", f=two_layers(tmp_path / "f.onnx", 0))
    assert joint.asked.queries[0].inputs.upper.tolist() == [float(np.finfo(np.float32).max)] * 3
    with pytest.raises(InputError, match="no lower or no upper bound"):
        joint_of(declared("f", "XY", kind="real") + "(assert (<= Y[0,0] 0.0))", f=tmp_path / "f.onnx")


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    f = two_layers(tmp_path / "f.onnx", 0)
    double = two_layers(tmp_path / "d.onnx", 0, kind=TensorProto.DOUBLE)
    both = two_layers(tmp_path / "b.onnx", 0, ("y", "z"))
    one, ask = declared("f", "XY"), box("X") + "(assert (<= Y[0,0] 0.0))"
    hidden = declared("f", "XY", hidden='(declare-hidden H float32 [1,4] "nothing")')
    for text, files, words in (
        (one + ask, {}, "the network f has no file"),
        (one + ask, {"f": f, "g": f}, "a file is given for g"),
        (declared("f", "XY", kind="float16") + ask, {"f": f}, "declared float16; answers are sound for real"),
        (one + ask, {"f": double}, "declared float32, and 'x' of .* is float64"),
        (one.replace("[1,3]", "[1,4]") + ask, {"f": f}, "declared with the shape"),
        (one + ask, {"f": both}, "has the outputs y, z; declared are Y"),
        (hidden + ask, {"f": f}, "computes nothing of the name 'nothing'"),
        (hidden.replace("nothing", "h").replace("[1,4]", "[1,5]") + ask, {"f": f}, "H is declared with the shape"),
        (one.replace("[1,2]", "[1,3]") + ask, {"f": f}, "Y is declared with the shape"),
    ):
        with pytest.raises(InputError, match=words):
            joint_of(text, **files)
