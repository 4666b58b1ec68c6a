"""Graphs of calibrators: ONNX Runtime is the judge."""

from typing import Any

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the onnx extra")
import torch  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from surefoot.core.errors import InputError  # noqa: E402
from surefoot.core.numerics import softmax  # noqa: E402
from surefoot.core.predictions import Predictions  # noqa: E402
from surefoot.recalibrate import (  # noqa: E402
    CALIBRATORS,
    Beta,
    Identity,
    InverseFocal,
    OneVsRest,
    Spline,
    TemperatureScaling,
    TopLabel,
)
from surefoot.recalibrate.onnx import calibrator_to_onnx, model_to_onnx, save_onnx  # noqa: E402
from surefoot.recalibrate.priors import with_priors  # noqa: E402


def run(model, **inputs):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def sample(k=5, n=400):
    rng = np.random.default_rng(0)
    logits = (4 * rng.normal(size=(n, k))).astype(np.float32)
    return logits, (logits / 2 + rng.gumbel(size=(n, k))).argmax(1)


HARD = np.array(
    [[0, 0, 0, 0, 0], [1e4, -1e4, 0, 0, 0], [50, 0, 0, 0, -50], [1e-30, 0, 0, 0, 0], [-800, -900, -1e4, -800, -1e4]],
    dtype=np.float32,
)


@pytest.mark.parametrize("name", sorted(CALIBRATORS))
def test_every_map_in_the_runtime(name):
    logits, labels = sample()
    fitted = CALIBRATORS[name]().fit(logits, labels)
    for rows in (logits, logits[:1], HARD):
        assert np.abs(run(calibrator_to_onnx(fitted), logits=rows) - fitted.predict_proba(rows)).max() < 1e-6


def test_gammas_by_threshold_and_other_priors():
    logits, labels = sample()
    for fitted in (InverseFocal((5.0, 3.0), (0.2,)), TemperatureScaling()):
        moved = with_priors(fitted.fit(logits, labels), [0.2] * 5, [0.5, 0.2, 0.1, 0.1, 0.1])
        assert np.abs(run(calibrator_to_onnx(moved), logits=logits) - moved.predict_proba(logits)).max() < 1e-6


@pytest.mark.parametrize("make", [TemperatureScaling, lambda: OneVsRest(Beta()), lambda: TopLabel(Spline())])
def test_a_network_with_its_map_is_one_file(make, tmp_path):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 16), torch.nn.ReLU(), torch.nn.Linear(16, 5))
    x = torch.randn(300, 3, 4)
    with torch.no_grad():
        logits = network(x).numpy()
    fitted = make().fit(logits, sample(n=300)[1])
    network.train()
    graph = model_to_onnx(network, fitted, x[:2])
    assert network.training
    save_onnx(graph, tmp_path / "calibrated.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "calibrated.onnx", providers=["CPUExecutionProvider"])
    assert [o.name for o in session.get_outputs()] == ["probs"]
    found = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    assert np.abs(found - fitted.predict_proba(logits)).max() < 1e-6


def test_what_cannot_be_joined_is_refused(tmp_path):
    logits, labels = sample()
    fitted = TemperatureScaling().fit(logits, labels)
    with pytest.raises(InputError, match="needs an example input"):
        model_to_onnx(torch.nn.Linear(3, 5), fitted)
    with pytest.raises(InputError, match=r"output has shape \[.*7\], the calibrator was fitted on logits \(n, 5\)"):
        model_to_onnx(torch.nn.Linear(3, 7), fitted, torch.zeros(2, 3))
    network = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Softmax(1))
    with pytest.raises(InputError, match="ends in a Softmax, and the calibrator takes logits"):
        model_to_onnx(network, fitted, torch.zeros(2, 3))
    with pytest.raises(InputError, match=r"as \.onnx"):
        save_onnx(calibrator_to_onnx(fitted), tmp_path / "map.txt")


@pytest.mark.parametrize("name", sorted(CALIBRATORS))
def test_maps_learnt_on_degenerate_tables_run_as_well(name):
    constant = np.tile([2.0, 0.0, 0.0], (200, 1)).astype(np.float32)
    own = np.eye(3, dtype=np.float32)[np.arange(201)[:200] % 3]
    for logits in (constant, 10 * own - 5, np.round(sample(3, 200)[0] / 4)):
        for labels in (np.arange(200) % 3, np.zeros(200, dtype=int)):
            fitted = CALIBRATORS[name]().fit(logits, labels)
            found = run(calibrator_to_onnx(fitted), logits=logits.astype(np.float32))
            assert np.abs(found - fitted.predict_proba(logits.astype(np.float32))).max() < 1e-6


