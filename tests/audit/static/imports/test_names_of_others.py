"""Submodules and names that installed packages and the standard library lack, and what cannot be told of them."""

import ast
import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.gateway.processes import output_of
from audit.static.imports.causes import Cause, ImportRow, Root
from audit.static.imports.installed import Installed
from audit.static.imports.interpreter import InterpreterFacts, interpreter_facts
from audit.static.imports.patched import Asked, Patched, asked_again, patches_of
from audit.static.store import FactStore
from audit.static.tree import TreeIndex

from ....slow_cases import slow

Write = Callable[[Mapping[str, str]], Path]
RowsOf = Callable[..., dict[str, ImportRow]]
ReallyFailing = Callable[[Path, list[str]], dict[str, str]]

GETTER = (
    "_MOVED = {'moved': 1}\n_GONE = ('gone',)\n\n"
    "def __getattr__(name):\n"
    "    if name == 'late':\n        return 1\n"
    "    if name in _MOVED:\n        return _MOVED[name]\n"
    "    if name in _GONE:\n        raise AttributeError('gone since 2.0')\n"
    "    raise AttributeError(name)\n"
)
LIBRARIES = {
    "libs/plain/__init__.py": "VALUE = 1\n",
    "libs/answering/__init__.py": GETTER + "for each in ('one', 'two'):\n    globals()[each] = 1\n",
    "libs/answering/inner.py": "",
    "libs/forwarding/__init__.py": "import json\n\ndef __getattr__(name):\n    return getattr(json, name)\n",
    "libs/filling/__init__.py": "import json\nglobals().update(vars(json))\n",
    "libs/aliasing/__init__.py": (
        "import json, sys\nsys.modules[__name__ + '.one'] = json\nsys.modules[f'{__name__}.two'] = json\n"
        "sys.modules.setdefault('aliasing.three', json)\nprint(sys.modules['json'], sys.modules.get('re'))\n"
    ),
    "libs/computing/__init__.py": "import json, sys\nfor x in 'ab':\n    sys.modules[__name__ + '.' + x] = json\n",
    "libs/standing/__init__.py": "import sys, xml\nsys.modules[__name__] = xml\n",
    "libs/shadow/typing_extra.py": "",
}
FAILING = {
    "import plain.nosuch": (Cause.MISSING_MODULE, "plain.nosuch"),
    "import answering.nosuch": (Cause.MISSING_MODULE, "answering.nosuch"),
    "import answering.late": (Cause.MISSING_MODULE, "answering.late"),
    "import aliasing.four": (Cause.MISSING_MODULE, "aliasing.four"),
    "import torch.nosuch": (Cause.MISSING_MODULE, "torch.nosuch"),
    "import torch._six": (Cause.MISSING_MODULE, "torch._six"),
    "import numpy.dual": (Cause.MISSING_MODULE, "numpy.dual"),
    "import os.nosuch": (Cause.MISSING_MODULE, "os.nosuch"),
    "from torch import nosuch_module_path": (Cause.MISSING_SYMBOL, "torch.nosuch_module_path"),
    "from answering import gone": (Cause.MISSING_SYMBOL, "answering.gone"),
    "from answering import nosuch": (Cause.MISSING_SYMBOL, "answering.nosuch"),
    "from numpy import float": (Cause.MISSING_SYMBOL, "numpy.float"),
    "from numpy import nosuch": (Cause.MISSING_SYMBOL, "numpy.nosuch"),
    "from math import nosuch": (Cause.MISSING_SYMBOL, "math.nosuch"),
    "from os import nosuch": (Cause.MISSING_SYMBOL, "os.nosuch"),
    "from typing import nosuch": (Cause.MISSING_SYMBOL, "typing.nosuch"),
    "from collections import Mapping": (Cause.MISSING_SYMBOL, "collections.Mapping"),
    "import numpy as np\ndef f(x=np.float): pass": (Cause.MISSING_SYMBOL, "numpy.float"),
    "import collections\nclass A(collections.Mapping): pass": (Cause.MISSING_SYMBOL, "collections.Mapping"),
}  # fmt: skip
GOOD = (
    "from answering import late, moved, one, two, inner",
    "import aliasing.one, aliasing.two, aliasing.three",
    "import torch.ops, torch.classes, torch.nn.functional, torch.version",
    "import os.path, collections.abc, xml.dom",
    "from numpy import float32, linalg, ndarray, typing, matlib",
    "from math import tau\nfrom os import environ, path\nfrom typing import Any, Optional\nfrom sys import argv",
    "from re import IGNORECASE\nfrom itertools import chain\nfrom time import perf_counter",
    "from torch.cuda import FloatTensor\nfrom numpy.dtypes import Float64DType",
    "import numpy as np, os, torch\nx = (np.float32, np.linalg.norm, os.path.sep, torch.float32, torch.ops)",
)
UNDECIDED = (
    "from forwarding import nosuch",
    "from filling import nosuch",
    "import computing.nosuch",
    "import standing.nosuch",
    "import math.nosuch",  # compiled: it could make one
    "from tkinter import nosuch",  # never imported to find out
)


