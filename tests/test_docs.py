"""Every relative link of the documentation leads to a file, and the site builds."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(p for p in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "results").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"`[^`]*`", "", text)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if ("." in link or "/" in link) and not re.match(r"[a-z]+:", link) and not link.startswith("#"):
            assert (page.parent / link.split("#")[0]).exists(), link


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="needs mkdocs-material and mkdocstrings")
def test_the_site_builds(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "FocalLoss" in (tmp_path / "api" / "index.html").read_text(encoding="utf-8")


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib")
def test_the_figures_are_what_their_code_draws(tmp_path: Path) -> None:
    figures = ROOT / "docs" / "figures"
    subprocess.run([sys.executable, str(figures / "draw.py"), str(tmp_path)], check=True, timeout=300)
    names = sorted(path.name for path in figures.glob("*.svg"))
    assert names == sorted(path.name for path in tmp_path.iterdir())
    theory = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
    for name in names:
        assert f"(figures/{name})" in theory

        def words(path: Path) -> list[str]:  # numbers in words are computed; paths differ with the drawing library
            return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8"))

        assert words(figures / name) == words(tmp_path / name)
