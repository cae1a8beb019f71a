"""What a command that measures a claim may read beside the target's code."""

import hashlib
import os

from audit.kept import state_of
from audit.target import Target
from validation.target_files import files_of

_CODE = ".py"  # its digest is a part of every key of what is kept
_PROSE = (".md", ".rst")
_REPORTS = "reports/"  # what an audit publishes, the figures of the claims among it


def digest_of_others(target: Target) -> str | None:
    """Return a digest of the target's files but code, prose and published reports; None where they cannot be listed."""
    total = hashlib.sha256()
    try:
        names = files_of(target)
    except OSError:
        return None
    for name in names:
        if not name.endswith((_CODE, *_PROSE)) and not name.startswith(_REPORTS):
            total.update(os.fsencode(name) + b"\0" + state_of(str(target.root / name)).encode())
    return total.hexdigest()
