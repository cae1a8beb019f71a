"""No file that is or would be committed holds a key or a token."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from audit.collected import Collected
from audit.judgement import Judgement
from audit.plan import Run
from audit.provenance import git_output
from audit.results import Check, Severity
from audit.static.ignores import PathIgnores
from audit.static.rules.project_texts import Text
from audit.static.rules.sec006_committed_secret import WORDS, secrets_in
from audit.static.rules.sec008_secret_in_a_text import SecretInAText
from audit.stopping import stop_if_wanted
from validation.readiness.places import Place, judge_places
from validation.readiness.project import Project

CHECK = Check(
    id="security.secrets",
    title="No key or token is committed",
    proves="No text of the project that git has, or would take, holds a private key or an access token of the forms "
    "that SEC006 knows, in code, comments, settings or documents (1 MiB of each is read). A result shows four "
    "characters of one.",
    defect="a token in a comment",
    severity=Severity.CRITICAL,
)
_FOR_TESTS = re.compile(r"^(?:tests?|fixtures?|testdata|test_data|examples?)$", re.IGNORECASE)
_RULES = ("SEC006", "SEC008")


def judge(collected: Collected, project: Project, run: Run) -> Sequence[Judgement]:
    """Look into every text, those that git has though it is told to ignore them among them."""
    ignores = PathIgnores(collected.target.settings.per_path_ignores)
    paths = [path for path in _committed(project) if not any(ignores.ignores(path, rule) for rule in _RULES)]
    return judge_places(
        project,
        _places(project, paths),
        looked_at=len(paths),
        unit="files",
        origin="everybody who can read the repository, now or in its history, can use it",
        fix=SecretInAText.fix,
        nothing="the project has no file outside of its packages",
    )


def _committed(project: Project) -> list[str]:
    listed = git_output(project.root, "ls-files", "-z", "--cached", "--ignored", "--exclude-standard") or b""
    ignored = (os.fsdecode(path) for path in listed.split(b"\0") if path)
    return sorted({*project.files, *(path for path in ignored if path.isascii())})


def _places(project: Project, paths: Sequence[str]) -> Iterator[Place]:
    for text in project.texts.with_word(paths, WORDS):
        stop_if_wanted()
        is_for_tests = any(_FOR_TESTS.match(part) for part in PurePosixPath(text.path).parts[:-1])
        for kind, start, secret in secrets_in(text.content):
            line = text.content.count("\n", 0, start) + 1
            is_example = is_for_tests and "PRIVATE KEY" in secret
            if not is_example and not _is_silenced(text, line):
                column = start - text.content.rfind("\n", 0, start)
                # What follows in the report must not hold it: the kind, four characters and the length.
                yield Place(text.path, line, f"{kind} ({secret[:4]}..., {len(secret)} characters)", column)


def _is_silenced(text: Text, line: int) -> bool:
    return any(text.silences(rule, line) for rule in _RULES)
