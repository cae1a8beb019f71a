import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from audit import provenance


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one committed file in `project/`."""
    root = tmp_path / "repository"
    (root / "project").mkdir(parents=True)
    (root / "project" / "model.py").write_text("WIDTH = 1\n")
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "first")
    return root


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_clean_checkout_is_its_commit(repository: Path) -> None:
    assert provenance.git_state(repository / "project") == (git(repository, "rev-parse", "HEAD"), False)


def test_an_edited_file_makes_it_dirty(repository: Path) -> None:
    (repository / "project" / "model.py").write_text("WIDTH = 2\n")
    assert provenance.git_state(repository / "project")[1] is True


def test_an_untracked_file_makes_it_dirty(repository: Path) -> None:
    (repository / "project" / "new.py").write_text("")
    assert provenance.git_state(repository / "project")[1] is True


def test_a_deleted_file_makes_it_dirty(repository: Path) -> None:
    (repository / "project" / "model.py").unlink()
    assert provenance.git_state(repository / "project")[1] is True


def test_changes_outside_the_target_do_not_make_it_dirty(repository: Path) -> None:
    (repository / "elsewhere.py").write_text("")
    assert provenance.git_state(repository / "project")[1] is False


def test_no_repository_is_no_commit(tmp_path: Path) -> None:
    assert provenance.git_state(tmp_path) == (None, None)


def test_a_repository_without_a_commit_is_no_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert provenance.git_state(tmp_path) == (None, None)


def test_without_git_nothing_is_claimed(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert provenance.git_state(repository) == (None, None)


def test_reading_the_state_changes_no_file(repository: Path) -> None:
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}

    before = content()
    provenance.git_state(repository)
    assert content() == before


@pytest.mark.parametrize("variable", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"])
def test_a_hook_of_another_repository_does_not_lend_its_commit(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    # git sets these for the hooks it runs; the tool may be started from one.
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    git(other, "commit", "--quiet", "--allow-empty", "--message", "unrelated")
    expected = git(repository, "rev-parse", "HEAD")
    paths = {"GIT_DIR": other / ".git", "GIT_WORK_TREE": other, "GIT_INDEX_FILE": other / ".git" / "index"}
    monkeypatch.setenv(variable, str(paths[variable]))
    assert provenance.git_state(repository / "project") == (expected, False)


@pytest.mark.parametrize("setting", ["core.fsmonitor", "filter.own.clean", "filter.own.process"])
def test_the_repositorys_own_configuration_starts_no_program(repository: Path, setting: str) -> None:
    # The audited repository is not trusted, and this runs in the auditor's process, outside every limit.
    proof = repository.parent / "started"
    (repository / ".gitattributes").write_text("* filter=own\n")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "second")
    git(repository, "config", setting, f"touch '{proof}'; cat")
    (repository / "project" / "model.py").write_text("WIDTH = 2\n")
    assert provenance.git_state(repository)[1] in (True, None)
    assert not proof.exists()


def test_times_are_utc_to_the_second() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", provenance.now())


def test_the_auditor_is_this_interpreter_and_machine() -> None:
    assert provenance.interpreter() == platform.python_version()
    assert provenance.machine() == (f"{platform.system()} {platform.release()}", platform.machine())


def test_torch_is_told_without_importing_it() -> None:
    code = (
        "import sys; from audit import provenance; assert provenance.loaded_torch() is None;"
        "assert 'torch' not in sys.modules; sys.modules['torch'] = type(sys)('torch');"
        "sys.modules['torch'].__version__ = '2.99'; assert provenance.loaded_torch() == '2.99'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
