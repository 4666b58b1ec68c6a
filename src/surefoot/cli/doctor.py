"""`surefoot doctor`: what is installed, and what a missing extra would add."""

import importlib.metadata
import importlib.util
import json
import platform
from typing import Any

from surefoot import __version__
from surefoot.cli.names import EXTRAS
from surefoot.cli.options import Json
from surefoot.core.errors import pip_install


def command(as_json: Json = False) -> None:
    """Say what is installed, what it can do, and what a missing extra would add.

    Example: surefoot doctor
    """
    facts = examine()
    if as_json:
        print(json.dumps(facts, allow_nan=False))
        return
    print(f"surefoot {facts['surefoot']}, Python {facts['python']} ({facts['tested']}), torch {facts['torch']}")
    print(f"compiled loops: {'yes' if facts['compiled'] else 'no (no C compiler at installation): losses are slower'}")
    print(f"accelerator: {facts['accelerator']}")
    for name, extra in facts["extras"].items():
        if extra["missing"]:
            print(f"{name}: missing {', '.join(extra['missing'])}; would add {extra['gives']}: "
                  f"{pip_install(name)}")  # fmt: skip
        else:
            print(f"{name}: installed ({extra['gives']})")


def examine() -> dict[str, Any]:
    """Return what `doctor` says."""
    import torch

    from surefoot.core import native

    extras = {}
    for name, (modules, gives) in EXTRAS.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        extras[name] = {"missing": missing, "gives": gives}
    version = platform.python_version()
    return {
        "surefoot": __version__,
        "python": version,
        "tested": "tested" if version.startswith("3.11.") else "untested",
        "torch": importlib.metadata.version("torch"),
        "compiled": native.LIBRARY is not None,
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none, the CPU is used",
        "extras": extras,
    }
