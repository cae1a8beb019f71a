"""The forecast and what really happens when every module is imported in a new process."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from audit.static.imports.causes import ImportRow

Write = Callable[[Mapping[str, str]], Path]
RowsOf = Callable[..., dict[str, ImportRow]]
ReallyFailing = Callable[[Path, list[str]], dict[str, str]]

ROOT = Path(__file__).parents[4]
BAR = 0.95  # of the issue, for precision and for recall

# Each a module: the name tells whether importing it fails. Those that others need have names of their own.
TROUBLE = {
    "ok_plain": "import os\nfrom . import helper\nVALUE = helper.VALUE\n",
    "helper": "VALUE = 1\n",
    "bad_missing": "import nowhere_to_be_found\n",
    "bad_missing_from": "from nowhere_to_be_found.deep import thing\n",
    "bad_follows": "from .bad_missing import anything\n",
    "ok_guarded": "try:\n    import nowhere_to_be_found as lib\nexcept ImportError:\n    lib = None\n",
    "ok_guard_of_parent_class": "try:\n    import nowhere_to_be_found\nexcept Exception:\n    pass\n",
    "ok_guarded_in_tuple": "try:\n    import nowhere_to_be_found\nexcept (OSError, ImportError):\n    pass\n",
    "bad_guard_of_other_class": "try:\n    import nowhere_to_be_found\nexcept (OSError, ValueError):\n    pass\n",
    "bad_guard_raises": "try:\n    import nowhere_to_be_found\nexcept ImportError:\n    raise\n",
    "bad_guard_raises_other": (
        "try:\n    import nowhere_to_be_found\nexcept ImportError as e:\n    raise RuntimeError('install it') from e\n"
    ),
    "bad_guard_exits": "import sys\ntry:\n    import nowhere_to_be_found\nexcept ImportError:\n    sys.exit(1)\n",
    "bad_fallback_unbound": (
        "try:\n    from nowhere_to_be_found import Base\nexcept ImportError:\n    HAS = False\n"
        "class A(Base):\n    pass\n"
    ),
    "bad_fallback_none_base": (
        "try:\n    from nowhere_to_be_found import nn\nexcept ImportError:\n    nn = None\n"
        "class A(nn.Module):\n    pass\n"
    ),
    "bad_fallback_none_decorator": (
        "try:\n    from nowhere_to_be_found import jit\nexcept ImportError:\n    jit = None\n@jit\ndef f():\n    pass\n"
    ),
    "ok_fallback_used_under_flag": (
        "try:\n    from nowhere_to_be_found import Base\n    HAS = True\nexcept ImportError:\n    HAS = False\n"
        "if HAS:\n    class A(Base):\n        pass\n"
    ),
    "ok_type_checking": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nowhere_to_be_found\n",
    "ok_platform": "import sys\nif sys.platform == 'win32':\n    import winreg\n",
    "bad_platform": "import sys\nif sys.platform != 'win32':\n    import winreg\n",
    "ok_version": "import sys\nif sys.version_info < (3, 8):\n    import importlib_metadata_backport\n",
    "bad_version": "import sys\nif sys.version_info >= (3, 8):\n    import importlib_metadata_backport\n",
    "ok_find_spec": (
        "import importlib.util\nif importlib.util.find_spec('nowhere_to_be_found') is not None:\n"
        "    import nowhere_to_be_found\n"
    ),
    "availability": (
        "from functools import lru_cache\nimport importlib.util\n\n@lru_cache\ndef is_lib_available():\n"
        "    return importlib.util.find_spec('nowhere_to_be_found') is not None\n"
    ),
    "ok_availability": (
        "from .availability import is_lib_available\nif is_lib_available():\n    import nowhere_to_be_found\n"
    ),
    "bad_availability": (
        "from .availability import is_lib_available\nif not is_lib_available():\n    raise ImportError('install lib')\n"
    ),
    "ok_suppress": "from contextlib import suppress\nwith suppress(ImportError):\n    import nowhere_to_be_found\n",
    "bad_suppress": "from contextlib import suppress\nwith suppress(OSError):\n    import nowhere_to_be_found\n",
    "ok_in_function": "def f():\n    import nowhere_to_be_found\n",
    "bad_in_class": "class A:\n    import nowhere_to_be_found\n",
    "bad_decorator": "import functools\n\n@undefined_decorator\ndef f():\n    pass\n",
    "bad_default": "def f(x=undefined_default):\n    pass\n",
    "ok_lambda": "f = lambda: undefined_in_lambda\n",
    "bad_submodule": "import json.no_such_submodule\n",
    "bad_symbol": "from json import no_such_name\n",
    "bad_symbol_in_submodule": "from importlib.util import no_such_name\n",
    "ok_symbol": "from json.decoder import JSONDecodeError\nfrom os.path import join\nfrom math import pi\n",
    "bad_local_module": "from . import no_such_module\n",
    "bad_local_module_import": "import pack.no_such_module\n",
    "bad_local_symbol": "from .helper import NO_SUCH_VALUE\n",
    "bad_local_attribute": "from . import helper\nX = helper.NO_SUCH_VALUE\n",
    "ok_lazy": "from .lazy import Whatever\n",
    "lazy": "def __getattr__(name):\n    return 1\n",
    "bad_circular_a": "from .bad_circular_b import b\na = 1\n",
    "bad_circular_b": "from .bad_circular_a import a\nb = 1\n",
    "ok_cycle_a": "from . import ok_cycle_b\na = 1\n",
    "ok_cycle_b": "from . import ok_cycle_a\nb = 1\n\ndef f():\n    return ok_cycle_a.a\n",
    "ok_cycle_late_a": "a = 1\nfrom .bad_cycle_late_b import b\n",
    "bad_cycle_late_b": "from .ok_cycle_late_a import a\nb = 1\n",
    "bad_raises": "raise ImportError('this module was removed')\n",
    "ok_raises_in_branch": "import os\nif os.name == 'java':\n    raise ImportError('no')\n",
    "bad_syntax": "def f(:\n",
    "bad_imports_syntax": "from . import bad_syntax\n",
    "ok_guards_syntax": "try:\n    from . import bad_syntax\nexcept SyntaxError:\n    pass\n",
    "bad_guards_syntax": "try:\n    from . import bad_syntax\nexcept ImportError:\n    pass\n",
    "bad_relative": "from ... import above\n",
    "ok_star": "from .starred import *\nX = LISTED\n",
    "bad_star": "from .starred import *\nX = UNLISTED\n",
    "starred": "__all__ = ['LISTED']\nLISTED = 1\nUNLISTED = 2\n",
    "bad_star_lists_missing": "from .lists_missing import *\n",
    "lists_missing": "__all__ = ['nothing_of_this_name']\n",
    "ok_dynamic": "globals().update({'made': 1})\nX = made\n",
    "ok_else": "try:\n    import nowhere_to_be_found\nexcept ImportError:\n    pass\nelse:\n    import neither_this\n",
    "bad_finally": "try:\n    import json\nfinally:\n    import nowhere_to_be_found\n",
    "ok_unknown_condition": "import os\nif os.path.exists('/no/such/file'):\n    import nowhere_to_be_found\n",
    "bad_annotation": "def f(x: undefined_annotation):\n    pass\n",
    "ok_annotation": "from __future__ import annotations\ndef f(x: undefined_annotation):\n    pass\n",
    "ok_annotated_in_class": "from __future__ import annotations\nclass A:\n    x: undefined_annotation\n",
    "ok_may_return_before_it_raises": (
        "import os\ndef check():\n    if os.path.exists('/'):\n        return 1\n    raise ImportError('no')\ncheck()\n"
    ),
    "bad_call_raises": "def require():\n    raise ImportError('install it')\nrequire()\n",
    "bad_import_module": "import importlib\nlib = importlib.import_module('nowhere_to_be_found')\n",
    "ok_loop": (
        "import importlib\nfor name in ('json', 'nowhere_to_be_found'):\n    try:\n"
        "        importlib.import_module(name)\n    except ImportError:\n        continue\n"
    ),
    "ok_deleted": "import json\nX = json.dumps\ndel json\n",
    "bad_deleted": "import json\ndel json\nX = json.dumps\n",
}
NESTED = {
    "sub_ok/__init__.py": "from .inner import VALUE\n",
    "sub_ok/inner.py": "VALUE = 1\n",
    "sub_bad/__init__.py": "import nowhere_to_be_found\n",
    "sub_bad/below.py": "VALUE = 1\n",
    "sub_bad/deep/__init__.py": "",
    "sub_bad/deep/deeper.py": "VALUE = 1\n",
    "sub_namespace/inner.py": "from .. import helper\n",
}
FILES = {f"pack/{name}.py": text for name, text in TROUBLE.items()} | {f"pack/{k}": v for k, v in NESTED.items()}


def _precision_and_recall(forecast: set[str], real: Iterable[str]) -> tuple[float, float]:
    both = len(forecast & set(real))
    return both / len(forecast), both / len(set(real))


def test_thirty_kinds_of_trouble_are_forecast_as_they_happen(
    write: Write, rows_of: RowsOf, really_failing: ReallyFailing
) -> None:
    root = write(FILES)
    rows = rows_of(root)
    real = really_failing(root, sorted(rows))
    forecast = {module for module, row in rows.items() if row.forecast == "fails"}
    precision, recall = _precision_and_recall(forecast, real)
    wrong = sorted(forecast ^ real.keys())
    assert precision >= BAR, wrong
    assert recall >= BAR, wrong


def test_the_names_of_the_troubles_tell_what_really_happens(write: Write, really_failing: ReallyFailing) -> None:
    root = write(FILES)
    named = {f"pack.{name}" for name in TROUBLE if name.startswith("bad_")}
    real = really_failing(root, [f"pack.{name}" for name in TROUBLE])
    assert real.keys() == named
    assert len(named) >= 30


@pytest.mark.slow
def test_every_module_of_the_zoo_is_forecast_to_import_and_does(rows_of: RowsOf, really_failing: ReallyFailing) -> None:
    rows = rows_of(ROOT, "astrobio")
    assert len(rows) > 10
    assert {module for module, row in rows.items() if row.forecast == "fails"} == set()
    assert really_failing(ROOT, sorted(rows)) == {}
