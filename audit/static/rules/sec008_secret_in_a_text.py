"""SEC008: a private key or an access token in a file that is no Python."""

import ast
import re
from collections.abc import Iterator, Set
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from audit.severity import Severity
from audit.static.notebooks import NotebookError, code_of
from audit.static.rules.project_rule import Place, ProjectPrecision, ProjectRule
from audit.static.rules.sec006_committed_secret import WORDS, CommittedSecret, secrets_in, secrets_of

if TYPE_CHECKING:
    from audit.static.rules.project_files import ProjectFiles

_FOR_TESTS = re.compile(r"^(?:tests?|fixtures?|testdata|test_data|examples?)$", re.IGNORECASE)


class SecretInAText(ProjectRule):
    """SEC006 for settings, scripts, notebooks, key files and documents."""

    id = "SEC008"
    title = "A private key or access token in a settings file, script, notebook or document"
    severity = Severity.CRITICAL
    what = (
        "Reports what SEC006 reports in files other than Python's that no `.gitignore` leaves out: settings, `.env`, "
        "shell scripts, notebooks, key files, documents. The first 1 MiB of each is read. A private key in a folder "
        "of tests is taken for one made for them."
    )
    why = CommittedSecret.why
    fix = CommittedSecret.fix
    references = CommittedSecret.references
    precision = ProjectPrecision(
        findings=0, sampled=0, false=0, corpus="the texts of four folders of installed packages"
    )
    VALID_FILES = (
        {"run.sh": "export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n"},
        {"job.yaml": "env:\n  WANDB_API_KEY: ${{ secrets.WANDB_API_KEY }}\n"},
        {".env": "HF_TOKEN=${HF_TOKEN}\n"},
        {".env": "HF_TOKEN=" + "hf_" + "QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi\n", ".gitignore": ".env\n"},
        {"README.md": "Set `HF_TOKEN` to your token, `hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`.\n"},
        {"config.yaml": "token: " + "hf_" + "QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi  # noqa: SEC008\n"},
    )
    INVALID_FILES = (
        {"run.sh": "export AWS_SECRET_ACCESS_KEY=" + "wJa7rXUtnFEM/K7MDENG+bPxRfiCYzQ8kLp2Vw9s" + "\n"},
        {"job.yaml": "env:\n  WANDB_API_KEY: '" + "3f9ac17be2046d85" + "0b7e19fd62a4c83d5e10972b'\n"},
        {".env": "HF_TOKEN=" + "hf_" + "QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi\n"},
        {"deploy/config.yaml": "aws:\n  key: " + "AKIA" + "Q3EGRT7ZK2VPLM4N\n"},
        {
            "keys/host.pem": "-----BEGIN " + "RSA PRIVATE KEY-----\n"
            "MIIEpAIBAAKCAQEAxK8s2mPq7vTn4Rj1Wb0YcLh3Zf9QdXo6Ue5Gk8Ni2Jt7Vy1B\n"
        },
    )

    def concerned(self, project: "ProjectFiles") -> tuple[str, ...]:
        """Return the texts that are no Python."""
        return tuple(path for path in project.texts if not path.endswith(".py"))

    def judge_project(self, project: "ProjectFiles") -> Iterator[Place]:
        """Yield the secrets, one of each kind and file."""
        for text in project.with_word(self.concerned(project), WORDS):
            is_for_tests = any(_FOR_TESTS.match(part) for part in PurePosixPath(text.path).parts[:-1])
            known = _in_code(text.content) if text.path in project.judged_notebooks else frozenset[str]()
            for kind, start, secret in secrets_in(text.content, known=known):
                if "PRIVATE KEY" in secret and is_for_tests:
                    continue
                line = text.content.count("\n", 0, start) + 1
                column = start - text.content.rfind("\n", 0, start)
                shown = f"{kind} ({secret[:4]}..., {len(secret)} characters)"
                first = len(secret.partition("\n")[0])
                yield Place(text.path, f"the file holds {shown}", line, column, column + first)


def _in_code(content: str) -> Set[str]:
    """Return the secrets in the code of a notebook, which SEC006 reports; none where it cannot be read whole."""
    try:
        return secrets_of(ast.parse(code_of(content)))
    except (NotebookError, SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
