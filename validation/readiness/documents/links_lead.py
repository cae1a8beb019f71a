"""The links in documents lead to files and headings that are there."""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote

from audit.judgement import Judgement
from audit.plan import Run
from audit.results import Check, Severity
from validation.readiness.documents.anchors import anchors_of
from validation.readiness.documents.commands_parse import documents_of
from validation.readiness.documents.writing import Document
from validation.readiness.places import Place, judge_places
from validation.readiness.project import Project, normalised

CHECK = Check(
    id="documents.links_lead",
    title="Links in documents lead to files and headings that exist",
    proves="Every relative link and image in a document leads to a file or folder of the project, every anchor in a "
    "Markdown document to a heading as GitHub names it, and every `#L` anchor to a line that the file has. "
    "Addresses on the web, links that leave the project, and what a generator of web sites resolves are not "
    "judged.",
    defect="a link to a file that was moved",
    severity=Severity.MINOR,
)
_MARKDOWN = (
    re.compile(
        r"!?\[(?:[^\[\]]|\[[^\[\]]{0,200}\]){0,300}\]\(\s*(?:<([^>\n]{1,500})>|([^\s()]{1,500}(?:\([^\s()]{0,100}\))?))"
    ),
    re.compile(r"^ {0,3}\[[^\]\n^]{1,200}\]:\s+<?([^\s>]{1,500})", re.MULTILINE),
    re.compile(r"<(?:a|img|source|video)\b[^>]{0,300}?\s(?:href|src)\s*=\s*[\"']([^\"']{1,500})[\"']", re.IGNORECASE),
)
_RST = (
    re.compile(r"`[^`<]{0,200}<([^>`\s]{1,300})>`_"),
    re.compile(r"^[ \t]{0,40}\.\.[ \t]+(?:image|figure|include|literalinclude)::\s+(\S{1,300})", re.MULTILINE),
)
_ELSEWHERE = re.compile(
    r"^(?:[a-zA-Z][\w+.-]*:|//|\\|mailto)|[{}<>$|]|^(?:\.\.\.|url|link|path|href|target|file|filename)$"
)
_LINES = re.compile(r"^L(\d+)(?:C\d+)?(?:-L?(\d+)(?:C\d+)?)?$")
_SITES: tuple[str, ...] = (
    "mkdocs.yml",
    "mkdocs.yaml",
    "conf.py",
    "_config.yml",
    "_toc.yml",
    "book.toml",
    "docusaurus.config.js",
)
_SITES += ("docusaurus.config.ts", "_quarto.yml", "antora.yml", "source/conf.py", "docs/conf.py", "hugo.toml")


class _Links:
    """The links of a project's documents."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._anchors: dict[str, frozenset[str]] = {}
        self._of_a_site: dict[str, bool] = {}
        self.looked_at = 0

    def wrong(self) -> Iterator[Place]:
        """Yield those that lead nowhere."""
        for document in documents_of(self._project):
            known: dict[str, str | None] = {}
            for line, link in _links(document):
                if _ELSEWHERE.search(link):
                    continue
                self.looked_at += 1
                if link not in known:
                    known[link] = self._problem(document, link)
                if problem := known[link]:
                    yield Place(document.path, line, problem)

    def _problem(self, document: Document, link: str) -> str | None:
        whole, _, anchor = link.partition("#")
        path = unquote(whole.partition("?")[0])
        if not path:
            return self._wrong_anchor(document.path, anchor, link) if document.is_markdown else None
        folder = PurePosixPath(document.path).parent
        is_of_a_site = self._is_of_a_site(folder)
        if path.startswith("/"):
            if is_of_a_site:
                return None
            place = normalised(path.lstrip("/"))
        else:
            place = normalised(f"{folder}/{path}")
        if not self._project.is_inside(place):
            return None
        if not self._project.exists(place):
            return None if is_of_a_site else f"the link leads to {path[:200]}, which does not exist"
        return self._wrong_anchor(place, anchor, link)

    def _wrong_anchor(self, place: str, anchor: str, link: str) -> str | None:
        if not anchor:
            return None
        wanted = unquote(anchor).lower()
        text = self._project.text(place) if not (self._project.root / place).is_dir() else None
        if text is None or text.digest is None:  # a folder, a binary, or a text of which the beginning alone is read
            return None
        if lines := _LINES.match(anchor):
            last = max(int(number) for number in lines.groups() if number and len(number) < 10)
            return (
                f"the link leads to line {last} of {place}, which has {len(text.lines)}"
                if last > len(text.lines)
                else None
            )
        if not place.lower().endswith((".md", ".markdown")) or self._is_of_a_site(PurePosixPath(place).parent):
            return None
        if place not in self._anchors:
            self._anchors[place] = anchors_of(Document(text))
        return None if wanted in self._anchors[place] else f"no heading of {place} has the anchor #{anchor[:200]}"

    def _is_of_a_site(self, folder: PurePosixPath) -> bool:
        """Return whether a generator of web sites is set up around a folder below the root: it has rules of its own."""
        key = folder.as_posix()
        if key not in self._of_a_site:
            around = (folder, *folder.parents) if key != "." else ()
            self._of_a_site[key] = any(self._project.exists(f"{each}/{name}") for each in around for name in _SITES)
        return self._of_a_site[key]


def judge(project: Project, run: Run) -> Sequence[Judgement]:
    """Follow every relative link."""
    links = _Links(project)
    wrong = list(links.wrong())
    return judge_places(
        project,
        wrong,
        looked_at=links.looked_at,
        unit="links",
        origin="a reader follows them",
        fix="write where it is now",
        nothing="no document has a relative link",
    )


def _links(document: Document) -> Iterator[tuple[int, str]]:
    prose = document.prose
    for form in _MARKDOWN if document.is_markdown else _RST:
        line = end = 0
        for found in form.finditer(prose):
            line += prose.count("\n", end, found.start())
            end = found.start()
            yield line + 1, next(group for group in found.groups() if group).strip()
