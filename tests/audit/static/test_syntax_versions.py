import ast
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.static.literals import NotLiteralError, without_literals
from audit.static.syntax_versions import needed_by_tree, version_in_words

NEWER = {
    "type X[T] = list[T]\n": ((3, 12), "type statement"),
    "def f[T](x: T) -> T:\n    return x\n": ((3, 12), "type parameters"),
    "class A[T: (int, str)]:\n    pass\n": ((3, 12), "type parameters"),
    "class A[T = int]:\n    pass\n": ((3, 13), "type parameter with a default"),
    "x = f'{d['a']}'\n": ((3, 12), "field of an f-string"),
    "x = f'{'\\n'.join(y)}'\n": ((3, 12), "field of an f-string"),
    "x = f'''{\n1  # one\n}'''\n": ((3, 12), "field of an f-string"),
    "try:\n    pass\nexcept A, B:\n    pass\n": ((3, 14), "except without parentheses"),
    "x = t'{a}'\n": ((3, 14), "t-string"),
    "lazy import json\n": ((3, 15), "lazy import"),
}
OF_PYTHON_2 = {
    "print 'a'\n": "print statement",
    "print x, y\n": "print statement",
    "exec 'a'\n": "exec statement",
    "raise ValueError, 'a'\n": "raise with a comma",
    "try:\n    pass\nexcept ValueError, e:\n    pass\n": "except with a comma",
    "x = 0777\n": "octal number without 0o",
    "if a <> b: pass\n": "operator <>",
    "x = `a`\n": "backquotes",
    "x = 10L\n": "long number",
}
BROKEN = [
    "x = = 1\n",
    "def f(:\n",
    "x = 'no end\n",
    "x = f'{d['a'}'\n",
    "def f[T](x: T) -> T:\n    return = x\n",
    "type X = = int\n",
    "x = '\\x'\ndef f[T](): pass\n",
    "foo bar\n",
    "x = f'{a!r:>{w}} {{}}'; y = = 1\n",
    "x = '<> and `print x`' = =\n",
]


def said_of(text: str) -> str | None:
    with pytest.raises(SyntaxError) as caught:
        ast.parse(text)
    return version_in_words(text, caught.value)


@pytest.mark.parametrize("text", NEWER)
def test_a_file_in_a_newer_grammar_is_told_the_version_that_it_needs(text: str) -> None:
    version, construct = NEWER[text]
    if version <= sys.version_info[:2]:
        pytest.skip("this interpreter takes it")
    said = said_of(text) or ""
    assert said.startswith(f"needs Python >= {version[0]}.{version[1]} (")
    assert construct in said


@pytest.mark.parametrize("text", OF_PYTHON_2)
def test_a_file_of_python_2_is_told_by_what_stands_at_the_error(text: str) -> None:
    if "except" in text and sys.version_info >= (3, 14):
        pytest.skip("this interpreter takes it")
    assert said_of(text) == f"is Python 2 ({OF_PYTHON_2[text]})"


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_broken_in_every_version_is_said_to_need_none(text: str) -> None:
    assert said_of(text) is None


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("match x:\n    case 1: pass\n", ((3, 10), "match statement")),
        ("try:\n    pass\nexcept* A:\n    pass\n", ((3, 11), "except*")),
        ("if (x := 1): pass\n", ((3, 8), "operator :=")),
        ("def f(a, /): pass\n", ((3, 8), "positional-only parameters")),
        ("x[*a]\n", ((3, 11), "star in an index")),
        ("x = 1\n", None),
    ],
)
def test_a_tree_tells_the_oldest_version_that_takes_it(text: str, needed: object) -> None:
    assert needed_by_tree(ast.parse(text)) == needed


@pytest.mark.parametrize("name", ["audit/static/reading.py", "audit/static/imports/interpreter.py"])
def test_code_without_its_literals_still_parses_on_the_same_lines(name: str, pytestconfig: pytest.Config) -> None:
    text = (pytestconfig.rootpath / name).read_text()
    code = without_literals(text, lambda literal: None)
    lines = [node.lineno for node in ast.parse(code).body]
    assert lines[1:] == [node.lineno for node in ast.parse(text).body][1:]
    assert '"""' not in code.replace('"""' + "\n", "").replace('\n"""', "")


PIECES = [
    "'", '"', "'''", "f'", "{", "}", "\\", "\n", "#", "x", "!r", ":", "=", "[", "]", "t\"", "b'", "def f[T]", "type X",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_no_text_makes_the_search_for_literals_fail_otherwise(text: str) -> None:
    try:
        code = without_literals(text, lambda literal: None)
    except NotLiteralError:
        return
    assert code.count("\n") <= text.count("\n")
    version_in_words(text, SyntaxError("invalid syntax", ("", 1, 1, "")))
