"""The device that `--device` or a part of a plan names, and whether the target's interpreter has it."""

import re

from pydantic import ValidationError

from audit.errors import UsageError
from audit.execute import open_probe
from audit.gateway import ProbeFailure, TargetRaised
from audit.report.document import Environment
from audit.target import Target

_FORM = re.compile(r"cuda(:(?P<index>\d{1,4}))?")
# Libraries whose versions change results.
_COMPUTING = ("triton", "flash_attn", "flash_attn_interface", "flash_attn_4", "xformers")


class NoSuchDevice(UsageError):
    """The target's interpreter sees no such device; `seen` says what it sees."""

    def __init__(self, message: str, seen: str) -> None:
        """Take the message, and what is seen instead."""
        super().__init__(message)
        self.seen = seen


def on_device(target: Target, name: str) -> Target:
    """Return the target that runs on a device, a GPU of which torch in its interpreter sees.

    Raises:
        NoSuchDevice: there is none.
        UsageError: it is no word for a device, or the interpreter does not tell what it has.
    """
    if name == target.device:
        return target
    named = _FORM.fullmatch(name)
    if named is None:
        raise UsageError(f"--device {name}: should be cpu, cuda or cuda:N")
    return _seen(target, name, int(named["index"] or 0), _environment(target))


def _seen(target: Target, name: str, index: int, environment: Environment) -> Target:
    if index >= len(environment.devices):
        seen = _missing(environment)
        raise NoSuchDevice(f"--device {name}: {seen} in {target.python}", seen)
    libraries = {"CUDA": environment.cuda, "torch": environment.torch}
    libraries |= {library: environment.libraries.get(library) for library in _COMPUTING}
    versions = ", ".join(f"{library} {version}" for library, version in libraries.items() if version)
    return target.on_device(name, f"{environment.devices[index].name} ({versions})")


def _missing(environment: Environment) -> str:
    count = len(environment.devices)
    if count:
        return f"torch {environment.torch} sees {count} CUDA device{'s' if count > 1 else ''}, counted from 0,"
    return f"torch {environment.torch} sees no CUDA device"


def _environment(target: Target) -> Environment:
    try:
        with open_probe(target) as probe:
            reply = dict(probe.call("environment"))
        return Environment.model_validate({key: reply.get(key) for key in Environment.model_fields})
    except (ProbeFailure, TargetRaised) as failure:
        raise UsageError(f"--device: the target's interpreter does not tell what it has: {failure}") from failure
    except ValidationError as invalid:
        raise UsageError("--device: the target's interpreter sent an unreadable answer") from invalid
