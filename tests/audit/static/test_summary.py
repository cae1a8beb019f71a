import hashlib
from pathlib import Path

import pytest

from audit.static.discovery import SourceFile
from audit.static.names import ClassSummary, FileSummary, Origin
from audit.static.summary import names_in as summarise


def summary(folder: Path, source: str, *, relative: str = "pkg/m.py", module: str = "pkg.m") -> FileSummary:
    path = folder / "m.py"
    path.write_bytes(source.encode())
    result = summarise(SourceFile(path=path, relative=relative, module=module))
    assert isinstance(result, FileSummary), result
    return result


def imported(found: FileSummary, name: str) -> set[str]:
    return {".".join((c.module, *c.attributes)) for c in found.bindings[name] if c.origin is Origin.IMPORT}


def base_targets(found: ClassSummary) -> set[str]:
    return {".".join((c.module, *c.attributes)) for base in found.bases for c in base.candidates}


@pytest.mark.parametrize(
    ("source", "name", "expected"),
    [
        ("import torch.nn", "torch", {"torch"}),
        ("import torch.nn as nn", "nn", {"torch.nn"}),
        ("from torch import nn as layers", "layers", {"torch.nn"}),
        ("from . import base", "base", {"pkg.base"}),
        ("from .base import A", "A", {"pkg.base.A"}),
        ("from ..other import A", "A", {"other.A"}),
        ("from ....other import A", "A", {"..other.A"}),
        ("import x\nA = x.B", "A", {"x.B"}),
        ("import x\nA = x.B[int]", "A", {"x.B"}),
        ("import x, y\nA, B = x.C, y.D", "B", {"y.D"}),
        ("import x, y\nA = x.B if flag else y.B", "A", {"x.B", "y.B"}),
        ("import x\nA: type = x.B", "A", {"x.B"}),
        ("import importlib\nnn = importlib.import_module('torch.nn')", "nn", {"torch.nn"}),
        ("import x\nA = getattr(x, 'B', None)", "A", {"x.B"}),
    ],
)
def test_a_name_leads_to_what_it_was_imported_or_assigned_from(
    tmp_path: Path, source: str, name: str, expected: set[str]
) -> None:
    assert imported(summary(tmp_path, source), name) == expected


def test_relative_imports_of_a_package_count_from_the_package(tmp_path: Path) -> None:
    found = summary(tmp_path, "from .base import A", relative="pkg/__init__.py", module="pkg")
    assert imported(found, "A") == {"pkg.base.A"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("if x:\n    from a import A\nelse:\n    from b import A", {"a.A", "b.A"}),
        ("if x:\n    from a import A\nelif y:\n    from b import A\nelse:\n    from c import A", {"a.A", "b.A", "c.A"}),
        ("from a import A\nif x:\n    from b import A", {"a.A", "b.A"}),
        ("try:\n    from a import A\nexcept ImportError:\n    from b import A", {"a.A", "b.A"}),
        ("try:\n    from a import A\nexcept ImportError:\n    A = None", {"a.A"}),
        ("from a import A\nfor x in y:\n    from b import A", {"a.A", "b.A"}),
        ("from a import A\nwith x:\n    from b import A", {"b.A"}),
        ("match x:\n    case 1:\n        from a import A\n    case _:\n        from b import A", {"a.A", "b.A"}),
        ("from a import A\nfrom b import A", {"b.A"}),
        ("from a import A\nif x:\n    from b import A\n    raise SystemExit", {"a.A"}),
        ("import sys\nfrom a import A\nif x:\n    from b import A\n    sys.exit(1)", {"a.A"}),
        ("if TYPE_CHECKING:\n    from a import A\nelse:\n    from b import A", {"b.A"}),
        ("if not TYPE_CHECKING:\n    from b import A\nelse:\n    from a import A", {"b.A"}),
        ("if TYPE_CHECKING:\n    from a import A", {"a.A"}),
    ],
)
def test_a_name_bound_in_branches_has_the_candidates_that_can_be_left(
    tmp_path: Path, source: str, expected: set[str]
) -> None:
    assert imported(summary(tmp_path, source), "A") == expected


def test_a_star_import_in_a_branch_is_not_certain(tmp_path: Path) -> None:
    found = summary(tmp_path, "from a import *\nif x:\n    from b import *")
    assert [(star.module, star.certain) for star in found.stars] == [("a", True), ("b", False)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class A:\n    class B: ...", ["A", "A.B"]),
        ("def f():\n    class A:\n        class B: ...", ["f.<locals>.A", "f.<locals>.A.B"]),
        ("class A:\n    def f(self):\n        class B: ...", ["A", "A.f.<locals>.B"]),
        ("async def f():\n    def g():\n        class A: ...", ["f.<locals>.g.<locals>.A"]),
        ("def f():\n    global A\n    class A: ...", ["A"]),
        ("if x:\n    class A: ...\nelse:\n    class A: ...", ["A", "A"]),
        ("for x in y:\n    class A: ...", ["A"]),
        ("if TYPE_CHECKING:\n    class A: ...", []),
    ],
)
def test_classes_have_the_qualname_that_python_gives_them(tmp_path: Path, source: str, expected: list[str]) -> None:
    assert [found.qualname for found in summary(tmp_path, source).classes] == expected


