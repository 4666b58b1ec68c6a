"""Training through Lightning against loops of the same network, batch and augmentation; the data path alone."""

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from harness import Results, medians
from torch import nn

from surefoot.data import Data, Part, Prepare
from surefoot.losses import FocalLoss
from surefoot.models import find_model
from surefoot.train import find_recipe, fit
from surefoot.train.batches import shuffled

torch.set_num_threads(1)
ROWS, BATCH = 5120, 128
RECIPE = replace(find_recipe("fast", 1), keep="last", batch_size=BATCH)


def data() -> Data:
    """Make images of CIFAR's shape; validation is one batch, so that an epoch is training."""
    torch.manual_seed(0)
    x, y = torch.randint(256, (ROWS, 3, 32, 32), dtype=torch.uint8), torch.arange(ROWS) % 10
    part, small = Part(x, y), Part(x[:BATCH], y[:BATCH])
    prepare = Prepare((0.49, 0.48, 0.45), (0.25, 0.24, 0.26), pad=4, flip=True)
    return Data("random", part, small, small, tuple("0123456789"), prepare)


def network() -> nn.Module:
    """Make He's ResNet-20."""
    torch.manual_seed(0)
    return find_model("resnet20")((3, 32, 32), 10).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def ours(rows: Data, folder: Path) -> None:
    """Train an epoch as `surefoot train` does."""
    fit(network(), FocalLoss(3.0), rows, RECIPE, folder, trainer={"enable_progress_bar": False, "accelerator": "cpu"})


def by_hand(rows: Data, fast: bool) -> None:
    """Train an epoch in a loop: the same steps, nothing logged, checked or saved; `fast` in bf16 and channels last."""
    model, loss = network(), nn.CrossEntropyLoss()
    if not fast:
        model = model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    order = torch.randperm(ROWS)
    for start in range(0, ROWS, BATCH):
        index = order[start : start + BATCH]
        x = rows.prepare(rows.train.x[index], augment=True)
        x = x if fast else x.contiguous()
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            value = loss(model(x), rows.train.y[index])
        optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
    model.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=fast):
        loss(model(rows.prepare(rows.validation.x)), rows.validation.y)


def data_path(rows: Data) -> None:
    """Draw, shift, mirror and normalise an epoch's batches."""
    for x, _ in shuffled(rows.train, BATCH, 0):
        rows.prepare(x, augment=True)


def main() -> None:
    """Measure and write."""
    results = Results("Training", "what", "images per second", "time / plain loop", "time / tuned loop", "limit")
    rows = data()
    with tempfile.TemporaryDirectory() as folder:
        runs = iter(range(1000))
        ways = {
            "plain PyTorch loop, float32, cross entropy": lambda: by_hand(rows, fast=False),
            "the same loop tuned by hand: bf16, channels last": lambda: by_hand(rows, fast=True),
            "surefoot, focal loss, with log and checkpoints": lambda: ours(rows, Path(folder) / str(next(runs))),
            "data path alone": lambda: data_path(rows),
        }
        times = medians(ways, 3)
    plain, tuned, *_ = times.values()
    for (name, seconds), limit in zip(times.items(), ("", "", "1", "never the bottleneck"), strict=True):
        results.add(name, f"{ROWS / seconds:,.0f}", f"{seconds / plain:.2f}", f"{seconds / tuned:.2f}", limit)
    results.write()


if __name__ == "__main__":
    main()
