"""What the target's own code puts into modules of others: names that it sets, modules that it puts into `sys.modules`.

`collections.Mapping = collections.abc.Mapping` makes an import work that fails without it. Whether the line has run by
then is not followed: where the target sets such a name anywhere, nothing is claimed of it.
"""

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from audit.static.tree import TreeIndex

_OWN = frozenset({"self", "cls"})
Asked = tuple[tuple[str, tuple[str, ...]], ...]


class Patched:
    """Knows which files patch what it is asked for; most forecasts ask little.

    `asked` says of each question that was asked, in this run or an earlier one, the paths of the files that do it.
    """

    def __init__(self, patches: Callable[[], Mapping[str, frozenset[str]]], asked: Asked = ()) -> None:
        """Ask for no file's `patches` yet, which come with the paths of all files."""
        self._patches = patches
        self._files: Mapping[str, list[str]] | None = None
        self._asked: dict[str, tuple[str, ...]] = dict(asked)

    @property
    def asked(self) -> Asked:
        """All questions, each with the files that patch what it is about."""
        return tuple(sorted(self._asked.items()))

    def sets(self, name: str) -> bool:
        """Whether the target sets an attribute of this name on anything."""
        return self._is_done(f".{name}")

    def stands_in(self, module: str) -> bool:
        """Whether the target may put something into `sys.modules` under this name."""
        return self._is_done(module.rpartition(".")[2])

    def _is_done(self, question: str) -> bool:
        if question not in self._asked:
            if self._files is None:
                self._files = _by_patch(self._patches())
            self._asked[question] = tuple(self._files.get(question, ()))
        return bool(self._asked[question])


def _by_patch(patches: Mapping[str, frozenset[str]]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(patches):
        for patch in patches[path]:
            found[patch].append(path)
    return found


def asked_again(asked: Asked, changed: Mapping[str, frozenset[str]]) -> Asked | None:
    """Return the answers to what was asked with the patches of `changed` files; None where one is another now."""
    answers = []
    for question, paths in asked:
        kept = [path for path in paths if path not in changed]
        kept += [path for path, patches in changed.items() if question in patches]
        if bool(kept) != bool(paths):
            return None
        answers.append((question, tuple(sorted(kept))))
    return tuple(answers)


def patches_of(index: TreeIndex, text: str) -> frozenset[str]:
    """Return what a file may patch: `.name` for a name that it sets on something, `name` for one of `sys.modules`.

    Attributes of `self` and `cls` are not meant. Of a module in `sys.modules` it is the last part of the name.
    """
    found = {f".{node.attr}" for node in index.stored_attributes if not _is_own(node.value)}
    if "setattr(" in text:
        found.update(f".{name}" for name in _set_by_call(index))
    if "sys.modules" in text:
        found.update(_words(index))
    return frozenset(found)


def _set_by_call(index: TreeIndex) -> Iterator[str]:
    """Yield the names that calls of `setattr` set: all words of the file where one is not written there."""
    for node in index.by_type[ast.Call]:
        match node:
            case ast.Call(func=ast.Name(id="setattr") | ast.Attribute(attr="setattr"), args=[owner, name, *_]):
                if isinstance(owner, ast.Constant) and isinstance(owner.value, str):  # of pytest's `monkeypatch`
                    yield owner.value.rpartition(".")[2]
                elif isinstance(name, ast.Constant):
                    yield str(name.value)
                elif not _is_own(owner):
                    yield from _words(index)
                    return


def _is_own(owner: ast.expr) -> bool:
    return isinstance(owner, ast.Name) and owner.id in _OWN


def _words(index: TreeIndex) -> Iterator[str]:
    """Yield the names, and the last parts of dotted names, that are texts of a file."""
    for node in index.by_type[ast.Constant]:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            word = node.value.rpartition(".")[2]
            if word.isidentifier():
                yield word
