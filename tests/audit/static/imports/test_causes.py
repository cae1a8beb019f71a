"""Each kind of cause with its place; what goes down with it; what a guard leaves standing."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.static.imports.causes import Cause, ImportRow, Root
from audit.static.imports.forecast import root_causes
from audit.static.imports.installed import Installed
from audit.static.imports.interpreter import interpreter_facts

Write = Callable[[Mapping[str, str]], Path]
RowsOf = Callable[..., dict[str, ImportRow]]

DECLARING = '[project]\nname = "pack"\ndependencies = ["no-such-lib>=1", "no-linux-lib; sys_platform == \'win32\'"]\n'
CASES = {
    "import no_such_lib": (Cause.MISSING_DEPENDENCY, "no_such_lib", 1),
    "import os\nimport undeclared_lib.deep": (Cause.UNDECLARED_DEPENDENCY, "undeclared_lib", 2),
    "import no_linux_lib": (Cause.PLATFORM_ONLY, "no_linux_lib", 1),
    "import flash_attn_interface": (Cause.PLATFORM_ONLY, "flash_attn_interface", 1),
    "import winreg": (Cause.PLATFORM_ONLY, "winreg", 1),
    "import json.nothing": (Cause.MISSING_MODULE, "json.nothing", 1),
    "from json import nothing": (Cause.MISSING_SYMBOL, "json.nothing", 1),
    "from torch import Tenser": (Cause.MISSING_SYMBOL, "torch.Tenser", 1),
    "from . import nothing": (Cause.LOCAL_SYMBOL_MISSING, "pack.nothing", 1),
    "import pack.nothing": (Cause.LOCAL_MODULE_MISSING, "pack.nothing", 1),
    "from .other import nothing": (Cause.LOCAL_SYMBOL_MISSING, "pack.other.nothing", 1),
    "from .... import nothing": (Cause.RELATIVE_IMPORT, "....", 1),
    "raise ImportError('gone')": (Cause.RAISED, "ImportError: gone", 1),
    "x = nothing": (Cause.UNDEFINED_NAME, "nothing", 1),
    "try:\n    import no_such_lib\nexcept ImportError:\n    pass\nx = no_such_lib.y": (
        Cause.BROKEN_FALLBACK, "no_such_lib", 5,
    ),
    "try:\n    import no_such_lib\nexcept ImportError:\n    raise RuntimeError": (
        Cause.MISSING_DEPENDENCY, "no_such_lib", 2,
    ),
    "def (:": (Cause.SYNTAX_ERROR, "invalid syntax", 1),
}  # fmt: skip


@pytest.mark.parametrize("text", CASES)
def test_the_root_names_what_is_wrong_and_where(text: str, write: Write, rows_of: RowsOf) -> None:
    root = write({"pyproject.toml": DECLARING, "pack/module.py": text, "pack/other.py": ""})
    row = rows_of(root)["pack.module"]
    cause, name, line = CASES[text]
    assert (row.forecast, row.cause) == ("fails", cause)
    assert row.root == Root(path="pack/module.py", line=line, name=name)
    assert row.guarded is (cause is Cause.BROKEN_FALLBACK)


def test_a_cycle_is_told_where_the_name_is_read_too_early(write: Write, rows_of: RowsOf) -> None:
    root = write({"pack/a.py": "from .b import b\na = 1\n", "pack/b.py": "from .a import a\nb = 1\n"})
    rows = rows_of(root)
    assert rows["pack.a"].cause is Cause.CIRCULAR
    assert rows["pack.a"].root == Root(path="pack/b.py", line=1, name="pack.a.a")


def test_a_failing_package_takes_everything_below_it_down_as_one_cause(write: Write, rows_of: RowsOf) -> None:
    files = {
        "pack/sub/__init__.py": "import no_such_lib\n",
        "pack/sub/deep/leaf.py": "",
        "pack/user.py": "import pack.sub",
    }
    rows = rows_of(write({**files, "pack/again.py": "import no_such_lib"}))
    failing = {module for module, row in rows.items() if row.forecast == "fails"}
    assert failing == {"pack.sub", "pack.sub.deep.leaf", "pack.user", "pack.again"}
    (cause,) = root_causes(rows.values())
    assert (cause.cause, cause.root.name, cause.modules) == (Cause.UNDECLARED_DEPENDENCY, "no_such_lib", 4)


def test_a_guarded_import_is_told_and_does_not_fail(write: Write, rows_of: RowsOf) -> None:
    root = write({"pack/module.py": "try:\n    import no_such_lib\nexcept ImportError:\n    no_such_lib = None\n"})
    row = rows_of(root)["pack.module"]
    assert (row.forecast, row.guarded, row.cause) == ("ok", True, Cause.UNDECLARED_DEPENDENCY)


def test_a_module_left_out_of_the_analysis_is_not_missing(write: Write, rows_of: RowsOf) -> None:
    root = write({"pack/vendor/lib.py": "x = 1\n", "pack/module.py": "from .vendor.lib import x\n"})
    assert rows_of(root)["pack.module"].forecast == "ok"


@pytest.mark.slow
def test_no_name_that_torch_has_is_called_missing() -> None:
    import sys

    import torch

    from audit.static.imports.installed import Installed
    from audit.static.imports.interpreter import interpreter_facts

    facts = interpreter_facts(Path(sys.executable))
    assert facts
    installed = Installed(facts, Path("/"), package="pack")
    assert [name for name in dir(torch) if installed.lacks("torch", name)] == []
    assert installed.lacks("torch", "Tenser")


def test_an_interpreter_without_facts_gives_no_forecast(write: Write, tmp_path: Path) -> None:
    from audit.results import Outcome
    from audit.static.analysis import analyse
    from audit.static.imports.check import judge_imports
    from audit.static.imports.forecast import forecast
    from audit.target import Target

    root = write({})
    program = tmp_path / "not_python"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    target = Target.load(root, package="pack", python=program)
    assert forecast(analyse(target.source, target.package_path), target) is None
    assert [judgement.outcome for judgement in judge_imports(None)] == [Outcome.ERROR]


def test_the_binary_and_the_stubs_of_torch_are_among_what_a_forecast_rests_on(tmp_path: Path) -> None:
    torch = tmp_path / "torch"
    (torch / "lib").mkdir(parents=True)
    (torch / "_C").mkdir()
    (torch / "__init__.py").write_text("from torch._C import *\n")
    (torch / "lib" / "libtorch_python.so").write_bytes(b"nothing")
    facts = interpreter_facts(Path(sys.executable))
    assert facts
    installed = Installed(facts.model_copy(update={"path": (str(tmp_path),)}), Path("/"), package="pack")
    assert installed.lacks("torch", "shiny_op")
    assert {torch / "_C", torch / "lib", torch / "lib" / "libtorch_python.so"} <= installed.consulted
