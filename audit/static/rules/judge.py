"""All rules over one file."""

import ast
import re
from collections import Counter
from collections.abc import Container, Iterator, Sequence

from audit.static.findings import Judged, RawFinding
from audit.static.lines import lines_of
from audit.static.names import Candidate, ClassSummary, Origin
from audit.static.reading import ParsedFile
from audit.static.rules.context import FileContext
from audit.static.rules.registry import all_rules
from audit.static.rules.rule import Rule, Spot
from audit.static.rules.suppress import noqa_comments
from audit.static.standard_library import STANDARD_LIBRARY
from audit.static.torch_classes import load_torch_classes
from audit.static.tree import TreeIndex

_MOST_TOLD = 300
# How classes that are models are named, and no others, in most packages.
_MODEL_NAME = re.compile(
    r"(Model|Module|ModelMixin|Layer|LayerScale|Block|MLP|Mlp|MoE|Moe|Norm\d?d?|NormGated|Embed|Embedder|Embeddings?"
    r"|(?<!No)Attention|Experts|Router|Encoder|Decoder|Head|Net|Pooler|Pretrained\w*|For[A-Z]\w+(?<!Output)|Stage|Motion"
    r"|FeedForward|Projector|Projection|DropPath|Mixer|Merger|Loss|Transformer|Backbone|Neck|Indexer|Conv\w+d|Adapter"
    r"|Downsample|Intermediate|SelfOutput)$"
)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class ModelLines(Container[int]):
    """The lines of a file's model classes as far as they are known; remembers which of them was asked for."""

    def __init__(self, lines: Container[int]) -> None:
        """Answer by `lines`."""
        self._lines = lines
        self.asked: dict[int, bool] = {}

    def __contains__(self, line: object) -> bool:
        """Return whether the class at `line` is taken for a model."""
        assert isinstance(line, int)
        answer = self.asked[line] = line in self._lines
        return answer


def judge(
    path: str,
    parsed: ParsedFile,
    *,
    model_lines: Container[int],
    rules: Sequence[Rule] | None = None,
    index: TreeIndex | None = None,
) -> Judged:
    """Return what `rules`, or else all rules, find in one file; `model_lines` are the lines of its model classes.

    Raises nothing for whatever the file holds.
    """
    models = ModelLines(model_lines)
    try:
        context = FileContext(path, index or TreeIndex(parsed.tree), model_lines=models, text=parsed.text)
        lines = _Lines(parsed.text)
        findings = set[RawFinding]()
        raised: list[tuple[str, str]] = []
        asked: dict[tuple[str, ...], bool] = {(): True}  # many rules have the words of others
        for rule in all_rules() if rules is None else rules:
            if rule.words not in asked:
                asked[rule.words] = any(map(context.words.__contains__, rule.words))
            if asked[rule.words]:
                try:
                    for node in rule.candidates(context):
                        for spot in rule.judge(node, context):
                            findings.add(_finding(rule, spot, context=context, lines=lines))
                except (Exception, SystemExit) as error:  # the second would end the run with a code of its own
                    if isinstance(error, RecursionError) or _is_own(rule):
                        raise
                    raised.append((rule.id, f"{type(error).__name__}: {error}"[:_MOST_TOLD]))
    except RecursionError:
        return Judged(too_deep=True)
    return Judged(
        findings=tuple(sorted(findings, key=_order)),
        comments=tuple(noqa_comments(parsed.text, context.index)),
        assumed=tuple(sorted(models.asked.items())),
        attributes=attributes_read(context),
        raised=tuple(raised),
    )


def _is_own(rule: Rule) -> bool:
    return type(rule).__module__.startswith(f"{__package__}.")


def spots(rule: Rule, context: FileContext) -> Iterator[Spot]:
    """Yield the places of a file that a rule objects to."""
    for node in rule.candidates(context):
        yield from rule.judge(node, context)