@pytest.fixture
def write_with_libraries(write: Write, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a package beside installed libraries, which are on the interpreter's path."""

    def write_files(files: Mapping[str, str]) -> Path:
        root = write({**LIBRARIES, **files})
        monkeypatch.setenv("PYTHONPATH", str(root / "libs"))
        return root

    return write_files


@pytest.fixture(scope="module")
def facts() -> InterpreterFacts:
    """The facts of this interpreter."""
    told = interpreter_facts(Path(sys.executable))
    assert told
    return told


@pytest.mark.slow
def test_what_others_lack_is_told_as_python_does(
    write_with_libraries: Write, rows_of: RowsOf, really_failing: ReallyFailing
) -> None:
    texts = dict(enumerate([*FAILING, *GOOD]))
    root = write_with_libraries({f"pack/m{number}.py": f"{text}\n" for number, text in texts.items()})
    rows = rows_of(root)
    failing = {module for module, row in rows.items() if row.forecast == "fails"}
    assert failing == {f"pack.m{number}" for number, text in texts.items() if text in FAILING}
    assert failing == set(really_failing(root, sorted(rows)))
    for number, text in enumerate(FAILING):
        row = rows[f"pack.m{number}"]
        cause, name = FAILING[text]
        line = text.count("\n") + 1
        assert (row.cause, row.root) == (cause, Root(path=f"pack/m{number}.py", line=line, name=name))


@pytest.mark.parametrize("text", UNDECIDED)
def test_what_cannot_be_told_is_not_called_missing(text: str, write_with_libraries: Write, rows_of: RowsOf) -> None:
    rows = rows_of(write_with_libraries({"pack/module.py": f"{text}\n"}))
    assert rows["pack.module"].forecast == "ok"


@pytest.mark.parametrize(
    ("patch", "use"),
    [
        ("import collections\ncollections.Mapping = dict\n", "from collections import Mapping\n"),
        ("import numpy\nfor name in ['float']:\n    setattr(numpy, name, float)\n", "from numpy import float\n"),
        ("import sys, json\nsys.modules['torch._six'] = json\n", "import torch._six\n"),
        ("import numpy as np\nnp.float = float\n", "import numpy as np\nx = np.float\n"),
    ],
)
def test_what_the_target_itself_sets_is_not_missing(
    patch: str, use: str, write: Write, rows_of: RowsOf, really_failing: ReallyFailing
) -> None:
    root = write({"pack/__init__.py": patch, "pack/module.py": use})
    assert rows_of(root)["pack.module"].forecast == "ok"
    assert really_failing(root, ["pack.module"]) == {}
    (root / "pack/__init__.py").write_text("")
    assert rows_of(root)["pack.module"].forecast == "fails"
    assert set(really_failing(root, ["pack.module"])) == {"pack.module"}


def test_a_guard_catches_a_name_that_the_standard_library_lacks(write: Write, rows_of: RowsOf) -> None:
    text = "try:\n    from typing import nosuch\nexcept ImportError:\n    nosuch = None\n"
    row = rows_of(write({"pack/module.py": text}))["pack.module"]
    assert (row.forecast, row.cause, row.guarded) == ("ok", Cause.MISSING_SYMBOL, True)


def test_a_file_in_place_of_a_standard_module_is_not_judged_by_the_standard_one(
    write: Write, rows_of: RowsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write({"libs/graphlib.py": "shiny = 1\n", "pack/module.py": "from graphlib import shiny\n"})
    monkeypatch.setenv("PYTHONPATH", str(root / "libs"))
    assert rows_of(root)["pack.module"].forecast == "ok"


@pytest.mark.parametrize(
    "module",
    ["math", "os", "re", "sys", "typing", "types", "enum", "inspect", "itertools", "functools", "time", "asyncio",
     "ast", "socket", "signal", "concurrent.futures", "importlib.metadata", "unittest.mock", "numpy", "numpy.linalg",
     "numpy.dtypes", *slow("torch"), "torch.nn", "torch.cuda", "torch.sparse", "torch.distributed", "torch.utils.data",
     "torch.jit", "torch.optim", "torch.onnx", "torch.fx", "pydantic", "packaging.version"],
)  # fmt: skip
def test_no_name_that_a_module_has_is_called_missing(module: str, facts: InterpreterFacts) -> None:
    installed = Installed(facts, Path("/"), package="pack")
    found = importlib.import_module(module)
    assert [name for name in dir(found) if installed.lacks(module, name)] == []


def test_every_loaded_module_of_torch_and_numpy_is_found(facts: InterpreterFacts) -> None:
    for module in ("torch", "numpy", "torch.distributed"):
        importlib.import_module(module)
    installed = Installed(facts, Path("/"), package="pack")
    loaded = [name for name in sys.modules if name.partition(".")[0] in ("torch", "numpy")]
    assert len(loaded) > 100
    assert [name for name in loaded if installed.find(name) is None] == []


def test_the_standard_library_is_asked_once_and_then_known(
    facts: InterpreterFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def counting(program: Path, *arguments: str, max_bytes: int, timeout_s: float) -> str | None:
        asked.append(arguments)
        return output_of(program, *arguments, max_bytes=max_bytes, timeout_s=timeout_s)

    monkeypatch.setattr("audit.static.imports.standard_library.output_of", counting)
    for _ in range(2):
        with FactStore(tmp_path) as store:
            installed = Installed(facts, Path("/"), package="pack", store=store)
            assert installed.lacks("math", "nosuch")
            assert installed.lacks("typing", "nosuch")
            assert not installed.lacks("curses", "nosuch")  # it writes to the terminal
    assert len(asked) == 1
    assert "curses" not in asked[0]


def test_an_interpreter_that_does_not_answer_leaves_it_open(facts: InterpreterFacts, tmp_path: Path) -> None:
    silent = facts.model_copy(update={"executable": str(tmp_path / "nothing")})
    assert not Installed(silent, Path("/"), package="pack").lacks("math", "nosuch")


def test_what_the_target_sets_is_asked_again_of_files_that_have_changed() -> None:
    first = Patched(lambda: {"setting.py": frozenset({".float", ".x"}), "other.py": frozenset()})
    assert [first.sets("float"), first.sets("int"), first.stands_in("torch._six")] == [True, False, False]

    def again(path: str, *patches: str) -> Asked | None:
        return asked_again(first.asked, {path: frozenset(patches)})

    assert again("other.py", ".y") == first.asked
    assert again("other.py", ".int") is None
    assert again("other.py", "_six") is None
    assert again("setting.py") is None
    both = again("other.py", ".float")
    assert both
    only_the_other = asked_again(both, {"setting.py": frozenset()})
    assert only_the_other
    assert Patched(dict, only_the_other).sets("float")
    assert asked_again(only_the_other, {"other.py": frozenset()}) is None


@pytest.mark.parametrize(
    ("text", "patches"),
    [
        ("import numpy as np\nnp.float = float\nnp.a.b: int = 1\nnp.c.d, e = 1, 2\nx = np.g\nif np.h: i = 1\n",
         {".float", ".b", ".d"}),
        ("class A:\n    def __init__(self):\n        self.x = 1\n        self.y.z = 1\n", {".z"}),
        ("import m\nsetattr(m, 'x', 1)\nsetattr(self, name, 'y')\n", {".x"}),
        ("import m\nfor each in ('x', 'y z', 'a.b'):\n    setattr(m, each, 1)\n", {".x", ".b"}),
        ("def test(monkeypatch):\n    monkeypatch.setattr('a.b', 1)\n    monkeypatch.setattr(m, 'c', 1)\n",
         {".b", ".c"}),
        ("import sys, m\nsys.modules['a.b'] = m\nsys.modules[f'{__name__}.c'] = m\n", {"b", "c"}),
        ("x = 'a.b'\n", set()),
    ],
)  # fmt: skip
def test_what_a_file_patches_is_found_in_its_tree(text: str, patches: set[str]) -> None:
    assert patches_of(TreeIndex(ast.parse(text)), text) == patches
