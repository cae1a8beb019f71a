"""The course of `astrobio-audit init`."""

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import typer

from audit.collected import Collected
from audit.configuration import TABLE, read_table, shortened
from audit.errors import UsageError
from audit.report.files import replace_content
from audit.report.text import one_line, plain
from audit.starting.cli import InitOptions
from audit.starting.files import NewFile, why_left, write_new
from audit.starting.specs import specs_text
from audit.starting.table import appended, find_package, has_table, specs_module, table_text
from audit.starting.workflow import WORKFLOW, workflow_text
from audit.static.inventory import InventoryItem, InventoryKind
from audit.target import Target

_PYPROJECT = "pyproject.toml"


def begin(options: InitOptions) -> None:
    """Write what is missing, say what was left, and return.

    Raises:
        UsageError: the folder, the package or the configuration needs correcting.
        WriteError: a file could not be written; the others named before it were.
    """
    if options.package is not None:
        _refuse_no_name(options.package)
    root = Target.load_tree(options.folder).root if options.folder.is_dir() else _refused(options.folder)
    content = _content(root)
    document: Mapping[str, object] = tomllib.loads(content or "")
    said = read_table(root).keys if content is not None else {}
    package = options.package or _text(said, "package") or find_package(root, document)
    target = Target.load_tree(root)
    place = _package_place(root, package, _text(said, "source"))
    specs = _text(said, "specs") or specs_module(package, place)
    files = list(_new_files(target, place, package, specs))
    needs_table = not has_table(document)
    text = appended(content or "", table_text(package, specs)) if needs_table else ""
    for line in _written(root, content, text, files, options):
        if not options.quiet:
            typer.echo(line)
    if not options.quiet:
        typer.echo("next: astrobio-audit static, smoke and attention")
        if "specs" not in said:
            typer.echo(f'once the specs are filled in, {TABLE} has to say: specs = "{one_line(specs)}"')


def _refuse_no_name(package: str) -> None:
    if not all(part.isidentifier() for part in package.split(".")):
        shown = shortened(repr(package))
        raise UsageError(f"--package: should be a dotted name, as in an import statement, got {shown}")


def _refused(folder: Path) -> Path:
    raise UsageError(f"--target {folder}: no such folder; name the folder that holds the package")


def _content(root: Path) -> str | None:
    """Return the pyproject.toml; None where there is none.

    Raises:
        UsageError: it cannot be read, or is a link to nothing or out of the project.
    """
    path = root / _PYPROJECT
    if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"{path}: is a link that leads out of the project; write {TABLE} by hand where it leads")
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        if path.is_symlink():
            raise UsageError(f"{path}: is a link to a file that is not there; mend it or remove it") from None
        return None


def _text(table: Mapping[str, object], key: str) -> str | None:
    value = table.get(key)
    return value if isinstance(value, str) else None


def _package_place(root: Path, package: str, source: str | None) -> Path:
    """Return the folder of a package, or its file where it is a single module.

    Raises:
        UsageError: there is none.
    """
    for folder in (source,) if source else (".", "src"):
        base = root.joinpath(folder, *package.split("."))
        for place in (base, base.with_suffix(".py")):
            if os.path.exists(place) and place.resolve().is_relative_to(root):
                return root / place.relative_to(root)
    raise UsageError(f"package {shortened(package)!r} not found in {root} or {root / 'src'}; pass --package NAME")


def _new_files(target: Target, place: Path, package: str, specs: str) -> Iterator[NewFile]:
    name = _specs_file(target.root, place, package, specs)
    left = why_left(target.root, name)
    text = "" if left else specs_text(package, _inventory(target, place), target.root)
    yield NewFile(name=name, text=text, left=left)
    left = why_left(target.root, WORKFLOW)
    yield NewFile(name=WORKFLOW, text="" if left else workflow_text(target.root), left=left)


def _specs_file(root: Path, place: Path, package: str, specs: str) -> str:
    """Return the path of the specs module, relative to the root: beside the package, or wherever its name leads."""
    folder = place
    for _ in package.split("."):
        folder = folder.parent
    file = folder.joinpath(*specs.split(".")).with_suffix(".py")
    is_package = file.with_suffix("").is_dir()
    return ((file.with_suffix("") / "__init__.py") if is_package else file).relative_to(root).as_posix()


def _inventory(target: Target, place: Path) -> Sequence[InventoryItem]:
    """Return what the package holds, and the trainers of the whole project: those often stand beside it."""
    collected = Collected(target)
    try:
        items = collected.inventory
    finally:
        collected.close()
    inside = place.relative_to(target.root).as_posix()
    return [
        item
        for item in items
        if item.kind is InventoryKind.TRAINING_SCRIPT or item.path == inside or item.path.startswith(f"{inside}/")
    ]


def _written(
    root: Path, content: str | None, text: str, files: Sequence[NewFile], options: InitOptions
) -> Iterator[str]:
    """Write the files, or show them, and yield a line for each."""
    if not text:
        yield f"left: {TABLE} exists in {_PYPROJECT}"
    elif options.dry_run:
        yield f"would write {TABLE} to {_PYPROJECT}:"
        yield _shown(text.removeprefix(content or ""))
    elif content is None:
        done = write_new(root / _PYPROJECT, text)
        yield f"written: {_PYPROJECT}" if done else f"left: {_PYPROJECT} exists"
    else:
        # Where it is a link, it stays one.
        replace_content((root / _PYPROJECT).resolve(), text.encode(), expected=content.encode())
        yield f"added: {TABLE} to {_PYPROJECT}"
    for file in files:
        name = one_line(file.name, limit=None)
        if file.left:
            yield f"left: {name}: {file.left}"
        elif options.dry_run:
            yield f"would write {name}:"
            yield _shown(file.text)
        else:
            yield f"written: {name}" if write_new(root / file.name, file.text) else f"left: {name}: exists"


def _shown(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in plain(text.replace("\r\n", "\n").strip("\n")).split("\n"))
