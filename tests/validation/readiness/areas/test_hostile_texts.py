"""Texts that were made to keep a search busy are read in the time of any other, and so are odd names and links."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from audit.report.markdown import render_markdown
from audit.report.terminal import print_report
from audit.results import Outcome

from .test_hostile_checkpoints import safetensors
from .written import SETTINGS, report_of, write

MANY = 2**20 - 100
pytestmark = pytest.mark.timeout(120)  # each takes a second or two; a search that is quadratic takes hours
TEXTS = {
    "brackets": "[" * MANY,
    "nested brackets": "[[a]" * (MANY // 4),
    "images": "![a](" * (MANY // 5),
    "comments": "<!--" * (MANY // 4),
    "backticks": "`` a" * (MANY // 4),
    "fences": "```" + " " * MANY + "`",
    "headings": "# " + " #" * (MANY // 2) + "x\n[a](#b)\n",
    "blank lines": "\n" * MANY,
    "directives": " " * MANY + "..",
    "tags": "<a " * (MANY // 3),
    "commands": "`astrobio-audit` " * (MANY // 17),
    "links": "[a](b)" * (MANY // 6),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("path", ["README.md", "README.rst"])
def test_a_document_is_read_in_time(tmp_path: Path, name: str, path: str) -> None:
    report = report_of(write(tmp_path, {path: TEXTS[name]}), "documents")
    assert all("internal error" not in (each.reason or "") for each in report.results)


OTHERS = {
    "lock": {"uv.lock": "\n" * MANY, "requirements.txt": " " * MANY},
    "script": {"run.sh": "#!/bin/sh\n" + "./x.sh\n" * 100_000},
    "substitutions": {"run.sh": "#!/bin/sh\ncd " + "$(cd " * 100_000},
    "makefile": {"Makefile": "a" * MANY + "\n" + "b " * (MANY // 4), "run.sh": "make x\n" * 5000},
    "dockerfile": {"Dockerfile": "FROM x\nCOPY " + "a " * (MANY // 2)},
    "continued": {"Dockerfile": "FROM x\n" + "COPY a \\\n" * 50_000},
    "workflow": {".github/workflows/a.yml": "on: push\njobs:\n" + "  - a\n" * 30_000},
    "aliases": {".github/workflows/a.yml": "a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(9000))},
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_text_is_read_in_time(tmp_path: Path, name: str) -> None:
    files: dict[str, Any] = OTHERS[name]
    report = report_of(write(tmp_path, files), "infrastructure", "security")
    assert all("internal error" not in (each.reason or "") for each in report.results)


@pytest.mark.slow
def test_scripts_of_a_project_without_end_are_looked_up_to_a_limit(tmp_path: Path) -> None:
    scripts = "".join(f'c{number} = "zoo.gone:main"\n' for number in range(20_000))
    table = f'[project]\nname = "zoo"\nversion = "1"\n[project.scripts]\n{scripts}{SETTINGS}'
    report = report_of(write(tmp_path, {"pyproject.toml": table}), "infrastructure.entry_points")
    assert {each.outcome for each in report.results} == {Outcome.FAILED}


def test_a_loop_of_links_and_names_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    root = write(tmp_path, {"README.md": "[a](loop/loop/x) [b](%00) [c](" + "d" * 490 + ")\n"})
    (root / "loop").symlink_to(root / "loop")
    (root / "outside.md").symlink_to("/etc/passwd")
    (root / "weights.pt").symlink_to(root / "nowhere.pt")
    (root / b"na\xffme.sh".decode("utf-8", "surrogateescape")).write_text("#!/bin/sh\nif\n")
    report = report_of(root)
    assert all("internal error" not in (each.reason or "") for each in report.results)
    links = [each for each in report.results if each.check == "documents.links_lead"]
    assert {each.outcome for each in links} == {Outcome.FAILED}


def test_escapes_of_a_terminal_and_markup_in_what_is_named_do_not_reach_the_reader(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07<script>alert(1)</script>"
    files: dict[str, Any] = {
        "README.md": f"[a](<{evil.replace('>', '')}.md>)\n\n```bash\nastrobio-audit '{evil}'\n```\n",
        "run.sh": f"#!/bin/sh\nbash 'x{evil}.sh'\nif\n",
        "w.safetensors": safetensors({evil: {"dtype": "X", "shape": [1], "data_offsets": [0, 1]}}),
        "x.pkl": b"\x80\x02cos\n" + evil.encode() + b"\n.",
    }
    report = report_of(write(tmp_path, files))
    assert sum(each.outcome is Outcome.FAILED for each in report.results) >= 4
    shown = io.StringIO()
    print_report(report, Console(file=shown, width=200))
    for text in (shown.getvalue(), render_markdown(report), report.model_dump_json()):
        assert "\x1b" not in text
        assert "\x07" not in text
    assert "<script>" not in render_markdown(report)
