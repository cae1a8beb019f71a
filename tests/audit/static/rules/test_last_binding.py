"""Which assignment surely was the last to bind a name."""

import ast

import pytest

from audit.static.rules.context import FileContext
from audit.static.tree import TreeIndex


def value_of_use(body: str) -> str:
    """Return the source of what `x` in `use(x)` was bound to last; `x` where that is not known."""
    text = "def f(x, c):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    context = FileContext("zoo.py", TreeIndex(ast.parse(text)), model_lines=frozenset(), text=text)
    (call,) = (call for call in context.calls_by_name["use"])
    return ast.unparse(context.value_at(call.args[0]))


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("x = 1\nx = 2\nuse(x)", "2"),
        ("x = 1\nx = 2\nuse(x)\nx = 3", "2"),
        ("x = 1\nx: int = 2\nuse(x)", "2"),
        ("x = 1\nx = x + 1\nuse(x)", "x + 1"),
        ("x = 1\nx = 2\nif c:\n    use(x)", "2"),
        ("x = 1\nfor i in c:\n    x = i()\n    use(x)", "i()"),
        ("x = 1\nx = 2\nwith c:\n    use(x)", "2"),
        ("y = 1\ny = 2\nx = y\nx = y\nuse(x)", "2"),
    ],
)
def test_the_last_assignment_of_the_block_or_of_one_around_it_counts(body: str, value: str) -> None:
    assert value_of_use(body) == value


@pytest.mark.parametrize(
    "body",
    [
        "use(x)\nx = 1",
        "x = 1\nif c:\n    x = 2\nuse(x)",
        "x = 1\nx += 1\nuse(x)",
        "x = 1\nx, y = c\nuse(x)",
        "x = 1\ndel x\nuse(x)",
        "x = 1\nfor x in c:\n    pass\nuse(x)",
        "x = 1\nwhile c:\n    use(x)\n    x = 2",
        "x = 1\ntry:\n    x = 2\nexcept c:\n    use(x)",
        "x = 1\nwith c as x:\n    pass\nuse(x)",
        "x = 1\nimport x\nuse(x)",
        "x = 1\ndef x(): ...\nuse(x)",
        "x = 1\nif (x := c):\n    pass\nuse(x)",
    ],
)
def test_what_may_have_been_bound_otherwise_is_not_known(body: str) -> None:
    assert value_of_use(body) == "x"
