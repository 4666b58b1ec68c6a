"""Networks whose names collide with the calibrator's, or that no runtime loads."""

import pytest
from onnx import TensorProto, helper

from surefoot.core.errors import InputError
from surefoot.recalibrate import Identity
from surefoot.recalibrate.onnx import model_to_onnx


@pytest.mark.parametrize(
    "names", [("probs", "h", "z"), ("x", "probs", "z"), ("x", "h", "probs"), ("surefoot/probs", "h", "logits")]
)
def test_names_of_the_network_are_left_alone(names):
    pytest.importorskip("onnxruntime")
    x, h, z = names
    made = model_to_onnx(network_of([("Relu", x, h, "a"), ("Neg", h, z, "b")]), Identity().fit([[0.0, 2.0]], [0]))
    assert made.graph.output[0].name == ("probs_1" if "probs" in names else "probs")
    assert made.graph.input[0].name == x


def test_a_network_that_the_runtime_refuses_is_refused_in_one_line():
    pytest.importorskip("onnxruntime")
    with pytest.raises(InputError, match="ONNX Runtime does not load") as refused:
        model_to_onnx(network_of([("Relu", "x", "h", "a"), ("Neg", "h", "z", "a")]), Identity().fit([[0.0, 2.0]], [0]))
    assert "\n" not in str(refused.value)


def network_of(nodes):
    def value(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2])

    made = [helper.make_node(op, [a], [b], name=name) for op, a, b, name in nodes]
    graph = helper.make_graph(made, "g", [value(nodes[0][1])], [value(nodes[-1][2])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    return model
