"""Which names of torch are classes that matter: a table made from an installed torch, so that reading it needs none."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE_PATH = Path(__file__).with_name("torch_classes.json")


@dataclass(frozen=True)
class TorchTable:
    """The file as written by `audit.static.generate_torch_classes`.

    `modules` maps the place where a subclass of `torch.nn.Module` is defined to every name it can be imported by;
    `kinds` does the same for the subclasses of each further root of the inventory, by the kind they have there;
    `others` are names of classes that are none of these.
    """

    torch: str
    modules: Mapping[str, Sequence[str]]
    kinds: Mapping[str, Mapping[str, Sequence[str]]]
    others: Sequence[str]


@dataclass(frozen=True, slots=True)
class TorchClasses:
    """The table, arranged for questions about one name."""

    version: str
    public_names: dict[str, str]
    definitions: frozenset[str]
    others: frozenset[str]
    kinds: dict[str, tuple[tuple[str, str], ...]]  # of a name: each kind, and the name users import the class by
    defined_kinds: dict[str, tuple[str, ...]]  # of the place where a class is defined

    def module_class(self, name: str) -> str | None:
        """Return the name users import a module class by, where `name` is one of its names; else None."""
        return self.public_names.get(name)

    def is_known(self, name: str) -> bool:
        """Return whether `name` is a class of torch that the table knows, a module class or not."""
        return name in self.public_names or name in self.kinds or name in self.others


def public_name(defined: str, names: Sequence[str]) -> str:
    """Return the name a class is documented under: the shortest that a package above its definition gives it."""
    own_name = defined.rpartition(".")[2]

    def rank(name: str) -> tuple[bool, bool, int, str]:
        package, _, attribute = name.rpartition(".")
        above = f"{defined}.".startswith(f"{package}.")
        return (attribute != own_name, not above, name.count("."), name)

    return min(names, key=rank)


@cache
def load_torch_classes() -> TorchClasses:
    """Return the table that comes with this package."""
    table = TorchTable(**json.loads(TABLE_PATH.read_bytes()))
    public_names = {
        name: public
        for defined, names in table.modules.items()
        for public in (public_name(defined, names),)
        for name in names
    }
    return TorchClasses(
        version=table.torch,
        public_names=public_names,
        definitions=frozenset(table.modules),
        others=frozenset(table.others),
        kinds=_by_name(table),
        defined_kinds=_by_definition(table),
    )


def _by_definition(table: TorchTable) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for kind, classes in [("model", table.modules), *sorted(table.kinds.items())]:
        for defined in classes:
            found[defined] = (*found.get(defined, ()), kind)
    return found


def _by_name(table: TorchTable) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return the kinds of every name; a class with two roots has two."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for kind, classes in sorted(table.kinds.items()):
        for defined, names in classes.items():
            for name in {defined, *names}:
                found[name] = (*found.get(name, ()), (kind, public_name(defined, names)))
    return found
