"""The page, opened in a browser."""

import json
import shutil
import subprocess

import pytest

from models_that_err import sample
from surefoot.core.plain import plain
from surefoot.evaluate.comparison import compare
from surefoot.evaluate.diagnosis import diagnose
from surefoot.evaluate.evaluation import evaluate
from surefoot.report.page import write_page


def browser(page):
    """Return the page's DOM after its scripts ran in headless Chromium, or skip."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine: the page cannot be opened")
    command = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"]
    return subprocess.run([*command, f"file://{page}"], check=True, capture_output=True, text=True, timeout=120).stdout


def test_the_page_draws_its_figures_in_a_browser(tmp_path):
    evaluations = [evaluate(sample(t), title=f"model {t}")[0] for t in (0.4, 1.0)]
    comparison = compare({"a": [sample(0.4)], "b": [sample()]})
    page = tmp_path / "report.html"
    write_page(page, "A title", evaluations, comparison)
    dom = browser(page)
    assert dom.count('class="main-svg"') >= 4  # Plotly made pictures of all four figures
    bars = [len(e.before.curve.count) + len(e.after.curve.count) for e in evaluations]
    assert dom.count('class="point"') >= 2 * sum(bars)  # each bin: a bar of accuracy and one of rows
    assert dom.count(">100%</text>") >= 4  # and their axes
    body = dom[dom.index("<body") :]
    for words in (*(diagnose(e.before) for e in evaluations), "noise floor", "adaptive ECE"):
        assert words in body
    shown = json.loads(body.split('id="results">')[1].split("</script>")[0])
    assert shown["evaluations"] == plain(evaluations)


def test_the_page_needs_no_network_and_escapes_what_it_is_given(tmp_path):
    page = tmp_path / "report.html"
    nasty = '</script><script>document.title="owned"</script>'
    table = sample(n=60)
    table.provenance["loss"] = nasty
    evaluation, _ = evaluate(table, title=nasty)
    write_page(page, nasty, [evaluation])
    text = page.read_text()
    assert nasty not in text
    assert 'src="http' not in text
    assert "@import" not in text.split("</style>")[0]
    assert len(text) < 5_200_000
    assert "<title>owned" not in browser(page)
