"""The public API by name: what goes, or comes, is meant to. After a wanted change run `python tests/test_api.py`."""

import importlib
import json
from pathlib import Path

PACKAGES = ("losses", "metrics", "recalibrate", "models", "data", "train")
SNAPSHOT = Path(__file__).with_name("api.json")


def public() -> dict[str, list[str]]:
    """Return the names that each package exports."""
    found = {}
    for package in PACKAGES:
        module = importlib.import_module(f"surefoot.{package}")
        names = (name for name, value in vars(module).items() if not name.startswith("_"))
        found[package] = sorted(
            name for name in names if not (type(vars(module)[name]).__name__ == "module" or name == "annotations")
        )
    return found


def test_the_public_api_is_the_one_that_is_written_down() -> None:
    assert public() == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(public(), indent=1) + "\n", encoding="utf-8")
