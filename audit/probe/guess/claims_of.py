"""What claims are made of: what is read, where documentation is, and the sentence that says something."""

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch

from . import prose
from .adapting import Form
from .reading import Source, sentences, unfolded

WINDOW = ("window_size", "sliding_window", "sliding_window_size", "window", "local_window_size", "attention_window")
_MOST_SHOWN = 100  # characters of a line that is quoted


@dataclass(frozen=True)
class Subject:
    """What is read: the class or function, what was built of it, with which arguments, and how it is called."""

    value: object
    module: torch.nn.Module | None
    source: Source
    arguments: Mapping[str, object]
    form: Form
    future: float | None  # share of the later keys that move an earlier output
    can_switch: bool = False  # whether a function was called with its causal flag on
    alignment: str | None = None  # of a function: the corner that a causal mask without a flag was seen to meet


@dataclass
class Claims:
    """Fields to be added to the contract, and what says them and where."""

    contract: dict[str, object] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: object, said: str) -> None:
        """Add a field and what says it."""
        self.contract[name], self.said[name] = value, said


def _quoted(subject: Subject, text: str, where: str) -> str:
    """Return the words and the line of the file where they stand."""
    lines = file_of(subject.value).splitlines()
    words = re.sub(r"\s+", " ", text).strip()
    number = next((i for i, line in enumerate(lines, 1) if words[:30] in re.sub(r"\s+", " ", line)), None)
    shown = words if len(words) <= _MOST_SHOWN else words[:_MOST_SHOWN] + "..."
    return f"{where}{f', line {number}' if number else ''}: {shown!r}"


def file_of(value: object) -> str:
    """Return the text of the file in which a class or function is written; nothing where there is none."""
    try:
        path = inspect.getsourcefile(inspect.unwrap(cast(Callable[..., object], value)))
        return Path(path).read_text(encoding="utf-8", errors="replace") if path else ""
    except (OSError, TypeError, ValueError):
        return ""


def documents(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield each docstring about this class alone, with what it is of; that of its file where it holds no other."""
    value = subject.value
    name = str(getattr(value, "__qualname__", ""))
    own = (
        [value, getattr(value, "__init__", None), getattr(value, "forward", None)]
        if isinstance(value, type)
        else [value]
    )
    for each in own:
        doc = getattr(each, "__doc__", None)
        if isinstance(doc, str) and unfolded(doc) in subject.source.documentation:
            yield f"the docstring of {getattr(each, '__qualname__', name)}", doc
    module = sys.modules.get(str(getattr(value, "__module__", "")))
    doc = getattr(module, "__doc__", None)
    classes = re.findall(r"^class +\w+[^\n]*Module\b", file_of(value), re.MULTILINE)
    if isinstance(doc, str) and isinstance(value, type) and len(classes) == 1:
        yield "the docstring of its file", doc


def claim_window(subject: Subject, found: Claims, name: str, width: int) -> str:
    """Add the window that the argument `name` gives, and whether it counts the query; return the text that says so."""
    text = " ".join([sentences(subject.source, name), *(doc for _, doc in documents(subject))])
    counts = prose.window_counts_query(text)
    found.contract |= {"window": width, "window_counts_query": counts}
    own = {True: ", the query's own key counted", False: ", beside the query's own key", None: ""}[counts]
    found.said["window"] = f"argument {name}={width}{own and f'{own} by its documentation'}"
    return text


def first_saying(subject: Subject, pattern: re.Pattern[str], *, against: re.Pattern[str] | None = None) -> str | None:
    """Return the first unconditional sentence that matches, quoted; None where another one says the opposite."""
    first = None
    for where, doc in documents(subject):
        for sentence in prose.sentences_of(doc):
            if against is not None and against.search(sentence):
                return None
            if first is None and pattern.search(sentence) and prose.is_unconditional(sentence):
                first = _quoted(subject, sentence, where)
    return first
