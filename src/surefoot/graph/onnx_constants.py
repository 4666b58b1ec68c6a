"""Constants of ONNX files: read, and folded with ONNX's own implementation where runtimes cannot round otherwise."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from surefoot.core.errors import InputError
from surefoot.graph.onnx_inputs import TYPES
from surefoot.graph.onnx_values import Known, finite, guard

WHOLE = (TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL)
FOLDED = {
    "Abs", "Add", "And", "Cast", "Ceil", "Concat", "Constant", "ConstantOfShape", "DepthToSpace", "DequantizeLinear",
    "Div", "Equal", "Expand", "EyeLike", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Greater",
    "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Neg", "NonZero", "Not", "OneHot",
    "Or", "QuantizeLinear", "Range", "ReduceMax", "ReduceMin", "ReduceProd", "Reshape", "Round", "ScatterElements",
    "ScatterND", "Shape", "Sign", "Size", "Slice", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Tile",
    "Transpose", "Trilu", "Unsqueeze", "Where", "Xor",
}  # fmt: skip
_SINCE_19 = {"DequantizeLinear", "QuantizeLinear"}  # in ONNX's implementation; their meaning was the same before
_COMPUTED = {"Add", "Cast", "Div", "Mod", "Mul", "Neg", "Range", "ReduceProd", "Sqrt", "Sub"}
_COMPUTED_TYPES = ("float32", "float64", "int32", "int64")


def folded(node: onnx.NodeProto, given: "list[Known | None]", opset: int) -> list[np.ndarray]:
    """Compute an operation of constants.

    Raises:
        InputError: one that is not folded, or whose result runtimes may compute otherwise.
    """
    inputs = [x for x in given if isinstance(x, np.ndarray)]
    if node.op_type == "Constant":
        attribute = node.attribute[0]
        if attribute.name == "value":
            return [array_of(attribute.t)]
    elif node.op_type not in FOLDED:
        raise InputError(f"the operation {node.op_type} of constants is not one that surefoot folds")
    elif any(a.name == "to" and a.i in WHOLE for a in node.attribute):
        finite(np.asarray(inputs[0]), f"the constant {node.input[0]!r}")
    elif any(a.name == "to" and a.i not in TYPES for a in node.attribute):
        raise InputError("a cast of constants to short numbers is not folded: export the network in float32")
    if node.op_type in _COMPUTED:
        _computed_alike(node, inputs)
    if node.op_type in ("ConstantOfShape", "Expand", "Tile"):
        guard([int(n) for n in inputs[-1].flatten()])
    if node.op_type == "OneHot":
        guard([inputs[0].size, int(inputs[1].flatten()[0])])
    return run_alone(node, inputs, max(opset, 19) if node.op_type in _SINCE_19 else opset)


def run_alone(node: onnx.NodeProto, inputs: list[np.ndarray], opset: int) -> list[np.ndarray]:
    """Run one node with ONNX's reference implementation, on constants or on places."""
    names = [name for name in node.input if name]
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in dict.fromkeys(names)],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in node.output],
    )
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415  (slow to import; most files need none of it)

    one = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    with np.errstate(all="ignore"):  # what is no number is refused where it is used
        return [np.asarray(x) for x in ReferenceEvaluator(one).run(None, dict(zip(names, inputs, strict=True)))]


def _computed_alike(node: onnx.NodeProto, inputs: list[np.ndarray]) -> None:
    """Refuse to compute with constants what a runtime may compute otherwise.

    Raises:
        InputError: short numbers, whose arithmetic runtimes do in float32; whole numbers divided by 0 or cast from what
            they do not hold; products of real numbers in an order of their own.
    """
    given = inputs[0]
    if node.op_type == "Cast":
        to = next((a.i for a in node.attribute if a.name == "to"), None)
        if to is None:
            raise InputError("a cast needs its attribute 'to'")
        if given.dtype.kind not in "iub" and to in WHOLE and to != TensorProto.BOOL:
            given = given.astype(np.float64)
            limits = np.iinfo(helper.tensor_dtype_to_np_dtype(to))
            if given.size and not (given.min() >= float(limits.min) and given.max() < float(limits.max)):
                raise InputError(f"a constant of {given.min():g} to {given.max():g} is cast to {limits.dtype}")
        return
    short = [x.dtype for x in inputs if x.dtype.name not in _COMPUTED_TYPES]
    if short:
        raise InputError(f"constants of {short[0]} are computed with: runtimes differ; export the network in float32")
    if node.op_type == "Range":
        if given.dtype.kind == "f":
            raise InputError("a range of real constants is rounded in each runtime's own way; store the result")
        guard([abs(int(inputs[1]) - int(inputs[0]))])
    if node.op_type == "Mod" and (given.dtype.kind == "f" or any(a.i for a in node.attribute)):
        raise InputError("a remainder of real constants is computed in each runtime's own way; store the result")
    if node.op_type in ("Div", "Mod") and inputs[1].dtype.kind == "i" and not inputs[1].all():
        raise InputError("a whole number is divided by 0")
    if node.op_type == "ReduceProd" and given.dtype.kind == "f":
        raise InputError("a product of real constants is rounded in an order that runtimes choose; store the result")


def array_of(tensor: onnx.TensorProto) -> np.ndarray:
    """Return a constant of a file.

    Raises:
        InputError: it is damaged.
    """
    if any(n < 0 for n in tensor.dims):
        raise InputError(f"the constant {tensor.name!r} has the shape {tuple(tensor.dims)}")
    try:
        if tensor.data_location == TensorProto.EXTERNAL:
            raise ValueError("its values lie in another file")
        fields = [field.name for field, _ in tensor.ListFields() if field.name.endswith("_data")]
        if len(fields) > 1:  # runtimes read one of them
            raise ValueError(f"it holds its values twice, in {' and '.join(fields)}")
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"the constant {tensor.name!r} is damaged: {error}") from error
    return array
