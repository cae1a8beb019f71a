import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.static import notebooks, reading
from audit.static.discovery import discover
from audit.static.names import FileSummary
from audit.static.notebooks import NotebookError, code_of, place_in
from audit.static.reading import UnreadableFile
from audit.static.sources import SourceFile
from audit.static.summary import names_in as summarise

Tree = Callable[[Mapping[str, str | bytes]], Path]


def notebook(*cells: str | tuple[str, str], **more: Any) -> dict[str, Any]:
    """Return a notebook of code cells; a pair is a cell of another type."""
    pairs = [("code", cell) if isinstance(cell, str) else cell for cell in cells]
    return {
        "cells": [
            {"cell_type": kind, "metadata": {}, "outputs": [], "source": text.splitlines(keepends=True)}
            for kind, text in pairs
        ],
        "metadata": {"kernelspec": {"language": "python"}},
        "nbformat": 4,
        **more,
    }


def as_jupyter_writes(document: object) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def read_as(path: Path, content: str | bytes) -> FileSummary | UnreadableFile:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return summarise(SourceFile(path=path, relative=path.name, module="nb_ipynb"))


def test_a_line_of_code_has_the_number_that_it_has_in_the_file() -> None:
    text = as_jupyter_writes(notebook("import os\nx = 1", ("markdown", "y = 2"), "def f():\n    return x\n"))
    code = code_of(text).split("\n")
    for number, line in enumerate(text.split("\n")):
        for part in ("import os", "x = 1", "def f():", "    return x"):
            if f'"{part}' in line:
                assert code[number] == part
    assert [line for line in code if line] == ["import os", "x = 1", "def f():", "    return x"]


def test_a_place_is_told_by_cell_and_line_too() -> None:
    text = as_jupyter_writes(notebook(("markdown", "# title"), "a = 1\nb = 2"))
    line = code_of(text).split("\n").index("b = 2") + 1
    assert place_in(text, line) == "cell 2, line 2"
    assert place_in(text, 1) is None


def test_the_place_in_a_notebook_on_one_line_is_that_of_its_joined_cells() -> None:
    text = json.dumps(notebook("a = 1\nb = 2", ("markdown", "# title"), "", "c = 3"))
    code = code_of(text).split("\n")
    places = {line: place_in(text, number) for number, line in enumerate(code, start=1) if line}
    assert places == {"a = 1": "cell 1, line 1", "b = 2": "cell 1, line 2", "c = 3": "cell 4, line 1"}


def test_a_class_of_a_notebook_is_found_on_its_line_of_the_file(tmp_path: Path) -> None:
    text = as_jupyter_writes(notebook("from torch import nn\n", "class Net(nn.Module):\n    pass\n"))
    found = read_as(tmp_path / "nb.ipynb", text)
    assert isinstance(found, FileSummary)
    assert [each.qualname for each in found.classes] == ["Net"]
    assert "class Net" in text.split("\n")[found.classes[0].line - 1]


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("%matplotlib inline\nx = 1", "\nx = 1"),
        ("!pip install \\\n  torch\nx = 1", "\n\nx = 1"),
        ("?len\nlen??\nx = 1", "\n\nx = 1"),
        ("if x:\n    !ls\ny = 1", "if x:\n    pass\ny = 1"),
        ("files = !ls\nt = %time f()", "files = None\nt = None"),
        ("%%bash\nls -l\nx = 1", "\n\n"),
        ("%%time\nx = 1", "\nx = 1"),
        ("x = (7\n  % 2)", "x = (7\n  % 2)"),
        ('"""\n%d\n"""', '"""\n%d\n"""'),
    ],
)
def test_magics_are_blank_and_python_that_looks_like_them_stays(cell: str, code: str) -> None:
    assert code_of(json.dumps(notebook(cell))) == code + "\n"


def test_a_notebook_on_one_line_has_the_lines_of_its_cells_one_after_the_other() -> None:
    document = notebook("a = 1\nb = 2", "c = 3")
    assert code_of(json.dumps(document)).split("\n") == ["a = 1", "b = 2", "", "c = 3", ""]


