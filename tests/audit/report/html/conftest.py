"""A report with a little of everything, a reader of pages, and a browser where there is one."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from audit.report.document import Report
from audit.results import Defect, Evidence, Explained, Outcome, Result, Series, Severity, Subject, SubjectKind

from .driven import Driven

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
VOID = {"meta", "input", "br", "hr"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-extensions", "--disable-component-update", "--enable-logging=stderr",
)  # fmt: skip
PICTURE = {
    "title": "attention of net",
    "observed": ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
    "expected": ((1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (1.0, 1.0, 1.0)),
    "of": "weights of one head",
}


@dataclass
class Element:
    """An element of a page: its name, attributes, text of its own and of what is in it, and what it contains."""

    name: str
    attributes: Mapping[str, str | None]
    children: list["Element"] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def all(self, *names: str, **attributes: str) -> list["Element"]:
        """Return the elements inside with one of the names, or any without one, and with these attributes."""
        return [each for each in self.walk() if (not names or each.name in names) and each.has(attributes)]

    def one(self, *names: str, **attributes: str) -> "Element":
        (found,) = self.all(*names, **attributes)
        return found

    def has(self, attributes: Mapping[str, str]) -> bool:
        given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
        return all(
            value in (self.attributes.get(key) or "").split() if key == "class" else self.attributes.get(key) == value
            for key, value in given.items()
        )

    def walk(self) -> Iterator["Element"]:
        for child in self.children:
            yield child
            yield from child.walk()

    @property
    def text(self) -> str:
        return "".join(self.said)


class _Reader(HTMLParser):
    """Reads a page strictly: an element that is not closed, or closed twice, is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.top = Element("", {})
        self.open = [self.top]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}"
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> in <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.said.append(data)


def read_page(page: str) -> Element:
    """Return the tree of a page, or of a part of one."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert len(reader.open) == 1, f"<{reader.open[-1].name}> is not closed"
    return reader.top


@pytest.fixture(scope="session")
def read() -> Callable[[str], Element]:
    return read_page


@pytest.fixture(scope="session")
def series() -> Callable[..., Series]:
    def make(*values: float, name: str = "loss") -> Series:
        return Series(name=name, unit="nats", x_name="step", x=tuple(map(float, range(len(values)))), y=values)

    return make


@pytest.fixture(scope="session")
def rich_report(make_report: MakeReport, make_result: MakeResult, series: Callable[..., Series]) -> Report:
    """Each outcome, a defect with picture and script, curves of which one is lost, and what nobody declared."""
    defect = Defect.model_validate(
        {
            "id": "zoo/a.py::net::mask",
            "bug": None,
            "title": "The mask is not used",
            "subject": Subject(kind=SubjectKind.ATTENTION, spec="net"),
            "checks": ("attention.causality",),
            "explanation": "later tokens are seen",
            "why": "it cheats",
            "fix": "use the mask",
            "related": ("https://github.com/a/b/issues/1", "javascript:alert(1)"),
            "picture": PICTURE,
            "reproducer": {"file": "a.py", "script": "import torch\nif 1 < 2:\n    pass\n", "case": "2 tokens",
                           "measured": 1.0, "bound": 0.1},
        }
    )  # fmt: skip
    curve = Evidence(series=(series(3.0, 2.0, float("nan"), 1.0), series(3.0, 2.5, 2.0, 1.5, name="validation loss")))
    passed = make_result(check="train.learns")
    results = [
        make_result(Outcome.FAILED, "attention.causality", name="net").model_copy(
            update={"defect": Explained(id=defect.id, how="shows it")}
        ),
        make_result(Outcome.FAILED, "train.overfits", name="net", evidence=curve),
        passed.model_copy(update={"evidence": passed.evidence.model_copy(update={"series": (series(2.0, 1.0),)})}),
        make_result(Outcome.ERROR, "smoke.forward", name="net", reason="it raised ValueError", fix="give it a batch"),
        *(make_result(Outcome.SKIPPED, f"gpu.{name}", name="net", reason="no CUDA device") for name in ("a", "b")),
        make_result(Outcome.NOT_APPLICABLE, "attention.rows", name="net", reason="undeclared: whether rows sum to 1"),
        make_result(Outcome.NOT_APPLICABLE, "attention.window", name="net", reason="no window is declared"),
        *(make_result(check="static.parses", name=f"file {number}", severity=Severity.MINOR) for number in range(70)),
    ]
    return make_report(results, defects=[defect])


@dataclass(frozen=True)
class Browsed:
    """What a browser made of a page."""

    dom: Element
    log: str

    @property
    def root(self) -> Element:
        return self.dom.one("html")


class Browser:
    """A browser without a window."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder

    def run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        profile = self._folder / "profile"
        flags = [*FLAGS, f"--user-data-dir={profile}"]
        done = subprocess.run(
            [self._program, *flags, *arguments],
            capture_output=True, timeout=120, check=False, env={**os.environ, "HOME": str(self._folder)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
        return done

    def open(self, page: str, fragment: str = "", *flags: str) -> Browsed:
        """Open a page and return its tree after its script ran."""
        path = self._folder / "page.html"
        path.write_text(page)
        done = self.run("--dump-dom", "--virtual-time-budget=5000", *flags, f"{path.as_uri()}{fragment}")
        return Browsed(read_page(done.stdout.decode()), done.stderr.decode(errors="replace"))

    def drive(self, page: Path) -> Driven:
        """Open a page that is then told what to do."""
        return Driven(self._program, [*FLAGS, f"--user-data-dir={self._folder / 'driven'}"], page)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("no Chromium: install one (Debian: apt-get install chromium) to try pages in it")
    return Browser(program, tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="session")
def many(make_report: MakeReport, make_result: MakeResult) -> Callable[[int], Report]:
    """Makes a report with so many results, a third of them failed."""

    def make(number: int) -> Report:
        outcomes = (Outcome.FAILED, Outcome.PASSED, Outcome.PASSED)
        kept: dict[str, Any] = {"severity": Severity.MAJOR}
        return make_report(
            [
                make_result(outcomes[at % 3], f"area{'abcde'[at % 5]}.check", name=f"subject {at}", **kept)
                for at in range(number)
            ]
        )

    return make
