"""A language model's confidence, by token and by answer, from a table of log-probabilities: whatever model made them.

    python examples/multiple_choice.py

The model here counts characters of Python's own documentation; of yours only the table is needed.
"""

from collections import Counter, defaultdict
from pydoc_data.topics import topics

import numpy as np

from surefoot.metrics import METRICS, measure
from surefoot.recalibrate import TemperatureScaling

ORDER, CONTEXT, ANSWER, CHOICES = 4, 30, 10, 4

text = " ".join(" ".join(topics.values()).lower().split())
characters = sorted(set(text))
code = {c: i for i, c in enumerate(characters)}
cut = len(text) * 2 // 3
counts: dict[str, Counter[str]] = defaultdict(Counter)
for i in range(ORDER, cut):
    counts[text[i - ORDER : i]][text[i]] += 1


def log_probabilities(context: str) -> np.ndarray:
    """Return log p of every character after a context: counts, and a little for what was never seen."""
    row = np.full(len(characters), 0.05)
    for character, count in counts[context[-ORDER:]].items():
        row[code[character]] += count
    return np.log(row / row.sum())


def of_answer(context: str, answer: str) -> float:
    """Return the log-probability of a whole answer."""
    return sum(log_probabilities(context + answer[:i])[code[c]] for i, c in enumerate(answer))


def told(what: str, table: np.ndarray, labels: np.ndarray) -> None:
    """Fit a temperature on one half, measure the other before and after. Log-probabilities are logits."""
    half = len(table) // 2
    repaired = TemperatureScaling().fit(table[:half], labels[:half])
    before = np.exp(table[half:] - np.logaddexp.reduce(table[half:], 1, keepdims=True))
    for when, probs in (("before", before), ("after", repaired.predict_proba(table[half:]))):
        ece = measure([(probs, labels[half:])], [METRICS["ece"]])["ece"]
        print(f"{what}, {when}: ECE {ece.value:.3f}, a calibrated model would show about {ece.floor:.3f}")
    print(f"{what}: T = {repaired.temperature_:.2f}")


generator = np.random.default_rng(0)
places = generator.permutation(np.arange(cut, len(text)))[:3000]
told(
    "tokens",
    np.stack([log_probabilities(text[i - ORDER : i]) for i in places]),
    np.array([code[text[i]] for i in places]),
)

table, labels = [], []
for i in generator.permutation(np.arange(cut + CONTEXT, len(text) - ANSWER))[:1000]:
    others = generator.integers(cut, len(text) - ANSWER, CHOICES - 1)
    answers = [text[j : j + ANSWER] for j in (i, *others)]
    order = generator.permutation(CHOICES)
    table.append([of_answer(text[i - CONTEXT : i], answers[j]) for j in order])
    labels.append(int(np.flatnonzero(order == 0)[0]))
told("answers", np.array(table), np.array(labels))
