"""Machines as `--gateway` names them, in the words of execnet: `popen`, `ssh=host//python=...//chdir=...`."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from execnet import XSpec

from audit.errors import UsageError

_MANY = re.compile(r"([1-9]\d{0,2})\*(.*)", re.DOTALL)
_KEYS = frozenset({"popen", "ssh", "python", "chdir", "ssh_config"})
_FORMS = "should be popen, popen//python=PATH or ssh=HOST, each with //chdir=DIR where the target lies elsewhere there"


@dataclass(frozen=True, kw_only=True)
class GatewaySpec:
    """One process on one machine. `name` tells it from the others of a run, and is what messages and reports say."""

    name: str
    spec: XSpec

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine."""
        return self.spec.ssh is None

    @property
    def chdir(self) -> str | None:
        """The target's folder there; None where it is the same as here."""
        return self.spec.chdir


def read_gateways(texts: Sequence[str]) -> tuple[GatewaySpec, ...]:
    """Return the machines that are named; `4*popen` are four processes.

    Raises:
        UsageError: one is no gateway, or of a kind that is not supported.
    """
    every: list[str] = []
    for text in texts:
        found = _MANY.fullmatch(text)
        every += [found[2]] * int(found[1]) if found else [text]
    counts = Counter(every)
    seen: Counter[str] = Counter()
    specs = []
    for text in every:
        seen[text] += 1
        specs.append(GatewaySpec(name=f"{text}#{seen[text]}" if counts[text] > 1 else text, spec=_parsed(text)))
    return tuple(specs)


def _parsed(text: str) -> XSpec:
    try:
        spec = XSpec(text)
    except (ValueError, AttributeError, IndexError) as error:  # IndexError: an empty key
        raise UsageError(f"--gateway {text}: {_FORMS}") from error
    keys = [part.partition("=")[0] for part in text.split("//")]
    unknown = [key for key in keys if key not in _KEYS]
    values = [part.partition("=")[2] for part in text.split("//") if not part.startswith("popen")]
    kinds = [key for key in keys if key in ("popen", "ssh")]
    # A host that begins with a dash would be an option of ssh.
    if unknown or len(kinds) != 1 or not all(values) or "\0" in text or str(spec.ssh or "").startswith("-"):
        raise UsageError(f"--gateway {text}: {_FORMS}")
    return spec
