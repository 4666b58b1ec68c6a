"""What a process that a test starts runs: it must be importable by name."""

import os

import numpy as np
import torch
from lightning import LightningModule

from surefoot.metrics import METRICS
from surefoot.train import calibration_metrics

ALL = tuple(METRICS)


def sample(n=300, k=4):
    rng = np.random.default_rng(0)
    logits = (2 * rng.normal(size=(n, k))).astype(np.float32)
    return torch.from_numpy(logits), torch.from_numpy((logits / 2 + rng.gumbel(size=(n, k))).argmax(1))


def worker(rank, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29533"}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    logits, labels = sample()
    mine = slice(0, 110) if rank == 0 else slice(110, 300)  # not the same number of rows
    metrics = calibration_metrics(names=ALL)
    for start in range(mine.start, mine.stop, 50):
        end = min(start + 50, mine.stop)
        metrics.update(logits[start:end], labels[start:end])
    torch.save({name: float(v) for name, v in metrics.compute().items()}, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


class Net(LightningModule):
    """A network that only measures what it is given."""

    def __init__(self):
        super().__init__()
        self.metrics = calibration_metrics(names=("ece", "ks", "nll"))

    def validation_step(self, batch, _):
        self.metrics.update(*batch)
        self.log_dict(self.metrics)
