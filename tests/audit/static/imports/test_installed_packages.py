"""Installed packages that cannot be imported themselves: told from their sources, or by trying them in a child."""

import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.static.imports.causes import Cause, ImportRow
from audit.static.imports.forecast import root_causes

Write = Callable[[Mapping[str, str]], Path]
RowsOf = Callable[..., dict[str, ImportRow]]
ReallyFailing = Callable[[Path, list[str]], dict[str, str]]

BINARY = f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
LIBRARIES = {
    "libs/needing/__init__.py": "from .inner import VALUE\n",
    "libs/needing/inner.py": "import os\nimport absent_thing\nVALUE = 1\n",
    "libs/careful/__init__.py": "try:\n    import absent_thing\nexcept ImportError:\n    pass\n",
    "libs/telling/__init__.py": '"""Use it so:\n\nimport absent_thing\n"""\n',
    "libs/late/__init__.py": "def f():\n    import absent_thing\n",
    "libs/vendoring/__init__.py": (
        "import os, sys\nsys.path.append(os.path.dirname(__file__) + '/_vendor')\nfrom . import inner\n"
    ),
    "libs/vendoring/inner.py": "import absent_thing\n",
    "libs/vendoring/_vendor/absent_thing.py": "",
    "libs/broken/__init__.py": "from . import _core\n",
    f"libs/broken/{BINARY}": "no binary",
    "libs/working/__init__.py": "import json\n",
    f"libs/working/{BINARY}": "not imported",
    "libs/dying/__init__.py": "import os\nos._exit(3)\n",
    f"libs/dying/{BINARY}": "",
    "libs/lacking/__init__.py": "import importlib\nimportlib.import_module('absent_thing')\n",
    f"libs/lacking/{BINARY}": "",
    "libs/pure/__init__.py": "raise ImportError('imported')\n",
}


@pytest.fixture
def write_with_libraries(write: Write, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a package beside installed libraries, which are on the interpreter's path."""

    def write_files(files: Mapping[str, str]) -> Path:
        root = write({**LIBRARIES, **files})
        monkeypatch.setenv("PYTHONPATH", str(root / "libs"))
        return root

    return write_files


def test_a_library_that_imports_what_is_not_installed_fails_whoever_imports_it(
    write_with_libraries: Write, rows_of: RowsOf, really_failing: ReallyFailing
) -> None:
    names = ("needing", "careful", "telling", "late", "working", "vendoring")
    root = write_with_libraries({f"pack/uses_{name}.py": f"import {name}\n" for name in names})
    rows = rows_of(root)
    failing = {module for module, row in rows.items() if row.forecast == "fails"}
    assert failing == {"pack.uses_needing"} == set(really_failing(root, sorted(rows)))
    row = rows["pack.uses_needing"]
    assert (row.cause, row.root and row.root.name) == (Cause.BROKEN_DEPENDENCY, "needing (needs absent_thing)")


def test_a_guard_catches_what_a_library_lacks(write_with_libraries: Write, rows_of: RowsOf) -> None:
    text = "try:\n    import needing\nexcept ImportError:\n    needing = None\n"
    row = rows_of(write_with_libraries({"pack/module.py": text}))["pack.module"]
    assert (row.forecast, row.cause, row.guarded) == ("ok", Cause.BROKEN_DEPENDENCY, True)


def test_a_binary_that_does_not_load_is_found_only_where_it_is_tried(
    write_with_libraries: Write, rows_of: RowsOf
) -> None:
    root = write_with_libraries(
        {"pack/a.py": "import broken\n", "pack/b.py": "from broken import _core\nimport working\n"}
    )
    assert {row.forecast for row in rows_of(root).values()} == {"ok"}
    rows = rows_of(root, probe=True)
    (cause,) = root_causes(rows.values())
    assert (cause.cause, cause.modules) == (Cause.BINARY_DOES_NOT_LOAD, 2)
    assert cause.root.name.startswith("broken (ImportError: ")


def test_nothing_is_run_without_the_option_and_libraries_without_binaries_not_even_with_it(
    write_with_libraries: Write, rows_of: RowsOf, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    leaves = f"open({str(trace)!r}, 'a').write(__name__)\n"
    root = write_with_libraries(
        {
            "libs/working/__init__.py": leaves,
            "libs/pure/__init__.py": leaves,
            "pack/__init__.py": leaves + "import working\nimport pure\n",
        }
    )
    rows_of(root)
    assert not trace.exists()
    rows_of(root, probe=True)
    assert trace.read_text() == "working"


@pytest.mark.parametrize(
    ("library", "handler", "forecast", "cause"),
    [
        ("broken", "ImportError", "ok", Cause.BINARY_DOES_NOT_LOAD),
        ("broken", "ValueError", "fails", Cause.BINARY_DOES_NOT_LOAD),
        ("lacking", "ModuleNotFoundError", "ok", Cause.BROKEN_DEPENDENCY),
        ("dying", "BaseException", "fails", Cause.BINARY_DOES_NOT_LOAD),
    ],
)
def test_a_guard_is_judged_by_what_the_trial_raised(
    library: str, handler: str, forecast: str, cause: Cause, write_with_libraries: Write, rows_of: RowsOf
) -> None:
    text = f"try:\n    import {library}\nexcept {handler}:\n    pass\n"
    row = rows_of(write_with_libraries({"pack/module.py": text}), probe=True)["pack.module"]
    assert (row.forecast, row.cause) == (forecast, cause)
