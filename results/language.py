"""A small causal language model trained from scratch with the fused loss: how sure is it of the next word?

    python results/language.py --data ../shared/data          20 Newsgroups, minutes on one core

Writes language.json and language.md; a cell that was measured is not trained again.
"""

import json
import lzma
import re
import time
from collections import Counter
from pathlib import Path

import harness
import numpy as np
import torch
from harness import Kept, mean, section
from torch import Tensor, nn

from surefoot.losses import CrossEntropy, FocalLoss, LinearLoss
from surefoot.losses.base import PointwiseLoss
from surefoot.metrics import METRICS, measure
from surefoot.recalibrate import TemperatureScaling

RESULTS = "language.json"
WORDS, LENGTH, WIDTH, TOKENS = 8000, 32, 128, 400_000
LOSSES: dict[str, PointwiseLoss] = {
    "cross entropy": CrossEntropy(),
    "focal, gamma 1": FocalLoss(1.0),
    "focal, gamma 3": FocalLoss(3.0),
}
SEEDS = (0,)


class Model(nn.Module):
    """Words to hidden states: an embedding, a GRU, a projection; the last layer is the loss's."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.rnn = nn.GRU(WIDTH, WIDTH, batch_first=True)
        self.head = nn.Linear(WIDTH, WORDS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Compute hidden states (n, length, width)."""
        return self.rnn(self.embedding(tokens))[0]


def tokens_of(data: Path, split: str, vocabulary: dict[str, int] | None) -> tuple[Tensor, dict[str, int]]:
    """Read words of one split; 0 is any word that is not among the most frequent."""
    words: list[str] = []
    with lzma.open(data / "text" / "20news-bydate" / "20news_bydate.jsonl.xz", "rt") as file:
        for line in file:
            row = json.loads(line)
            if row["split"] == split:
                words += re.findall(r"[a-z']+|[.,!?]", row["text"].split("\n\n", 1)[-1].lower())
            if len(words) > TOKENS:
                break
    if vocabulary is None:
        vocabulary = {word: i for i, (word, _) in enumerate(Counter(words).most_common(WORDS - 1), 1)}
    return torch.tensor([vocabulary.get(word, 0) for word in words[:TOKENS]]), vocabulary


def rows(model: Model, tokens: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Compute logits and next words."""
    x = tokens[: len(tokens) // LENGTH * LENGTH].reshape(-1, LENGTH)
    with torch.no_grad():
        logits = model.head(model(x)[:, :-1]).flatten(0, 1)
    y = x[:, 1:].flatten()
    known = y != 0
    return logits[known].numpy(), y[known].numpy()


def main() -> None:
    """Train, measure, write."""
    parser = harness.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(RESULTS)
    train, vocabulary = tokens_of(arguments.data, "train", None)
    held, _ = tokens_of(arguments.data, "test", vocabulary)
    validation, test = held[:20_000], held[20_000:50_000]
    x = train[: len(train) // LENGTH * LENGTH].reshape(-1, LENGTH)
    for name, loss in LOSSES.items():
        for seed in SEEDS:
            key = f"{name}|{seed}"
            if key in kept:
                continue
            torch.manual_seed(seed)
            begin, model, fused = time.process_time(), Model(), LinearLoss(loss)
            fused.loss.ignore_index = 0  # unknown words are not asked for
            optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
            for _ in range(2):
                for batch in torch.randperm(len(x)).split(32):
                    optimizer.zero_grad()
                    hidden = model(x[batch])[:, :-1]
                    fused(hidden, model.head.weight, x[batch][:, 1:], model.head.bias).backward()
                    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                    optimizer.step()
            model.eval()
            logits, y = rows(model, test)
            t = float(TemperatureScaling().fit(*rows(model, validation)).temperature_)
            found = {}
            for stage, scale in (("as it is", 1.0), ("after T", t)):
                probs = torch.from_numpy(logits / scale).double().softmax(1).numpy()
                read = measure([(probs, y)], [METRICS[m] for m in ("accuracy", "nll", "ece")])
                found[stage] = {m: r.value for m, r in read.items()} | {"floor": read["ece"].floor}
            kept.add(key, {**found, "temperature": t, "tokens": len(y), "cpu": time.process_time() - begin})
    harness.write_page("language.md", page())


def page() -> list[str]:
    """Write the table."""
    words = (
        f"An embedding, a GRU and the fused loss (`LinearLoss`) over {WORDS:,} words; two passes over {TOKENS:,} words",
        "of 20 Newsgroups, one core. How sure is it of the next word, on 30,000 words of the test part (unknown ones",
        f"left out)? Seeds: {len(SEEDS)}; T learnt on 20,000 other words.",
        "Command: `python results/language.py --data ../shared/data`.",
    )
    heads = ("loss", "right", "NLL", "ECE", "floor", "T", "NLL after T", "ECE after T", "CPU s")
    kept, rows = Kept(RESULTS), []
    for name in LOSSES:
        found = [result for key, result in kept.items() if key.startswith(name + "|")]
        before, after = ([result[stage] for result in found] for stage in ("as it is", "after T"))
        rows.append([
            name, f"{mean(before, 'accuracy'):.1%}", f"{mean(before, 'nll'):.3f}", f"{mean(before, 'ece'):.2%}",
            f"{mean(before, 'floor'):.2%}", f"{mean(found, 'temperature'):.2f}", f"{mean(after, 'nll'):.3f}",
            f"{mean(after, 'ece'):.2%}", f"{mean(found, 'cpu'):.0f}",
        ])  # fmt: skip
    return [section("# A small causal language model", words, heads, rows)]


if __name__ == "__main__":
    main()
