"""What the probe makes of an attention that no specs declare: how it is built and called, and what it promises."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from audit.gateway import Probe, ProbeFailure
from audit.gateway.client import Plain

_INIT = "__init__.py"
_RELATIVE = re.compile(rb"^[ \t]*from[ \t]*(\.+)", re.MULTILINE)


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Way(_Reply):
    """One way to build and call it. `name` is empty, or says what sets it apart: `linear_type=performer`.

    `choices` determine it for the probe; `contract` holds what could be inferred, `claims`
    what says its fields and where, by name.
    """

    name: str = ""
    choices: dict[str, JsonValue]
    contract: dict[str, JsonValue]
    claims: dict[str, str] = {}

    @property
    def decodes(self) -> bool:
        """Whether a call form of its cache was found."""
        form = self.choices.get("form")
        return isinstance(form, dict) and bool(form.get("cache"))


class Found(_Reply):
    """What was found out. `problem` is one line that says why it could not be built or called, else None.

    `loading` says how the target's file was loaded where it could not be imported as its module, else it is empty.
    """

    problem: str | None
    loading: str = ""
    kind: Literal["module", "function"] = "module"
    declared: str = ""
    parameters: int | None = None
    subjects: tuple[Way, ...] = ()


def find(probe: Probe, path: Path, qualname: str, *, seed: int) -> Found:
    """Ask the probe how the class or function `qualname` of the file at `path` is built and called.

    Raises:
        ProbeFailure: the process ended, or its answer is not one that the probe sends.
        TargetRaised: an exception that the probe did not expect.
    """
    try:
        return Found.model_validate(ask(probe, path, qualname, seed=seed))
    except ValidationError as invalid:
        first = invalid.errors()[0]
        raise ProbeFailure(f"the target's process sent an unreadable answer: {first['loc']}: {first['msg']}") from None


def ask(probe: Probe, path: Path, qualname: str, *, seed: int) -> Mapping[str, Plain]:
    """Return the probe's answer as it is; raises what `find` raises."""
    return probe.call("attention_find", path=str(path), module=module_of(path), qualname=qualname, seed=seed)


def ask_model(probe: Probe, path: Path, qualname: str, *, seed: int) -> Mapping[str, Plain]:
    """Return the probe's answer to how the class is built and fed as a whole model; raises what `find` raises."""
    return probe.call("model_find", path=str(path), module=module_of(path), qualname=qualname, seed=seed)


def module_of(path: Path) -> str | None:
    """Return the dotted name of a file's module, from the top folder around it that is a package; None outside one.

    A folder through which relative imports of the file lead is a package then, with an `__init__.py` or without.
    """
    folder = path.parent
    parts = [] if path.name == _INIT else [path.stem]
    outward = _outward(path)
    while ((folder / _INIT).is_file() or outward > 0) and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
        outward -= 1
    is_inside = folder != path.parent
    return ".".join(parts) if is_inside and all(part.isidentifier() for part in parts) else None


def _outward(path: Path) -> int:
    """Return how many folders relative imports of a file lead out of it: `from ..layers import X` leads out of two."""
    try:
        return max(map(len, _RELATIVE.findall(path.read_bytes())), default=0)
    except OSError:
        return 0


def has_other_outputs(source: Mapping[str, Plain]) -> bool:
    """Whether the call of a guessed subject returns hidden states beside those that are judged."""
    choices = source.get("choices")
    form = choices.get("form") if isinstance(choices, dict) else None
    return isinstance(form, dict) and bool(form.get("other_outputs"))


def source_of(path: Path, qualname: str, way: Way) -> dict[str, Plain]:
    """Return what the probe's `callee_of` takes to build and call it in this way."""
    choices = cast(dict[str, Plain], way.choices)  # what JSON can hold is plain
    return {"kind": "guess", "path": str(path), "module": module_of(path), "qualname": qualname, "choices": choices}
