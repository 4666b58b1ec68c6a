"""Every method of verification, and compression and equality, on random networks that end in each kind of operation,
their nodes named at random (also as generated nodes are): an answer is due, no bound may be wrong, and proofs must pass
the checker.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

from fuzz import Attack
from networks import random_box, random_network, samples
from surefoot.compress.file_equality import equal_files
from surefoot.compress.files import compress_file
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, GraphBuilder, Node, evaluate
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.ops import Add, Concat, Conv2d, ElementwiseAffine, Gather, Linear, MaxPool2d, Mul, Op, Relu, Reshape
from surefoot.proof.property import check_property
from surefoot.proof.question import Question, certificate_of_property
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Query, Unsafe, Violated
from surefoot.verify.catalog import METHODS
from surefoot.verify.network import Network
from surefoot.verify.run import verify

CASES = 2_000
BEFORE = "51 of 572: generated names that collide, empty names; and a KeyError where the output is an unstable ReLU"
ENDINGS = (
    "Relu",
    "Add",
    "Mul",
    "Concat",
    "Take",
    "Scale",
    "Reshape",
    "MaxPool2d",
    "Conv2d",
    "Linear",
    "matrix",
    "two Relus",
)


def attack(seed: int, count: int) -> Attack:
    """Ask one question by one method of each network."""
    met = Attack()
    for case in range(count):
        number = 10_000 * seed + case
        met.tried += 1
        try:
            met.outcomes[judged(number, met)] += 1
        except InputError as error:
            if (
                "exact star" not in str(error)
                and "curvature is for" not in str(error)
                and "hulls is for" not in str(error)
            ):
                met.faults.append(f"{number}: {error}")
            met.outcomes["refused"] += 1
        except Exception as error:
            met.faults.append(f"{number}: {type(error).__name__}: {error}")
            met.outcomes["crashed"] += 1
    return met


def judged(number: int, met: Attack) -> str:
    """Build the network of a number, ask about it, and judge the answer by sampling."""
    rng = np.random.default_rng([number, 7])
    graph = ending_in(ENDINGS[number % len(ENDINGS)], random_network(number, products=number % 5 == 0), rng)
    graph = renamed(graph, rng)
    way = number // len(ENDINGS) % (len(METHODS) + 2)
    if way >= len(METHODS):
        return compressed(graph, number, met, clip=way > len(METHODS))
    method = tuple(METHODS)[way]
    query, y = question(graph, number, rng)
    prove = METHODS[method].certifies and bool(rng.random() < 0.5)
    network = Network.of(graph)
    verdict = verify(network, query, 1.0, method, prove=prove)
    least = float(query.slack(y).min())
    if isinstance(verdict, Holds):
        if least < -1e-9 * (1 + np.abs(y).max()) or verdict.margin > least + 1e-9 * (1 + np.abs(y).max()):
            met.faults.append(f"{number}: {method} claims a margin of {verdict.margin}, sampling meets {least}")
        if prove:
            assert verdict.proof is not None
            asked = Question(query.inputs.lower, query.inputs.upper, [(u.weights, u.bounds) for u in query.unsafe])
            check_property(certificate_of_property(network.graph, (verdict.proof,)), network.graph, [asked])
    if isinstance(verdict, Violated):
        x = torch.from_numpy(verdict.input)
        seen = evaluate(graph.to(torch.float32), x.float().reshape(1, *graph.input_shape)).double().flatten().numpy()
        if not query.broken_by(seen):
            met.faults.append(f"{number}: {method} gives a counterexample that is none")
    return type(verdict).__name__.lower()


def compressed(graph: Graph, number: int, met: Attack, clip: bool) -> str:
    """Compress a network, and compare what came out with it."""
    lower, upper = (torch.from_numpy(end).reshape(graph.input_shape) for end in random_box(graph, number))
    with tempfile.TemporaryDirectory() as name:
        path, out = Path(name) / "net.onnx", Path(name) / "small.onnx"
        write_onnx(graph, path)
        report = compress_file(path, out, InputSet.of(lower, upper), 0.2, clip=clip)
        bound = equal_files(path, out, InputSet.of(lower, upper), 0.2)
    if not bound.met <= bound.largest * (1 + 1e-9) + 1e-12:
        met.faults.append(f"{number}: a difference of {bound.met}, proven to be at most {bound.largest}")
    if not report.met <= report.bound + 1e-4 * (1 + abs(report.met)):
        met.faults.append(f"{number}: a difference of {report.met} in float32, proven to be at most {report.bound}")
    return "compressed"


def question(graph: Graph, number: int, rng: np.random.Generator) -> tuple[Query, np.ndarray]:
    """Ask for a bound near the least value that sampling meets."""
    lower, upper = random_box(graph, number)
    y = evaluate(graph, samples(lower, upper, graph, 200, number)).flatten(1).numpy()
    rows = rng.normal(size=(int(rng.integers(1, 3)), y.shape[1]))
    reached = (y @ rows.T).max(1).min()
    spread = np.ptp((y @ rows.T).max(1)) + 0.05
    bounds = np.full(len(rows), reached - spread * rng.choice([-0.1, 0.0, 0.02, 0.3, 1.0, 5.0]))
    return Query(InputSet(lower, upper), (Unsafe(rows, bounds),)), y


def ending_in(ending: str, graph: Graph, rng: np.random.Generator) -> Graph:
    """Append an operation to a network of vectors."""
    builder = GraphBuilder(graph.input_shape)
    for node in graph.nodes[1:]:
        builder.add(node.op, *node.inputs)
    last = len(builder.nodes) - 1
    (k,) = builder.nodes[last].shape

    def weights(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(size=shape).astype(np.float32).astype(np.float64))

    image = {"MaxPool2d": MaxPool2d((1, 2), (1, 1)), "Conv2d": Conv2d(weights(2, 1, 1, 2))}
    plain: dict[str, Op] = {
        "Relu": Relu(), "Take": Gather(torch.tensor([2, -1, 0])), "Scale": ElementwiseAffine(weights(k), weights(k)),
        "Reshape": Reshape((1, k)), "Linear": Linear(weights(2, k), weights(2)),
    }  # fmt: skip
    if ending in image:
        builder.add(image[ending], builder.add(Reshape((1, 1, k)), last))
    elif ending == "matrix":  # on the last axis of a table, as a mean over places is
        builder.add(Linear(weights(3, 1)), builder.add(Reshape((k, 1)), last))
    elif ending == "two Relus":
        builder.add(Relu(), builder.add(Relu(), last))
    elif ending in ("Add", "Mul", "Concat"):
        op: Op = {"Add": Add(), "Mul": Mul(), "Concat": Concat(0)}[ending]
        builder.add(op, last, builder.add(Relu(), last))
    else:
        builder.add(plain[ending], last)
    return builder.build()


def renamed(graph: Graph, rng: np.random.Generator) -> Graph:
    """Name nodes as anybody may: as others are called with an ending, all the same, or as generated nodes are."""
    choices = (
        "fc",
        "fc_weight",
        "fc_bias",
        "fc_out",
        "",
        "relu_1",
        "linear_2",
        "output",
        "input",
        "logits",
        "a",
        "é/:0",
    )
    names = [str(rng.choice(choices)) for _ in graph.nodes]
    return Graph(tuple(Node(name, n.op, n.inputs, n.shape) for name, n in zip(names, graph.nodes, strict=True)))
