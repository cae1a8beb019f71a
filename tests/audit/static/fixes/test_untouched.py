"""What changed outside of the edits is noticed."""

import ast

import pytest

from audit.static.fixes.edits import Edit
from audit.static.fixes.source import SourceText
from audit.static.fixes.untouched import differ_only_where_edited

TEXT = "import a\n\n\ndef f(x):\n    y = x\n    if y:\n        z = 1\n    return y\n\n\nlast = 2\n"


@pytest.mark.parametrize(
    ("old", "new", "edited", "expected"),
    [
        ("y = x", "y = x.b", "x\n    if", True),
        ("y = x", "y = x.b", "z = 1", False),
        ("z = 1", "z = 3", "z = 1", True),
        ("z = 1", "z = 3", "last", False),
        ("if y", "if not y", "if y", True),
        ("if y", "if not y", "z = 1", False),
        ("import a\n", "import a\nimport b\n", "import a", True),
        ("last = 2\n", "", "import a", False),
        ("last = 2\n", "", "last = 2", True),
        ("def f(x)", "def f(x, y)", "def f", True),
        ("def f(x)", "def f(x, y)", "return y", False),
        ("    y = x\n", "    y = x\n    w = 1\n", "y = x", True),
        ("    y = x\n", "    w = 1\n", "z = 1", False),
    ],
)
def test_a_statement_may_change_only_where_it_is_edited(old: str, new: str, edited: str, expected: bool) -> None:
    source = SourceText(TEXT)
    place = TEXT.index(edited)
    edits = [Edit(place, place + 1, "")]
    changed = ast.parse(TEXT.replace(old, new, 1))
    assert differ_only_where_edited(ast.parse(TEXT), changed, source, edits) is expected
