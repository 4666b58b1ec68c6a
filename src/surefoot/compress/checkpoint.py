"""What exact searches have found so far, a file each, so that a run that was stopped does not search again.

Keyed by all that a search depends on: the network up to the unit, the boxes it starts from, the unit, the sign. A proof
that is read is bounded again before it is believed; a damaged file is as none.
"""

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from surefoot.core.deadline import uninterrupted
from surefoot.core.errors import FileError
from surefoot.core.files import open_npz, whole_file
from surefoot.graph.graph import Graph
from surefoot.reach.relaxation import Choice, Relaxation
from surefoot.spec.input_set import Ball, LinearConstraints
from surefoot.verify.relu_subproblems import Subproblem

_OWN = re.compile(r"(?:[0-9a-f]{32}|\.[0-9a-f]{32}\.[a-z0-9_]+)\.npz")  # whole ones, and what a run that ended left


@dataclass(frozen=True)
class Journal:
    """A folder of searches: each file holds the parts of a proof, or for how many seconds one was looked for."""

    folder: Path

    @property
    def holds(self) -> bool:
        """Whether it keeps any search."""
        return any(self.folder.glob("*.npz"))

    def key(self, relaxation: Relaxation, row: np.ndarray) -> str:
        """Name a search."""
        digest = hashlib.sha256(row.tobytes())
        for node, box in zip(relaxation.graph.nodes, relaxation.boxes, strict=True):
            digest.update(f"{type(node.op).__name__} {node.inputs} {node.shape}".encode())
            for value in (getattr(node.op, field.name) for field in fields(node.op)):
                digest.update(value.numpy().tobytes() if isinstance(value, torch.Tensor) else repr(value).encode())
            digest.update(box.lower.numpy().tobytes() + box.upper.numpy().tobytes())
        match relaxation.constraints:
            case LinearConstraints(rows=rows, bounds=bounds):
                digest.update(rows.tobytes() + bounds.tobytes())
            case Ball() as ball:
                digest.update(ball.centre.tobytes() + f"{ball.radius!r} {ball.norm}".encode())
        return digest.hexdigest()[:32]

    def write(self, key: str, parts: tuple[Subproblem, ...], seconds: float) -> None:
        """Keep what a search found: the parts of a proof, or none within so many seconds."""
        arrays: dict[str, np.ndarray] = {"seconds": np.array(seconds), "parts": np.array(len(parts))}
        for number, part in enumerate(parts):
            arrays[f"{number} signs"] = np.array(part.signs, dtype=np.int64).reshape(-1, 3)
            for kind, values in zip(("slopes", "multipliers", "upper_slopes"), part.choice.parts, strict=True):
                for at, x in values.items():
                    arrays[f"{number} {kind} {at}"] = x.numpy()
        with uninterrupted(), whole_file(self.folder / f"{key}.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    def read(self, key: str) -> tuple[tuple[Subproblem, ...], float] | None:
        """Return the parts of a proof, or no parts and for how many seconds it was looked for; None if it was not."""
        try:
            with open_npz(self.folder / f"{key}.npz") as file:
                arrays = {name: file[name] for name in file.files}
            parts = []
            for number in range(int(arrays["parts"])):
                choices: dict[str, dict[int, torch.Tensor]] = {"slopes": {}, "multipliers": {}, "upper_slopes": {}}
                for name, x in arrays.items():
                    words = name.split()
                    if words[0] == str(number) and len(words) == 3:
                        choices[words[1]][int(words[2])] = torch.from_numpy(x)
                signs = tuple((int(a), int(b), int(c)) for a, b, c in arrays[f"{number} signs"])
                parts.append(Subproblem(0, signs, Choice(**choices)))
            return tuple(parts), float(arrays["seconds"])
        except Exception:  # whatever a damaged file raises: it is searched again
            return None

    def forget(self) -> None:
        """Remove what it wrote, when the run is done; the folder too, if nothing else is in it."""
        with uninterrupted(), suppress(OSError):
            for file in list(self.folder.iterdir()):
                if _OWN.fullmatch(file.name):
                    file.unlink()
            self.folder.rmdir()

    def must_be_own(self) -> None:
        """Refuse a folder that holds what no journal wrote.

        Raises:
            FileError: it does, or it is no folder.
        """
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise FileError(f"{self.folder} is no folder: searches would be kept there; move it, or write elsewhere")
        for file in self.folder.iterdir():
            if not _OWN.fullmatch(file.name):
                raise FileError(f"{self.folder} holds {file.name}, which no journal wrote: move it, or write elsewhere")


def covers(parts: tuple[Subproblem, ...], graph: Graph) -> bool:
    """Say whether every combination of signs is in a part: halves of halves of the whole, and no unit twice in one.

    Parts are the leaves of a tree. Their shares 2^-depth add to 1, and any two differ in the sign of a unit that both
    decide, exactly where they are disjoint and leave nothing out.
    """
    if not parts or any(len({(a, b) for a, b, _ in part.signs}) < len(part.signs) for part in parts):
        return False
    sides = [{(a, b): s for a, b, s in part.signs} for part in parts]
    if any(s not in (1, -1) or not 0 < a < len(graph.nodes) for side in sides for (a, _), s in side.items()):
        return False
    deepest = max(len(side) for side in sides)
    if (
        sum(1 << (deepest - len(side)) for side in sides) != 1 << deepest
    ):  # in integers: deep parts are not rounded away
        return False
    return all(
        any(second.get(unit, s) != s for unit, s in first.items())
        for i, first in enumerate(sides)
        for second in sides[:i]
    )
