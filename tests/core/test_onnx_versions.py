"""Opset 6 in the words of opset 7: what was recorded then is computed now, and what means something else is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnx_models import array, runtime
from surefoot.core.errors import FileError
from surefoot.core.onnx_file import load_onnx_model
from surefoot.core.onnx_versions import lifted

RECORDED = sorted(Path(onnx.__file__).parent.glob("backend/test/data/pytorch-*/*/model.onnx"))


def old(
    op: str, shape: list[int], constants: dict[str, np.ndarray], opset: int = 6, **attributes: Any
) -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    infos += [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in constants.items()]
    node = helper.make_node(op, ["x", *constants], ["y"], **attributes)
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    held = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    model = helper.make_model(
        helper.make_graph([node], "old", infos, [out], held), opset_imports=[helper.make_opsetid("", opset)]
    )
    model.ir_version = 3
    return model


@pytest.mark.skipif(not RECORDED, reason="onnx comes without its recorded tests")
def test_what_pytorch_recorded_is_computed() -> None:
    """Outputs of PyTorch in 2017, on files of opset 6 that came with them."""
    equal = 0
    for path in RECORDED:
        try:
            model = load_onnx_model(path)
        except FileError:
            continue
        given = [TensorProto.FromString(p.read_bytes()) for p in sorted(path.parent.glob("test_data_set_0/input_*"))]
        output = TensorProto.FromString((path.parent / "test_data_set_0/output_0.pb").read_bytes())
        if len(given) != 1 or given[0].data_type != TensorProto.FLOAT:
            continue
        theirs = numpy_helper.to_array(output)
        assert np.allclose(runtime(model, numpy_helper.to_array(given[0])), theirs, atol=1e-4, equal_nan=True), path
        equal += 1
    assert equal > 80


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Pow"])
@pytest.mark.parametrize(("axis", "shape"), [(1, (2,)), (-2, (2,)), (1, (2, 3)), (None, (3,)), (0, (4, 2, 3))])
def test_operands_are_aligned_where_the_axis_says(op: str, axis: int | None, shape: tuple[int, ...]) -> None:
    c = np.abs(array(*shape)) + np.float32(0.5)
    x = np.abs(array(4, 2, 3, seed=2))
    model = old(op, [4, 2, 3], {"c": c}, broadcast=1, **({} if axis is None else {"axis": axis}))
    begin = 3 - len(shape) if axis is None else axis % 3
    wide = c.reshape((1,) * begin + shape + (1,) * (3 - begin - len(shape)))
    compute = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Pow": np.power}[op]
    assert np.allclose(runtime(lifted(model), x), compute(x, wide), rtol=1e-5)


def test_a_slope_for_each_channel() -> None:
    x, c = array(1, 2, 3, 3), np.array([0.5, 2], np.float32)
    theirs = runtime(lifted(old("PRelu", [1, 2, 3, 3], {"c": c})), x)
    assert np.allclose(theirs, np.where(x < 0, x * c[:, None, None], x))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (old("Relu", [1, 2], {}, 5), "opset 5 is too old: 6 at least"),
        (old("Dropout", [1, 2], {}), "training mode"),
        (old("AveragePool", [1, 1, 4, 4], {}, kernel_shape=[2, 2], pads=[1, 1, 1, 1]), "whether padding counts"),
        (old("Upsample", [1, 1, 4, 4], {}, height_scale=2.0, width_scale=2.0), "it means something else from opset 7"),
        (old("Add", [2, 3], {"c": array(3)}), "unlike ranks without broadcast"),
    ],
)
def test_what_means_something_else_is_refused(model: onnx.ModelProto, said: str) -> None:
    with pytest.raises(FileError, match=said):
        lifted(model)


def test_newer_files_stay_as_they_are() -> None:
    model = old("Relu", [1, 2], {}, 7)
    assert lifted(model) is model


def test_an_operation_that_nobody_knows_is_one_line() -> None:
    with pytest.raises(FileError, match=r"node 'y' \(NoSuchThing\) of opset 6: No schema") as error:
        lifted(old("NoSuchThing", [1, 2], {}))
    assert "\n" not in str(error.value)
