"""Fixes are made together where they can be, checked, and all taken back where one of them is not what it says."""

import ast
from collections.abc import Iterator

import pytest

from audit.static.fixes.edits import Edit, fix
from audit.static.fixes.judging import judge
from audit.static.fixes.rounds import Fixed, fix_text
from audit.static.reading import ParsedFile, parse_text
from audit.static.rules.context import FileContext
from audit.static.rules.rule import FixSafety, Rule, Spot

from .conftest import FixOf


class Renames(Rule):
    """Objects to the name `old` and puts `becomes` in its place."""

    id = "TST999"
    title = what = why = fix = "a name"
    nodes = (ast.Name,)
    VALID = INVALID = ("",)

    def __init__(self, becomes: str, *, also: Edit | None = None, safety: FixSafety = FixSafety.SAFE) -> None:
        self._becomes, self._also, self._safety = becomes, also, safety

    def judge(self, node: ast.AST, context: FileContext) -> Iterator[Spot]:
        """Yield a name that begins with `old`."""
        assert isinstance(node, ast.Name)
        if node.id.startswith("old"):
            yield Spot(node, "an old name", edits=lambda source: fix(self._edits(source, node), self._safety))

    def _edits(self, source: object, node: ast.Name) -> list[Edit]:
        start = source.start(node)  # type: ignore[attr-defined]
        return [Edit(start, start + len(node.id), self._becomes), *([self._also] if self._also else [])]


def fixed(text: str, rule: Rule) -> Fixed:
    parsed = parse_text(text, path="zoo.py")
    assert isinstance(parsed, ParsedFile)
    return fix_text(
        parsed,
        parse=lambda new: parse_text(new, path="zoo.py"),
        judge=lambda current: judge("zoo.py", current, [rule], model_ranks=frozenset()),
        allowed={FixSafety.SAFE},
    )


def test_all_fixes_that_do_not_overlap_are_made_in_one_round() -> None:
    result = fixed("old(old)\nx = 1  # kept\nold\n", Renames("new"))
    assert (result.text, result.rounds, result.rolled_back) == ("new(new)\nx = 1  # kept\nnew\n", 1, None)
    assert len(result.made) == 3


@pytest.mark.parametrize(
    ("becomes", "reason"),
    [
        ("(", "does not parse"),
        ("old2", "still finds the same"),
        ("(old, old)", "finds something new"),
        ("new; (", "does not parse"),
    ],
)
def test_a_fix_that_does_not_hold_leaves_the_text_as_it_was(becomes: str, reason: str) -> None:
    text = "x = 1\nold\n"
    result = fixed(text, Renames(becomes))
    assert (result.text, result.made) == (text, ())
    assert result.rolled_back is not None
    assert reason in result.rolled_back
    assert len(result.left) == 1


def test_an_edit_that_swallows_what_follows_is_taken_back() -> None:
    text = "old; kept = 1\nlast = 2\n"
    result = fixed(text, Renames("new #"))
    reason = "with the edits of TST999 a statement changed that is not edited"
    assert (result.text, result.rolled_back) == (text, reason)


OVERLAPPING = "from functorch import vmap, grad, make_fx\n\nf = vmap(grad(make_fx(g)))\n"


def test_fixes_that_overlap_wait_for_the_next_round(fix_of: FixOf) -> None:
    result = fix_of(OVERLAPPING)
    assert (result.rounds, result.rolled_back) == (2, None)
    assert result.text == (
        "from functorch import make_fx\nfrom torch.func import grad\nfrom torch.func import vmap\n\n"
        "f = vmap(grad(make_fx(g)))\n"
    )