def small(nodes, weight, width="c", **constants: Any):
    """Make a network: x @ weight is `l`; nodes lead from it to `y`."""
    held = {"W": weight.astype(np.float32)} | constants
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "W"], ["l"]), *(helper.make_node(*node, **more) for *node, more in nodes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", width])],
        initializer=[numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model


SOFT = ("Softmax", ["l"], ["p"], {"axis": 1})
NO_LOGITS = {
    "softmax, identity": [SOFT, ("Identity", ["p"], ["y"], {})],
    "softmax, reshape": [SOFT, ("Reshape", ["p", "s"], ["y"], {})],
    "softmax, cast": [SOFT, ("Cast", ["p"], ["y"], {"to": TensorProto.FLOAT})],
    "softmax, clip": [SOFT, ("Clip", ["p"], ["y"], {})],
    "softmax across": [
        ("Transpose", ["l"], ["t"], {"perm": [1, 0]}),
        ("Softmax", ["t"], ["p"], {"axis": 0}),
        ("Transpose", ["p"], ["y"], {"perm": [1, 0]}),
    ],
    "by hand": [
        ("Exp", ["l"], ["e"], {}),
        ("ReduceSum", ["e", "a"], ["t"], {"keepdims": 1}),
        ("Div", ["e", "t"], ["y"], {}),
    ],
    "sigmoid": [("Sigmoid", ["l"], ["y"], {})],
    "hardmax": [("Hardmax", ["l"], ["y"], {"axis": 1})],
    "log-softmax, identity": [("LogSoftmax", ["l"], ["p"], {"axis": 1}), ("Identity", ["p"], ["y"], {})],
}


@pytest.mark.parametrize("with_runtime", [True, False])
@pytest.mark.parametrize("what", NO_LOGITS)
def test_no_map_goes_behind_what_gives_no_logits(monkeypatch, what, with_runtime):
    if not with_runtime:
        monkeypatch.setattr("surefoot.recalibrate.onnx._runtime", lambda: None)
    weight = 3 * np.random.default_rng(0).normal(size=(4, 3))
    more: dict[str, Any] = {"s": np.array([-1, 3]), "a": np.array([1])}
    network = small(NO_LOGITS[what], weight, **more)
    with pytest.raises(InputError, match="cut it off"):
        model_to_onnx(network, Identity().fit([[0.0, 1.0, 0.0]], [0]))


def test_classes_are_counted_where_the_graph_does_not_say():
    nodes = [("Identity", ["l"], ["y"], {})]
    network = small(nodes, np.random.default_rng(0).normal(size=(4, 5)))
    with pytest.raises(InputError, match=r"gives rows of shape \(4, 5\)"):
        model_to_onnx(network, Identity().fit([[0.0, 1.0, 0.0]], [0]))
    assert model_to_onnx(network, Identity().fit([[0.0, 1.0, 0.0, 0.0, 0.0]], [0]))
    assert model_to_onnx(small(nodes, np.zeros((4, 2))), Identity().fit([[0.0, 1.0]], [0]))  # zeros are logits


@pytest.mark.parametrize("name", ["vector", "matrix", "auto"])
def test_a_map_of_probabilities_is_what_it_promised_behind_a_network_of_logits(name):
    rng = np.random.default_rng(0)
    truth = 2 * rng.normal(size=(1500, 4)) + [3, 0, 0, 0]
    labels = (truth + rng.gumbel(size=truth.shape)).argmax(1)
    z = (truth * [1.5, 0.7, 1, 2] + [0, 2, -1, 0] + 6 * rng.normal(size=(1500, 1))).astype(np.float32)
    table = Predictions(softmax(z), "probs", labels)
    fitted = CALIBRATORS[name]().fit_table(table)
    network = small([("Identity", ["l"], ["y"], {})], np.eye(4))
    session = onnxruntime.InferenceSession(model_to_onnx(network, fitted).SerializeToString())
    given = session.run(None, {"x": z})[0]
    assert np.abs(given - fitted.predict_proba(table.logits())).max() < 1e-5
