"""ResNets whose blocks multiply: degrees, and the block written out."""

import pytest
import torch

from polynomial_models import check_degree_and_runtime, degree_along, shaken
from surefoot.models import PiResNet
from surefoot.models.pi_resnet import Product


@pytest.mark.parametrize("product", ["own-factors", "regularised"])
def test_degrees_and_the_runtime(product: Product) -> None:
    check_degree_and_runtime(PiResNet((1, 8, 8), 3, (1, 1), (4, 6), product=product), (1, 1, 8, 8), 4)


def test_a_number_that_begins_with_zero_begins_a_residual_network() -> None:
    model = PiResNet((1, 8, 8), 3, (1, 1), (4, 6), product="regularised").eval()
    assert degree_along(model, torch.randn(1, 1, 8, 8), 4) == 1


@pytest.mark.parametrize("mixed", [False, True])
def test_a_block_adds_branch_shortcut_and_their_product(mixed: bool) -> None:
    """One block: y = h + s + h * s (Chrysos et al. 2021), the product through its own convolution where it is mixed."""
    model = shaken(PiResNet((1, 6, 6), 3, (1,), (4,), mixed=mixed)).double()
    stem, norm, block, pool, flatten, last = model.get_submodule("layers").children()
    x = torch.randn(2, 1, 6, 6, dtype=torch.float64)
    s = norm(stem(x))
    h = block.get_submodule("second")(block.get_submodule("first")(s))
    product = block.get_submodule("mixed")(h * s) if mixed else h * s
    torch.testing.assert_close(model(x), last(flatten(pool(h + s + product))))
