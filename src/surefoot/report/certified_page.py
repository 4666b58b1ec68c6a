"""The page of certified images."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from surefoot.core.plain import plain
from surefoot.core.proven import percent_span, span
from surefoot.evaluate.certified import Radius, Shown
from surefoot.report.certified_figures import band, bars, outputs, picture, wrong
from surefoot.report.page import html_of, render


def write_certified_page(path: Path | str, title: str, radii: list[Radius], shown: list[Shown]) -> None:
    """Write the page of certified images: curves against the radius, then what is known of some of the images."""
    curves = [
        html_of(band(radii, name, words), f"band-{name}")
        for name, words in (
            ("accuracy", "accuracy"), ("mean_confidence", "mean confidence"), ("brier", "Brier score"), ("ece", "ECE")
        )
        if len(radii) > 1  # one radius is no curve: the sentence says it
    ]  # fmt: skip
    images = []
    for s in shown:
        figures = [bars(s), outputs(s)]
        if s.image.ndim == 3 and min(s.image.shape[1:]) > 1:  # flat inputs are no pictures
            others = [] if s.other is None else [picture(s.other, "the counterexample")]
            figures = [picture(s.image, "the image"), *others, *figures]
        if s.sets:
            figures.append(wrong(s))
        drawn = [html_of(figure, f"image-{s.number}-{i}") for i, figure in enumerate(figures)]
        images.append((f"image {s.number}, true class {s.label}", sentence_of(s), drawn))
    last = radii[-1]
    words = ("accuracy", "mean confidence", "the Brier score", "ECE")
    pairs = (last.accuracy, last.summary.mean_confidence, last.summary.brier, last.summary.ece)
    spans = [f"{word} {_interval(word, a, b)}" for word, (a, b) in zip(words, pairs, strict=True)]
    sentences = [f"At radius {last.radius} these are certain: {', '.join(spans)}."]
    sentences += [r.warning for r in radii if r.late]
    results = {"title": title, "radii": [plain(r) for r in radii]}
    render(path, "certified.html", title, results, sentences=sentences, curves=curves, images=images)


def _interval(word: str, low: float | Fraction, high: float | Fraction) -> str:
    return span(float(low), float(high), 4) if word == "the Brier score" else percent_span(low, high)


def sentence_of(shown: Shown) -> str:
    """Say of one image whether it keeps its true class, what it is predicted as, and how sure."""
    verdict, label, certified = shown.answer["verdict"], shown.label, shown.certified
    low, high = certified.confidence
    confidence = f"over the region the probability of class {certified.label} is {percent_span(low, high)}"
    if certified.label != label:
        return f"Predicted as class {certified.label}, though its class is {label}; {confidence}."
    match verdict:
        case "holds":
            every = f"Every input of the region is predicted as class {label}"
            return f"{every}, with a confidence of {percent_span(low, high)}."
        case "violated":
            to = int(np.argmax(shown.answer["output"]))
            return f"Predicted as class {label}, but an input of the region is predicted as class {to}; {confidence}."
        case _:
            return f"Predicted as class {label}; whether every input of the region is, was not decided; {confidence}."