def test_what_is_not_done_after_the_last_round_is_taken_back(fix_of: FixOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.static.fixes.rounds.MAX_ROUNDS", 1)
    result = fix_of(OVERLAPPING)
    assert (result.text, result.rolled_back) == (OVERLAPPING, "there is still something to fix after 1 rounds")


def test_only_the_kinds_that_are_allowed_are_made() -> None:
    result = fixed("old\n", Renames("new", safety=FixSafety.SUGGESTION))
    assert (result.text, result.made, len(result.left)) == ("old\n", (), 1)


@pytest.mark.parametrize("comment", ["# noqa", "# noqa: TST999", "# ours # noqa: E501, TST999"])
def test_a_silenced_line_is_not_edited(comment: str) -> None:
    text = f"old\nold  {comment}\n"
    assert fixed(text, Renames("new")).text == f"new\nold  {comment}\n"


def test_a_fix_that_reaches_into_a_silenced_line_is_not_made() -> None:
    text = "old\nx = 1  # noqa: TST999\n"
    assert fixed(text, Renames("new", also=Edit(4, 5, "y"))).text == text


@pytest.mark.parametrize(
    "text",
    [
        "import torch\r\n\r\ny = torch.ger(a, b)  # \u00e9\r\n",
        "import torch\n\f\ny = 'é\u2028'; z = torch.ger(a, b)\n",
        "import torch\n\ny = torch.ger(\n\ta,   b ,\n)   # c",
        "import torch\rx = torch.ger(a, b)\r",
    ],
)
def test_nothing_but_the_name_changes(text: str, fix_of: FixOf) -> None:
    assert fix_of(text, "API002").text == text.replace("ger", "outer")


def test_an_imported_name_and_its_uses_change_together(fix_of: FixOf) -> None:
    text = "from torch import ger\n\n\ndef f(a):\n    return ger(a, a)\n\n\ng = ger\n"
    assert fix_of(text).text == text.replace("ger", "outer")


@pytest.mark.parametrize(
    "text",
    [
        "from torch.cuda.amp import autocast\n\n__all__ = ['autocast']\n\nwith autocast():\n    pass\n",
        "from torch.cuda.amp import autocast\n\nmake(autocast)\n",
        "from torch.cuda.amp import autocast\n\nwith autocast(*options):\n    pass\n",
        "from torch.cuda.amp import autocast\n\nwith autocast():  # noqa: API002\n    pass\n",
        "import torch\n\ntext = f'{torch.ger(a, b)}'\n",
        "import torch\n\nu, s, v = torch.svd(a)\n",
        "import torch\n\nr = torch.range(0, 5)\n",
        "import torch\n\nr = torch.range(0, end, dtype=torch.int64)\n",
        "import torch\n\nq, r = torch.qr(a, some=flag)\n",
        "import functorch\n\ntorch = 1\nf = functorch.vmap(g)\n",
    ],
)
def test_what_cannot_be_told_exactly_is_left_to_a_person(text: str, fix_of: FixOf) -> None:
    result = fix_of(text, "API002")
    assert (result.text, result.rolled_back) == (text, None)


def test_autocast_is_safe_only_where_its_type_is_given(fix_of: FixOf) -> None:
    text = "import torch\n\na = torch.cuda.amp.autocast(dtype=half)\nb = torch.cuda.amp.autocast(True)\n"
    result = fix_of(text, "API002", allowed={FixSafety.SAFE})
    assert 'torch.amp.autocast("cuda", dtype=half)' in result.text
    assert "torch.cuda.amp.autocast(True)" in result.text
    assert 'b = torch.amp.autocast("cuda", enabled=True)' in fix_of(text, "API002").text


def test_a_model_is_still_known_after_a_line_was_added(fix_of: FixOf) -> None:
    text = (
        "import functorch\nimport torch.nn.functional as F\nfrom torch import nn\n\nf = functorch.grad(g)\n\n\n"
        "class A(nn.Module):\n    def forward(self, x):\n        return F.dropout(x)\n"
    )
    result = fix_of(text, "API002", "ATT008", models={0})
    assert "F.dropout(x, training=self.training)" in result.text
    assert "torch.func.grad(g)" in result.text
    assert fix_of(text, "API002", "ATT008").text.count("training") == 0


def test_a_name_that_is_used_in_an_f_string_is_left_alone(fix_of: FixOf) -> None:
    text = "from torch import ger\n\nx = ger(a, b)\ntext = f'{ger(a, b)}'\n"
    assert fix_of(text, "API002").text == text


def test_a_class_that_isinstance_asks_for_is_not_safely_another_one(fix_of: FixOf) -> None:
    made = "import torch\n\ns = torch.cuda.amp.autocast(dtype=torch.float16)\n"
    asked = made + "assert isinstance(s, torch.cuda.amp.autocast)\n"
    assert fix_of(made, allowed={FixSafety.SAFE}).text != made
    assert fix_of(asked, allowed={FixSafety.SAFE}).text == asked
    assert 'torch.amp.autocast("cuda"' in fix_of(asked).text


@pytest.mark.parametrize(
    "text",
    [
        # In the old order `next` runs for B first.
        "import torch\n\nx = torch.lu_solve(next(args), next(args), next(args))\n",
        # What is made is of another class, for which another file may ask.
        "import torch\n\ns = torch.cuda.amp.GradScaler()\n",
        # The new name is not the one that is replaced while the program runs.
        "import torch\n\ntorch.ger = mine\nx = torch.ger(a, b)\n",
        "import torch\nfrom unittest import mock\n\nwith mock.patch('torch.ger') as m:\n    x = torch.ger(a, b)\n",
    ],
)
def test_what_may_compute_something_else_is_not_safe(fix_of: FixOf, text: str) -> None:
    assert fix_of(text, "API001", "API002", allowed={FixSafety.SAFE}).text == text


def test_an_edit_that_does_not_hold_does_not_keep_those_of_other_rules_back(fix_of: FixOf) -> None:
    text = (
        "import yaml\nfrom torch import nn\n\n\nclass A(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.layers = [nn.Linear(4, 4), nn.Linear(4, 4)]\n"
        "        self.proj = nn.Linear(4, 4)\n\n    def forward(self, x):\n        return self.proj(x)\n\n\n"
        "config = yaml.load(file)\n"
    )
    result = fix_of(text, "MOD002", "MOD003", "SEC004", models=[0])
    assert result.text == text.replace("yaml.load", "yaml.safe_load")
    assert [each.rule for each in result.made] == ["SEC004"]
    assert [each.rule for each in result.left] == ["MOD002"]
    assert result.rolled_back == "after the edits MOD003 finds something new in A.__init__"
