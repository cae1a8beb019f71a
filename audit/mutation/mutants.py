"""The mutants of a file: one edit each, that parses and is not what was there before."""

import ast
import difflib
import hashlib
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import libcst as cst

from audit.mutation.operator import Around, Operator

_SHOWN_LINES = 1  # around what an edit changes
_EXCUSE = re.compile(r"#\s*no mutant:\s*(\S.*)")


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A file with one mistake in it.

    Attributes:
        operator: name of the operator.
        path: of the file, relative to the target.
        line: first line that the edit changes, from 1.
        lines: lines of the original of which one must run for the edit to be reached.
        text: the whole file with the edit.
        diff: the edit, without the names of files.
        excuse: why it is no mistake, where a comment of the line says so.
    """

    operator: str
    path: str
    line: int
    lines: range
    text: str
    diff: str
    excuse: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of what it is."""
        content = f"{self.operator}\0{self.path}\0{self.text}"
        return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()


def mutants_of(source: str, *, path: str, operators: Sequence[Operator]) -> list[Mutant]:
    """Return the mutants of a file in the order of their lines.

    Args:
        source: its text.
        path: its name in the mutants.
        operators: those to apply.

    Raises:
        SyntaxError: the file does not parse.
        cst.ParserSyntaxError: the same, where only the concrete syntax has objections.
    """
    tree = ast.parse(source)
    seen = {ast.dump(tree)}
    module = cst.parse_module(source)
    parts = _Parts(module)
    excuses = _excuses(source)
    found = []
    for operator, node, replacement, top in _edits(module, operators):
        text = parts.text_with(top, node, replacement)
        try:
            form = ast.dump(ast.parse(text))
            compile(text, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError):  # an operator cannot know every place where its edit may not stand
            continue
        if form in seen:
            continue
        seen.add(form)
        found.append(_mutant(operator, path, source, text, tree, excuses))
    return sorted(found, key=lambda mutant: (mutant.line, mutant.operator))


class _Parts:
    """The text of each top statement of a file: an edit writes one of them anew, and not the whole file."""

    def __init__(self, module: cst.Module) -> None:
        self._module = module
        self._codes = [module.code_for_node(statement) for statement in module.body]
        whole, body = module.code, "".join(self._codes)
        if not whole.endswith(("\n", "\r")):  # the last statement is written with a line break all the same
            whole += module.default_newline
        start = whole.index(body)
        self._before, self._after = whole[:start], whole[start + len(body) :]

    def text_with(self, top: cst.CSTNode, node: cst.CSTNode, replacement: cst.CSTNode) -> str:
        """Return the text with `replacement` in the place of `node`, which is or lies in the statement `top`."""
        changed = replacement if node is top else top.deep_replace(node, replacement)
        assert isinstance(changed, cst.CSTNode)
        codes = list(self._codes)
        codes[next(index for index, each in enumerate(self._module.body) if each is top)] = self._module.code_for_node(
            changed
        )
        return "".join((self._before, *codes, self._after))


_Edit = tuple[Operator, cst.CSTNode, cst.CSTNode, cst.CSTNode]


def _edits(module: cst.Module, operators: Sequence[Operator]) -> Iterator[_Edit]:
    """Yield each operator with the node, what takes its place, and the top statement around it."""
    by_type: dict[type[cst.CSTNode], list[Operator]] = defaultdict(list)
    for operator in operators:
        for kind in operator.nodes:
            by_type[kind].append(operator)
    pending: list[tuple[cst.CSTNode, tuple[cst.CSTNode, ...]]] = [(module, ())]
    while pending:
        node, ancestors = pending.pop()
        for operator in by_type.get(type(node), ()):
            for replacement in operator.edits(node, Around(ancestors)):
                yield operator, node, replacement, ancestors[1] if len(ancestors) > 1 else node
        if isinstance(node, cst.Annotation):  # what it says is for readers and type checkers
            continue
        below = (*ancestors, node)
        pending += [(child, below) for child in reversed(node.children)]


def _mutant(
    operator: Operator, path: str, before: str, after: str, tree: ast.Module, excuses: Mapping[int, str]
) -> Mutant:
    old, new = before.splitlines(), after.splitlines()
    changes = [
        change
        for change in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        if change[0] != "equal"
    ]
    first, last = changes[0][1] + 1, max(changes[-1][2], changes[0][1] + 1)
    diff = "\n".join(
        line for line in difflib.unified_diff(old, new, n=_SHOWN_LINES, lineterm="") if line[:3] not in ("---", "+++")
    )
    lines = _reached(tree, first, last)
    return Mutant(
        operator=operator.name,
        path=path,
        line=first,
        lines=lines,
        text=after,
        diff=diff,
        # An edit of several statements is excused by a comment of its first line alone.
        excuse=next((excuses[line] for line in (lines if first == last else (first,)) if line in excuses), None),
    )


def _excuses(source: str) -> dict[int, str]:
    """Return what the comments `# no mutant: reason` of a file say, by their lines."""
    if "no mutant" not in source:
        return {}
    comments = [
        each for each in tokenize.generate_tokens(io.StringIO(source).readline) if each.type == tokenize.COMMENT
    ]
    said = {comment.start[0]: _EXCUSE.match(comment.string) for comment in comments}
    return {line: " ".join(found[1].split()) for line, found in said.items() if found}


def _reached(tree: ast.Module, first: int, last: int) -> range:
    """Return the lines of the statements around an edit: a debugger sees one line of a statement that spans several."""
    low, high = first, last
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt) or not (node.lineno <= last and first <= (node.end_lineno or node.lineno)):
            continue
        body = getattr(node, "body", None)
        end = body[0].lineno - 1 if body else node.end_lineno or node.lineno
        if node.lineno <= last and first <= end:
            low, high = min(low, node.lineno), max(high, end)
    return range(low, high + 1)