@pytest.mark.parametrize(
    ("bases", "expected"),
    [
        ("x.A", ["x.A"]),
        ("x.A[int], y.B", ["x.A", "y.B"]),
        ("x.A if flag else y.B", ["x.A", "y.B"]),
        ("x.A or y.B", ["x.A", "y.B"]),
        ("make(1)", ["make()"]),
        ("six.with_metaclass(Meta, x.A)", ["x.A"]),
        ("*bases", ["*bases"]),
        ("x.A, metaclass=Meta", ["x.A"]),
    ],
)
def test_bases_are_written_without_subscripts_and_with_all_alternatives(
    tmp_path: Path, bases: str, expected: list[str]
) -> None:
    (found,) = summary(tmp_path, f"class C({bases}): ...").classes
    assert [base.name for base in found.bases] == expected


def test_a_base_is_what_its_name_stood_for_at_the_class(tmp_path: Path) -> None:
    found = summary(tmp_path, "from a import X\nclass C(X): ...\nfrom b import X")
    assert base_targets(found.classes[0]) == {"a.X"}


def test_a_class_in_a_function_sees_the_last_value_of_a_module_name(tmp_path: Path) -> None:
    found = summary(tmp_path, "from a import X\ndef f():\n    class C(X): ...\nfrom b import X")
    assert base_targets(found.classes[0]) == {"b.X"}


def test_a_parameter_hides_the_module_name(tmp_path: Path) -> None:
    found = summary(tmp_path, "from a import X\ndef f(X):\n    class C(X): ...")
    assert [c.origin for c in found.classes[0].bases[0].candidates] == [Origin.OPAQUE]


def test_a_method_does_not_see_the_names_of_its_class(tmp_path: Path) -> None:
    source = "from a import X\nclass A:\n    from b import X\n    def f(self):\n        class C(X): ...\n"
    (_, found) = summary(tmp_path, source).classes
    assert base_targets(found) == {"a.X"}


def test_the_digest_of_a_class_covers_its_lines_from_the_first_decorator(tmp_path: Path) -> None:
    lines = [
        "import x\n",
        "@x.y\n",
        "@x.z(\n",
        "    1)\n",
        "class A:\n",
        "    a = 'é'\n",
        "\n",
        "    b = 2\n",
        "c = 3\n",
    ]
    (found,) = summary(tmp_path, "".join(lines)).classes
    assert found.line == 5
    assert found.digest == f"sha256:{hashlib.sha256(''.join(lines[1:8]).encode()).hexdigest()}"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_digest_of_a_class_covers_its_exact_line_ends(tmp_path: Path, end: str) -> None:
    source = f"x = '\f'{end}class A:{end}    a = 1{end}y = 2"
    (found,) = summary(tmp_path, source).classes
    assert found.digest == f"sha256:{hashlib.sha256(f'class A:{end}    a = 1{end}'.encode()).hexdigest()}"


def test_the_last_class_of_a_file_without_a_final_line_end_has_a_digest(tmp_path: Path) -> None:
    (found,) = summary(tmp_path, "x = 1\nclass A: ...").classes
    assert found.digest == f"sha256:{hashlib.sha256(b'class A: ...').hexdigest()}"


@pytest.mark.parametrize(
    ("source", "names", "included", "dynamic"),
    [
        ("__all__ = ['A', 'B']", {"A", "B"}, [], False),
        ("__all__ = ('A',)\n__all__ += ['B']", {"A", "B"}, [], False),
        ("__all__ = []\n__all__.extend(['A'])\n__all__.append('B')", {"A", "B"}, [], False),
        ("from . import a\n__all__ = a.__all__ + ['B']", {"B"}, ["pkg.a"], False),
        ("from . import a\n__all__ = [*a.__all__, 'B']", {"B"}, ["pkg.a"], False),
        ("__all__ = [name for name in dir()]", set(), [], True),
    ],
)
def test_exports_are_what_the_statements_about_all_say(
    tmp_path: Path, source: str, names: set[str], included: list[str], dynamic: bool
) -> None:
    exports = summary(tmp_path, source).exports
    assert exports is not None
    assert exports.names == names
    assert [".".join((c.module, *c.attributes)) for c in exports.included] == included
    assert exports.dynamic is dynamic
