"""Imports by names that are not known: what they have loaded before decides whether a cycle reads a name too early."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.static.imports.causes import Cause, ImportRow

Write = Callable[[Mapping[str, str]], Path]
RowsOf = Callable[..., dict[str, ImportRow]]
ReallyFailing = Callable[[Path, list[str]], dict[str, str]]

# `a` may be imported first only: it reads a name of `b` that `b` binds after it has imported `a`.
CYCLE = {
    "pack/b.py": "import pack.a\nb = 1\n",
    "pack/a.py": "from pack.b import b\n",
}
TOOLS = {
    "pack/tools.py": (
        "import pkgutil\nfrom importlib import import_module\n\n"
        "def load_all(package):\n    for _, name, _ in pkgutil.iter_modules(package.__path__):\n"
        "        import_module(package.__name__ + '.' + name)\n"
    ),
}
WALKING = "import sys\nfrom .tools import load_all\nload_all(sys.modules[__name__])\n"


def test_a_cycle_fails_where_every_import_is_named(
    write: Write, rows_of: RowsOf, really_failing: ReallyFailing
) -> None:
    root = write(CYCLE)
    rows = rows_of(root)
    assert rows["pack.b"].cause is Cause.CIRCULAR
    assert {module for module, row in rows.items() if row.forecast == "fails"} == set(
        really_failing(root, sorted(rows))
    )


@pytest.mark.parametrize(
    "loading",
    [
        WALKING,
        "import importlib, os\nfor name in sorted(os.listdir(__path__[0])):\n"
        "    if name.startswith('a'):\n        importlib.import_module('pack.' + name[:-3])\n",
    ],
)
def test_a_cycle_is_not_called_broken_after_imports_of_unknown_names(
    loading: str, write: Write, rows_of: RowsOf, really_failing: ReallyFailing
) -> None:
    root = write({**CYCLE, **TOOLS, "pack/__init__.py": loading})
    rows = rows_of(root)
    assert {row.forecast for row in rows.values()} == {"ok"}
    assert really_failing(root, sorted(rows)) == {}


def test_what_such_an_import_cannot_mend_still_fails(
    write: Write, rows_of: RowsOf, really_failing: ReallyFailing
) -> None:
    broken = {"pack/a.py": "from pack.b import nothing\n", "pack/b.py": ""}
    walking = WALKING.replace("load_all(", "try:\n    load_all(") + "except ImportError:\n    pass\n"
    root = write({**TOOLS, **broken, "pack/__init__.py": walking})
    rows = rows_of(root)
    assert rows["pack.a"].cause is Cause.LOCAL_SYMBOL_MISSING
    assert set(really_failing(root, sorted(rows))) == {"pack.a"}


@pytest.mark.parametrize(("loading", "forecast"), [(WALKING, "ok"), ("", "fails")])
def test_whoever_imports_such_a_package_is_judged_the_same(
    loading: str, forecast: str, write: Write, rows_of: RowsOf
) -> None:
    root = write({**CYCLE, **TOOLS, "pack/__init__.py": loading, "pack/run.py": "from pack import b\n"})
    assert rows_of(root)["pack.run"].forecast == forecast
