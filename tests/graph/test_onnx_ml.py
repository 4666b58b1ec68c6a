"""Scikit-learn's classifiers, as their exporter writes them, are what ONNX Runtime computes."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from sklearn.datasets import load_iris
from sklearn.tree import DecisionTreeClassifier

from surefoot.core.errors import InputError
from surefoot.graph.graph import evaluate
from surefoot.graph.onnx_in import graph_of_onnx
from surefoot.graph.onnx_ml import ML
from surefoot.graph.ops import Softmax
from surefoot.spec.opening import open_onnx

WEIGHT, BIAS = np.random.default_rng(0).normal(size=(3, 4)), np.array([0.1, -0.2, 0.3])
LINEAR = {"coefficients": WEIGHT.ravel().tolist(), "intercepts": BIAS.tolist(), "classlabels_ints": [7, 3, 5]}
X = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)


def classifier(
    steps: list[Any], outputs: dict[str, int], constants: dict[str, np.ndarray] | None = None
) -> onnx.ModelProto:
    nodes = [
        helper.make_node(op, given, results, domain="" if op in ("ArgMax", "Identity") else ML, **more)
        for op, given, results, more in steps
    ]
    graph = helper.make_graph(
        nodes, "learnt", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [onnx.numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(ML, 1)])
    model.ir_version = 8
    return model


def agree(model: onnx.ModelProto, output: str, x: np.ndarray = X) -> list[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    theirs = np.asarray(session.run([output], {"x": x})[0], dtype=np.float64)
    graph = graph_of_onnx(model, output)
    ours = evaluate(graph, torch.from_numpy(x).double()).numpy()
    assert np.allclose(ours.reshape(theirs.shape), theirs, atol=1e-5)
    return [node.op for node in graph.nodes]


def linear(post: str, *more: Any) -> list[Any]:
    return [("LinearClassifier", ["x"], ["label", "scores"], {**LINEAR, "post_transform": post}), *more]


@pytest.mark.parametrize("post", ["NONE", "SOFTMAX", "LOGISTIC"])
def test_a_linear_classifier_its_scores_and_its_label(post: str) -> None:
    model = classifier(linear(post), {"label": TensorProto.INT64, "scores": TensorProto.FLOAT})
    ops = agree(model, "scores")
    agree(model, "label")
    assert isinstance(ops[-1], Softmax) == (post == "SOFTMAX")


def test_probabilities_are_not_divided_by_their_sum_again() -> None:
    norm = ("Normalizer", ["scores"], ["p"], {"norm": "L1"})
    same = ("Identity", ["p"], ["q"], {})
    ops = agree(classifier(linear("SOFTMAX", norm, same), {"q": TensorProto.FLOAT}), "q")
    assert isinstance(ops[-1], Softmax)
    assert len(ops) == 3
    agree(classifier(linear("LOGISTIC", norm), {"p": TensorProto.FLOAT}), "p")


@pytest.mark.parametrize(
    ("op", "more"),
    [
        ("Scaler", {"offset": [0.5, 1.0, -2.0, 0.1], "scale": [2.0, 0.3, 1.0, 0.5]}),
        ("Scaler", {"offset": [0.5], "scale": [2.0]}),
        ("Normalizer", {"norm": "L1"}),
        ("Normalizer", {"norm": "L2"}),
        ("Binarizer", {"threshold": 0.25}),
        ("LinearRegressor", {"coefficients": WEIGHT[:2].ravel().tolist(), "intercepts": [1.0, 2.0], "targets": 2}),
    ],
)
def test_what_stands_before_or_instead(op: str, more: dict[str, Any]) -> None:
    agree(classifier([(op, ["x"], ["y"], more)], {"y": TensorProto.FLOAT}), "y")


def test_columns_and_labels_are_extracted() -> None:
    column = [("ArrayFeatureExtractor", ["x", "i"], ["y"], {})]
    agree(classifier(column, {"y": TensorProto.FLOAT}, {"i": np.array([2, 0])}), "y")
    label = [
        ("ArgMax", ["x"], ["a"], {"axis": 1, "keepdims": 1}),
        ("ArrayFeatureExtractor", ["c", "a"], ["y"], {}),
    ]
    agree(classifier(label, {"y": TensorProto.INT64}, {"c": np.array([4, 9, -2, 8])}), "y", X[:1])


def forest(trees: int, mode: str) -> dict[str, Any]:
    """Write trees that scikit-learn learnt as its exporter does."""
    x, y = load_iris(return_X_y=True)
    a: dict[str, list[Any]] = {name: [] for name in (
        "nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_values", "nodes_modes", "nodes_truenodeids",
        "nodes_falsenodeids", "class_treeids", "class_nodeids", "class_ids", "class_weights",
    )}  # fmt: skip
    for tree in range(trees):
        learnt = DecisionTreeClassifier(max_depth=3, random_state=tree, max_features=1).fit(x, y).tree_
        for node in range(learnt.node_count):
            leaf = learnt.children_left[node] < 0
            a["nodes_treeids"].append(tree)
            a["nodes_nodeids"].append(node)
            a["nodes_featureids"].append(max(int(learnt.feature[node]), 0))
            a["nodes_values"].append(float(np.float32(learnt.threshold[node])) if not leaf else 0.0)
            a["nodes_modes"].append("LEAF" if leaf else mode)
            a["nodes_truenodeids"].append(0 if leaf else int(learnt.children_left[node]))
            a["nodes_falsenodeids"].append(0 if leaf else int(learnt.children_right[node]))
            for label, share in enumerate(learnt.value[node][0] if leaf else ()):
                a["class_treeids"].append(tree)
                a["class_nodeids"].append(node)
                a["class_ids"].append(label)
                a["class_weights"].append(float(share) / trees)
    return {**a, "classlabels_int64s": [0, 1, 2], "post_transform": "NONE"}


@pytest.mark.parametrize("mode", ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"])
def test_a_forest_also_at_its_thresholds(mode: str) -> None:
    a = forest(4, mode)
    model = classifier([("TreeEnsembleClassifier", ["x"], ["label", "p"], a)],
                       {"label": TensorProto.INT64, "p": TensorProto.FLOAT})  # fmt: skip
    x = np.concatenate([load_iris(return_X_y=True)[0], 3 + 3 * X]).astype(np.float32)
    values = np.array([v for v, m in zip(a["nodes_values"], a["nodes_modes"], strict=True) if m != "LEAF"], np.float32)
    at = np.random.default_rng(0).choice(values, (200, 4)).astype(np.float32)  # exactly at thresholds
    for output in ("p", "label"):
        agree(model, output, np.concatenate([x, at]))


def test_a_regression_of_trees_and_what_is_no_tree() -> None:
    a = forest(2, "BRANCH_LEQ")
    parts = {f"target_{name}": a[f"class_{name}"] for name in ("treeids", "nodeids", "ids", "weights")}
    nodes = {name: value for name, value in a.items() if name.startswith("nodes")}
    a = {**nodes, **parts, "n_targets": 3}
    agree(classifier([("TreeEnsembleRegressor", ["x"], ["y"], a)], {"y": TensorProto.FLOAT}), "y")
    round_ = [min(n, 1) * (n - 1) for n in nodes["nodes_truenodeids"]]
    with pytest.raises(InputError, match="its branches form no trees"):
        graph_of_onnx(
            classifier([("TreeEnsembleRegressor", ["x"], ["y"], a | {"nodes_truenodeids": round_})],
                       {"y": TensorProto.FLOAT})
        )  # fmt: skip


def test_named_maps_are_read_as_rows(tmp_path: Path) -> None:
    steps = linear("SOFTMAX", ("ZipMap", ["scores"], ["p"], {"classlabels_int64s": [7, 3, 5]}))
    onnx.save(classifier(steps, {"p": TensorProto.FLOAT}), tmp_path / "net.onnx")
    opened = open_onnx(tmp_path / "net.onnx")
    assert opened.run(X[:2]).shape == (2, 3)


@pytest.mark.parametrize(
    ("steps", "output", "said"),
    [
        (linear("PROBIT"), "scores", "its post_transform 'PROBIT' is not read"),
        ([("LinearClassifier", ["x"], ["label", "s"], {**LINEAR, "intercepts": [1.0]})], "s", "1 intercepts for 3"),
        ([("LinearClassifier", ["x"], ["label", "s"],
           {"coefficients": [1.0] * 8, "classlabels_strings": ["a", "b"]})], "label", "its labels are words"),
        ([("Normalizer", ["x"], ["s"], {"norm": "MAX"})], "s", "its norm 'MAX' is not read"),
        ([("SVMClassifier", ["x"], ["label", "s"], {})], "s", "operations of the domain 'ai.onnx.ml'"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named(steps: list[Any], output: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        graph_of_onnx(classifier(steps, {output: TensorProto.FLOAT}), output)
