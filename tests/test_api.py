"""The public API by name: what goes, or comes, is meant to. After a wanted change run `python tests/test_api.py`."""

import importlib
import inspect
import json
from pathlib import Path

PACKAGES = (
    "core", "losses", "metrics", "recalibrate", "models", "data", "graph", "sets", "proof", "spec", "reach", "train",
    "verify", "compress", "evaluate", "report",
)  # fmt: skip
SNAPSHOT = Path(__file__).with_name("api.json")


def public() -> dict[str, list[str]]:
    """Return the names that each package exports."""
    modules = {package: importlib.import_module(f"surefoot.{package}") for package in PACKAGES}
    return {
        package: sorted(n for n in dir(module) if not n.startswith("_") and not inspect.ismodule(getattr(module, n)))
        for package, module in modules.items()
    }


def test_the_public_api_is_the_one_that_is_written_down() -> None:
    assert public() == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(public(), indent=1) + "\n", encoding="utf-8")
