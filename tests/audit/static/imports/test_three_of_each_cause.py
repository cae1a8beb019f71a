"""For each cause a module that imports, one that fails by a single edit, and one of which it cannot be told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from audit.static.imports.causes import Cause, ImportRow

Write = Callable[[Mapping[str, str]], Path]
RowsOf = Callable[..., dict[str, ImportRow]]
ReallyFailing = Callable[[Path, list[str]], dict[str, str]]

DECLARING = {"pyproject.toml": '[project]\nname = "pack"\ndependencies = ["no-such-lib"]\n'}
NOT_KNOWN = "import os\nif os.path.exists('/no/such/file'):\n    "  # what it gives is not known, and is false here


@dataclass(frozen=True)
class Case:
    """The texts of `pack.module`; `bad` is `good` with `edit` made. Of `undecided` the guard is none that is known."""

    good: str
    edit: tuple[str, str]
    undecided: str
    beside: Mapping[str, str] = field(default_factory=dict)

    @property
    def bad(self) -> str:
        """The module that fails."""
        assert self.good.count(self.edit[0]) == 1
        return self.good.replace(*self.edit)


GUARD = "try:\n    import no_such_lib\nexcept ImportError:\n    "
TABLE = (
    "import sys\n_structure = {'deep': ['Net', 'Old']}\nsys.modules[__name__] = _LazyModule(__name__, '', _structure)\n"
)
LAZY = {
    "pack/lazy/__init__.py": "from ..machinery import _LazyModule\n" + TABLE,
    "pack/lazy/deep.py": "Net = 1\n",
    "pack/open/__init__.py": "from ..machinery import _LazyModule\nfrom ..machinery import names\n"
    + TABLE.replace("_structure)", "_structure)\n_structure.update(names())"),
    "pack/open/deep.py": "Net = 1\n",
    "pack/machinery.py": (
        "import importlib, types\ndef names():\n    return {'deep': ['More']}\n"
        "class _LazyModule(types.ModuleType):\n"
        "    def __init__(self, name, file, structure):\n        super().__init__(name)\n"
        "        self.__path__ = [__file__.replace('machinery.py', name.rpartition('.')[2])]\n"
        "        self._structure = structure\n"
        "    def __getattr__(self, name):\n"
        "        for module, names in self._structure.items():\n            if name in names:\n"
        "                return getattr(importlib.import_module(f'{self.__name__}.{module}'), 'Net')\n"
        "        raise AttributeError(name)\n"
    ),
}
CASES = {
    Cause.MISSING_DEPENDENCY: Case("import json", ("json", "no_such_lib"), NOT_KNOWN + "import no_such_lib"),
    Cause.UNDECLARED_DEPENDENCY: Case("import json", ("json", "undeclared"), NOT_KNOWN + "import undeclared"),
    Cause.PLATFORM_ONLY: Case(
        "import sys\nif sys.platform == 'nowhere':\n    import flash_attn_interface",
        ("==", "!="),
        "import torch\nif torch.cuda.device_count() > 99:\n    import flash_attn_interface",
    ),
    Cause.MISSING_MODULE: Case("import json.decoder", ("decoder", "decoding"), NOT_KNOWN + "import json.decoding"),
    Cause.MISSING_SYMBOL: Case("from json import dumps", ("dumps", "dumped"), NOT_KNOWN + "from json import dumped"),
    Cause.LOCAL_MODULE_MISSING: Case(
        "import pack.other", ("other", "others"), NOT_KNOWN + "import pack.others", {"pack/other.py": ""}
    ),
    Cause.LOCAL_SYMBOL_MISSING: Case(
        "from .other import there",
        ("there", "then"),
        "from .made import then",
        {"pack/other.py": "there = 1\n", "pack/made.py": "globals().update({'then': 1})\n"},
    ),
    Cause.CIRCULAR: Case(
        "if False:\n    from pack.other import x\nvalue = 1",
        ("False", "True"),
        "import pack.unclear\nvalue = 1",
        {
            "pack/other.py": "from pack.module import value\nx = 1\n",
            "pack/unclear.py": NOT_KNOWN + "from pack.module import value\n",
        },
    ),
    Cause.RAISED: Case(
        "def f():\n    raise ImportError('gone')", ("def f():", "if True:"), NOT_KNOWN + "raise ImportError('gone')"
    ),
    Cause.BROKEN_FALLBACK: Case(
        GUARD + "no_such_lib = object\nclass A(no_such_lib):\n    pass",
        ("no_such_lib = object", "HAS_LIB = False"),
        GUARD + "globals().update({'no_such_lib': object})\nclass A(no_such_lib):\n    pass",
    ),
    Cause.UNDEFINED_NAME: Case("x = 1\ny = x", ("y = x", "y = z"), "globals().update({'z': 1})\ny = z"),
    Cause.RELATIVE_IMPORT: Case("from . import other", ("from .", "from ..."), NOT_KNOWN + "from ... import other",
                                {"pack/other.py": ""}),
    Cause.SYNTAX_ERROR: Case("x = 1", ("=", "= ="), "exec('x = = 1') if __name__ == '' else None"),
}  # fmt: skip
MORE = {
    "a handler that raises again": (
        Cause.MISSING_DEPENDENCY,
        Case(GUARD + "pass", ("pass", "raise"), GUARD + "if __import__('os').path.exists('/no'):\n        raise"),
    ),
    "a handler that exits": (
        Cause.MISSING_DEPENDENCY,
        Case(
            "import sys\n" + GUARD + "print(1)", ("print(1)", "sys.exit(1)"),
            "import sys\n" + GUARD + "sys.exit(1) if sys.flags.dev_mode else None",
        ),
    ),
    "a table of a lazy module without the name": (
        Cause.LOCAL_SYMBOL_MISSING,
        Case("from .lazy import Net", ("Net", "Nett"), "from .open import More", LAZY),
    ),
    "a table of a lazy module whose submodule lacks the name": (
        Cause.LOCAL_SYMBOL_MISSING,
        Case("from .lazy.deep import Net", ("Net", "Old"), "from .open import More", LAZY),
    ),
}  # fmt: skip
EVERY = {**{str(cause): (cause, case) for cause, case in CASES.items()}, **MORE}


@pytest.mark.parametrize(("cause", "case"), EVERY.values(), ids=EVERY)
def test_one_edit_decides_and_what_cannot_be_told_does_not_fail(
    cause: Cause, case: Case, write: Write, rows_of: RowsOf, really_failing: ReallyFailing
) -> None:
    for text, forecast in ((case.good, "ok"), (case.bad, "fails"), (case.undecided, "ok")):
        root = write({**DECLARING, **case.beside, "pack/module.py": text + "\n"})
        row = rows_of(root)["pack.module"]
        assert (row.forecast, row.cause if forecast == "fails" else None) == (
            forecast,
            cause if forecast == "fails" else None,
        ), text
        assert bool(really_failing(root, ["pack.module"])) is (forecast == "fails"), text


def test_every_cause_has_its_three_or_a_test_of_its_own() -> None:
    elsewhere = {
        Cause.BROKEN_DEPENDENCY, Cause.BINARY_DOES_NOT_LOAD,  # test_installed_packages.py
        Cause.SHADOWED, Cause.NOT_ON_PATH, Cause.REGISTERED_TWICE,  # test_as_file.py
        Cause.UNREADABLE,  # test_causes.py
    }  # fmt: skip
    assert set(CASES) | elsewhere == set(Cause)
