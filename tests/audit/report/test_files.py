import errno
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.errors import UsageError
from audit.report.document import Report
from audit.report.files import WriteError, prepare_folder, replace_content, write_atomically
from audit.report.write import report_json, write_files
from audit.results import Result

MakeReport = Callable[..., Report]
MakeResult = Callable[..., Result]


def test_the_text_is_written_as_it_is(tmp_path: Path) -> None:
    write_atomically(tmp_path / "report.json", "ä\nb\r\nc")
    assert (tmp_path / "report.json").read_bytes() == "ä\nb\r\nc".encode()


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for text in ("first", "second"):
        write_atomically(tmp_path / "report.json", text)
    assert (tmp_path / "report.json").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_others_may_read_the_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "report.json", "text")
    assert stat.S_IMODE((tmp_path / "report.json").stat().st_mode) == 0o644


def test_a_reader_that_has_the_old_file_open_keeps_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_atomically(path, "old")
    with path.open() as reader:
        write_atomically(path, "new and longer")
        assert reader.read() == "old"


@pytest.mark.parametrize("failing", ["fsync", "replace", "chmod"])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "report.json"
    write_atomically(path, "old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(WriteError, match=r"report\.json: could not be written: No space left on device"):
        write_atomically(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["report.json"]


def test_a_write_beyond_the_limit_of_the_system_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_atomically(path, "old")
    code = (
        "import signal, sys; from pathlib import Path; from audit.report.files import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "try: write_atomically(Path(sys.argv[1]), 'x' * 100_000)\n"
        "except WriteError as error: print(error); sys.exit(9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )
    assert (done.returncode, done.stderr) == (9, "")
    assert "File too large; what stood there is unchanged" in done.stdout
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize("name", ["absent/report.json", "file/report.json", "n" * 300])
def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="could not be written"):
        write_atomically(tmp_path / name, "text")


def test_a_folder_under_the_files_name_stays(tmp_path: Path) -> None:
    (tmp_path / "report.json").mkdir()
    with pytest.raises(WriteError):
        write_atomically(tmp_path / "report.json", "text")
    assert [each.name for each in tmp_path.iterdir()] == ["report.json"]


def test_a_text_that_cannot_be_encoded_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_atomically(path, "old")
    with pytest.raises((WriteError, UnicodeEncodeError)):
        write_atomically(path, "file name \udcff")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["report.json"]


def test_a_folder_is_prepared_with_its_parents(tmp_path: Path) -> None:
    prepare_folder(tmp_path / "a" / "b")
    prepare_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("name", ["file", "file/inside", "n" * 300])
def test_a_folder_that_cannot_be_is_a_usage_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot be created: .*; name another folder"):
        prepare_folder(tmp_path / name)


@pytest.mark.parametrize("name", ["dangling", "dangling/inside"])
def test_a_link_to_nothing_in_place_of_a_folder_is_told_as_one(tmp_path: Path, name: str) -> None:
    link = tmp_path / "dangling"
    link.symlink_to("absent")
    with pytest.raises(UsageError, match=rf"{link} is a link to absent, where nothing is; remove the link, or name"):
        prepare_folder(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_may_not_be_written_is_a_usage_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="not writable"):
        prepare_folder(tmp_path)


def test_a_report_is_three_files_that_say_the_same(
    tmp_path: Path, make_report: MakeReport, make_result: MakeResult
) -> None:
    report = make_report([make_result()])
    write_files(report, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "readiness.html",
        "readiness.json",
        "readiness.md",
    ]
    assert Report.model_validate_json((tmp_path / "readiness.json").read_text()) == report
    assert (tmp_path / "readiness.json").read_text() == report_json(report)
    assert (tmp_path / "readiness.md").read_text().startswith("**Verdict: ready**")
    assert ">Verdict: ready</h1>" in (tmp_path / "readiness.html").read_text()


def test_a_report_with_a_name_that_is_no_unicode_can_be_written(
    tmp_path: Path, make_report: MakeReport, make_result: MakeResult
) -> None:
    # A file name on Linux is bytes; Python shows those that are not UTF-8 as lone surrogates.
    report = make_report([make_result(name="mod\udcffel")], partial_reason="limited to --subject mod\udcffel")
    write_files(report, tmp_path)
    assert Report.model_validate_json((tmp_path / "readiness.partial.json").read_bytes()) == report
    assert report.results[0].subject.name == "mod\\udcffel"


def test_a_usage_error_names_the_option_that_gave_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"^--to .*file: cannot be created"):
        prepare_folder(tmp_path / "file", option="--to")


def test_a_write_that_is_interrupted_leaves_nothing_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "report.json", "text")
    assert list(tmp_path.iterdir()) == []


def test_the_mode_stays_and_nothing_is_left_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"old")
    path.chmod(0o754)
    replace_content(path, b"new", expected=b"old")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o754
    assert [each.name for each in tmp_path.iterdir()] == ["a.py"]


def test_a_file_that_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"newer")
    with pytest.raises(WriteError, match="changed since it was read"):
        replace_content(path, b"new", expected=b"old")
    assert path.read_bytes() == b"newer"
    assert [each.name for each in tmp_path.iterdir()] == ["a.py"]


def test_a_read_only_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(WriteError, match="read-only"):
        replace_content(path, b"new", expected=b"old")
    assert path.read_bytes() == b"old"


def test_a_full_disk_leaves_the_file_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match="No space left on device; what stood there is unchanged"):
        replace_content(path, b"new", expected=b"old")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.py"]
