"""Operations of the domain ai.onnx.ml, as scikit-learn's classifiers are written: scalers, linear models, trees."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from surefoot.core.errors import InputError
from surefoot.graph.onnx_arithmetic import branches
from surefoot.graph.onnx_attributes import constant
from surefoot.graph.onnx_functions import softmax
from surefoot.graph.onnx_reductions import l1, l2
from surefoot.graph.onnx_steps import STEPS, looked_up
from surefoot.graph.onnx_values import Known, OnnxValue, Values, finite, guard, value_of
from surefoot.graph.ops import Elementwise, Linear, Relu

ML = "ai.onnx.ml"
# What a reader returns for each output of its node: nothing for one that nobody asks for.
ReadAll: TypeAlias = Callable[
    [Values, "list[Known | None]", dict[str, Any], str, Sequence[bool]], "list[OnnxValue | None]"
]
_ModeOfTree: TypeAlias = tuple[str, float]  # the step of sign (x - threshold), and the sign
_MODES: dict[str, _ModeOfTree] = {
    "BRANCH_LEQ": ("GreaterOrEqual", -1.0), "BRANCH_LT": ("Greater", -1.0),
    "BRANCH_GTE": ("GreaterOrEqual", 1.0), "BRANCH_GT": ("Greater", 1.0),
}  # fmt: skip


def _numbers(a: dict[str, Any], name: str) -> np.ndarray:
    return finite(np.asarray(a.get(name, ()), dtype=np.float64), f"its attribute {name!r}")


def _row(value: OnnxValue) -> OnnxValue:
    if len(value.full) != 2:
        raise InputError(f"rows (1, n) are needed; the values have the shape {value.full}")
    return value


def _scaler(
    reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str, wanted: Sequence[bool]
) -> "list[OnnxValue | None]":
    """(x - offset) scale, in these two steps."""
    offset, scale = _numbers(a, "offset"), _numbers(a, "scale")
    return [reader.scaled(reader.scaled(value_of(inputs[0]), 1.0, -offset, ""), scale, None, name)]


def _normalizer(
    reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str, wanted: Sequence[bool]
) -> "list[OnnxValue | None]":
    """Divide a row by its norm; probabilities that a softmax gave have the sum 1 already."""
    value, norm = _row(value_of(inputs[0])), a.get("norm", b"MAX").decode()
    reader.alone = False  # squares overflow where their root does not; and of a softmax it is another function
    if norm == "L1" and reader.is_softmax(value):
        return [value]
    if norm not in ("L1", "L2"):
        raise InputError(f"its norm {norm!r} is not read")
    return [branches(reader, "Div", value, (l1 if norm == "L1" else l2)(reader, value, [1], ""), name)]


def _binarizer(
    reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str, wanted: Sequence[bool]
) -> "list[OnnxValue | None]":
    gap = reader.scaled(value_of(inputs[0]), 1.0, -_numbers(a, "threshold").reshape(()), "")
    return [reader.add(Elementwise("Greater"), gap, name=name)]


def _extractor(
    reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str, wanted: Sequence[bool]
) -> "list[OnnxValue | None]":
    """Take columns; or of constants those that whole numbers name."""
    x, index = inputs
    if isinstance(x, np.ndarray):
        found = looked_up(reader, constant(x, "first input").reshape(-1), value_of(index), name)
        return [reader.shaped(found, (1, math.prod(found.full)))]
    value = value_of(x)
    columns = constant(index, "index").astype(int).flatten()
    places = np.arange(math.prod(value.full)).reshape(value.full)[..., columns]
    return [reader.taken(value, places if places.ndim > 1 else places[None], name)]


def _linear(reader: Values, value: OnnxValue, a: dict[str, Any], targets: int) -> OnnxValue:
    weight, bias = _numbers(a, "coefficients"), _numbers(a, "intercepts")
    if weight.size != targets * value.full[1] or bias.size not in (0, targets):
        raise InputError(
            f"{weight.size} coefficients and {bias.size} intercepts for {targets} of {value.full[1]} values"
        )
    matrix = torch.from_numpy(weight.reshape(targets, -1))
    return reader.add(Linear(matrix, torch.from_numpy(bias) if bias.size else None), value)


def _transformed(reader: Values, scores: OnnxValue, a: dict[str, Any], name: str) -> OnnxValue:
    match a.get("post_transform", b"NONE").decode():
        case "NONE":
            return scores
        case "SOFTMAX":
            return softmax(log=False)(reader, [scores], {"axis": 1}, name)
        case "LOGISTIC":
            return reader.add(Elementwise("Sigmoid"), scores, name=name)
        case other:
            raise InputError(f"its post_transform {other!r} is not read")


def _labels(a: dict[str, Any], names: tuple[str, str]) -> tuple[int, np.ndarray | None]:
    """Return how many classes there are, and their numbers, if they have any."""
    whole, words = a.get(names[0]), a.get(names[1])
    if whole:
        return len(whole), np.asarray(whole, dtype=np.float64)
    return len(words or ()), None


def _classified(
    reader: Values, scores: OnnxValue, labels: np.ndarray | None, a: dict[str, Any], name: str, wanted: Sequence[bool]
) -> "list[OnnxValue | None]":
    label = None
    if wanted[0]:
        if labels is None:
            raise InputError("its labels are words, of which nothing is proven: name the output of probabilities")
        index = STEPS["ArgMax"](reader, [scores], {"axis": 1, "keepdims": 0}, "")
        label = looked_up(reader, labels, index, name)
    return [label, _transformed(reader, scores, a, name) if len(wanted) > 1 and wanted[1] else None]


def _linear_classifier(
    reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str, wanted: Sequence[bool]
) -> "list[OnnxValue | None]":
    classes, labels = _labels(a, ("classlabels_ints", "classlabels_strings"))
    scores = _linear(reader, _row(value_of(inputs[0])), a, classes)
    return _classified(reader, scores, labels, a, name, wanted)


def _linear_regressor(
    reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str, wanted: Sequence[bool]
) -> "list[OnnxValue | None]":
    return [_transformed(reader, _linear(reader, _row(value_of(inputs[0])), a, int(a.get("targets", 1))), a, name)]


def _tree_classifier(
    reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str, wanted: Sequence[bool]
) -> "list[OnnxValue | None]":
    classes, labels = _labels(a, ("classlabels_int64s", "classlabels_strings"))
    if len(set(a.get("class_ids", ()))) < 2:
        raise InputError("trees of one score for two classes are not read")
    scores = _trees(reader, _row(value_of(inputs[0])), a, "class", classes)
    return _classified(reader, scores, labels, a, name, wanted)


def _tree_regressor(
    reader: Values, inputs: "list[Known | None]", a: dict[str, Any], name: str, wanted: Sequence[bool]
) -> "list[OnnxValue | None]":
    if a.get("aggregate_function", b"SUM") != b"SUM":
        raise InputError("trees are added; another aggregate_function is not read")
    scores = _trees(reader, _row(value_of(inputs[0])), a, "target", int(a.get("n_targets", 1)))
    return [_transformed(reader, scores, a, name)]


def _trees(reader: Values, value: OnnxValue, a: dict[str, Any], what: str, targets: int) -> OnnxValue:
    """Compare at every branch; a leaf is reached where all on its way are met; weights of leaves are added up.

    Of a way of d branches relu(met - (d - 1)) is 1 where all are met, and 0 elsewhere: unlike a step it knows that of
    two leaves below a branch one is reached.
    """
    keys = list(zip(a["nodes_treeids"], a["nodes_nodeids"], strict=True))
    modes = [mode.decode() for mode in a["nodes_modes"]]
    inner = [at for at, mode in enumerate(modes) if mode != "LEAF"]
    leaves = {key: at for at, key in enumerate(k for k, mode in zip(keys, modes, strict=True) if mode == "LEAF")}
    unknown = {modes[at] for at in inner} - set(_MODES)
    if unknown or any(a.get("nodes_missing_value_tracks_true", ())):
        raise InputError(f"branches of {', '.join(sorted(unknown)) or 'missing values'} are not read")
    if len({modes[at] for at in inner}) > 1:
        raise InputError("branches that compare in several ways are not read")
    ways = _ways(a, keys, modes)
    guard([len(leaves), max(len(inner), 1)])
    met = torch.zeros(len(leaves), max(len(inner), 1), dtype=torch.float64)
    missing = torch.zeros(len(leaves), dtype=torch.float64)
    column = {at: j for j, at in enumerate(inner)}
    for key, way in ways.items():
        for at, true in way:
            met[leaves[key], column[at]] = 1.0 if true else -1.0
        missing[leaves[key]] = 1.0 - sum(true for _, true in way)
    weight = torch.zeros(targets, len(leaves), dtype=torch.float64)
    parts = (a[f"{what}_treeids"], a[f"{what}_nodeids"], a[f"{what}_ids"], _numbers(a, f"{what}_weights"))
    for tree, node, target, share in zip(*parts, strict=True):
        weight[target, leaves[tree, node]] += share
    base = _numbers(a, "base_values")
    bias = torch.from_numpy(base) if base.size else None
    if not inner:
        raise InputError("its trees have no branch")
    op, sign = _MODES[modes[inner[0]]]
    features = np.array([a["nodes_featureids"][at] for at in inner])
    thresholds = _numbers(a, "nodes_values")[inner]
    places = np.arange(math.prod(value.full)).reshape(value.full)[:, features]
    gaps = reader.scaled(reader.taken(value, places), sign, -sign * thresholds, "")
    taken = reader.add(Elementwise(op), gaps)
    reached = reader.add(Relu(), reader.add(Linear(met, missing), taken))
    return reader.add(Linear(weight, bias), reached)


def _ways(a: dict[str, Any], keys: list[Any], modes: list[str]) -> dict[Any, list[tuple[int, bool]]]:
    """Return the branches on the way to each leaf, and whether their comparison is met there."""
    places = {key: at for at, key in enumerate(keys)}
    children = {key for at, key in enumerate(keys) for key in _children(a, keys, at) if modes[at] != "LEAF"}
    ways: dict[Any, list[tuple[int, bool]]] = {}
    firsts = {tree: key for key in reversed(keys) for tree in (key[0],)}
    if {key for key in keys if key not in children} != set(firsts.values()) or len(places) != len(keys):
        raise InputError("its branches form no trees")
    open_: list[tuple[Any, list[tuple[int, bool]]]] = [(key, []) for key in firsts.values()]
    while open_:
        key, way = open_.pop()
        at = places[key]
        if key in ways or len(way) > len(keys):
            raise InputError("its branches form no trees")
        if modes[at] == "LEAF":
            ways[key] = way
            continue
        yes, no = _children(a, keys, at)
        open_ += [(yes, [*way, (at, True)]), (no, [*way, (at, False)])]
    return ways


def _children(a: dict[str, Any], keys: list[Any], at: int) -> tuple[Any, Any]:
    tree = keys[at][0]
    return (tree, a["nodes_truenodeids"][at]), (tree, a["nodes_falsenodeids"][at])


ML_READERS: dict[str, ReadAll] = {
    "ArrayFeatureExtractor": _extractor,
    "Binarizer": _binarizer,
    "LinearClassifier": _linear_classifier,
    "LinearRegressor": _linear_regressor,
    "Normalizer": _normalizer,
    "Scaler": _scaler,
    "TreeEnsembleClassifier": _tree_classifier,
    "TreeEnsembleRegressor": _tree_regressor,
}
