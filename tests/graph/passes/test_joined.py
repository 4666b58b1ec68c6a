"""Networks side by side give what each gives by itself."""

import numpy as np
import pytest
import torch

from networks import random_network
from surefoot.core.errors import InputError
from surefoot.graph.graph import GraphBuilder, evaluate
from surefoot.graph.ops import Linear, Softmax
from surefoot.graph.passes.joined import joined


@pytest.mark.parametrize("with_inputs", [False, True])
def test_each_gives_what_it_gives_alone(with_inputs: bool) -> None:
    rng = np.random.default_rng(0)
    for seed in range(5):
        parts = [random_network(seed), random_network(seed + 50)]
        sizes = [int(np.prod(graph.input_shape)) for graph in parts]
        inputs = max(sizes) + 2
        places = [rng.integers(0, inputs, size) for size in sizes]
        x = torch.from_numpy(rng.normal(size=(4, inputs)))
        both = joined([(graph, at.tolist()) for graph, at in zip(parts, places, strict=True)], inputs, with_inputs)
        alone = [
            evaluate(graph, x[:, at].reshape(4, *graph.input_shape)).flatten(1)
            for graph, at in zip(parts, places, strict=True)
        ]
        torch.testing.assert_close(evaluate(both, x), torch.cat([*alone, *([x] if with_inputs else [])], 1))


def test_a_softmax_is_no_part() -> None:
    builder = GraphBuilder((2,))
    ends_in_softmax = builder.build(builder.add(Softmax(), builder.add(Linear(torch.eye(2).double()), 0)))
    with pytest.raises(InputError, match="a softmax is read only as the last operation"):
        joined([(ends_in_softmax, [0, 1])], 2)


def test_what_is_alike_is_there_once() -> None:
    graph = random_network(0)
    size = int(np.prod(graph.input_shape))
    alone = len(joined([(graph, range(size))], size).nodes)
    again = graph.to(torch.float64)  # other objects, the same numbers
    assert len(joined([(graph, range(size)), (again, range(size))], size).nodes) == alone + 1
    apart = joined([(graph, range(size)), (again, range(size, 2 * size))], 2 * size)
    assert len(apart.nodes) == 2 * (alone - 1) + 2
