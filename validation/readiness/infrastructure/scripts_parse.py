"""Shell scripts parse."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from audit.judgement import Judgement, skipped
from audit.plan import Run
from audit.results import Check, Severity
from audit.stopping import stop_if_wanted
from validation.mutation.running import run_limited
from validation.readiness.infrastructure.scripts import shell_scripts_of
from validation.readiness.places import Place, judge_places
from validation.readiness.project import Project

CHECK = Check(
    id="infrastructure.scripts_parse",
    title="Shell scripts parse",
    proves="Every shell script of the project passes `bash -n`, which reads a script and runs nothing of it.",
    defect="a script with an `if` that is never closed",
    severity=Severity.MAJOR,
)
_TIMEOUT_S = 20.0
_MEMORY_BYTES = 512 * 2**20


def judge(project: Project, run: Run) -> Sequence[Judgement]:
    """Have bash parse each script."""
    paths = shell_scripts_of(project)
    bash = shutil.which("bash")
    if paths and bash is None:
        return [skipped(f"bash is not installed; it would parse {len(paths)} scripts")]
    return judge_places(
        project,
        _places(project, paths, bash or ""),
        looked_at=len(paths),
        unit="scripts",
        origin="bash stops at what it cannot parse, after it has run what comes before",
        fix="mend the script; `bash -n SCRIPT` shows the same",
        nothing="the project has no shell script",
    )


def _places(project: Project, paths: Sequence[str], bash: str) -> Iterator[Place]:
    # No variable of the user's is passed on: some name files that bash reads first.
    environment = {key: os.environ[key] for key in ("PATH", "LC_ALL", "LANG") if key in os.environ}
    for path in paths:
        stop_if_wanted()
        place = Path(project.root) / path
        ended = run_limited(
            [bash, "--norc", "--noprofile", "-n", str(place)],
            cwd=Path(project.root),
            env=environment,
            timeout_s=_TIMEOUT_S,
            memory_bytes=_MEMORY_BYTES,
        )
        if ended.is_over_time or ended.is_over_memory or ended.status < 0:
            yield Place(path, 0, "bash came to no end with the script")
        elif ended.status:
            yield _said(path, ended.tail, str(place))


def _said(path: str, tail: str, place: str) -> Place:
    """Return what bash said first, with its line: `PLACE: line 3: syntax error ...`."""
    first = next((line for line in tail.splitlines() if line.strip()), "bash refuses the script")
    words = first.replace(f"{place}: ", "")
    number, _, rest = words.removeprefix("line ").partition(":")
    if words.startswith("line ") and number.isdigit():
        return Place(path, int(number), rest.strip()[:300])
    return Place(path, 0, words[:300])
