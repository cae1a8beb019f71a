"""Which sentences of a document claim a figure, and which files of the project can back one."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from audit.static.rules.project_texts import MAX_EVIDENCE_FILES, Text, is_document

if TYPE_CHECKING:
    from audit.static.rules.project_files import ProjectFiles

_TIMES = "\u00d7"  # the multiplication sign
_NUMBER = r"(?<![\d.])(?P<figure>\d{1,9}(?:\.\d{1,9})?)"
_MORE = r"(?:faster|speed-?ups?|less memory|smaller|fewer|more efficient|quicker|better|improvement|higher throughput)"


class Kind(StrEnum):
    """What a claim is about."""

    SPEED = "speed-up"
    QUALITY = "accuracy"
    TESTS = "passing tests"
    SCORE = "score"
    READY = "readiness"


_QUALITY = r"accura(?:cy|te)|precision|recall|F1(?:[- ]score)?|AUROC|AUC|mAP|R2|R²|top-?[15]"
_FORMS: dict[Kind, tuple[re.Pattern[str], ...]] = {
    Kind.SPEED: (
        re.compile(rf"{_NUMBER}\s?(?:x|{_TIMES}|times)\s+(?:\w+\s+)?{_MORE}\b", re.IGNORECASE),
        re.compile(rf"{_NUMBER}\s?%\s+(?:faster|less memory|smaller|quicker)\b", re.IGNORECASE),
        re.compile(rf"\b(?:speed-?up|faster)\s+(?:of|by)\s+(?:up to\s+)?{_NUMBER}\s?(?:x\b|{_TIMES}|%)", re.IGNORECASE),
    ),
    Kind.QUALITY: (
        re.compile(rf"{_NUMBER}\s?%[^.;:|]{{0,40}}?\b(?:{_QUALITY})\b", re.IGNORECASE),
        re.compile(rf"\b(?:{_QUALITY})\b[^.;|\d]{{0,30}}?{_NUMBER}\s?%", re.IGNORECASE),
    ),
    Kind.TESTS: (re.compile(rf"\b{_NUMBER}\s?/\s?\d+\s+(?:\w+\s+)?tests?\s+(?:are\s+)?pass", re.IGNORECASE),),
    Kind.SCORE: (re.compile(rf"\b{_NUMBER}\s?/\s?100\b"),),
    Kind.READY: (re.compile(r"\bproduction[- ]ready\b|\bready for production\b", re.IGNORECASE),),
}
_IN_FILES = {
    Kind.SPEED: re.compile(r"speed|fast|time|_ms|_s\b|latency|throughput|ratio|memory|ms\b", re.IGNORECASE),
    Kind.QUALITY: re.compile(r"acc|precision|recall|f1|auc|top|map|r2|correct|score", re.IGNORECASE),
    Kind.TESTS: re.compile(r"pass|test", re.IGNORECASE),
    Kind.SCORE: re.compile(r"score|ready|readiness|total|grade", re.IGNORECASE),
}
_READY = re.compile(r"[\"']?verdict[\"']?\s*[:=]\s*[\"']ready[\"']")

# No statement of what is: a negation, a wish, a condition, a bound, a question, or somebody else's figure.
_NO_CLAIM = re.compile(
    r"\b(?:not|never|no|nor|without|if|whether|unless|until|before|would|should|could|may|might|must|target|goal|aim|"
    r"plan|planned|plans|expect|expected|require[sd]?|needs?|at least|at most|threshold|example|instance|hypothetical|"
    r"paper|authors|arxiv|et al|reported|published|claims?|claimed|todo|e\.g|i\.e|suppose|imagine|towards?|"
    r"becom\w+|want|make|makes|making|help|helps|contribut\w+)\b|n't\b|\?|[≥≤<>]|https?://|\+/-",
    re.IGNORECASE,
)
# Repetitions have limits: a document of the target must not make the search quadratic.
_QUOTED = re.compile(
    r"``?[^`]{0,500}``?|\"[^\"]{0,500}\"|“[^”]{0,500}”|<!--.{0,500}?-->|!\[[^\]]{0,200}\]\([^)]{0,500}\)", re.DOTALL
)
_LINK = re.compile(
    r"\]\(\s?<?([^)\s>#]{1,300})|^\.\.\s_[^:]{1,100}:\s?(\S{1,300})|`[^`<]{0,200}<([^>]{1,300})>`_|"
    r"``?([\w.-]{1,100}(?:/[\w.-]{1,100}){1,9})``?"
)
_EVIDENCE_NAME = re.compile(
    r"(?:^|[/_.-])(?:bench\w*|results?|reports?|eval\w*|metrics?|tests?|perf\w*|scores?|logs?|experiments?|runs?)"
    r"(?:[/_.-]|$)",
    re.IGNORECASE,
)
_EVIDENCE_SUFFIXES = frozenset(
    {".py", ".json", ".jsonl", ".csv", ".tsv", ".txt", ".yaml", ".yml", ".toml", ".ipynb", ".xml", ".log"}
)
_FIGURES = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w])", re.IGNORECASE)
_SENTENCE = re.compile(  # up to a full stop, or to the next item, row or heading
    r"\S(?:.(?!\n\s*(?:[-*+|#]|\d+\.)\s?)(?!(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)\s))*.?", re.DOTALL
)
_RULE = re.compile(r"^\s*\|?[\s:|-]*-[\s:|-]*$")
_HEAD = re.compile(rf"\b(?:{_QUALITY})\b", re.IGNORECASE)
_PERCENTAGE = re.compile(rf"\s*{_NUMBER}\s?%")
_FENCE = re.compile(r"^\s*(?:```|~~~)")

Declared = Sequence[tuple[str, int, str]]  # file, line and words of each claim that the configuration declares
_DECLARED_FIGURES = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Claim:
    """A figure that a document states, or that something is ready. `figure` is empty for readiness."""

    kind: Kind
    figure: str
    text: str
    line: int
    column: int
    links: tuple[str, ...]


def claims_of(text: Text) -> Iterator[Claim]:
    """Yield the claims of a document, at most one of each kind and sentence, in order.

    Left out are code, quotations, comments, and sentences that deny, wish, ask, bound, or name a source elsewhere.
    """
    for first, lines in _paragraphs(text):
        links = tuple(link for line in lines for link in _links(line))
        whole = "\n".join(lines)
        shown = _QUOTED.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), whole)
        shown = shown.replace("**", "  ").replace("__", "  ")
        row = end = 0
        for sentence in _SENTENCE.finditer(shown):
            row += shown.count("\n", end, sentence.start())
            end = sentence.start()
            cell = _in_table(lines, row)
            if _NO_CLAIM.search(sentence.group()):
                continue
            if cell is not None:
                yield Claim(Kind.QUALITY, *cell, first + row, 1, links)
                continue
            for kind, forms in _FORMS.items():
                found = next((match for form in forms for match in form.finditer(sentence.group())), None)
                if found:
                    start = sentence.start() + found.start()
                    figure = found["figure"] if kind is not Kind.READY else ""
                    line = first + row + shown.count("\n", sentence.start(), start)
                    column = start - shown.rfind("\n", 0, start)
                    yield Claim(kind, figure, " ".join(found.group().split()), line, column, links)


def _paragraphs(text: Text) -> Iterator[tuple[int, list[str]]]:
    """Yield the paragraphs of a document with their first lines; code blocks and quotations are none."""
    paragraph: list[str] = []
    fenced = False
    for number, line in enumerate((*text.lines, ""), start=1):
        is_fence = bool(_FENCE.match(line))
        if line.strip() and not is_fence and not fenced and not line.startswith(("    ", "\t", ">")):
            paragraph.append(line)
        elif paragraph:
            yield number - len(paragraph), paragraph
            paragraph = []
        fenced ^= is_fence


def _in_table(lines: Sequence[str], row: int) -> tuple[str, str] | None:
    """Return the first percentage of a table's row in a column whose head speaks of accuracy, with its cell."""
    if row < 2 or not lines[row].lstrip().startswith("|") or not _RULE.match(lines[1]):
        return None
    for head, cell in zip(lines[0].split("|"), lines[row].split("|"), strict=False):
        found = _PERCENTAGE.match(cell.replace("*", " "))
        if found and _HEAD.search(head):
            return found["figure"], f"{' '.join(head.split())}: {' '.join(cell.split())}"
    return None