def test_a_notebook_in_another_language_has_no_python() -> None:
    document = notebook("x <- c(1, 2)", metadata={"language_info": {"name": "R"}})
    assert code_of(json.dumps(document)).strip() == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no JSON"),
        (b'{"cells": [', "no JSON"),
        (b"[]", "no JSON object"),
        (b'{"nbformat": 4}', "no list of cells"),
        (b'{"nbformat": 4, "cells": {}}', "no list of cells"),
        (b'{"nbformat": 3, "worksheets": []}', "format 3"),
        (b'{"cells": ["\xff"]}', "not utf-8"),
        (b"[" * 100_000, "no JSON that can be read (RecursionError)"),
        (b'{"a": ' + b"1" * 5000 + b"}", "no JSON that can be read (ValueError)"),
    ],
)
def test_a_broken_notebook_is_a_result(tmp_path: Path, content: bytes, reason: str) -> None:
    found = read_as(tmp_path / "nb.ipynb", content)
    assert isinstance(found, UnreadableFile)
    assert reason in found.reason
    assert found.digest == reading.sha256(content)


def test_an_error_in_a_cell_is_told_on_its_line_of_the_file(tmp_path: Path) -> None:
    text = as_jupyter_writes(notebook("a = 1", "b = = 2"))
    found = read_as(tmp_path / "nb.ipynb", text)
    assert isinstance(found, UnreadableFile)
    assert found.line is not None
    assert "b = = 2" in text.split("\n")[found.line - 1]
    assert found.reason.endswith("(cell 2, line 1)")


def test_outputs_larger_than_a_python_file_may_be_are_read_past(tmp_path: Path) -> None:
    document = notebook("a = 1")
    document["cells"][0]["outputs"] = [{"data": {"image/png": "A" * (reading.MAX_BYTES + 1)}}]
    found = read_as(tmp_path / "nb.ipynb", as_jupyter_writes(document))
    assert isinstance(found, FileSummary)
    assert "a" in found.bindings


def test_a_notebook_over_its_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "nb.ipynb"
    with path.open("wb") as file:
        file.truncate(notebooks.MAX_BYTES + 1)
    found = summarise(SourceFile(path=path, relative="nb.ipynb", module="nb_ipynb"))
    assert isinstance(found, UnreadableFile)
    assert "more than the limit" in found.reason


def test_cells_that_are_no_cells_are_passed_over() -> None:
    document = {"cells": [1, None, {"cell_type": "code"}, {"cell_type": "code", "source": [1, "x = 1"]}], "nbformat": 4}
    assert "x = 1" in code_of(json.dumps(document))


def test_notebooks_are_found_only_where_they_are_asked_for(tree: Tree) -> None:
    root = tree({"pkg/a.py": "", "pkg/My v1.2.ipynb": "{}", "pkg/.ipynb_checkpoints/a.ipynb": "{}"})
    assert [file.relative for file in discover(root, root).files] == ["pkg/a.py"]
    found = discover(root, root, notebooks=True).files
    assert [(file.relative, file.module) for file in found] == [
        ("pkg/My v1.2.ipynb", "pkg.My v1_2_ipynb"),
        ("pkg/a.py", "pkg.a"),
    ]


LINES = st.sampled_from(
    ["x = 1", "%magic", "!ls \\", "def f():", "    return", "?x", '"""', "", "y = [", "]", "é\u2028"]
)


@given(st.lists(st.lists(LINES, max_size=5).map("\n".join), max_size=4), st.sampled_from([None, 1]))
def test_the_lines_of_cells_stay_in_order_and_each_on_its_own(cells: list[str], indent: int | None) -> None:
    text = json.dumps(notebook(*cells), indent=indent)
    code = code_of(text)
    if indent:
        assert code.count("\n") <= text.count("\n") + 1
    with TemporaryDirectory() as folder:
        assert isinstance(read_as(Path(folder) / "nb.ipynb", text), FileSummary | UnreadableFile)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.just("code"),
    lambda part: (
        st.lists(part, max_size=3)
        | st.dictionaries(st.sampled_from(["cells", "cell_type", "source", "metadata", "nbformat", "name"]), part)
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_json_makes_reading_fail_otherwise(document: object) -> None:
    with suppress(NotebookError):
        code_of(json.dumps(document))
