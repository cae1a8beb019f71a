"""Where findings are, what silences them, and what other files say about them."""

import ast
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.static.analysis import analyse
from audit.static.rules.context import FileContext
from audit.static.rules.engine import Finding, RuleReport, run_rules
from audit.static.rules.registry import all_rules
from audit.static.tree import TreeIndex

Run = Callable[..., RuleReport]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def write_and_run(**files: str) -> RuleReport:
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_bytes(textwrap.dedent(text).encode())
        # MOD007 is about names that nothing binds, of which examples are full.
        on = [rule for rule in all_rules() if rule.default_on and rule.id != "MOD007"]
        return run_rules(analyse(tmp_path, tmp_path), on)

    return write_and_run


def ids(report: RuleReport) -> list[str]:
    return [found.rule for found in report.findings]


def test_a_finding_names_the_text_that_it_means_in_characters(run: Run) -> None:
    text = "import torch\nname = 'é'; x = torch.solve(b, a)\n"
    (found,) = run(zoo=text).findings
    assert (found.line, found.column, found.end_line, found.end_column) == (2, 17, 2, 28)
    assert text.splitlines()[1][found.column - 1 : found.end_column - 1] == "torch.solve"


def test_carriage_returns_and_form_feeds_do_not_move_a_finding(run: Run) -> None:
    found: tuple[Finding, ...] = run(zoo="import torch\r\n\f\r\n'\x1c'\r\nx = torch.solve(b, a)\r\n").findings
    assert [(each.line, each.column) for each in found] == [(4, 5)]


def test_a_finding_about_a_definition_is_its_first_line(run: Run) -> None:
    (found,) = run(test_a="def test_a():\n    y = model(x)\n    print(y)\n").findings
    assert (found.rule, found.line, found.end_line, found.end_column) == ("TST001", 1, 1, 14)


@pytest.mark.parametrize(
    "comment",
    ["# noqa", "# NOQA", "# noqa: SEC003", "# noqa:SEC003,ATT001", "# ours # noqa: E501 SEC003", "#noqa : sec003"],
)
def test_a_noqa_silences_the_finding_and_is_counted(comment: str, run: Run) -> None:
    report = run(zoo=f"import pickle\n\nx = pickle.load(f)  {comment}\n")
    assert "SEC003" not in ids(report)
    assert report.silenced == (("SEC003", 1),)


@pytest.mark.parametrize("comment", ["# noqa: E501", "# noqa: some words", "# see the noqa below", "# no qa"])
def test_what_does_not_name_the_rule_silences_nothing(comment: str, run: Run) -> None:
    report = run(zoo=f"import pickle\n\nx = pickle.load(f)  {comment}\n")
    assert ids(report) == ["SEC003"]
    assert report.silenced == ()


def test_a_noqa_counts_on_each_line_of_a_statement_that_goes_on(run: Run) -> None:
    assert ids(run(zoo="import pickle\n\nx = pickle.load(\n    f,  # noqa: SEC003\n)\n")) == []


def test_the_id_of_another_tool_for_the_same_thing_silences_too(run: Run) -> None:
    report = run(zoo="import pickle\n\nx = pickle.load(f)  # noqa: S301\n")
    assert ids(report) == []
    assert report.silenced == (("SEC003", 1),)


def test_a_noqa_in_a_string_silences_nothing(run: Run) -> None:
    assert ids(run(zoo="import pickle\n\nx = pickle.loads('# noqa: SEC003')\n")) == ["SEC003"]


def test_only_the_ids_that_silence_nothing_are_reported(run: Run) -> None:
    report = run(zoo="import pickle\n\nx = pickle.load(f)  # noqa: SEC003, ATT001, E501\n")
    assert [(each.rule, each.line, each.column) for each in report.findings] == [("SUP001", 3, 21)]
    assert "ATT001" in report.findings[0].message


def test_a_noqa_on_the_last_line_of_a_string_counts_behind_it(run: Run) -> None:
    text = "import pickle\n\nx = (pickle.loads(b'''\n# noqa: SEC003\n'''), 1)"
    assert ids(run(zoo=f"{text}\n")) == ["SEC003"]
    assert ids(run(zoo=f"{text}  # noqa: SEC003\n")) == []


def test_a_noqa_for_a_rule_that_is_off_is_not_called_unused(run: Run) -> None:
    assert ids(run(zoo="x = 1  # noqa: API012\n")) == []


MODULE = """
from torch import nn


class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(4, 4)

    def forward(self, x):
        return x
"""


def test_a_submodule_that_another_file_reads_is_used(run: Run) -> None:
    assert ids(run(zoo=MODULE)) == ["MOD003"]
    assert ids(run(zoo=MODULE, other="def f(a):\n    return a.spare\n")) == []


def test_a_rule_knows_a_model_whose_base_is_in_another_file(run: Run) -> None:
    base = "from torch import nn\n\n\nclass Base(nn.Module):\n    pass\n"
    model = """
    import torch.nn.functional as F

    from base import Base


    class A(Base):
        def forward(self, x):
            return F.dropout(x)
    """
    assert ids(run(base=base, zoo=model)) == ["ATT008"]
    assert ids(run(base=base.replace("nn.Module", "object"), zoo=model)) == []


def test_an_unreadable_file_is_not_counted_as_read(run: Run) -> None:
    assert run(zoo="x = 1\n", broken="def f(:\n").files == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import torch.nn.functional as F\nF.softmax\n", "torch.nn.functional.softmax"),
        ("import torch.nn\ntorch.nn.Linear\n", "torch.nn.Linear"),
        ("from torch import nn as n\nn.Linear\n", "torch.nn.Linear"),
        ("from .torch import nn\nnn.Linear\n", ".torch.nn.Linear"),
        ("def f():\n    from torch import nn\nnn.Linear\n", ""),
        ("from torch import nn\nnn = 1\nnn.Linear\n", ""),
        ("from torch import nn\nfor nn in x:\n    pass\nnn.Linear\n", ""),
        ("from torch import nn\ndef f(nn):\n    nn.Linear\n", ""),
        ("from torch import nn\ndef f():\n    global nn\n    nn = 1\n    nn.Linear\n", ""),
        ("from torch import nn\nclass A:\n    nn = 1\n    def f(self):\n        nn.Linear\n", "torch.nn.Linear"),
        ("try:\n    from a import nn\nexcept ImportError:\n    from b import nn\nnn.Linear\n", ""),
    ],
)
def test_a_name_is_followed_through_imports_only_where_nothing_else_binds_it(text: str, expected: str) -> None:
    tree = ast.parse(text)
    context = FileContext("zoo.py", TreeIndex(tree), model_lines=frozenset(), text=text)
    last = [node for node in ast.walk(tree) if isinstance(node, ast.Expr)][-1].value
    assert context.resolve(last) == expected


def test_a_file_that_is_nested_too_deeply_is_named_and_not_counted(run: Run, tmp_path: Path) -> None:
    deep = "import torch\na = 1\nfor x in y:\n    loss.backward()\n    total += " + "+".join(["a"] * 5000) + "\n"
    report = run(zoo=deep, other="x = 1\n")
    unreadable = tuple(file.path for file in analyse(tmp_path, tmp_path).unreadable)  # by the parser of Python 3.12
    assert (report.files, report.too_deep + unreadable) == (1, ("zoo.py",))
