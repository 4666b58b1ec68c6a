"""Where an image's channels are is said, not guessed."""

import numpy as np
import pytest
import torch

from surefoot.cli.image_regions import check_options, regions_of
from surefoot.core.errors import InputError
from surefoot.graph.graph import GraphBuilder
from surefoot.graph.ops import Reshape
from surefoot.verify.network import Network

ABOUT = {"eps": "", "range": "", "threshold": None, "delta": None, "at": "1,0,1", "towards": None, "start": None}


def network_of(shape: tuple[int, ...]) -> Network:
    builder = GraphBuilder(shape)
    graph = builder.build(builder.add(Reshape((int(np.prod(shape)),)), 0))
    return Network.of(graph, lambda x: torch.from_numpy(x).numpy())


@pytest.mark.parametrize(("layout", "changed"), [("hwc", [6, 7, 8]), ("chw", [3, 9, 15, 21])])
def test_a_patch_of_an_image_whose_channels_come_last(layout: str, changed: list[int]) -> None:
    shape = (4, 2, 3)
    x = np.full((1, 24), 0.5)
    (region,) = regions_of(x, "patch", {**ABOUT, "layout": layout}, network_of(shape))
    assert np.flatnonzero(region.upper > region.lower).tolist() == changed


def test_it_must_be_said_where_the_last_side_looks_like_channels() -> None:
    with pytest.raises(InputError, match="say --layout hwc"):
        regions_of(np.zeros((1, 48)), "patch", {**ABOUT, "layout": None}, network_of((8, 2, 3)))
    (region,) = regions_of(np.zeros((1, 48)), "patch", {**ABOUT, "layout": None}, network_of((3, 8, 2)))
    assert int((region.upper > region.lower).sum()) == 3


def test_a_layout_goes_with_a_patch() -> None:
    with pytest.raises(InputError, match="--layout does not go with --region linf"):
        check_options({**ABOUT, "at": "", "eps": "0.1", "layout": "hwc"}, "linf")
