"""`surefoot measure` by groups and with chosen metrics; its other options are in test_cli.py."""

import json

import numpy as np
import pytest

from surefoot.cli.main import run


@pytest.mark.parametrize("as_json", [True, False])
def test_groups_and_chosen_metrics(capsys, tmp_path, as_json):
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(900, 3))
    labels, site = (logits + rng.gumbel(size=logits.shape)).argmax(1), np.tile(["a", "b", "c"], 300)
    labels = np.where(site == "b", rng.integers(3, size=900), labels)
    np.savez(tmp_path / "t.npz", logits=logits, labels=labels, site=site)
    arguments = ["measure", str(tmp_path / "t.npz"), "--by", "site", "--metrics", "nll,smooth_ece"]
    with pytest.raises(SystemExit):
        run(arguments + ["--json"] * as_json)
    out = capsys.readouterr().out
    if as_json:
        found = json.loads(out)
        assert found["worst"] == {"nll": "b", "smooth_ece": "b"}
        assert [found["groups"][g]["n"] for g in "abc"] == [300, 300, 300]
        assert set(found["groups"]["a"]) == {"n", "nll", "smooth_ece"}
    else:
        assert "Worst by site: NLL: b" in out
