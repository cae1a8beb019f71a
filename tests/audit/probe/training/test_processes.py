"""Where the processes of training commands keep what is theirs for a while."""

import tempfile
from pathlib import Path

from audit.probe.training.processes import environment


def test_temporary_files_of_a_run_are_in_its_folder() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        given = environment("source", Path(name))
        assert given["TMPDIR"] == f"{name}/tmp"
        assert Path(given["TMPDIR"]).is_dir()
        assert given["PYTHONPATH"].startswith("source")


def test_a_folder_too_deep_for_the_paths_of_sockets_leaves_them_where_they_are(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 80)
    deep.mkdir()
    before = environment("source", tmp_path).keys() - {"TMPDIR"}
    given = environment("source", deep)
    assert before <= given.keys()
    assert not (deep / "tmp").exists()
