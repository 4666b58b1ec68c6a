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
from surefoot.graph.onnx_in import output_of, reading_of_onnx
from surefoot.graph.onnx_inputs import Inputs, inputs_of

Runner = Callable[[np.ndarray], np.ndarray]


def runner_of_onnx(model: onnx.ModelProto, output: str | None = None, logits: bool = False) -> Runner:
    """Give a function that runs flat float32 inputs (n, d) through ONNX Runtime, and returns flat outputs (n, k).

    The file is run as it is; `logits` cuts a softmax at its end off, for those who ask of logits.

    Raises:
        MissingExtra: ONNX Runtime is not installed.
        InputError: ONNX Runtime refuses the file, when it is loaded or when it is run.
    """
    output = output_of(model, output)
    inputs = inputs_of(model)
    if any(len(part.full) > 1 and part.full[0] > 1 for part in inputs.parts):  # whether rows meet, reading tells
        inputs = reading_of_onnx(model, output).inputs
    if logits:
        model, output = _without_softmax(model, output)
    return runner_of_session(session_of(model.SerializeToString()), output, inputs)


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


def runner_of_session(session: Any, output: str, inputs: Inputs) -> Runner:
    """Give a function that runs flat float32 inputs through a session, and returns one flat output.

    Raises:
        InputError: the session takes other inputs than were read.
    """
    names = [one.name for one in session.get_inputs()]
    if set(names) != {part.name for part in inputs.parts}:
        raise InputError(f"ONNX Runtime does not take this network: for it the inputs are {', '.join(names)}")

    def run(x: np.ndarray) -> np.ndarray:
        outputs = (values_of(session, [output], inputs.feed(row))[0] for row in x)
        return np.stack([y.reshape(inputs.rows, -1)[0] for y in outputs]).astype(np.float64)

    return run


def values_of(session: Any, names: Sequence[str], given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Run a session on what it is given; return outputs of these names as they are.

    Raises:
        InputError: ONNX Runtime refuses it.
    """
    tick()
    try:
        outputs = session.run(list(names), dict(given))
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
