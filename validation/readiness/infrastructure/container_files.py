"""What a Dockerfile copies into the container is there."""

import glob
import json
import re
import shlex
from collections.abc import Iterator, Sequence

from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check, Severity
from validation.readiness.places import Place, judge_places
from validation.readiness.project import Project, normalised

CHECK = Check(
    id="infrastructure.container_files",
    title="Dockerfiles copy what is there",
    proves="Every Dockerfile begins with FROM (after ARG), and every source of its COPY and ADD instructions that is "
    "a path exists in the project, below the root or the Dockerfile's own folder. Addresses, other stages and "
    "variables are left out.",
    defect="a COPY of a file that was moved",
    severity=Severity.MAJOR,
)
_NAME = re.compile(r"^(?:Dockerfile|Containerfile)(?:\.[\w.-]+)?$|\.(?:dockerfile|Dockerfile)$")
_INSTRUCTION = re.compile(r"^\s*([A-Za-z]+)\s+(.*)$", re.DOTALL)
_HEREDOC = re.compile(r"<<-?\s*[\"']?(\w+)[\"']?")
_PATTERN = re.compile(r"[*?\[]")


def dockerfiles_of(project: Project) -> tuple[str, ...]:
    """Return the paths of the Dockerfiles."""
    return tuple(
        path for path in project.files if _NAME.search(path.rpartition("/")[2]) and not path.endswith(".dockerignore")
    )


def judge(project: Project, run: Run) -> Sequence[Judgement]:
    """Look for what each Dockerfile copies."""
    paths = dockerfiles_of(project)
    return judge_places(
        project,
        [place for path in paths for place in _places(project, path)],
        looked_at=len(paths),
        unit="Dockerfiles",
        origin="the build of a container stops at a file that is not there",
        fix="name the file as it is now",
        nothing="the project has no Dockerfile",
    )


def _places(project: Project, path: str) -> Iterator[Place]:
    text = project.text(path)
    instructions = list(_instructions(text.lines if text else ()))
    first = next((name for _, name, _ in instructions if name != "ARG"), None)
    if first != "FROM":
        yield Place(path, 0, "the Dockerfile does not begin with FROM")
        return
    folder = path.rpartition("/")[0]
    for line, name, rest in instructions:
        if name in ("COPY", "ADD"):
            for source in dict.fromkeys(_sources(rest)):
                if not _is_there(project, folder, source):
                    yield Place(path, line, f"{name} of {source[:200]}, which does not exist")


def _instructions(lines: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    joined, begun, ends_with = "", 0, ""
    for number, line in enumerate(lines, start=1):
        if ends_with:
            ends_with = "" if line.strip() == ends_with else ends_with
            continue
        if line.lstrip().startswith("#") or (joined and not line.strip()):
            continue
        begun = begun if joined else number
        joined += line.rstrip()
        if joined.endswith("\\"):
            joined = joined[:-1] + " "
            continue
        found = _INSTRUCTION.match(joined)
        if found:
            heredoc = _HEREDOC.search(found[2]) if found[1].upper() in ("RUN", "COPY", "ADD") else None
            ends_with = heredoc[1] if heredoc else ""
            yield begun, found[1].upper(), found[2]
        joined = ""


def _sources(rest: str) -> list[str]:
    """Return the sources of an instruction that lie in the project: all words but the options and the last one."""
    try:
        words = json.loads(rest) if rest.lstrip().startswith("[") else shlex.split(rest)
    except (ValueError, RecursionError):
        return []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return []
    if any(word.startswith("--from") for word in words):
        return []
    plain = [word for word in words if not word.startswith("--")]
    return [word for word in plain[:-1] if not re.search(r"[$]|<<|^[a-z]+://|^git@", word)]


def _is_there(project: Project, folder: str, source: str) -> bool:
    for base in dict.fromkeys(("", folder)):
        place = normalised(f"{base}/{source.lstrip('/')}" if base else source.lstrip("/") or ".")
        if not project.is_inside(place):
            continue
        if project.exists(place):
            return True
        if _PATTERN.search(place) and next(glob.iglob(place, root_dir=project.root, include_hidden=True), None):
            return True
    return False
