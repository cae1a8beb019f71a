"""Rules over the files of a project that are no Python: its documents, settings, weights and data."""

import ast
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from audit.static.rules.rule import MEASURED_ON, Precision, Rule, Spot

if TYPE_CHECKING:
    from audit.static.rules.context import FileContext
    from audit.static.rules.project_files import ProjectFiles

Files = Mapping[str, str]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """What a rule objects to in a file of the project; lines and columns start at 1, the end column is exclusive."""

    path: str
    line: int
    column: int
    end_column: int
    message: str


@dataclass(frozen=True, slots=True)
class ProjectPrecision(Precision):
    """A measurement on other files than `CORPUS`, which holds hardly any documents and data."""

    corpus: str

    def __str__(self) -> str:
        """Return the measurement as one sentence."""
        if not self.findings:
            return f"no finding on {self.corpus} ({MEASURED_ON}), so nothing is known of its precision there"
        read = f"{self.false} false of {self.sampled} read by hand"
        return f"{read}, {self.findings} findings on {self.corpus} ({MEASURED_ON})"


class ProjectRule(Rule):
    """A rule that judges a whole project; its examples are files by name, which documentation shows as one text.

    Python files are judged by the other kind of rule alone.
    """

    nodes = ()
    VALID_FILES: ClassVar[tuple[Files, ...]]
    INVALID_FILES: ClassVar[tuple[Files, ...]]

    def __init_subclass__(cls) -> None:
        """Make the examples into the texts that documentation shows."""
        super().__init_subclass__()
        if "VALID_FILES" in vars(cls):
            cls.VALID = tuple(_shown(files) for files in cls.VALID_FILES)
            cls.INVALID = tuple(_shown(files) for files in cls.INVALID_FILES)

    def judge(self, node: ast.AST, context: "FileContext") -> Iterator[Spot]:
        """Yield nothing: no Python file is judged."""
        return iter(())

    @abstractmethod
    def concerned(self, project: "ProjectFiles") -> tuple[str, ...]:
        """Return the files that the rule looks at."""

    @abstractmethod
    def judge_project(self, project: "ProjectFiles") -> Iterator[Place]:
        """Yield what is wrong in the project; nothing where that cannot be decided."""


def _shown(files: Files) -> str:
    return "\n".join(f"==> {name} <==\n{text}" for name, text in files.items())