def _links(line: str) -> Iterator[str]:
    for found in _LINK.finditer(line):
        yield next(group for group in found.groups() if group)


def is_declared(claim: Claim, path: str, declared: Declared) -> bool:
    """Return whether a declared claim has the figure, and is published on the line or the two around it."""
    return any(
        path == file and abs(claim.line - line) <= 1 and claim.figure in _DECLARED_FIGURES.findall(words)
        for file, line, words in declared
    )


def is_backed(claim: Claim, document: str, project: "ProjectFiles") -> bool:
    """Return whether the project holds what the claim rests on.

    That is a file which the paragraph links to and which is no document, or a file named as a test, benchmark or
    result in which a number rounds to the figure beside a word of the claim's kind. For readiness, which has no
    figure: such a file with the verdict `ready`.
    """
    folder = PurePosixPath(document).parent
    for link in claim.links:
        path = (folder / link).as_posix()
        if "://" not in link and (not is_document(path) or _EVIDENCE_NAME.search(path)) and project.exists(path):
            return True
    return any(_holds(claim, text) for text in _evidence(project))


def _evidence(project: "ProjectFiles") -> Iterator[Text]:
    paths = [
        path
        for path in project.texts
        if PurePosixPath(path).suffix.lower() in _EVIDENCE_SUFFIXES
        and not is_document(path)
        and _EVIDENCE_NAME.search(path)
    ]
    for path in paths[:MAX_EVIDENCE_FILES]:
        if (text := project.text(path)) is not None:
            yield text


def _holds(claim: Claim, text: Text) -> bool:
    if claim.kind is Kind.READY:
        return bool(_READY.search(text.content))
    words = _IN_FILES[claim.kind]
    is_table = text.path.endswith((".csv", ".tsv")) and bool(words.search(text.lines[0]))
    return any(
        _has_figure(claim, line) for line in text.lines if len(line) < 10_000 and (is_table or words.search(line))
    )


def _has_figure(claim: Claim, line: str) -> bool:
    """Return whether a number of the line, or a hundred times it, rounds to the figure of the claim."""
    digits = len(claim.figure.partition(".")[2])
    wanted = float(claim.figure)
    numbers = (float(found) for found in _FIGURES.findall(line))
    shares = claim.kind is not Kind.TESTS
    return any(round(n, digits) == wanted or (shares and round(100 * n, digits) == wanted) for n in numbers)
