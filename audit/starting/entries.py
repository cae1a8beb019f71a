"""What the entries of a specs module that is begun have in common: their names and first lines."""

import re

from audit.report.text import one_line
from audit.starting.table import quoted
from audit.static.inventory import InventoryItem


def named(item: InventoryItem, taken: set[str]) -> str:
    """Return a name for the entry of a class that none of those `taken` has, and add it to them."""
    # Before a capital that begins a word, behind capitals of another one too: CTCEncoder has two, and ViT is one.
    base = re.sub(r"(?<=[a-z0-9])(?=[A-Z].)|(?<=[A-Z])(?=[A-Z][a-z]{2})", "_", item.qualname).replace(".", "_").lower()
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    taken.add(name)
    return name


def begun(item: InventoryItem, name: str) -> list[str]:
    """Return the lines that begin an entry: its name, with the place of its class, and the class."""
    return [
        f"    {quoted(name)}: {{  # {one_line(item.path)}:{item.line}",
        f'        "class": "{item.module}:{item.qualname}",',
    ]
