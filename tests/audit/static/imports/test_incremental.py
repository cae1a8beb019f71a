"""A forecast that begins with what an earlier one has kept is the forecast that is made without it."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from audit.static import per_file
from audit.static.analysis import analyse
from audit.static.imports import forecast as forecasting
from audit.static.imports import memory
from audit.static.imports.causes import ImportRow
from audit.static.imports.course import Attempt, Course, Log, UnlikeItsLogError, _Digests, in_short
from audit.static.imports.interpreter import interpreter_facts
from audit.static.imports.machine import Kept
from audit.static.imports.programs import Traits
from audit.static.imports.values import PERHAPS, Space
from audit.static.imports.world import World
from audit.static.store import FactStore
from audit.target import Target

Rows = tuple[ImportRow, ...]
Forecast = Callable[..., tuple[Rows, int]]

MODULES = ("pack", "pack.a", "pack.b", "pack.c", "pack.sub", "pack.sub.d", "pack.sub.e", "pack.open.f", "pack.open.b")
NAMES = ("one", "two", "three", "call", "late")
# Every statement binds, reads or imports something that another module can come to depend on.
STATEMENTS = (
    "import {module}",
    "import {module} as {name}",
    "from {module} import {name}",
    "from {module} import {name}",
    "from {module} import *",
    "from {parent} import {last}",
    "from . import {last}",
    "from .{last} import {name}",
    "import b",
    "from f import {name}",
    "import not_there",
    "import gone_{name}",
    "from gone_{name}.deep import {other}",
    "try:\n    from {module} import {name}\nexcept ImportError:\n    import gone_{other}",
    "import {module}\nimport gone_{name}",
    "if {name}:\n    import gone_{other}",
    "from math import nosuch",
    "from math import {name}",
    "import math\nmath.{name} = 1",
    "import math\nsetattr(math, '{name}', 1)",
    "import os\nos.{name}",
    "import os\nfor each in ('{name}', '{other}'):\n    setattr(os, each, 1)",
    "from collections import Mapping",
    "import collections\ncollections.Mapping = dict",
    "import os.{name}",
    "import json, sys\nsys.modules['os.{name}'] = json",
    "import importlib\nimportlib.import_module({name})",
    "import importlib\nfor each in {name}:\n    importlib.import_module('pack.' + each)",
    "from json import {name}",
    "{name} = 1",
    "{name} = None",
    "{name} = {other}",
    "{other}()",
    "class Some({name}): pass",
    "__all__ = ['{name}', '{other}']",
    "try:\n    import not_there\nexcept ImportError:\n    {name} = None",
    "try:\n    from {module} import {name}\nexcept ImportError:\n    {name} = None",
    "try:\n    import {module}\nexcept ImportError:\n    raise RuntimeError('no')",
    "try:\n    unknown({name})\n    import {module}\nexcept (ImportError, NameError):\n    {name} = None",
    "try:\n    {name}()\nexcept Exception:\n    from {module} import {other}",
    "def call():\n    import {module}\n    return {module}.{name}",
    "def call():\n    global {name}\n    {name} = 1\n    return {name}",
    "def call():\n    try:\n        import not_there\n    except ImportError:\n        return False\n    return True",
    "if call():\n    import {module}\nelse:\n    {name} = 2",
    "import {module}\nif {module}.call():\n    from {module} import {name}",
    "import {module}\nif hasattr({parent}, '{last}'):\n    import not_there",
    "if {name} is None:\n    raise ImportError('{name}')",
    "import importlib\n{name} = importlib.import_module('{module}')",
    "import random\nif random.random() < 0.5:\n    import {module}\n    {name} = 3",
    "def __getattr__(name):\n    return 1",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from {module} import {name}",
    "import typing\nif typing.TYPE_CHECKING:\n    from {module} import *\ndef __getattr__(name):\n    return 1",
    "if __name__ == '__main__':\n    import {module}",
    "raise ImportError('{name}')",
    "globals().update({{}})",
    "# {name}",
    "def broken(:",
)  # fmt: skip


@pytest.fixture
def forecasts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Forecast:
    """Forecast the package `pack` of a folder with a store; the rows, and how many attempts were made for them.

    A log that is not true is an error here: what is kept has to be right, not found to be wrong.
    """
    monkeypatch.setattr(per_file, "SETTLED_AFTER_NS", 0)
    monkeypatch.setattr(memory, "UnlikeItsLogError", ZeroDivisionError)
    monkeypatch.setattr(forecasting, "interpreter_facts", cache(interpreter_facts))
    made: list[int] = []
    make = Course._attempted

    def counted(self: Course, position: int) -> object:
        made.append(position)
        return make(self, position)

    monkeypatch.setattr(Course, "_attempted", counted)

    def rows(
        root: Path, *, stored: bool = True, every_as_file: bool = False, search: Sequence[Path] = ()
    ) -> tuple[Rows, int]:
        made.clear()
        target = Target.load(root, package="pack")
        store = FactStore(tmp_path / "cache") if stored else None
        found = forecasting.forecast(
            analyse(target.source, target.package_path, store=store), target, search=search, every_as_file=every_as_file
        )
        if store:
            store.close()
        assert found is not None
        return found, len(made)

    return rows


def _write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _path_of(module: str) -> str:
    name = module.replace(".", "/")
    return f"{name}/__init__.py" if module in ("pack", "pack.sub") else f"{name}.py"


def _statement(chance: random.Random) -> str:
    module = chance.choice(MODULES)
    parent, _, last = module.rpartition(".")
    name, other = chance.sample(NAMES, 2)
    text = chance.choice(STATEMENTS)
    return text.format(module=module, parent=parent or "pack", last=last, name=name, other=other) + "\n"


def _edited(statements: list[str], chance: random.Random) -> list[str]:
    """Return statements of which one was removed, replaced or added."""
    place = chance.randrange(len(statements) + 1)
    kept = statements[:place] + statements[place + chance.randrange(2) :]
    return [*kept[:place], *([_statement(chance)] if chance.random() < 0.8 else []), *kept[place:]]


@pytest.mark.parametrize("seed", range(12))
def test_after_any_edits_the_rows_are_those_of_a_forecast_without_a_store(
    forecasts: Forecast, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    root = tmp_path / "tree"
    every_as_file = chance.random() < 0.5
    files = {
        _path_of(module): [_statement(chance) for _ in range(chance.randrange(1, 5))]
        for module in MODULES
    }  # fmt: skip
    for _ in range(8):
        _write(root, {name: "".join(statements) for name, statements in files.items()})
        with_store, _ = forecasts(root, every_as_file=every_as_file)
        without, _ = forecasts(root, stored=False, every_as_file=every_as_file)
        assert with_store == without, files
        for name in chance.sample(sorted(files), chance.randrange(1, 3)):
            files[name] = _edited(files[name], chance)


def _chain(root: Path, length: int = 12) -> None:
    """Write modules of which each imports the next, and as many that import nothing."""
    _write(root, {"pack/__init__.py": ""})
    for number in range(length):
        following = f"from pack.m{number + 1} import value\n" if number + 1 < length else "value = 1\n"
        _write(root, {f"pack/m{number}.py": following, f"pack/apart{number}.py": "value = 1\n"})


def test_what_imports_a_changed_module_is_tried_again_and_nothing_else(forecasts: Forecast, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    _chain(root)
    _, all_of_them = forecasts(root)
    assert all_of_them >= 25
    (root / "pack/m9.py").write_text("from pack.m10 import value\nraise ImportError('no')\n")
    rows, again = forecasts(root)
    assert [row.module for row in rows if row.forecast == "fails"] == [f"pack.m{number}" for number in range(10)]
    assert 0 < again < all_of_them - 12
    (root / "pack/apart3.py").write_text("value = 2\n")
    assert forecasts(root)[1] == 2  # the module, and its package, whose names it could have asked for


def test_a_name_that_a_package_takes_on_first_use_is_looked_for_again(forecasts: Forecast, tmp_path: Path) -> None:
    """Whether `pack` loads `pack.lazy` for `pack.user` is said by the `__all__` of a module that nothing has loaded."""
    root = tmp_path / "tree"
    lazy = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .lazy import *\n"
    _write(root, {
        "pack/__init__.py": f"{lazy}def __getattr__(name):\n    return 1\n",
        "pack/lazy.py": "__all__ = ['other']\nraise ImportError('no')\n",
        "pack/user.py": "from pack import wanted\n",
    })  # fmt: skip
    rows, _ = forecasts(root)
    assert [row.module for row in rows if row.forecast == "fails"] == ["pack.lazy"]
    (root / "pack/lazy.py").write_text("__all__ = ['wanted']\nraise ImportError('no')\n")
    rows, _ = forecasts(root)
    assert [row.module for row in rows if row.forecast == "fails"] == ["pack.lazy", "pack.user"]


def test_a_file_that_is_run_meets_its_neighbour_once_something_imports_it(forecasts: Forecast, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    _write(root, {"pack/open/run.py": "value = 1\n", "pack/open/colorsys.py": "", "pack/__init__.py": ""})
    rows, _ = forecasts(root)
    assert [row.as_file and row.as_file.forecast for row in rows] == [None, "ok", "ok"]
    (root / "pack/open/run.py").write_text("from colorsys import hls_to_rgb\n")
    rows, _ = forecasts(root)
    assert [row.as_file and row.as_file.forecast for row in rows] == [None, "ok", "fails"]


def test_what_was_kept_counts_for_nothing_once_an_installed_module_has_changed(
    forecasts: Forecast, tmp_path: Path
) -> None:
    root, near = tmp_path / "tree", tmp_path / "near"
    _write(near, {"beside.py": "one = 1\n"})
    _write(root, {"pack/__init__.py": "", "pack/a.py": "from beside import one\n", "pack/b.py": ""})
    rows, all_of_them = forecasts(root, search=[near])
    assert {row.forecast for row in rows} == {"ok"}
    (near / "beside.py").write_text("another = 1\n")
    (root / "pack/b.py").write_text("value = 1\n")
    rows, again = forecasts(root, search=[near])
    assert [row.module for row in rows if row.forecast == "fails"] == ["pack.a"]
    assert again == all_of_them


def _with_and_without(forecasts: Forecast, root: Path, files: Mapping[str, str]) -> dict[str, ImportRow]:
    """Write files, and return the rows by module, which are the same with a store and without."""
    _write(root, files)
    rows, _ = forecasts(root)
    assert rows == forecasts(root, stored=False)[0]
    return {row.module: row for row in rows}


@pytest.mark.parametrize(
    ("use", "patch"),
    [
        ("from math import nosuch\n", "import math\nmath.nosuch = 1\n"),
        ("import os\nos.nosuch\n", "import os\nfor each in ('nosuch', 'other'):\n    setattr(os, each, 1)\n"),
        ("from collections import Mapping\n", "import collections\nsetattr(collections, 'Mapping', dict)\n"),
        ("import os.nosuch\n", "import json, sys\nsys.modules['os.nosuch'] = json\n"),
    ],
)
def test_what_another_file_patches_is_looked_for_again(
    forecasts: Forecast, tmp_path: Path, use: str, patch: str
) -> None:
    root = tmp_path / "tree"
    files = {"pack/__init__.py": "", "pack/use.py": use, "pack/other.py": "", "pack/more.py": ""}
    assert _with_and_without(forecasts, root, files)["pack.use"].forecast == "fails"
    assert _with_and_without(forecasts, root, {"pack/other.py": patch})["pack.use"].forecast == "ok"
    assert _with_and_without(forecasts, root, {"pack/more.py": patch})["pack.use"].forecast == "ok"
    assert _with_and_without(forecasts, root, {"pack/other.py": ""})["pack.use"].forecast == "ok"
    assert _with_and_without(forecasts, root, {"pack/more.py": "# none\n"})["pack.use"].forecast == "fails"


def test_packages_that_are_missed_next_are_looked_for_again(forecasts: Forecast, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    _chain(root)
    _write(root, {"pack/m0.py": "import gone_a\nfrom pack.m1 import value\n"})
    assert _with_and_without(forecasts, root, {})["pack.m0"].then == ()
    rows = _with_and_without(forecasts, root, {"pack/m9.py": "import gone_b\nfrom pack.m10 import value\n"})
    assert (rows["pack.m0"].then, rows["pack.m8"].then, rows["pack.m8"].forecast) == (("gone_b",), (), "fails")
    guard = "try:\n    import gone_c\nexcept ImportError:\n    gone_c = None\nimport gone_d\n"
    rows = _with_and_without(forecasts, root, {"pack/m11.py": f"{guard}value = 1\n"})
    assert (rows["pack.m0"].then, rows["pack.m10"].then) == (("gone_b", "gone_d"), ())
    (root / "pack/apart3.py").write_text("value = 2\n")
    assert forecasts(root)[1] == 2  # nothing would be missed next where nothing is missed
    (root / "pack/m0.py").write_text("import gone_a\nother = 1\nfrom pack.m1 import value\n")
    assert forecasts(root)[1] == 4  # it and its package, for the rows and for what would be missed next
    rows = _with_and_without(forecasts, root, {"pack/m9.py": "value = 1\n"})
    assert (rows["pack.m0"].then, rows["pack.m8"].forecast) == ((), "ok")


def test_an_import_of_an_unknown_name_is_a_reason_to_judge_cycles_again(forecasts: Forecast, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    files = {"pack/__init__.py": "", "pack/b.py": "import pack.a\nb = 1\n", "pack/a.py": "from pack.b import b\n"}
    assert _with_and_without(forecasts, root, files)["pack.b"].forecast == "fails"
    unknown = "import importlib, os\nfor each in os.listdir('.'):\n    importlib.import_module('pack.' + each)\n"
    assert _with_and_without(forecasts, root, {"pack/__init__.py": unknown})["pack.b"].forecast == "ok"
    assert _with_and_without(forecasts, root, {"pack/__init__.py": ""})["pack.b"].forecast == "fails"


def test_what_the_interpreter_did_not_answer_is_asked_again(
    forecasts: Forecast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "tree"
    _write(root, {"pack/__init__.py": "", "pack/use.py": "from math import nosuch\n"})
    with monkeypatch.context() as silent:
        silent.setattr("audit.static.imports.standard_library.output_of", lambda *_, **__: None)
        assert [row.forecast for row in forecasts(root)[0]] == ["ok", "ok"]
    assert [row.forecast for row in forecasts(root)[0]] == ["ok", "fails"]


def test_what_is_found_out_has_one_digest_whatever_the_order_of_its_names() -> None:
    """Names that functions bind come from a set, and the order of a set is another in every process."""
    one, other = (
        Kept(Space(dict.fromkeys(names, PERHAPS)), None, frozenset({"pack"})) for names in (("a", "b"), ("b", "a"))
    )
    assert _Digests().of(one) == _Digests().of(other)
    assert _Digests().of(one) != _Digests().of(replace(one, space=Space({"a": PERHAPS})))


def test_a_comment_is_no_reason_to_try_anything_again(forecasts: Forecast, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    _chain(root)
    first, _ = forecasts(root)
    with (root / "pack/m9.py").open("a") as file:
        file.write("# nothing\n")
    assert forecasts(root) == (first, 0)


def test_a_new_file_is_a_reason_to_try_all_again(forecasts: Forecast, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    _chain(root)
    _, all_of_them = forecasts(root)
    (root / "pack/new.py").write_text("import not_there\n")
    rows, again = forecasts(root)
    assert [row.module for row in rows if row.forecast == "fails"] == ["pack.new"]
    assert again > all_of_them


def test_a_log_that_is_not_true_is_found_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    _write(root, {"pack/__init__.py": "", "pack/a.py": "from pack.b import one\n", "pack/b.py": "one = 1\n"})
    courses: list[tuple[World, Sequence[Attempt]]] = []
    run = memory.Courses.run

    def noted(self: memory.Courses, name: str, world: World, attempts: Sequence[Attempt]) -> Log:
        courses.append((world, attempts))
        return run(self, name, world, attempts)

    monkeypatch.setattr(memory.Courses, "run", noted)
    target = Target.load(root, package="pack")
    assert forecasting.forecast(analyse(target.source, target.package_path), target)
    world, attempts = courses[0]
    true = Course(world, attempts).run()
    assert Course(world, attempts, earlier=true, changed={"pack.a"}).run() == true
    false = tuple(replace(entry, written=tuple((number, "0") for number, _ in entry.written)) for entry in true)
    with pytest.raises(UnlikeItsLogError):
        Course(world, attempts, earlier=false, changed={"pack.a"}).run()
    kept = memory.Courses(None, set())
    run(kept, "modules", world, attempts)
    ((key, _),) = kept.memory(()).logs
    whole = kept.memory([memory.FileMemory("1", Traits("2", ("torch",)), None)], asked=(("torch", ("pack/a.py",)),))
    for each in (whole, replace(whole, asked=()), replace(whole, logs=(), files=())):
        assert memory.MEMORY.read(memory.MEMORY.write(each)) == each
    doubted = memory.Courses(memory.ForecastMemory((), ((key, in_short(false)),), (), ""), {"pack/a.py"})
    assert run(doubted, "modules", world, attempts) == true
