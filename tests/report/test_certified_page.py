"""The page of certified images: a sentence for each verdict, and figures for what there is."""

from pathlib import Path

import pytest

from certified_images import radius, shown
from surefoot.evaluate.certified import Shown
from surefoot.report.certified_page import sentence_of, write_certified_page


@pytest.mark.parametrize(
    ("verdict", "label", "said"),
    [
        ("holds", 0, "Every input of the region is predicted as class 0, with a confidence of 62.5% to 75.0%."),
        ("violated", 0, "Predicted as class 0, but an input of the region is predicted as class 1; over the region"),
        ("unknown", 0, "Predicted as class 0; whether every input of the region is, was not decided; over the region"),
        ("holds", 2, "Predicted as class 0, though its class is 2; over the region the probability of class 0 "),
    ],
)
def test_a_sentence_claims_what_its_verdict_does(verdict: str, label: int, said: str) -> None:
    assert sentence_of(shown(verdict, label)).startswith(said)


@pytest.mark.parametrize(
    ("one", "figures"),
    [
        (shown(), 3),  # the image, bars, outputs
        (shown("violated"), 5),  # the counterexample and wrong outputs too
        (shown("violated", flat=True), 3),  # flat inputs are no pictures
    ],
)
def test_what_there_is_is_drawn(tmp_path: Path, one: Shown, figures: int) -> None:
    for radii, curves in (([radius(0.125)], 0), ([radius(0.0), radius(0.125, late=True)], 4)):
        write_certified_page(tmp_path / "p.html", "mine", radii, [one])
        text = (tmp_path / "p.html").read_text(encoding="utf-8")
        assert text.count('class="plotly-graph-div"') == figures + curves
        body = " ".join(text[text.index("<body") :].split())
        assert "At radius 0.125 these are certain: accuracy 37.5% to 62.5%" in body
        assert (radius(0.125, late=True).warning in body) == (curves > 0)
