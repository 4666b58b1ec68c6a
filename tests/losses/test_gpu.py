"""The kernels for GPUs, as triton interprets them on this processor, against the path that has an exact judge."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from surefoot.core import native
from surefoot.losses import ByConfidence, CrossEntropy, FocalLoss, InverseFocalLoss, rows

pytest.importorskip("triton", reason="no triton: the extra `gpu` is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # of NumPy, which interprets

LOSSES = {
    "ce": CrossEntropy(reduction="none"),
    "focal": FocalLoss(3.0, reduction="none"),
    "steps": FocalLoss(ByConfidence((5.0, 3.0, 2.0), (0.2, 0.5)), reduction="none"),
    "curve": InverseFocalLoss(2.0, reduction="none"),
}


def both(monkeypatch, loss, logits, target, weights):
    """Return losses and gradients of the path through PyTorch, and of the kernels."""
    monkeypatch.setattr(native, "LIBRARY", None)
    found = []
    for kernels in (False, True):
        monkeypatch.setattr(rows, "on_gpu", lambda _, kernels=kernels: kernels)
        z = logits.detach().clone().requires_grad_()
        values = loss(z, target)
        (values * weights).sum().backward()
        found.append((values.detach(), z.grad))
    return found


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("k", [2, 10, 5000])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_kernels_agree_with_the_path_through_pytorch(monkeypatch, name, k, dtype):
    generator = torch.Generator().manual_seed(k)
    logits = (6 * torch.randn(5, k, generator=generator)).to(dtype)
    target = torch.randint(k, (5,), generator=generator)
    weights = torch.rand(5, generator=generator)
    (values, gradient), (own, kernels) = both(monkeypatch, LOSSES[name], logits, target, weights)
    assert own.dtype == values.dtype
    assert kernels.dtype == dtype
    torch.testing.assert_close(own, values, rtol=1e-6, atol=1e-6 if dtype != torch.float64 else 1e-12)
    # the interpreter cuts bfloat16 off, a GPU rounds it
    unit = 2 * torch.finfo(dtype).eps if dtype in (torch.bfloat16, torch.float16) else 1e-6
    torch.testing.assert_close(kernels, gradient, rtol=unit, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_rows_at_the_edge_of_what_numbers_can_hold(monkeypatch, name):
    inf = torch.inf
    logits = torch.tensor([
        [200.0, 0.0, 0.0], [-200.0, 0.0, 0.0], [0.0, -inf, -inf], [60.0, 0.0, -inf], [3e38, -3e38, 0.0],
        [-3e38, 3e38, 0.0], [0.0, 0.0, 0.0], [1e-30, 0.0, -1e-30],
    ])  # fmt: skip
    (values, gradient), (own, kernels) = both(
        monkeypatch, LOSSES[name], logits, torch.zeros(8, dtype=torch.long), torch.ones(8)
    )
    torch.testing.assert_close(own, values, rtol=1e-6, atol=1e-37)
    torch.testing.assert_close(kernels, gradient, rtol=1e-6, atol=1e-37)
    assert torch.isfinite(kernels).all()


def test_what_is_no_number_is_no_loss_and_spoils_its_row_alone(monkeypatch):
    logits = torch.tensor([[0.0, torch.nan, 1.0], [1.0, 2.0, 3.0]])
    _, (own, kernels) = both(monkeypatch, LOSSES["focal"], logits, torch.tensor([0, 1]), torch.ones(2))
    assert own.isnan().tolist() == [True, False]
    assert torch.isfinite(kernels[1]).all()


def test_no_rows_columns_apart_and_a_class_that_is_none(monkeypatch):
    _, (own, kernels) = both(
        monkeypatch, LOSSES["focal"], torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0)
    )
    assert own.shape == (0,)
    assert kernels.shape == (0, 4)
    turned = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)).T  # rows that are not contiguous
    (_, gradient), (_, kernels) = both(monkeypatch, LOSSES["ce"], turned, torch.tensor([6, 0, 2]), torch.ones(3))
    torch.testing.assert_close(kernels, gradient)
    with pytest.raises((RuntimeError, IndexError), match="class"):
        rows.hard(torch.zeros(2, 3), torch.tensor([0, 3]), rows.FocalCurve(ByConfidence().at(0.0)))


def test_second_gradients_and_several_backward_passes(monkeypatch):
    monkeypatch.setattr(rows, "on_gpu", lambda _: True)
    z = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0, 3, 1])
    assert torch.autograd.gradcheck(lambda x: LOSSES["focal"](x, target), z)
    assert torch.autograd.gradgradcheck(lambda x: LOSSES["focal"](x, target), z)
    loss = LOSSES["focal"](z, target).sum()
    first, second = (torch.autograd.grad(loss, z, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


COMPILED = """
import torch, triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from surefoot.losses import gpu

def made(kernel, types, constants):
    source = ASTSource(kernel, types | {name: "constexpr" for name in constants}, constants)
    return len(triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"])

for logits, dtype in (("*bf16", torch.float32), ("*fp32", torch.float32), ("*fp64", torch.float64)):
    work, limits = gpu._TYPES[dtype], torch.finfo(dtype)
    held = "*fp64" if dtype == torch.float64 else "*fp32"
    row = {"logits": logits, "target": "*i64", "peaks": held, "sums": held}
    same = {"block": 4096, "work": work}
    assert made(gpu._summed, row | {"odds": "*fp64", "k": "i32"}, {"lowest": limits.min, "tiny": limits.tiny} | same)
    assert made(gpu._spread, row | {"factor": held, "gradient": logits, "k": "i32"}, same)
    numbers = {"odds": "*fp64", "sums": held, "table": "*fp64", "value": held, "scale": held, "n": "i32"}
    assert all(made(gpu._focal, numbers, {"steps": steps, "block": 128}) for steps in (1, 3))
print("compiled")
"""


def test_the_kernels_compile_for_a_gpu(tmp_path: Path) -> None:
    """The interpreter lets pass what the compiler does not; this needs no GPU."""
    settings = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | {"TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", COMPILED], env=settings, capture_output=True, text=True, check=False)
    assert done.stdout == "compiled\n", done.stderr[-2000:]
