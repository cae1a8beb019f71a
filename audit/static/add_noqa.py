"""Writes `# noqa: ID` behind findings. Nothing else in a file changes, and what cannot be silenced so is told."""

import ast
import io
import re
import tokenize
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audit.report.document import Report
from audit.report.files import WriteError, replace_content
from audit.results import Outcome, Result
from audit.static.reading import sha256
from audit.static.rules.project_rule import ProjectRule
from audit.static.rules.registry import rules_by_id
from audit.static.rules.suppress import NOQA, noqa_comments, silencing
from audit.static.tree import TreeIndex

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_COLON = re.compile(r"#\s*noqa\s*:", re.IGNORECASE)
_OWN = "rules."
_UNUSED = "rules.sup001"  # about the comments themselves
_OPEN = frozenset(filter(None, (getattr(tokenize, name, None) for name in ("FSTRING_START", "TSTRING_START"))))
_CLOSE = frozenset(filter(None, (getattr(tokenize, name, None) for name in ("FSTRING_END", "TSTRING_END"))))


@dataclass(frozen=True, slots=True)
class Spot:
    """A finding to be silenced: the id of its rule and its first and last line."""

    rule: str
    first: int
    last: int


@dataclass
class Silenced:
    """How many findings were silenced in how many files, and why others were not, by place."""

    findings: int = 0
    files: int = 0
    left: list[str] = field(default_factory=list)


def add_noqa(report: Report, root: Path) -> Silenced:
    """Silence every finding of a rule that the report counts; a file that cannot be written is told."""
    by_path: dict[str, list[Result]] = defaultdict(list)
    for result in report.results:
        counts = result.outcome is Outcome.FAILED and not result.set_apart
        if counts and result.check.startswith(_OWN) and result.check != _UNUSED and result.location:
            by_path[result.location.path].append(result)
    done = Silenced()
    for path, results in sorted(by_path.items()):
        if any(isinstance(rules_by_id().get(_rule_of(result)), ProjectRule) for result in results):
            done.left.append(f"{path}: is no Python file, in which alone comments are written")
        else:
            _silence_file(root, path, results, done)
    return done


def _rule_of(result: Result) -> str:
    return result.check.removeprefix(_OWN).upper()


def _silence_file(root: Path, path: str, results: Sequence[Result], done: Silenced) -> None:
    if not path.endswith(".py"):  # a comment would break the JSON of a notebook
        done.left.append(f"{path}: not a Python file, which `# noqa` is for")
        return
    spots = [spot for result in results if (spot := _spot_of(result))]
    file = root / path
    try:
        content = file.read_bytes()
    except (OSError, ValueError):
        content = b""
    if sha256(content) != results[0].subject.digest:
        done.left.append(f"{path}: has changed since it was read")
        return
    if not file.resolve().is_relative_to(root):
        done.left.append(f"{path}: a link to a file outside of {root}")
        return
    encoding = tokenize.detect_encoding(io.BytesIO(content).readline)[0]
    text = content.decode(encoding)
    new, unsilenced = silenced_text(text, spots)
    done.left += [f"{path}:{spot.first}: {spot.rule}: no comment fits on its lines" for spot in unsilenced]
    if new == text:
        return
    try:
        replace_content(file.resolve(), new.encode(encoding), expected=content)
    except WriteError as unwritten:
        done.left.append(str(unwritten))
        return
    done.files += 1
    done.findings += len(spots) - len(unsilenced)


def _spot_of(result: Result) -> Spot | None:
    place = result.location
    if place is None or place.line is None:
        return None
    return Spot(_rule_of(result), place.line, place.end_line or place.line)


def silenced_text(text: str, spots: Sequence[Spot]) -> tuple[str, list[Spot]]:
    """Return `text` with a comment for each of `spots`, and those for which none fits.

    The text means what it meant: where that cannot be told, it stays as it is.
    """
    lines = _LINE.findall(text)
    tree, layout = _parsed(text), _Layout.of(lines)
    if tree is None or layout is None:
        return text, list(spots)
    spots = _unsilenced(text, tree, spots)
    wanted: dict[int, set[str]] = defaultdict(set)
    for spot in spots:
        if line := layout.line_for(spot):
            wanted[line].add(spot.rule)
    for line, rules in wanted.items():
        lines[line - 1] = _with_comment(lines[line - 1], layout.comments.get(line), sorted(rules))
    new = "".join(lines)
    new_tree = _parsed(new)
    if new_tree is None or ast.dump(new_tree) != ast.dump(tree):
        return text, list(spots)
    return new, _unsilenced(new, new_tree, spots)


def _parsed(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():  # of the file's own strings, which are not what this is about
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _unsilenced(text: str, tree: ast.Module, spots: Sequence[Spot]) -> list[Spot]:
    comments = noqa_comments(text, TreeIndex(tree))
    return [each for each in spots if not silencing(comments, (each.rule,), first=each.first, last=each.last)]


@dataclass(frozen=True)
class _Layout:
    """The column at which each line's comment begins, and the lines that take none at their end."""

    comments: Mapping[int, int]
    blocked: frozenset[int]
    count: int

    @classmethod
    def of(cls, lines: Sequence[str]) -> "_Layout | None":
        """Return the layout; None where the tokenizer does not take the text."""
        normalised = "".join(f"{_body(line)}\n" for line in lines)
        try:
            tokens = list(tokenize.generate_tokens(io.StringIO(normalised).readline))
        except (tokenize.TokenError, SyntaxError):
            return None
        comments = {token.start[0]: token.start[1] for token in tokens if token.type == tokenize.COMMENT}
        continued = {
            number
            for number, line in enumerate(lines, start=1)
            if _body(line).endswith("\\") and number not in comments
        }
        return cls(comments, frozenset(continued.union(_inside_strings(tokens))), len(lines))

    def line_for(self, spot: Spot) -> int | None:
        """Return the first of the finding's lines that takes a comment."""
        return next(
            (line for line in range(spot.first, min(spot.last, self.count) + 1) if line not in self.blocked), None
        )


def _inside_strings(tokens: Iterable[tokenize.TokenInfo]) -> Iterator[int]:
    """Yield the lines whose end lies in a string. From Python 3.12 on an f-string is several tokens."""
    opened: list[int] = []
    for token in tokens:
        if token.type in _OPEN:
            opened.append(token.start[0])
        elif token.type in _CLOSE:
            yield from range(opened.pop(), token.end[0])
        elif token.type == tokenize.STRING:
            yield from range(token.start[0], token.end[0])


def _body(line: str) -> str:
    return line.rstrip("\r\n")


def _with_comment(line: str, comment_at: int | None, rules: Sequence[str]) -> str:
    """Return the line with the rules in its `# noqa`, which is added where there is none."""
    body, end = _body(line), line[len(_body(line)) :]
    names = ", ".join(rules)
    if comment_at is not None:
        found = NOQA.search(body, comment_at)
        if found and found["ids"]:
            known = {name.upper() for name in re.findall(r"[A-Za-z]+\d+", found["ids"])}
            new = ", ".join(name for name in rules if name not in known)
            return f"{body[: found.end()]}{', ' if new else ''}{new}{body[found.end() :]}{end}"
        colon = _COLON.search(body, comment_at)
        if colon:  # words behind it, but no id
            return f"{body[: colon.end()]} {names}{body[colon.end() :]}{end}"
    return f"{body.rstrip()}  # noqa: {names}{end}"
