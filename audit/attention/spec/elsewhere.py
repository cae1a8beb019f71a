"""The attention that a model may hold: that of its own file, and of the files of its package that it imports."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

from audit.attention.named import attention_of
from audit.collected import Collected
from audit.static.paths import INSTALLED, paths_inside
from audit.static.reading import tree_of
from audit.target import Target

_MOST_FILES = 100  # read for a line of comment


def attention_beside(tree: Target, place: Path, qualname: str) -> list[str]:
    """Return the inventory's attention in the file at `place` and what it imports, each as `FILE::NAME` from here.

    What is named itself is left out.
    """
    collected = Collected(tree.limited_to(paths_inside(tree.root, reached_from(place))), cache=True)
    try:
        items = [(collected.target.source / item.path, item.qualname) for item in attention_of(collected)]
    finally:
        collected.close()
    return [f"{os.path.relpath(path)}::{name}" for path, name in sorted(items) if (path, name) != (place, qualname)]


def reached_from(place: Path) -> list[Path]:
    """Return the file and those below its topmost package that it imports, directly or by another."""
    top = top_of(place)
    found = [place]
    for path in found:  # grows while it is read
        found += [each for each in dict.fromkeys(_imported(path, top)) if each not in found]
        if len(found) >= _MOST_FILES:
            break
    return found[:_MOST_FILES]


def top_of(place: Path) -> Path:
    """Return the folder of the topmost package that a file belongs to; its own where it belongs to none."""
    top = place.parent
    while (top / "__init__.py").is_file():
        top = top.parent
    return top


def _imported(path: Path, top: Path) -> Iterator[Path]:
    tree = tree_of(path)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (file for alias in node.names for file, _ in files_of_import(node, alias, path, top))


def files_of_import(
    node: ast.Import | ast.ImportFrom, alias: ast.alias, path: Path, top: Path
) -> Iterator[tuple[Path, str]]:
    """Yield the files below `top` that one name of an import in `path` loads, and its name there; `*` is the module.

    Among installed packages they are those of its own, for the one beside it may be torch.
    """
    own = top / path.relative_to(top).parts[0] if top.name in INSTALLED else top
    if isinstance(node, ast.Import):
        pairs = [(top.joinpath(*alias.name.split(".")), "*")]
    else:
        folder = path.parents[min(node.level, len(path.parents)) - 1] if node.level else top
        base = folder.joinpath(*(node.module or "").split("."))
        pairs = [(base, alias.name), *([(base / alias.name, "*")] if alias.name != "*" else [])]
    for base, name in pairs:
        for file in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
            if file.is_relative_to(own) and file.is_file():
                yield file, name
