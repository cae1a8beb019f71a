"""What is executed on the other side before anything of the toolkit is there, and its first answer."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from audit import __version__, provenance
from audit.elsewhere.process import START_TIMEOUT_S, Connection, GatewayEnded
from audit.elsewhere.specs import GatewaySpec
from audit.report.text import one_line

_MAX_LINE = 400
# Executed there as it stands. The folder is the target's: nothing in it may be imported in the toolkit's place.
_SOURCE = """
import json, os, sys
given = json.loads(channel.receive())
problem = None
try:
    os.chdir(given["folder"])
except OSError as error:
    problem = "no folder %s there: %s; name it with //chdir=DIR" % (given["folder"], error.strerror)
sys.path[:] = [entry for entry in sys.path if entry not in ("", ".")] + given["home"]
if problem is None:
    try:
        from importlib import import_module
        serve = import_module(given["module"]).serve
    except ImportError as error:
        problem = "the toolkit is not there: %s in %s" % (error, sys.executable)
if problem is None:
    serve(channel, given)
else:
    channel.send(("refused", problem))
"""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the other side must have: the same toolkit, and a checkout at the same commit."""

    folder: Path
    commit: str | None
    module: str  # of the toolkit, whose `serve` takes over there
    given: Mapping[str, object]


def started(spec: GatewaySpec, wanted: Wanted, *, is_stopping: Callable[[], bool] = lambda: False) -> Connection:
    """Start a gateway and let a module of the toolkit take over there.

    Raises:
        GatewayEnded: it cannot be started, or lacks what is wanted; says which of these.
    """
    connection = Connection(spec, _SOURCE, is_stopping=is_stopping)
    try:
        content = {
            **wanted.given,
            "module": wanted.module,
            # The same interpreter on the same machine has the same toolkit, wherever this one was started from.
            "home": [str(Path(__file__).parents[2])] if spec.is_here and spec.spec.python is None else [],
            "folder": spec.chdir or str(wanted.folder),
            "version": __version__,
            "tool_digest": provenance.tool_digest(),
            "commit": wanted.commit,
        }
        connection.send(json.dumps(content))
        reply = connection.receive(within_s=START_TIMEOUT_S, is_stopping=is_stopping)
        match reply:
            case ("started",):
                return connection
            case ("refused", str() as reason):
                raise GatewayEnded(one_line(reason, _MAX_LINE))
        raise GatewayEnded("an answer that is not one of the toolkit's")
    except BaseException:
        connection.close(at_once=True)
        raise


def difference(given: Mapping[str, object]) -> str | None:
    """Return what this side lacks of what was asked for; called on the other side, in the target's folder."""
    if given.get("tool_digest") != provenance.tool_digest():
        here, there = __version__, given.get("version")
        versions = f"{here} there and {there} here" if here != there else f"{here} with other files"
        return f"another toolkit: {versions}; install the same one"
    commit, _ = provenance.git_state(Path.cwd())
    if commit != given.get("commit"):
        return f"another commit: {_short(commit)} there and {_short(given.get('commit'))} here; check out the same one"
    return None


def _short(commit: object) -> str:
    return commit[:12] if isinstance(commit, str) else "none"
