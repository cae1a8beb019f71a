"""What is kept of a file, and that it can be cached and sent between processes."""

import ast
import pickle

from audit.static.imports.compile import compile_program
from audit.static.imports.program import Anything, Import, ImportFrom, Program, Try, Use
from audit.static.tree import TreeIndex


def _program(text: str) -> Program:
    return compile_program(TreeIndex(ast.parse(text)), text)


def test_a_program_survives_pickling() -> None:
    program = _program("try:\n    import a\nexcept ImportError:\n    a = None\n\nclass B(a.C):\n    pass\n")
    assert pickle.loads(pickle.dumps(program)) == program


def test_names_that_are_bound_for_certain_are_not_kept() -> None:
    program = _program("import os\nX = 1\nY = X\n\ndef f(y=Y):\n    return Z\n")
    assert not any(isinstance(step, Use) for step in program.body)


def test_imports_keep_their_order_and_guards() -> None:
    first, guard, last = _program(
        "import a.b\ntry:\n    from c import d\nexcept ImportError:\n    d = 1\nimport e\n"
    ).body
    assert first == Import(1, "a.b", None)
    assert isinstance(guard, Try)
    assert guard.body == (ImportFrom(3, 0, "c", (("d", "d"),)),)
    assert last == Import(6, "e", None)


def test_a_tree_too_deep_to_follow_may_bind_anything() -> None:
    text = "x = " + ".a()".join(["y"] + [""] * 500) + "\n"
    assert _program(text).body == (Anything(),)
