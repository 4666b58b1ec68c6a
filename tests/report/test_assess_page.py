"""The page of an assessment, driven in Chromium and read by axe-core."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from assessed import ASSESS, network_and_rows
from typed import surefoot

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    network_and_rows(tmp_path)
    return tmp_path


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_page_in_a_browser(folder: Path) -> None:
    """Switch class, move the slider, look at a bar; compare with the JSON; ask axe-core."""
    axe = pytest.importorskip("axe_core_python", reason="needs axe-core-python")
    surefoot(*ASSESS)
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", page)  # no network
    drive = """
    <script>(async () => {
      const seen = {}, read = name => by("m-" + name).textContent;
      const all = () => Object.fromEntries(["accuracy", "confidence", "ece", "nll"].map(name => [name, read(name)]));
      seen.first = all();
      const slider = by("temperature");
      slider.value = Math.log(2); slider.dispatchEvent(new Event("input"));
      seen.warm = all(); seen.shown = by("shown").textContent;
      by("fitted").click(); seen.fitted = all();
      by("class").value = "1"; by("class").dispatchEvent(new Event("change")); seen.one = all();
      by("class").value = "top"; by("class").dispatchEvent(new Event("change")); by("asis").click(); seen.again = all();
      const bar = document.querySelector("#diagram g"); bar.focus(); seen.readout = by("readout").textContent;
      seen.label = bar.getAttribute("aria-label");
      const ink = () => getComputedStyle(document.body).color, before = ink();
      by("theme").click(); seen.theme = ink() !== before;
      const violations = async () => (await axe.run()).violations
        .filter(v => ["serious", "critical"].includes(v.impact))
        .map(v => v.id + ": " + v.nodes.slice(0, 2).map(n => n.html.slice(0, 150)).join(" | "));
      seen.dark = await violations(); by("theme").click(); seen.light = await violations();
      const out = document.createElement("pre");
      out.textContent = "SEEN" + JSON.stringify(seen) + "NEES";
      document.body.append(out);
    })();</script></body>"""
    script = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    driven = folder / "driven.html"
    driven.write_text(page.replace("</body>", f"<script>{script}</script>{drive}"), encoding="utf-8")
    assert CHROMIUM is not None
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom")
    done = subprocess.run(
        [CHROMIUM, *options, driven.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    dom = done.stdout.replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&")
    match = re.search(r"SEEN(\{.*?\})NEES", dom, re.DOTALL)
    assert match, dom[-2000:]
    seen = json.loads(match.group(1))
    assert seen["dark"] == []
    assert seen["light"] == []
    readings = json.loads((folder / "out" / "assessment.json").read_text())["evaluation"]["before"]["readings"]

    def number(text: str) -> float:
        return float(text.rstrip("%")) / (100 if text.endswith("%") else 1)

    for name in ("accuracy", "ece", "nll"):
        assert number(seen["first"][name]) == pytest.approx(readings[name]["value"], abs=2e-3)
    assert seen["again"] == seen["first"]
    assert seen["shown"] == "1.99"  # steps of a hundredth of its logarithm
    assert number(seen["warm"]["confidence"]) < number(seen["first"]["confidence"])
    assert number(seen["fitted"]["nll"]) < number(seen["first"]["nll"])
    assert seen["one"] != seen["fitted"]
    assert seen["readout"] == seen["label"]
    assert "rows, claimed" in seen["label"]
    assert seen["theme"]
