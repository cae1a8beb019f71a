"""What a rule is made of, and what it reports."""

import ast
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from audit.severity import Severity

if TYPE_CHECKING:
    from audit.static.fixes.edits import Fix
    from audit.static.fixes.source import SourceText
    from audit.static.rules.context import FileContext

CORPUS = (
    "timm 1.0.31, x-transformers 2.31.10, transformers 5.24.0, diffusers 0.42.1, torch 2.13.0, lightning 2.6.6, "
    "torch_geometric 2.8.1"
)
MEASURED_ON = "2026-11-25"
EXAMPLE_FILE = "example.py"
EXAMPLE_TEST_FILE = "tests/test_example.py"


class Family(StrEnum):
    """What a rule is about; the value is how its id begins."""

    API = "API"
    ATTENTION = "ATT"
    MODULES = "MOD"
    TRAINING = "TRN"
    SECURITY = "SEC"
    TESTS = "TST"
    SUPPRESSION = "SUP"
    CLAIMS = "CLM"
    DATA = "DAT"


class FixSafety(StrEnum):
    """What is known of the edit that a rule proposes."""

    SAFE = "safe"  # the program computes the same
    UNSAFE = "unsafe"  # the program may compute something else, or need more than the edit
    SUGGESTION = "suggestion"  # for a person: it is shown and never made


@dataclass(frozen=True, slots=True)
class Precision:
    """How many findings the rule has on `CORPUS`, how many of them were read, and how many of those were wrong."""

    findings: int
    sampled: int
    false: int

    def __str__(self) -> str:
        """Return the measurement as one sentence."""
        if not self.findings:
            return f"no finding on {CORPUS} ({MEASURED_ON}), so nothing is known of its precision there"
        read = f"{self.false} false of {self.sampled} read by hand" if self.sampled else "none read by hand"
        return f"{read}, {self.findings} findings on {CORPUS} ({MEASURED_ON})"


@dataclass(frozen=True, slots=True)
class Spot:
    """A place that a rule objects to. `unless_attribute` drops it where any file of the target reads that attribute.

    `edits` works out, when somebody asks, how the text would have to change, or that it cannot be told exactly.
    """

    node: ast.AST
    message: str
    fix: str | None = None
    unless_attribute: str | None = None
    edits: "Callable[[SourceText], Fix | None] | None" = field(default=None, compare=False)


class Rule(ABC):
    """One rule; a subclass fills in its documentation and judges the nodes of the types it names.

    `words` are texts of which a file's code must hold one for the rule to find anything in it; one in a comment or
    docstring does not count (see `Words`). The first of `INVALID` is
    shown as the example, the first of `VALID` as what to use instead. `also_silenced_by` are ids of other tools whose
    `# noqa` says that this very thing was looked at.

    A rule that edits has pairs of texts in `FIXED`, before and after; `fix_safety` is that of most places, and
    `fix_depends_on` says what makes it another one elsewhere.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    severity: ClassVar[Severity] = Severity.MINOR
    what: ClassVar[str]
    why: ClassVar[str]
    fix: ClassVar[str]
    fix_safety: ClassVar[FixSafety] = FixSafety.SUGGESTION
    fix_depends_on: ClassVar[str] = ""
    references: ClassVar[tuple[str, ...]] = ()
    default_on: ClassVar[bool] = True
    off_because: ClassVar[str] = ""
    precision: ClassVar[Precision] = Precision(0, 0, 0)
    nodes: ClassVar[tuple[type[ast.AST], ...]]
    words: ClassVar[tuple[str, ...]] = ()
    example_file: ClassVar[str] = EXAMPLE_FILE
    also_silenced_by: ClassVar[tuple[str, ...]] = ()
    VALID: ClassVar[tuple[str, ...]]
    INVALID: ClassVar[tuple[str, ...]]
    FIXED: ClassVar[tuple[tuple[str, str], ...]] = ()

    @property
    def family(self) -> str:
        """What the rule is about: a `Family`, or what a plug-in calls its own."""
        return self.id[:3]

    @property
    def check_id(self) -> str:
        """The id of the check that the rule becomes."""
        return f"rules.{self.id.lower()}"

    def candidates(self, context: "FileContext") -> Iterable[ast.AST]:
        """Yield the nodes of the file that the rule judges."""
        for kind in self.nodes:
            yield from context.index.by_type.get(kind, ())

    @abstractmethod
    def judge(self, node: ast.AST, context: "FileContext") -> Iterator[Spot]:
        """Yield what is wrong at `node`, which is of one of the rule's types; nothing where that cannot be decided."""


def snippet(text: str) -> str:
    """Return an example as the text of a file."""
    return textwrap.dedent(text).strip("\n") + "\n"
