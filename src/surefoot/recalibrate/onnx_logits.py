"""Whether a network gives logits, and whether it runs: asked of ONNX Runtime, or of ONNX's own where that is absent."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from surefoot.core.errors import InputError
from surefoot.core.numerics import row_log_sums

CUT_OFF = ", and the calibrator takes logits: cut it off, or export up to there"
_SUMS = 1e-3  # by which sums of probabilities may miss 1: those of float16
_BATCH = 4
_FREE_SIZES = (8, 32, 224, 1)  # of a dimension that is not said


def check_logits(network: onnx.ModelProto, k: int) -> None:
    """Run a network on random inputs: refuse what gives no logits of k classes, whatever its last operation is called.

    What does not run on any of them is not judged: `check_runs` and the shapes must do.

    Raises:
        InputError: another number of classes, or probabilities, their logarithms, or numbers between 0 and 1.
    """
    outputs = [rows for rows in _outputs(network) if rows.size]
    for rows in outputs:
        if rows.ndim != 2 or rows.shape[1] != k:
            raise InputError(
                f"the network gives rows of shape {rows.shape}, the calibrator was fitted on logits (n, {k})"
            )
    finite = [rows.astype(np.float64) for rows in outputs if np.isfinite(rows.astype(np.float64)).all()]
    if not finite:
        return
    table = np.concatenate(finite)
    if len(table) < 2 or np.ptp(table, axis=0).max() == 0:  # whatever comes in, the same comes out
        return
    if table.min() >= 0 and np.abs(table.sum(1) - 1).max() <= _SUMS:
        raise InputError(f"the network gives probabilities{CUT_OFF}")
    if table.max() <= 0 and np.abs(row_log_sums(table)).max() <= _SUMS:
        raise InputError(f"the network gives logarithms of probabilities{CUT_OFF}")
    if table.min() >= 0 and table.max() <= 1:
        raise InputError(f"the network gives numbers between 0 and 1, whatever its input{CUT_OFF}")


def _outputs(network: onnx.ModelProto) -> Iterator[np.ndarray]:
    """Run a network on random inputs of several sizes, in a batch of several where it takes one."""
    run = _runner(network)
    constants = {constant.name for constant in network.graph.initializer}
    inputs = [value for value in network.graph.input if value.name not in constants]
    rng = np.random.default_rng(0)
    for free in _FREE_SIZES:
        worked = False
        for scale in (0.3, 1.0, 1.0, 10.0, 1000.0):
            try:
                given = {value.name: _random(rng, value, free, scale) for value in inputs}
                output = np.asarray(run(given))
            except Exception:  # whatever a runtime makes of a shape or a number that it does not take
                continue
            worked = True
            yield output
        if worked:
            return


def _random(rng: np.random.Generator, value: onnx.ValueInfoProto, free: int, scale: float) -> np.ndarray:
    about = value.type.tensor_type
    shape = [d.dim_value or (_BATCH if i == 0 else free) for i, d in enumerate(about.shape.dim)]
    dtype = helper.tensor_dtype_to_np_dtype(about.elem_type)
    if dtype.kind in "iub":
        return rng.integers(2, size=shape).astype(dtype)
    return (scale * rng.normal(size=shape)).astype(dtype)


def _runner(network: onnx.ModelProto) -> Callable[[dict[str, np.ndarray]], Any]:
    """Return what runs a network: ONNX Runtime where it is installed, else ONNX's own."""
    onnxruntime = _runtime()
    if onnxruntime is None:
        reference: Any = ReferenceEvaluator(network)
        return lambda given: reference.run(None, given)[0]
    try:
        session = _session(onnxruntime, network)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"ONNX Runtime does not load the network: {reason}") from error
    return lambda given: session.run(None, given)[0]


def _runtime() -> Any:
    try:
        return importlib.import_module("onnxruntime")  # used where it is there, needed nowhere
    except ModuleNotFoundError:
        return None


def _session(onnxruntime: Any, model: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def check_runs(model: onnx.ModelProto) -> None:
    """Refuse a graph that ONNX Runtime does not load, where it is installed."""
    onnxruntime = _runtime()
    if onnxruntime is None:
        return
    try:
        _session(onnxruntime, model)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"ONNX Runtime does not load the network with its calibrator: {reason}") from error
