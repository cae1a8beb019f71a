"""Whether the machine is one that a claim is about."""

from audit.claims import Needs
from audit.report.document import Environment

_GIB = 2**30


class Missing(Exception):
    """What the machine lacks."""


def device_for(needs: Needs, environment: Environment) -> str:
    """Return the name of the device to measure on.

    Raises:
        Missing: there is none that will do.
    """
    if needs.device == "cpu":
        if environment.memory_bytes < needs.memory_gib * _GIB:
            raise Missing(f"{needs.memory_gib:g} GiB of memory; here are {environment.memory_bytes / _GIB:.1f}")
        return "cpu"
    name = (needs.gpu_name or "").lower()
    fitting = [
        index
        for index, each in enumerate(environment.devices)
        if name in each.name.lower() and each.memory_bytes >= needs.memory_gib * _GIB
    ]
    if len(fitting) < needs.gpus:
        raise Missing(f"{_described(needs)}; {_seen(environment)}")
    return f"cuda:{fitting[0]}"


def _described(needs: Needs) -> str:
    count = "a GPU" if needs.gpus == 1 else f"{needs.gpus} GPUs"
    parts = [f"called {needs.gpu_name}"] if needs.gpu_name else []
    parts += [f"with {needs.memory_gib:g} GiB of memory"] if needs.memory_gib else []
    return " ".join([count, *parts])


def _seen(environment: Environment) -> str:
    devices = ", ".join(f"{each.name} ({each.memory_bytes / _GIB:.1f} GiB)" for each in environment.devices)
    return f"torch {environment.torch} sees {devices or 'no GPU'}"
