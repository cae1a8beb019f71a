"""Files that are run as such, and what really happens to them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.static.imports.causes import Cause, ImportRow

Write = Callable[[Mapping[str, str]], Path]
RowsOf = Callable[..., dict[str, ImportRow]]
ReallyFailing = Callable[..., dict[str, str]]

MAIN = "if __name__ == '__main__':\n    import nowhere_to_be_found\n"
# By the name of the file: whether it fails when it is run, where the package is on the path.
FILES = {
    "pack/ok_plain.py": "import json\n" + MAIN,
    "pack/ok_own_package.py": "import pack.other\nfrom pack.other import VALUE\n" + MAIN,
    "pack/other.py": "VALUE = 1\n",
    "pack/ok_neighbour.py": "import other\nfrom other import VALUE\n",
    "pack/ok_neighbour_package.py": "from sub.inner import VALUE\n",
    "pack/sub/__init__.py": "",
    "pack/sub/inner.py": "VALUE = 1\n",
    "pack/bad_relative.py": "from .other import VALUE\n" + MAIN,
    "pack/bad_relative_in_package.py": "from . import other\n",
    "pack/ok_guards_relative.py": "try:\n    from .other import VALUE\nexcept ImportError:\n    import other\n",
    "pack/bad_missing.py": "import nowhere_to_be_found\n",
    "pack/bad_lacks.py": "from other import NOTHING\n",
    "pack/bad_path.py": "print(__path__)\nfrom . import x\n",
    "pack/hidden/__init__.py": "",
    "pack/hidden/textwrap.py": "from . import anything\n",
    "pack/hidden/bad_hidden.py": "import textwrap\n" + MAIN,
    "pack/hidden/bad_hidden_from_library.py": "import argparse\nargparse.ArgumentParser().parse_args\nimport pydoc\n",
    "pack/hidden/ok_not_hidden.py": "import colorsys\n",
    "pack/name/__init__.py": "",
    "pack/name/pack.py": "import pack.other\n",
    "pack/name/bad_own_name.py": "import pack.other\n" + MAIN,
    "pack/started/__init__.py": "",
    "pack/started/os.py": "raise ImportError\n",
    "pack/started/ok_loaded_at_start.py": "import os\nos.path.join\n",
    "pack/registry.py": (
        "KNOWN = {}\ndef register(name):\n    def wrapper(f):\n"
        "        if name in KNOWN:\n            raise KeyError(name)\n"
        "        KNOWN[name] = f\n        return f\n    return wrapper\n"
    ),
    "pack/tools/__init__.py": "from pack.tools import bad_registers\n",
    "pack/tools/bad_registers.py": (
        "import pack.tools\nfrom pack.registry import register\n@register('a')\ndef f():\n    pass\n"
    ),
    "pack/tools/ok_registers.py": (
        "import pack.tools\nfrom pack.registry import register\n@register('b')\ndef f():\n    pass\n"
    ),
    "pack/scripts/ok_alone.py": "import json\n",
    "pack/scripts/bad_alone.py": "from .ok_alone import json\n",
}
_UNNAMED = {"pack/hidden/textwrap.py", "pack/name/pack.py", "pack/started/os.py"}  # these fail when they are run


def _forecast(rows: Mapping[str, ImportRow]) -> dict[str, Cause | None]:
    return {row.path: row.as_file.cause for row in rows.values() if row.as_file and row.as_file.forecast == "fails"}


def test_files_end_as_forecast_where_their_package_is_on_the_path(
    write: Write, rows_of: RowsOf, really_failing_as_files: ReallyFailing, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(FILES)
    monkeypatch.setenv("PYTHONPATH", str(root))  # the child that tells the interpreter's path takes it over
    forecast = _forecast(rows_of(root, every_as_file=True))
    real = really_failing_as_files(root, sorted(FILES), on_path=True)
    assert sorted(forecast) == sorted(real)
    assert set(real) == {path for path in FILES if "/bad_" in path} | _UNNAMED


def test_a_file_that_imports_its_own_package_fails_where_that_is_not_on_the_path(
    write: Write, rows_of: RowsOf, really_failing_as_files: ReallyFailing
) -> None:
    root = write(FILES)
    forecast = _forecast(rows_of(root, every_as_file=True))
    real = really_failing_as_files(root, sorted(FILES), on_path=False)
    assert sorted(forecast) == sorted(real)
    assert forecast["pack/ok_own_package.py"] is Cause.NOT_ON_PATH


@pytest.mark.parametrize(
    ("path", "cause", "line", "name"),
    [
        ("pack/bad_relative.py", Cause.RELATIVE_IMPORT, 1, ".other"),
        ("pack/bad_missing.py", Cause.UNDECLARED_DEPENDENCY, 1, "nowhere_to_be_found"),
        ("pack/bad_lacks.py", Cause.LOCAL_SYMBOL_MISSING, 1, "other.NOTHING"),
        ("pack/hidden/bad_hidden_from_library.py", Cause.SHADOWED, 3, "textwrap, which pydoc imports"),
        ("pack/name/bad_own_name.py", Cause.SHADOWED, 1, "pack.other"),
        ("pack/tools/bad_registers.py", Cause.REGISTERED_TWICE, 3, "register"),
    ],
)
def test_the_cause_of_a_file_that_fails_is_named(
    path: str, cause: Cause, line: int, name: str, write: Write, rows_of: RowsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write({**FILES, "pack/hidden/textwrap.py": ""})
    monkeypatch.setenv("PYTHONPATH", str(root))
    found = {row.path: row.as_file for row in rows_of(root, every_as_file=True).values()}[path]
    assert found
    assert found.root
    assert (found.cause, found.root.line, found.root.name) == (cause, line, name)


def test_only_files_that_are_meant_to_be_run_are_forecast_as_such(write: Write, rows_of: RowsOf) -> None:
    rows = rows_of(write(FILES))
    run = {row.path for row in rows.values() if row.as_file}
    assert run == {path for path, text in FILES.items() if MAIN in text or path.startswith("pack/scripts/")}


def test_a_module_that_fails_as_a_file_can_import_as_part_of_its_package(write: Write, rows_of: RowsOf) -> None:
    row = rows_of(write(FILES))["pack.bad_relative"]
    assert row.forecast == "ok"
    assert row.as_file
    assert row.as_file.forecast == "fails"
