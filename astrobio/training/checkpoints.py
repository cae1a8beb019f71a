"""The checkpoints of a run: one folder per step, tensors as safetensors, everything else as JSON, each with a digest.

    checkpoints/step-00000120/tensors.safetensors
    checkpoints/step-00000120/state.json

A checkpoint appears under its name only when all of it is on the disk. One that was damaged later is noticed by its
digest, and the one before it is taken.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from astrobio.training.errors import RunFolderError
from astrobio.training.files import remove_folder, write_folder
from astrobio.training.run_identity import shown
from astrobio.training.run_state import Json

_TENSORS = "tensors.safetensors"
_STATE = "state.json"
_NAME = re.compile(r"step-(\d{8})")
_FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and whose digests are right.

    Attributes:
        step: optimiser steps done.
        tensors: by name, on the CPU.
        state: everything else.
    """

    step: int
    tensors: Mapping[str, Tensor]
    state: Json


class _CorruptError(Exception):
    """What of a checkpoint is not as it was written."""


def save_checkpoint(folder: Path, step: int, tensors: Mapping[str, Tensor], state: Json, *, keep: int) -> Path:
    """Write the checkpoint of a step and remove all but the `keep` newest.

    Raises:
        WriteError: it cannot be written; older ones are intact.
    """
    from safetensors.torch import save

    content = save(dict(tensors))
    described = {**state, "format": _FORMAT, "step": step, "digests": {_TENSORS: _digest(content)}}
    described["digest"] = _digest(_canonical(described))
    path = folder / f"step-{step:08d}"
    write_folder(path, {_TENSORS: content, _STATE: json.dumps(described, indent=1, sort_keys=True).encode()})
    for _, old in checkpoint_folders(folder)[keep:]:
        remove_folder(old)
    return path


def load_newest(folder: Path, *, report: Callable[[str], None]) -> Checkpoint | None:
    """The newest good checkpoint, or None where there is none at all; damaged ones are reported and passed over.

    Raises:
        RunFolderError: there are checkpoints, and all of them are damaged.
    """
    damaged = []
    for step, path in checkpoint_folders(folder):
        try:
            return load_checkpoint(path, step)
        except _CorruptError as error:
            report(f"checkpoint {path.name} is damaged ({error}); taking the one before")
            damaged.append(path.name)
    if damaged:
        raise RunFolderError(f"every checkpoint in {folder} is damaged: {', '.join(damaged)}")
    return None


def checkpoint_folders(folder: Path) -> list[tuple[int, Path]]:
    """(step, folder) of all checkpoints, the newest first; whether they are good is not looked at."""
    if not folder.is_dir():
        return []
    found = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted(((int(match[1]), path) for match, path in found if match), reverse=True)


def load_checkpoint(path: Path, step: int) -> Checkpoint:
    """The checkpoint at `path`, which must be the one of `step`."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        state: Json = json.loads((path / _STATE).read_bytes())
        content = (path / _TENSORS).read_bytes()
    except OSError as error:
        raise _CorruptError(f"{Path(error.filename).name}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _CorruptError(f"{_STATE} is not JSON") from error
    if not isinstance(state, dict) or state.pop("digest", None) != _digest(_canonical(state)):
        raise _CorruptError(f"the digest of {_STATE} is wrong")
    found = state.get("format")
    if found != _FORMAT or isinstance(found, bool):
        raise RunFolderError(f"{path} has format {shown(found)}, this version reads format {_FORMAT}")
    if state.get("step") != step:
        raise _CorruptError("it is of another step")
    digests = state.get("digests")
    if not isinstance(digests, dict) or digests.get(_TENSORS) != _digest(content):
        raise _CorruptError(f"the digest of {_TENSORS} is wrong")
    try:
        return Checkpoint(step=step, tensors=load(content), state=state)
    except SafetensorError as error:  # the digest is right: written so, and not ours
        raise RunFolderError(f"{path / _TENSORS} cannot be read: {error}") from error


def _canonical(state: Json) -> bytes:
    return json.dumps(state, sort_keys=True, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
