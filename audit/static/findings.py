"""What the rules see in one file, before it is known which rules are on and what other files read: plain data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RawFinding:
    """What a rule found. Lines and columns start at 1 and count characters; the end column is exclusive.

    `fix` is None where the rule's own text says how to mend it. The finding falls where any file of the target reads
    the attribute `unless_attribute`.
    """

    line: int
    column: int
    rule: str
    end_line: int
    end_column: int
    message: str
    fix: str | None = None
    unless_attribute: str | None = None
    qualname: str | None = None


@dataclass(frozen=True, slots=True)
class NoqaComment:
    """A `# noqa` comment. `ids` is empty where it names none, and then it silences every rule."""

    line: int
    column: int
    end_column: int
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """What all rules find in one file, sorted and without regard to comments.

    `assumed` are the classes, by line, of which a rule asked whether they are models, and the answer it got: where
    the project's graph says otherwise, the file has to be judged again. `attributes` are the names of the attributes
    that the file reads, each between line ends. Of a file that is `too_deep` to follow nothing is known, and
    nothing by the rules of plug-ins that `raised` something on it.
    """

    findings: tuple[RawFinding, ...] = ()
    comments: tuple[NoqaComment, ...] = ()
    assumed: tuple[tuple[int, bool], ...] = ()
    attributes: str = ""
    too_deep: bool = False
    raised: tuple[tuple[str, str], ...] = ()
