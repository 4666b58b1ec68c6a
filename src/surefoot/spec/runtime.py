"""Networks as they are executed: ONNX files run by ONNX Runtime, graphs in float32."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper

from surefoot.core.deadline import tick
from surefoot.core.errors import InputError, MissingExtra, pip_install
from surefoot.core.memory import is_out_of_memory
from surefoot.graph.graph import Graph, evaluate
from surefoot.graph.onnx_in import output_of

Runner = Callable[[np.ndarray], np.ndarray]


def runner_of_onnx(model: onnx.ModelProto, output: str | None = None, logits: bool = False) -> Runner:
    """Give a function that runs flat float32 inputs (n, d) through ONNX Runtime, and returns flat outputs (n, k).

    The file is run as it is; `logits` cuts a softmax at its end off, for those who ask of logits.

    Raises:
        MissingExtra: ONNX Runtime is not installed.
        InputError: ONNX Runtime refuses the file, when it is loaded or when it is run.
    """
    output = output_of(model, output)
    if logits:
        model, output = _without_softmax(model, output)
    return runner_of_session(session_of(model.SerializeToString()), output)


def session_of(source: bytes | str) -> Any:
    """Load a model, from memory or from the path of its file; its operations are run one after another, as they are.

    Raises:
        MissingExtra: ONNX Runtime is not installed.
        InputError: ONNX Runtime refuses the model.
    """
    try:
        import onnxruntime  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"replaying counterexamples needs ONNX Runtime: {pip_install('verify')}") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # The file's operations one after another, as they are: fused constants may overflow where none of these does.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime has no common class of errors
        _refuse_lack_of_memory(error)
        raise InputError(f"ONNX Runtime does not take this network: {one_line(error)}") from error


def runner_of_session(session: Any, output: str) -> Runner:
    """Give a function that runs flat float32 inputs through a session of one input, and returns one flat output.

    Raises:
        InputError: the session takes several inputs.
    """
    if len(session.get_inputs()) != 1:
        raise InputError(
            f"ONNX Runtime does not take this network: for it there are {len(session.get_inputs())} inputs"
        )

    def run(x: np.ndarray) -> np.ndarray:
        return np.stack([values_of(session, [output], row)[0].ravel() for row in x]).astype(np.float64)

    return run


def values_of(
    session: Any, names: Sequence[str], x: np.ndarray, given: Mapping[str, np.ndarray] | None = None
) -> list[np.ndarray]:
    """Run one flat input through a session, with whatever else it is given; return outputs of these names as they are.

    Raises:
        InputError: ONNX Runtime refuses it.
    """
    tick()
    first = session.get_inputs()[0]
    shape = [side if isinstance(side, int) and side > 0 else 1 for side in first.shape]
    kind = np.float64 if first.type == "tensor(double)" else np.float32
    try:
        outputs = session.run(list(names), {first.name: x.reshape(shape).astype(kind), **(given or {})})
    except Exception as error:
        _refuse_lack_of_memory(error)
        raise InputError(f"ONNX Runtime does not run this network: {one_line(error)}") from error
    return [np.asarray(y) for y in outputs]


def _refuse_lack_of_memory(error: Exception) -> None:
    """Raise MemoryError where a runtime's error is that: the network is not to blame."""
    if is_out_of_memory(error):
        raise MemoryError(one_line(error)) from error


_KEEP_ORDER = ("Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")


def one_line(error: Exception) -> str:
    """Return what an error says, short and on one line."""
    text = " ".join(str(error).split())
    return text if len(text) < 300 else text[:297] + "..."


def _without_softmax(model: onnx.ModelProto, output: str) -> tuple[onnx.ModelProto, str]:
    """Make what a softmax at the end takes the output: the model, and that name."""
    makers = {name: node for node in model.graph.node for name in node.output}
    name = output
    while name in makers and makers[name].op_type in _KEEP_ORDER:
        name = makers[name].input[0]
    if name not in makers or makers[name].op_type not in ("Softmax", "LogSoftmax"):
        return model, output
    shortened = onnx.ModelProto()
    shortened.CopyFrom(model)
    del shortened.graph.output[:]
    name = makers[name].input[0]
    shortened.graph.output.append(
        helper.make_tensor_value_info(name, model.graph.output[0].type.tensor_type.elem_type, None)
    )
    return shortened, name


def runner_of_graph(graph: Graph) -> Runner:
    """Give a function that runs flat float32 inputs through a graph in float32."""
    single = graph.to(torch.float32)

    def run(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():  # one at a time, as anybody would replay it: a batch may be summed in another order
            rows = torch.from_numpy(x).reshape(-1, 1, *graph.input_shape)
            return torch.cat([evaluate(single, row).reshape(1, -1) for row in rows]).double().numpy()

    return run