def probable_models(classes: Sequence[ClassSummary]) -> frozenset[int]:
    """Return the lines of the classes that seem to be models, from their file alone.

    It is a guess that saves judging a file twice: the graph of all files decides.
    """
    guesses: dict[int, bool] = {}
    return frozenset(
        summary.line for position, summary in enumerate(classes) if _is_probable(position, classes, guesses)
    )


def _is_probable(position: int, classes: Sequence[ClassSummary], guesses: dict[int, bool]) -> bool:
    if position not in guesses:
        guesses[position] = False  # where a class is found to be its own base
        summary = classes[position]
        answers = [_leads_to_model(base.candidates, classes, guesses) for base in summary.bases]
        defined = f"{summary.module}.{summary.qualname}" in load_torch_classes().definitions
        named = any(_MODEL_NAME.search(base.name.rpartition(".")[2]) for base in summary.bases)
        guesses[position] = defined or True in answers or (None in answers and (named or "forward" in summary.bindings))
    return guesses[position]


def _leads_to_model(
    candidates: Sequence[Candidate], classes: Sequence[ClassSummary], guesses: dict[int, bool]
) -> bool | None:
    """Return whether a base is a model; None where another file decides."""
    answer: bool | None = False
    for each in candidates:
        found = _candidate_leads(each, classes, guesses)
        if found:
            return True
        answer = None if found is None else answer
    return answer


def _candidate_leads(candidate: Candidate, classes: Sequence[ClassSummary], guesses: dict[int, bool]) -> bool | None:
    if candidate.called:
        return None
    if candidate.origin is Origin.CLASS and not candidate.attributes:
        return _is_probable(candidate.definition, classes, guesses)
    if candidate.origin is not Origin.IMPORT:
        return False if candidate.origin is Origin.UNBOUND and not candidate.stars else None
    table = load_torch_classes()
    name = ".".join((candidate.module, *candidate.attributes))
    if table.module_class(name):
        return True
    return False if table.is_known(name) or name.partition(".")[0] in STANDARD_LIBRARY else None


class _Lines:
    """The lines of a text, to turn the byte offsets of `ast` into columns."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines: list[str] | None = None
        self._is_ascii = text.isascii()

    def column(self, line: int, offset: int) -> int:
        """Return the column, counted in characters from 1, of a byte offset."""
        if self._is_ascii:
            return offset + 1
        return len(self._line(line).encode()[:offset].decode(errors="ignore")) + 1

    def end_column(self, line: int) -> int:
        """Return the column behind the last character of a line that is no space."""
        return len(self._line(line).rstrip()) + 1

    def _line(self, line: int) -> str:
        if self._lines is None:
            self._lines = lines_of(self._text)
        return self._lines[line - 1] if line <= len(self._lines) else ""


def _finding(rule: Rule, spot: Spot, *, context: FileContext, lines: _Lines) -> RawFinding:
    node = spot.node
    line, offset = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
    end_line = getattr(node, "end_lineno", None) or line
    end_offset = getattr(node, "end_col_offset", None) or offset
    if isinstance(node, _DEFINITIONS):  # the line that names it; its body is not what is shown or silenced
        end_line, end_column = line, lines.end_column(line)
    else:
        end_column = lines.column(end_line, end_offset)
    return RawFinding(
        line=line,
        column=lines.column(line, offset),
        rule=rule.id,
        end_line=end_line,
        end_column=end_column,
        message=spot.message,
        fix=spot.fix,
        unless_attribute=spot.unless_attribute,
        qualname=context.qualname(node),
    )


def _order(found: RawFinding) -> tuple[int, int, str, int, int, str]:
    return (found.line, found.column, found.rule, found.end_line, found.end_column, found.message)


def attributes_read(context: FileContext) -> str:
    """Return the names of the attributes that a file reads, each between two line feeds."""
    stored = Counter(node.attr for node in context.index.stored_attributes)
    found = context.index.attributes_by_name
    return "\n".join(["", *sorted(name for name, nodes in found.items() if len(nodes) > stored[name]), ""])
