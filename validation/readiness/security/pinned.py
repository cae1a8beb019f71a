"""Somebody who installs a project tomorrow gets what its authors had."""

import re
import tomllib
from collections.abc import Iterator, Sequence

from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check, Severity
from audit.static.imports.requirement_files import of_setup_py
from validation.readiness.listing import listed
from validation.readiness.places import Place, judge_places
from validation.readiness.project import Project

CHECK = Check(
    id="security.pinned",
    title="Dependencies are pinned somewhere",
    proves="Of every distribution that the project requires ([project.dependencies], Poetry, setup.py, requirement "
    "files) some lock, constraint or requirement file names one version. Extras and build requirements are not"
    " judged.",
    defect="a requirement without a version, and no lock file",
    severity=Severity.MINOR,
)
_REQUIREMENTS = re.compile(
    r"(?:^|/)(?:requirements?|constraints?)[\w.-]*\.(?:txt|in)$|(?:^|/)requirements/[\w.-]+\.(?:txt|in)$"
)
_LOCKS = frozenset(
    (
        "poetry.lock",
        "uv.lock",
        "pdm.lock",
        "Pipfile.lock",
        "pylock.toml",
        "conda-lock.yml",
        "pixi.lock",
        "requirements.lock",
    )
)
_LINE = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*([^;#]*)")
_ONE_VERSION = re.compile(r"^===?\s*[\w.!+-]+$|^@\s*\S+@[0-9a-f]{40}\b|^@\s*\S+\.whl")
_LOCKED = re.compile(
    r"^[ \t]{0,40}(?:-[ \t]+)?(?:name\s*[=:]\s*)?[\"']?([A-Za-z0-9][A-Za-z0-9._-]*)[\"']?\s*(?:$|:\s*\{|==)",
    re.MULTILINE,
)
_MAX_DEPENDENCIES = 5000


def judge(project: Project, run: Run) -> Sequence[Judgement]:
    """Look for a version of each distribution that is required."""
    required = list(_required(project))[:_MAX_DEPENDENCIES]
    pinned = {name for name, _, _, is_one in required if is_one} | _locked(project)
    wrong: dict[str, list[tuple[str, int]]] = {}
    for name, path, line, _ in required:
        if name not in pinned and not path.rpartition("/")[2].startswith("constraint"):
            wrong.setdefault(path, []).append((name, line))
    return judge_places(
        project,
        [_place(path, names) for path, names in wrong.items()],
        looked_at=len({name for name, *_ in required}),
        unit="dependencies",
        origin="a new release of a dependency reaches every installation untested",
        fix="add a lock or constraint file with the versions that were tested, and install with it",
        nothing="the project requires no distribution",
    )


def _place(path: str, names: Sequence[tuple[str, int]]) -> Place:
    shown = dict.fromkeys(name for name, _ in names)
    return Place(path, names[0][1], f"no file of the project names one version of {len(shown)}: {listed(shown)}")


def _required(project: Project) -> Iterator[tuple[str, str, int, bool]]:
    """Yield name, file and line of each requirement, and whether it names one version."""
    text = project.text("pyproject.toml")
    if text is not None:
        for requirement in _of_pyproject(text.content):
            line = next((number for number, each in enumerate(text.lines, start=1) if requirement in each), 0)
            yield from _read(requirement, "pyproject.toml", line)
    for requirement in of_setup_py(project.root):
        yield from _read(requirement, "setup.py", 0)
    for path in project.files:
        if _REQUIREMENTS.search(path) and (text := project.text(path)) is not None:
            for line, content in enumerate(text.lines, start=1):
                yield from _read(content, path, line)


def _of_pyproject(content: str) -> Iterator[str]:
    try:
        document = tomllib.loads(content)
    except (ValueError, RecursionError):
        return  # whoever reads the settings in it says what is wrong
    listed = _at(document, "project", "dependencies")
    yield from (each for each in (listed if isinstance(listed, list) else ()) if isinstance(each, str))
    poetry = _at(document, "tool", "poetry", "dependencies")
    yield from (str(name) for name in (poetry if isinstance(poetry, dict) else ()) if name != "python")


def _at(document: object, *keys: str) -> object:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _read(requirement: str, path: str, line: int) -> Iterator[tuple[str, str, int, bool]]:
    if "://" in requirement.partition("@")[0] or requirement.lstrip().startswith(("-", "#", ".", "/")):
        return
    if found := _LINE.match(requirement):
        version = found[2].strip().strip("()").split(" --hash")[0].strip().rstrip("\\").strip()
        yield _normal(found[1]), path, line, bool(_ONE_VERSION.match(version))


def _locked(project: Project) -> set[str]:
    found: set[str] = set()
    for path in project.files:
        if path.rpartition("/")[2] in _LOCKS and (text := project.text(path)) is not None:
            found.update(_normal(name) for name in _LOCKED.findall(text.content))
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
