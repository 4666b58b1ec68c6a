"""Calibrators, and networks with their calibrators, as ONNX graphs: calibrated probabilities without Python.

Each step becomes a few nodes in float64, whatever the type of the logits; the output is float32.
"""

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from sklearn.utils.validation import check_is_fitted

from surefoot.core.errors import FileError, InputError
from surefoot.core.files import whole_file
from surefoot.core.onnx_file import load_onnx_model
from surefoot.recalibrate.base import Calibrator
from surefoot.recalibrate.checks import check_reach
from surefoot.recalibrate.onnx_logits import CUT_OFF, check_logits, check_runs
from surefoot.recalibrate.onnx_nodes import Writer, write_steps

_OPSET = 18


def calibrator_to_onnx(calibrator: Calibrator, dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """Return a graph from `logits` (n, k) to `probs` (n, k, float32).

    Property: equals `predict_proba` to float32's rounding (tested against ONNX Runtime).

    Raises:
        NotFittedError: there is nothing learnt to write.
        InputError: a calibrator that could make more of float32 logits than a float64 can hold.
    """
    check_is_fitted(calibrator, "steps_")
    check_reach(calibrator.steps_, float(np.finfo(np.float32).max))
    k = calibrator.n_classes_
    w = Writer(k)
    result = write_steps(w, calibrator.steps_, w.node("Cast", "logits", to=TensorProto.DOUBLE))
    w.nodes.append(helper.make_node("Cast", [result], ["probs"], to=TensorProto.FLOAT))
    graph = helper.make_graph(
        w.nodes, "surefoot_map",
        [helper.make_tensor_value_info("logits", dtype, ["n", k])],
        [helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["n", k])],
        initializer=w.constants,
    )  # fmt: skip
    return _finished(graph, _OPSET)


def model_to_onnx(
    model: "torch.nn.Module | onnx.ModelProto | Path | str", calibrator: Calibrator,
    example: torch.Tensor | None = None,
) -> onnx.ModelProto:  # fmt: skip
    """Return one graph from the network's input to calibrated `probs` (`probs_1`, ... where that name is taken).

    Arguments:
        model: a network whose output is logits (n, k); or the ONNX graph of one, or its file.
        calibrator: fitted on the logits of that network.
        example: an input (n, ...) of a PyTorch network, on its device; the first dimension is free in the graph.

    Raises:
        InputError: no example for a PyTorch network, a graph with another output than logits (n, k), or one that ONNX
            Runtime, where it is installed, does not load.
    """
    check_is_fitted(calibrator, "steps_")
    if isinstance(model, torch.nn.Module):
        if example is None:
            raise InputError("exporting a PyTorch network needs an example input: example=torch.zeros(1, ...)")
        network = _export(model, example)
    else:
        network = model if isinstance(model, onnx.ModelProto) else load_onnx(model)
    if len(network.graph.output) != 1:
        raise InputError(f"the network must have one output, its logits; it has {len(network.graph.output)}")
    output = network.graph.output[0]
    last = next((node.op_type for node in network.graph.node if output.name in node.output), "")
    if last in ("Softmax", "LogSoftmax"):
        raise InputError(f"the network ends in a {last}{CUT_OFF}")
    k = calibrator.n_classes_
    shape = [d.dim_value for d in output.type.tensor_type.shape.dim]
    if len(shape) != 2 or shape[1] not in (0, k):
        raise InputError(f"the network's output has shape {shape}, the calibrator was fitted on logits (n, {k})")
    check_logits(network, k)
    opset = next(o.version for o in network.opset_import if o.domain in ("", "ai.onnx"))
    if opset < _OPSET:
        network = onnx.version_converter.convert_version(network, _OPSET)
    taken = _names_in(network.graph)
    probs = next(n for n in ("probs", *(f"probs_{i}" for i in range(1, len(taken) + 2))) if n not in taken)
    prefix = "surefoot/"
    while any(name.startswith(prefix) for name in taken):
        prefix = f"surefoot_{prefix}"
    combined = onnx.compose.merge_models(
        network, _same_opset(calibrator_to_onnx(calibrator, output.type.tensor_type.elem_type), network),
        io_map=[(output.name, "logits")], prefix1="", prefix2=prefix,
    )  # fmt: skip
    for node in combined.graph.node:
        for i, name in enumerate(node.output):
            if name == f"{prefix}probs":
                node.output[i] = probs
    combined.graph.output[0].name = probs
    onnx.checker.check_model(combined)
    check_runs(combined)
    return combined


def _names_in(graph: onnx.GraphProto) -> set[str]:
    """Return the names of all values and nodes of a graph, also of graphs in it."""
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    taken = {value.name for value in values} | {s.values.name for s in graph.sparse_initializer}
    for node in graph.node:
        taken |= {node.name, *node.input, *node.output}
        for attribute in node.attribute:
            for inner in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                taken |= _names_in(inner)
    return taken


def _same_opset(model: onnx.ModelProto, like: onnx.ModelProto) -> onnx.ModelProto:
    """Declare the opset of another graph: the nodes used here mean the same from opset 18 on."""
    del model.opset_import[:]
    model.opset_import.extend(o for o in like.opset_import if o.domain in ("", "ai.onnx"))
    model.ir_version = like.ir_version
    return model


def _export(model: torch.nn.Module, example: torch.Tensor) -> onnx.ModelProto:
    """Export a network in evaluation mode, its first dimension free."""
    was, about = model.training, logging.getLogger("torch.onnx")
    level = about.level
    about.setLevel(logging.ERROR)  # it reports each optional package that is not installed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyTorch, about PyTorch
            program = torch.onnx.export(
                model.eval(), (example,), dynamo=True, dynamic_shapes=({0: torch.export.Dim("n")},), verbose=False
            )
    finally:
        about.setLevel(level)
        model.train(was)
    return program.model_proto  # type: ignore[union-attr]


def _finished(graph: onnx.GraphProto, opset: int) -> onnx.ModelProto:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="surefoot")
    model.ir_version = 10
    onnx.checker.check_model(model)
    return model


def batch_words(model: onnx.ModelProto) -> str:
    """Say how many inputs at once a graph takes: any number only where its first dimension is free."""
    first = model.graph.input[0].type.tensor_type.shape.dim[:1]
    if first and first[0].HasField("dim_value") and first[0].dim_value > 0:
        size = first[0].dim_value
        return f"takes {size} input{'s' if size > 1 else ''} at a time, as the network does"
    return "takes any number of inputs at a time"


def save_onnx(model: onnx.ModelProto, path: Path | str) -> None:
    """Write a graph, whole or not at all.

    Raises:
        InputError: the name does not end in .onnx.
    """
    if Path(path).suffix != ".onnx":
        raise InputError(f"an ONNX graph is written as .onnx, got {path}")
    with whole_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def load_onnx(path: Path | str) -> onnx.ModelProto:
    """Read a graph, plain or gzipped, and check that it is one.

    Raises:
        FileError: it is missing or damaged, or its weights lie outside its folder.
    """
    model = load_onnx_model(path)
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # whatever protobuf and the checker raise
        raise FileError(f"{path} is not an ONNX graph, or it is damaged: {str(error).splitlines()[0]}") from error
    return model
