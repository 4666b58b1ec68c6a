"""What gives no logits is refused, whatever its last operation is called."""

from typing import Any

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the onnx extra")
from onnx import TensorProto  # noqa: E402

from onnx_models import small  # noqa: E402
from surefoot.core.errors import InputError  # noqa: E402
from surefoot.recalibrate import (  # noqa: E402
    Identity,
)
from surefoot.recalibrate.onnx import model_to_onnx  # noqa: E402

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
        monkeypatch.setattr("surefoot.recalibrate.onnx_logits._runtime", lambda: None)
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
