"""What is chosen for unstable ReLUs in one vector is what a graph gets, value by value."""

import torch

from surefoot.reach.ibp import Box
from surefoot.reach.unstable import Dual, UnstableRelu, UnstableRelus


def relus() -> UnstableRelus:
    first = UnstableRelu(2, 1, torch.tensor([[True, False], [True, False]]), torch.tensor([1, 3]), 0)
    second = UnstableRelu(4, 3, torch.tensor([False, False, True]), torch.tensor([0, 1]), 2)
    return UnstableRelus((first, second))


def test_each_value_has_one_place() -> None:
    unstable = relus()
    assert unstable.count == 4
    assert [unstable.neuron(i) for i in range(4)] == [(2, 1), (2, 3), (4, 0), (4, 1)]
    assert UnstableRelus(()).count == 0


def test_slopes_and_multipliers_go_where_the_graph_has_them() -> None:
    unstable = relus()
    dual = Dual(torch.tensor([[0.0, 1.0, -1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]), torch.tensor([[0.25, 3.0, 2.0, 0.5]] * 2))
    choice = unstable.choice(dual)
    shapes = {2: (2, 2), 4: (3,)}
    for at, slopes in choice.slopes.items():
        assert slopes.shape == (2, 1, *shapes[at])
    for region in range(2):
        for i in range(4):
            at, value = unstable.neuron(i)
            sign = float(dual.signs[region, i])
            slope = float(choice.slopes[at][region].flatten()[value])
            multiplier = float(choice.multipliers[at][region].flatten()[value])
            assert multiplier == sign * float(dual.values[region, i])
            if sign == 0:
                assert slope == float(dual.values[region, i])
    assert choice.slopes[2][0, 0, 0, 0] == 1  # a stable one keeps the slope of smaller area
    assert choice.slopes[4][0, 0, 2] == 1


def test_decided_signs_cut_boxes_and_nothing_else() -> None:
    unstable = relus()
    boxes = [Box(-torch.ones(1, *shape), torch.ones(1, *shape)) for shape in [(2, 2), (2, 2), (2, 2), (3,), (3,)]]
    signs = torch.tensor([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    made = unstable.decide(boxes, signs)
    assert made[1].lower.flatten(1).tolist() == [[-1, 0, -1, -1], [-1, -1, -1, -1]]
    assert made[1].upper.flatten(1).tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert all(made[i] is boxes[i] for i in (0, 2, 3, 4))
