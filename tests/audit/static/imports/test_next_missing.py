"""The packages that a module would miss next, once the first that it misses is installed."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.static.imports.causes import Cause, ImportRow
from audit.static.imports.check import judge_imports
from audit.static.imports.forecast import root_causes

Write = Callable[[Mapping[str, str]], Path]
RowsOf = Callable[..., dict[str, ImportRow]]
ReallyFailing = Callable[[Path, list[str]], dict[str, str]]

GUARD = "try:\n    import gone_c\nexcept ImportError:\n    gone_c = None\n"


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("import gone_a\n", ()),
        ("import gone_a\nimport gone_b.deep\nfrom gone_c.deep import d\nfrom gone_d import *\nx = gone_b.y(d)\n",
         ("gone_b", "gone_c", "gone_d")),
        ("import gone_a\nimport pack.other\nclass A(gone_a.B):\n    import gone_e\n", ("gone_e", "gone_o")),
        ("import gone_a\n" + GUARD, ()),
        ("import gone_a\nif gone_a.flag():\n    import gone_b\n", ()),  # it may not be imported at all
        ("import gone_a\ndef f():\n    import gone_b\n", ()),
        ("import gone_a\nimport json.nosuch\nimport gone_b\n", ()),  # what is wrong there no package mends
        ("try:\n    import gone_a\nexcept ImportError:\n    import gone_b\nimport gone_c\n", ("gone_c",)),
        ("from .other import x\nimport gone_b\n", ("gone_b",)),
    ],
)  # fmt: skip
def test_what_is_missed_next_is_told(text: str, then: tuple[str, ...], write: Write, rows_of: RowsOf) -> None:
    row = rows_of(write({"pack/module.py": text, "pack/other.py": "import gone_o\nx = 1\n"}))["pack.module"]
    assert (row.forecast, row.cause) == ("fails", Cause.UNDECLARED_DEPENDENCY)
    assert row.then == then


def test_it_fails_for_the_next_once_the_first_is_there(
    write: Write, rows_of: RowsOf, really_failing: ReallyFailing, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write({"pack/__init__.py": "import gone_a\n", "pack/module.py": "import gone_b\nimport gone_c\n"})
    (root / "libs").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(root / "libs"))
    for installed, then in (("gone_a", ("gone_c",)), ("gone_b", ()), ("gone_c", None)):
        row = rows_of(root)["pack.module"]
        assert row.root
        assert row.root.name == installed
        (root / "libs" / f"{installed}.py").write_text("")
        row = rows_of(root)["pack.module"]
        assert row.then == (then or ())
        assert (row.forecast == "ok") is (then is None)
        assert (really_failing(root, ["pack.module"]) == {}) is (then is None)


def test_modules_that_do_not_fail_for_a_missing_package_miss_none(write: Write, rows_of: RowsOf) -> None:
    files = {"pack/fine.py": GUARD, "pack/wrong.py": "raise ValueError\nimport gone_a\n", "pack/good.py": ""}
    assert {row.then for row in rows_of(write(files)).values()} == {()}


def test_the_check_names_them_with_the_cause(write: Write, rows_of: RowsOf) -> None:
    files = {
        "pack/a.py": "import gone_a\nimport gone_c\n",
        "pack/b.py": "import gone_a\nimport gone_c\nimport gone_b\n",
    }
    rows = rows_of(write(files))
    (cause,) = root_causes(rows.values())
    assert cause.then == (("gone_c", 2), ("gone_b", 1))
    (judgement,) = judge_imports(list(rows.values()))
    assert judgement.reason == (
        "2 modules cannot be imported: dependency neither declared nor installed: gone_a "
        "(then: gone_c in 2, gone_b in 1)"
    )
