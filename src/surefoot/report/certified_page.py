"""The page of certified images."""

from pathlib import Path

from surefoot.core.plain import plain
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
    ]  # fmt: skip
    images = []
    for s in shown:
        figures = [picture(s.image, "the image"), bars(s), outputs(s)]
        if s.other is not None:
            figures.insert(1, picture(s.other, "the counterexample"))
        if s.sets:
            figures.append(wrong(s))
        drawn = [html_of(figure, f"image-{s.number}-{i}") for i, figure in enumerate(figures)]
        low, high = s.certified.confidence
        verdict = s.answer["verdict"].capitalize()
        sentence = f"{verdict}. Confidence in class {s.certified.label} stays between {low:.1%} and {high:.1%}."
        images.append((f"image {s.number}, class {s.label}", sentence, drawn))
    last = radii[-1]
    sentences = [
        f"At radius {last.eps:.4g} accuracy is certainly between {last.summary.accuracy[0]:.1%} and "
        f"{last.summary.accuracy[1]:.1%}, mean confidence between {last.summary.mean_confidence[0]:.1%} and "
        f"{last.summary.mean_confidence[1]:.1%}."
    ]
    sentences += [r.warning for r in radii if r.late]
    results = {"title": title, "radii": [plain(r) for r in radii]}
    render(path, "certified.html", title, results, sentences=sentences, curves=curves, images=images)
