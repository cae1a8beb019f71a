"""Where reports are written, and where they are not: links, names that lead elsewhere, full disks, two at once."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.command import prepare_output
from audit.errors import UsageError
from audit.options import Format, Options
from audit.report.document import Report
from audit.report.files import WriteError, prepare_own_folder, write_atomically
from audit.report.publish import publish_report
from audit.report.rendering import rendered, write_rendered
from audit.report.write import inside, write_files
from audit.results import Defect, Explained, Outcome, Result, Subject, SubjectKind

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]
FORMS = [form for form in Format if form is not Format.TEXT]


@pytest.fixture
def report(make_report: MakeReport, make_result: MakeResult) -> Report:
    """A report with a reproducer."""
    failed = make_result(Outcome.FAILED).model_copy(update={"defect": Explained(id="a::b", how="shows it")})
    defect = {
        "id": "a::b", "bug": None, "title": "t", "subject": Subject(kind=SubjectKind.MODEL, spec="net"),
        "checks": ("area.first",), "explanation": "e", "why": "w", "fix": "f",
        "reproducer": {"file": "a.py", "script": "1\n", "case": "c", "measured": 1.0, "bound": 0.1},
    }  # fmt: skip
    return make_report([failed], defects=[Defect.model_validate(defect)])


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_written_whole_or_not_at_all(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch, form: Format
) -> None:
    path = tmp_path / "report"
    write_rendered(report, form, path)
    assert path.read_text() == rendered(report, form)
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(WriteError, match="No space left on device; what stood there is unchanged"):
        write_rendered(report.model_copy(update={"command": "smoke"}), form, path)
    assert files_below(tmp_path) == {"report": rendered(report, form).encode()}


@pytest.mark.parametrize("form", FORMS)
def test_a_link_under_the_files_name_is_replaced_and_what_it_points_to_stays(
    tmp_path: Path, report: Report, form: Format
) -> None:
    precious, path = tmp_path / "precious", tmp_path / "report"
    precious.write_text("precious")
    path.symlink_to(precious)
    write_rendered(report, form, path)
    assert precious.read_text() == "precious"
    assert not path.is_symlink()
    assert path.read_text() == rendered(report, form)


@pytest.mark.parametrize("name", ["readiness.json", "readiness.md", "readiness.html", "reproducers/a.py"])
def test_links_in_the_folder_lead_no_part_of_a_report_out_of_it(tmp_path: Path, report: Report, name: str) -> None:
    precious, out = tmp_path / "precious", tmp_path / "out"
    precious.write_text("precious")
    (out / name).parent.mkdir(parents=True)
    (out / name).symlink_to(precious)
    write_files(report, out)
    assert precious.read_text() == "precious"
    assert (out / name).read_text() != "precious"


def test_a_folder_of_reproducers_that_is_a_link_is_refused_and_the_report_is_there(
    tmp_path: Path, report: Report
) -> None:
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    elsewhere.mkdir()
    out.mkdir()
    (out / "reproducers").symlink_to(elsewhere)
    with pytest.raises(WriteError, match="reproducers: is a link to another place"):
        write_files(report, out)
    assert list(elsewhere.iterdir()) == []
    assert {"readiness.json", "readiness.md", "readiness.html"} <= files_below(out).keys()


@pytest.mark.parametrize("link", ["reports", "reports/latest"])
def test_a_checkout_whose_default_folder_is_a_link_gets_no_report_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "root"
    elsewhere.mkdir()
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to(elsewhere)
    monkeypatch.chdir(root)
    with pytest.raises(UsageError, match=f"^{link}: is a link to another place; --output does not go there"):
        prepare_own_folder(Path("reports/latest"))
    assert list(elsewhere.iterdir()) == []


def test_a_folder_that_the_user_names_may_be_a_link(tmp_path: Path) -> None:
    elsewhere, named = tmp_path / "elsewhere", tmp_path / "named"
    elsewhere.mkdir()
    named.symlink_to(elsewhere)
    prepare_output(Options(output=named))
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("name", ["../x.json", "/etc/x.json", "a/b.json", "..", ".", "", "a\\b", "a\0b"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WriteError, match="is no name of a file"):
        inside(tmp_path, name)


def test_a_report_of_a_command_whose_name_is_a_path_is_written_nowhere(
    tmp_path: Path, make_report: MakeReport, make_result: MakeResult
) -> None:
    out = tmp_path / "a" / "b"
    out.mkdir(parents=True)
    with pytest.raises(WriteError, match="is no name of a file"):
        write_files(make_report([make_result()], command="../../evil", release=False), out)
    assert files_below(tmp_path) == {}


@pytest.mark.parametrize("allowed", [0, 1, 2, 3])
def test_a_disk_that_fills_up_between_files_leaves_whole_ones_and_no_others(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    written = []
    fsync = os.fsync

    def fills_up(descriptor: int) -> None:
        if len(written) == allowed:
            full_disk()
        written.append(descriptor)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fills_up)
    with pytest.raises(WriteError, match="No space left on device"):
        write_files(report, tmp_path)
    names = ["readiness.json", "readiness.md", "readiness.html"][:allowed]
    found = files_below(tmp_path)
    assert sorted(found) == sorted(names)
    if allowed:
        assert Report.model_validate_json(found["readiness.json"]) == report


def test_a_badge_that_is_not_written_is_one_clear_error(
    tmp_path: Path, make_report: MakeReport, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    write_files(make_report([make_result()]), source)
    written: list[Any] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: full_disk() if len(written) == 2 else written.append(1))
    with pytest.raises(WriteError, match=r"readiness\.svg: could not be written"):
        publish_report(source, out)
    assert sorted(files_below(out)) == ["readiness.json", "readiness.md"]


def test_of_two_that_write_one_file_at_once_one_is_there_whole(tmp_path: Path) -> None:
    texts = [letter * 2_000_000 for letter in "abcd"]
    path = tmp_path / "report.json"
    threads = [threading.Thread(target=write_atomically, args=(path, text)) for text in texts for _ in range(3)]
    for thread in threads:
        thread.start()
    seen = set()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            seen.add(path.read_text())
    for thread in threads:
        thread.join()
    assert {*seen, path.read_text()} <= set(texts)
    assert list(tmp_path.iterdir()) == [path]
