"""What is read of each ONNX operation's attributes, and how: what is not known of one is refused by name."""

from typing import Any

import numpy as np
import torch

from surefoot.core.errors import InputError
from surefoot.graph.onnx_values import Known, finite

_WINDOW = {"auto_pad", "dilations", "kernel_shape", "pads", "strides"}
_STEPS = {"activations", "direction", "hidden_size", "layout"}
_LINEAR = {"coefficients", "intercepts", "post_transform"}
_TREES = {
    "base_values", "nodes_falsenodeids", "nodes_featureids", "nodes_hitrates", "nodes_missing_value_tracks_true",
    "nodes_modes", "nodes_nodeids", "nodes_treeids", "nodes_truenodeids", "nodes_values", "post_transform",
}  # fmt: skip
# What is read of each operation; an attribute that is not here is refused, for it may change what the node computes.
ATTRIBUTES: dict[str, set[str]] = {
    "ArgMax": {"axis", "keepdims", "select_last_index"},
    "ArgMin": {"axis", "keepdims", "select_last_index"},
    "Binarizer": {"threshold"},
    "AveragePool": {*_WINDOW, "ceil_mode", "count_include_pad"},
    "BatchNormalization": {"epsilon", "momentum", "training_mode"},
    "Cast": {"to", "saturate"},
    "Celu": {"alpha"},
    "Clip": {"min", "max"},
    "Concat": {"axis"},
    "Constant": {"value", "value_float", "value_floats", "value_int", "value_ints"},
    "ConstantOfShape": {"value"},
    "Conv": {*_WINDOW, "group"},
    "ConvTranspose": {*_WINDOW, "group", "output_padding", "output_shape"},
    "CumSum": {"exclusive", "reverse"},
    "DepthToSpace": {"blocksize", "mode"},
    "DequantizeLinear": {"axis"},
    "Dropout": {"ratio", "seed"},
    "Einsum": {"equation"},
    "Elu": {"alpha"},
    "EyeLike": {"dtype", "k"},
    "Flatten": {"axis"},
    "Gather": {"axis"},
    "Gemm": {"alpha", "beta", "transA", "transB"},
    "GRU": {*_STEPS, "linear_before_reset"},
    "GatherElements": {"axis"},
    "GatherND": {"batch_dims"},
    "Gelu": {"approximate"},
    "GroupNormalization": {"epsilon", "num_groups", "stash_type"},
    "HardSigmoid": {"alpha", "beta"},
    "InstanceNormalization": {"epsilon"},
    "LRN": {"alpha", "beta", "bias", "size"},
    "LSTM": _STEPS,
    "LayerNormalization": {"axis", "epsilon", "stash_type"},
    "LeakyRelu": {"alpha"},
    "LinearClassifier": {*_LINEAR, "classlabels_ints", "classlabels_strings", "multi_class"},
    "LinearRegressor": {*_LINEAR, "targets"},
    "LogSoftmax": {"axis"},
    "LpNormalization": {"axis", "p"},
    "Mod": {"fmod"},
    "MaxPool": {*_WINDOW, "ceil_mode"},
    "Normalizer": {"norm"},
    "OneHot": {"axis"},
    "Pad": {"mode", "pads", "value"},
    "QuantizeLinear": {"axis", "saturate"},
    "RMSNormalization": {"axis", "epsilon", "stash_type"},
    "RNN": _STEPS,
    "ReduceL1": {"axes", "keepdims", "noop_with_empty_axes"},
    "ReduceL2": {"axes", "keepdims", "noop_with_empty_axes"},
    "ReduceLogSum": {"axes", "keepdims", "noop_with_empty_axes"},
    "ReduceLogSumExp": {"axes", "keepdims", "noop_with_empty_axes"},
    "ReduceMax": {"axes", "keepdims", "noop_with_empty_axes"},
    "ReduceMin": {"axes", "keepdims", "noop_with_empty_axes"},
    "ReduceSumSquare": {"axes", "keepdims", "noop_with_empty_axes"},
    "ReduceMean": {"axes", "keepdims", "noop_with_empty_axes"},
    "ReduceProd": {"axes", "keepdims", "noop_with_empty_axes"},
    "ReduceSum": {"axes", "keepdims", "noop_with_empty_axes"},
    "Reshape": {"allowzero"},
    "Resize": {
        "antialias", "axes", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside",
        "extrapolation_value", "keep_aspect_ratio_policy", "mode", "nearest_mode",
    },
    "Scaler": {"offset", "scale"},
    "ScatterElements": {"axis", "reduction"},
    "ScatterND": {"reduction"},
    "Selu": {"alpha", "gamma"},
    "Shape": {"start", "end"},
    "Shrink": {"bias", "lambd"},
    "Slice": {"axes", "ends", "starts"},
    "Softmax": {"axis"},
    "SpaceToDepth": {"blocksize"},
    "Split": {"axis", "num_outputs", "split"},
    "Squeeze": {"axes"},
    "ThresholdedRelu": {"alpha"},
    "Transpose": {"perm"},
    "TreeEnsembleClassifier": {
        *_TREES, "class_ids", "class_nodeids", "class_treeids", "class_weights", "classlabels_int64s",
        "classlabels_strings",
    },
    "TreeEnsembleRegressor": {
        *_TREES, "aggregate_function", "n_targets", "target_ids", "target_nodeids", "target_treeids", "target_weights",
    },
    "Trilu": {"upper"},
    "Unsqueeze": {"axes"},
    "Upsample": {"mode", "scales"},
}  # fmt: skip
_WITHOUT_EFFECT = {("BatchNormalization", "spatial"): 1, ("MaxPool", "storage_order"): 0}
MORE_OUTPUTS = {"Dropout", "MaxPool"}  # the first stays the same if there are more; these are not read


def known_attributes(op: str, attributes: dict[str, Any]) -> None:
    """Refuse attributes that are not read, but where they have no effect.

    Raises:
        InputError: there is one.
    """
    for name, value in attributes.items():
        if name not in ATTRIBUTES.get(op, ()) and _WITHOUT_EFFECT.get((op, name)) != value:
            raise InputError(f"its attribute {name!r} ({str(value)[:50]}) is not read: export the network without it")


def constant(x: "Known | None", what: str) -> np.ndarray:
    """Return a constant input in float64, or say which is not constant."""
    if not isinstance(x, np.ndarray):
        raise InputError(f"its {what} must be constant")
    return x.astype(np.float64)  # exact, and finite: `onnx_in` looked


def attribute(a: dict[str, Any], name: str, default: float) -> float:
    """Return an attribute, which is a float32 in the file, and so is its default."""
    return float(finite(np.array(a.get(name, np.float32(default)), np.float64), f"its attribute {name!r}"))


def optional(inputs: "list[Known | None]", at: int, what: str) -> torch.Tensor | None:
    """Return a constant input that may be left out."""
    if len(inputs) <= at or inputs[at] is None:
        return None
    return torch.from_numpy(constant(inputs[at], what))
