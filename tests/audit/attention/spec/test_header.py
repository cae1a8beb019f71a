"""The head of a printed specs module names the file, the package and the specs that are right for what it declares."""

from pathlib import Path

from audit.attention.spec.header import header_lines
from audit.target import Settings


def test_a_single_file_has_its_specs_beside_it() -> None:
    text = "\n".join(header_lines("layers", Path("/work/layers.py")))
    assert "# Save this as specs.py," in text
    assert '#     package = "layers"\n#     specs = "specs"' in text
    assert "source" not in text


def test_a_module_deep_in_a_package_has_the_specs_in_its_topmost_folder() -> None:
    path = Path("/work/src/pkg/nn/layers.py")
    text = "\n".join(header_lines("pkg.nn.layers", path, root=Path("/work")))
    assert "# Save this as src/pkg/specs.py," in text
    assert '#     package = "pkg"\n#     specs = "pkg.specs"' in text
    assert "source" not in text


def test_what_is_defined_in_a_package_itself_belongs_to_its_folder() -> None:
    text = "\n".join(header_lines("pkg", Path("/work/pkg/__init__.py")))
    assert "# Save this as pkg/specs.py," in text


def test_a_folder_that_is_not_tried_has_to_be_named() -> None:
    text = "\n".join(header_lines("pkg.layers", Path("/work/lib/py/pkg/layers.py"), root=Path("/work")))
    assert '#     source = "lib/py"' in text


def test_specs_that_are_named_already_are_where_it_belongs() -> None:
    settings = Settings(package="pkg", specs="pkg.promises")
    text = "\n".join(header_lines("pkg.layers", Path("/work/pkg/layers.py"), root=Path("/work"), settings=settings))
    assert "names the specs already: pkg.promises." in text
    assert "Save this as" not in text
