"""Reads the losses that a trainer has logged: one JSON object with `step` and `loss` on each line."""

import json
from pathlib import Path


def losses_in(path: Path) -> list[list[float]]:
    """Return pairs of step and loss; lines that are none are left out, and there are none where there is no file."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    pairs = []
    for line in lines:
        try:
            record = json.loads(line)
            pairs.append([float(record["step"]), float(record["loss"])])
        except (ValueError, KeyError, TypeError):
            continue
    return pairs
