"""The cascade at its edges."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from networks import random_box, random_network
from surefoot.core.errors import InputError
from surefoot.graph.graph import GraphBuilder
from surefoot.graph.ops import Add, ElementwiseAffine, Linear, Mul, Relu, Softmax
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Query, Unknown, Unsafe, Violated, robustness
from surefoot.verify.network import Network
from surefoot.verify.run import verify
from surefoot.verify.several import answer_all


def line_network(softmax: bool = False) -> Network:
    builder = GraphBuilder((1,))
    last = builder.add(Linear(torch.tensor([[1.0], [-1.0]], dtype=torch.float64)), 0)
    return Network.of(builder.build(builder.add(Softmax(), last) if softmax else last))


@pytest.mark.parametrize("softmax", [False, True])
def test_a_tie_is_not_robust(softmax: bool) -> None:
    """A softmax keeps ties, and in float32 makes more of them: what ties as deployed is violated."""
    network = line_network(softmax)
    above = robustness(InputSet(np.array([1e-3]), np.array([1.0])), 0, 2)
    touching = robustness(InputSet(np.array([0.0]), np.array([1.0])), 0, 2)
    found = verify(network, above, 5.0)
    assert isinstance(found, Holds)
    assert found.float32
    found = verify(network, touching, 5.0)
    assert isinstance(found, Violated)
    assert network.run(found.input[None].astype(np.float32))[0].tolist() == found.output.tolist()
    tied = verify(network, robustness(InputSet(np.array([2.0**-40]), np.array([1.0])), 0, 2), 5.0)
    assert isinstance(tied, Violated if softmax else Holds)


def test_every_output_unsafe_is_violated_by_any_input() -> None:
    everything = (Unsafe(np.zeros((0, 2)), np.zeros(0)),)
    found = verify(line_network(), Query(InputSet(np.array([0.0]), np.array([1.0])), everything), 5.0)
    assert isinstance(found, Violated)
    narrow = Query(InputSet(np.array([0.1]), np.array([0.1 + 1e-12])), everything)
    beside = verify(line_network(), narrow, 5.0)
    assert isinstance(beside, Violated)
    assert 0 < beside.distance_to_region < np.spacing(np.float32(0.1))


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e6, 1e25])
def test_huge_and_tiny_numbers(scale: float) -> None:
    network = line_network()
    low, high = np.array([0.5 * scale]), np.array([scale])
    assert isinstance(verify(network, robustness(InputSet(low, high), 0, 2), 5.0), Holds)
    assert isinstance(verify(network, robustness(InputSet(low, high), 1, 2), 5.0), Violated)


@pytest.mark.parametrize(
    "method",
    [
        "auto",
        "crown",
        "alpha-crown",
        "relu-splitting",
        "input-splitting",
        "exact",
        "star",
        "zonotope",
        "polytope",
        "relaxed",
    ],
)
def test_what_is_not_a_number_proves_nothing(method: str) -> None:
    """1e200 (1e200 relu(x)) - the same is 0, which is unsafe; in float64 it is infinity less infinity."""
    builder = GraphBuilder((1,))
    last = builder.add(Relu(), builder.add(Linear(torch.tensor([[1e200], [1e200]], dtype=torch.float64)), 0))
    last = builder.add(Relu(), builder.add(ElementwiseAffine(torch.tensor([1e200], dtype=torch.float64)), last))
    builder.add(Linear(torch.tensor([[1.0, -1.0]], dtype=torch.float64)), last)
    touched = (Unsafe(np.array([[1.0]]), np.zeros(1)), Unsafe(np.array([[-1.0]]), np.array([-1e9])))
    for unsafe in (touched, touched[::-1]):
        found = verify(Network.of(builder.build()), Query(InputSet.of([-1], [2]), unsafe), 2.0, method)
        assert not isinstance(found, Holds)


def test_outputs_that_are_no_vector() -> None:
    builder = GraphBuilder((1, 2, 2))
    builder.add(Relu(), builder.add(ElementwiseAffine(torch.tensor(-1.0, dtype=torch.float64)), 0))
    network = Network.of(builder.build())
    query = Query(InputSet(np.full(4, -2.0), np.full(4, -1.0)), (Unsafe(np.eye(4)[:1], np.array([0.5])),))
    for method in ("auto", "relu-splitting", "star"):
        assert isinstance(verify(network, query, 5.0, method), Holds)


def test_bounds_beyond_float32_cannot_be_replayed() -> None:
    found = verify(line_network(), robustness(InputSet(np.array([1e300]), np.array([2e300])), 1, 2), 5.0)
    assert isinstance(found, Unknown)
    assert "no float32 number" in found.why


def test_no_time_at_all_is_an_answer_too() -> None:
    graph = random_network(4)
    query = Query(InputSet(*random_box(graph, 4)), (Unsafe(np.ones((1, 3)), np.zeros(1)),))
    assert verify(Network.of(graph), query, 0.0).details["seconds"] < 5


def test_questions_of_another_shape() -> None:
    network = line_network()
    with pytest.raises(InputError, match="has 2 inputs; the network takes 1"):
        verify(network, robustness(InputSet(np.zeros(2), np.ones(2)), 0, 2), 1.0)
    with pytest.raises(InputError, match="about 3 outputs; the network gives 2"):
        verify(network, robustness(InputSet(np.zeros(1), np.ones(1)), 0, 3), 1.0)
    with pytest.raises(InputError, match="nothing is unsafe"):
        Query(InputSet(np.zeros(1), np.ones(1)), ())
    with pytest.raises(InputError, match="writes no certificate"):
        verify(network, robustness(InputSet(np.zeros(1), np.ones(1)), 0, 2), 1.0, "exact", prove=True)


def test_known_verdicts_of_the_competition(shared_data) -> None:
    """Two instances of each kind, whose answer all good tools share."""
    from surefoot.spec.vnnlib import read_vnnlib  # noqa: PLC0415
    from surefoot.verify.many import open_network  # noqa: PLC0415
    from surefoot.verify.several import answer_all  # noqa: PLC0415

    data = shared_data / "verify"
    for net, prop, expected in (
        ("acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx.gz", "acasxu/vnnlib/prop_1.vnnlib.gz", Holds),
        ("acasxu/onnx/ACASXU_run2a_2_2_batch_2000.onnx.gz", "acasxu/vnnlib/prop_2.vnnlib.gz", Violated),
        ("mnist_fc_2022/onnx/mnist-net_256x2.onnx.gz", "mnist_fc_2022/vnnlib/prop_8_0.03.vnnlib.gz", Holds),
        ("mnist_fc_2022/onnx/mnist-net_256x2.onnx.gz", "mnist_fc_2022/vnnlib/prop_1_0.05.vnnlib.gz", Violated),
        ("verivital_2021/Convnet_avgpool.onnx", "verivital_2021/specs/avgpool_specs/prop_9_0.02.vnnlib.gz", Holds),
    ):
        network = open_network(data / net)
        queries = read_vnnlib(data / prop, network.inputs, network.outputs)
        assert isinstance(answer_all(network, queries, 60.0, "auto", 0)[0], expected), (net, prop)


def test_what_float64_cannot_tell_from_zero_proves_nothing() -> None:
    builder = GraphBuilder((1,))
    square = builder.add(Mul(), 0, 0)
    builder.add(Linear(torch.tensor([[1e300]], dtype=torch.float64)), square)
    query = Query(InputSet(np.array([1e-170]), np.array([2e-170])), (Unsafe(np.array([[-1.0]]), np.array([-1e-40])),))
    assert isinstance(verify(Network.of(builder.build()), query, 3.0), Unknown)  # it is 1e-40 and more: unsafe, not 0


@pytest.mark.parametrize("method", ["auto", "input-splitting", "relu-splitting"])
@pytest.mark.parametrize("kind", ["scale", "sum", "add", "product"])
def test_nothing_is_said_of_float32_where_it_may_overflow(kind: str, method: str) -> None:
    """1 * 1e20 * 1e20 / 1e20 / 1e20 is 1, and infinite in float32, whichever operation overflows."""

    def scaled(factor: float) -> ElementwiseAffine:
        return ElementwiseAffine(torch.tensor([factor], dtype=torch.float64))

    for size in (1e5, 1e20):
        builder = GraphBuilder((2,))
        x = builder.add(Relu(), builder.add(Linear(torch.tensor([[1.0, 1.0], [1.0, -1.0]]).double()), 0))
        if kind == "product":
            x = builder.add(scaled(size), x)
            x = builder.add(Mul(), x, x)
        else:
            x = builder.add(scaled(size if kind == "scale" else 0.4 * size * size / 1e2), x)
            x = builder.add(scaled(size if kind == "scale" else 1e2), x)
        if kind == "sum":  # only on the way
            x = builder.add(Linear(torch.tensor([[9.0, -9.0], [9.0, 9.0]]).double()), x)
        if kind == "add":
            x = builder.add(Add(), builder.add(scaled(9.0), x), x)
        x = builder.add(Relu(), builder.add(scaled(1 / size), builder.add(scaled(1 / size), x)))
        x = builder.add(Linear(torch.ones(1, 2, dtype=torch.float64)), x)
        query = Query(InputSet(np.zeros(2), np.ones(2)), (Unsafe(np.array([[1.0]]), np.array([-1.0])),))
        verdict = verify(Network.of(builder.build(x)), query, 20, method)
        if (kind, method) == ("product", "relu-splitting"):
            assert not isinstance(verdict, Holds) or verdict.float32 == (size == 1e5)
        else:
            assert isinstance(verdict, Holds)
            assert verdict.float32 == (size == 1e5)
        end = query.inputs.upper
        queries = [replace(query, inputs=InputSet(end * at / 8, end * (at + 1) / 8)) for at in range(8)]
        together, _ = answer_all(Network.of(builder.build(x)), queries, 20, "auto", 0)
        assert isinstance(together, Holds)
        assert together.float32 == (size == 1e5)
