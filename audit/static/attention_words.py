"""Which lines of a file hold words of attention: only the parts of a file around such lines are worth a walk."""

import ast
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from audit.static.attention_flow import PRODUCTS
from audit.static.full_names import FullNames
from audit.static.lines import SourceLines
from audit.static.tree import TreeIndex

# Only parts of a file with such a word are walked: to follow every function of a package takes five times as long. A
# word is looked for as it is, and the pattern, which is slow, is tried only there.
FLOW = {
    "oftmax": re.compile(r"oftmax"),
    "elu": re.compile(r"(?<!\w)elu\b"),
    "relu": re.compile(r"(?<!\w)relu\b"),
    "ReLU(": re.compile(r"(?<![.\w])ReLU\("),
    "ELU(": re.compile(r"(?<!\w)ELU\("),
}
# One of these is a part of a name wherever code has one of the words: what comments say computes nothing.
FLOW_NAMES = ("oftmax", "elu", "ReLU", "ELU")
NAMES = {
    word: re.compile(word) for word in ("scaled_dot_product", "flash_", "xformers", "memory_efficient", "attn")
} | {
    "ulti": re.compile(r"(?<=[Mm])ulti_?[Hh]ead"),
    "atten": re.compile(r"(?<!fl)atten"),
    "ATT": re.compile(r"ATT(?:EN|N)"),
}


def first_line(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    """Return the line on which a function or class begins, decorators included."""
    return min(node.lineno, node.decorator_list[0].lineno) if node.decorator_list else node.lineno


def any_within(first: int, last: int, lines: Sequence[int]) -> bool:
    """Return whether one of the sorted `lines` is among those from `first` to `last`."""
    position = bisect_left(lines, first)
    return position < len(lines) and lines[position] <= last


def lines_with(words: Mapping[str, re.Pattern[str]], text: str, lines: SourceLines) -> list[int]:
    """Return the lines of a text that hold one of `words` as its pattern wants it, sorted."""
    found = set[int]()
    for word, pattern in words.items():
        offset = text.find(word)
        while offset >= 0:
            if pattern.match(text, offset):
                found.add(line := lines.line_at(offset))
                offset = lines.end_of(line) - 1  # once is enough on a line
            offset = text.find(word, offset + 1)
    return sorted(found)


def lines_of_products(index: TreeIndex, text: str, names: FullNames, lines: SourceLines) -> list[int]:
    """Return the sorted lines that may multiply matrices: without one a function or class computes no attention."""
    found = {
        node.lineno
        for kind in (ast.BinOp, ast.AugAssign)
        for node in index.by_type.get(kind, ())
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult)
    }
    words = {name for name, full in names.every().items() if full.rpartition(".")[2] in PRODUCTS}
    found.update(lines_with({word: re.compile(re.escape(word)) for word in PRODUCTS | words}, text, lines))
    return sorted(found)
