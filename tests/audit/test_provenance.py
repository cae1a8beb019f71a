import os
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


def filter_everything(root: Path, driver: str, command: str) -> None:
    """Give the repository a filter that every file goes through, and that git must run to know more."""
    (root / ".git" / "info" / "attributes").write_text(f"* filter={driver}\n")
    with (root / ".git" / "config").open("a") as config:
        config.write(f'[filter "{driver}"]\n\tclean = {command}\n\trequired = true\n')
    (root / "project" / "model.py").write_text("WIDTH = 2\n")


@pytest.mark.parametrize("driver", ["own", "a=b", "a.b", "A.clean", "ä", "-c", "x=.clean"])
def test_no_filter_is_run_whatever_it_is_called(repository: Path, driver: str) -> None:
    proof = repository.parent / "started"
    filter_everything(repository, driver, f"touch '{proof}'")
    git(repository, "status")
    assert proof.exists()  # git runs it
    proof.unlink()
    assert provenance.git_state(repository)[1] is None
    assert not proof.exists()


@pytest.mark.parametrize("place", ["include", "worktree"])
def test_no_filter_is_run_wherever_it_is_defined(repository: Path, place: str) -> None:
    proof = repository.parent / "started"
    filter_everything(repository, "own", f"touch '{proof}'")
    config = repository / ".git" / "config"
    config.rename(repository / ".git" / "config.worktree")
    version = "[core]\n\trepositoryformatversion = 1\n"
    more = "[include]\n\tpath = config.worktree\n" if place == "include" else "[extensions]\n\tworktreeConfig = true\n"
    config.write_text(version + more)
    git(repository, "status")
    assert proof.exists()
    proof.unlink()
    assert provenance.git_state(repository)[1] is None
    assert not proof.exists()


def test_a_filtered_file_as_it_was_checked_out_is_clean(repository: Path) -> None:
    filter_everything(repository, "own", "false")
    (repository / "project" / "model.py").write_text("WIDTH = 1\n")
    assert provenance.git_state(repository)[1] is False


def test_an_edited_file_beside_filtered_ones_makes_it_dirty(repository: Path) -> None:
    (repository / "project" / "weights.bin").write_text("1")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "second")
    filter_everything(repository, "own", "cat")
    (repository / ".git" / "info" / "attributes").write_text("*.bin filter=own\n")
    (repository / "project" / "weights.bin").write_text("2")
    assert provenance.git_state(repository / "project")[1] is True
    git(repository, "checkout", "--quiet", "project/model.py")
    assert provenance.git_state(repository / "project")[1] is None


def test_what_is_missing_is_not_fetched_with_the_repositorys_program(repository: Path) -> None:
    proof = repository.parent / "started"
    tree = git(repository, "rev-parse", "HEAD^{tree}")
    for setting, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "own",
        "remote.own.promisor": "true",
        "remote.own.url": str(repository),
        "remote.own.uploadpack": f"touch '{proof}';",
    }.items():
        git(repository, "config", setting, value)
    (repository / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(subprocess.CalledProcessError):
        git(repository, "status")
    assert proof.exists()
    proof.unlink()
    commit, dirty = provenance.git_state(repository)
    assert commit
    assert dirty is None
    assert not proof.exists()


@pytest.fixture
def submodule(repository: Path, tmp_path: Path) -> Path:
    """The work tree of a clean submodule in `project/`."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "part.py").write_text("WIDTH = 1\n")
    git(other, "init", "--quiet")
    git(other, "add", "--all")
    git(other, "commit", "--quiet", "--message", "first")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "project/part")
    git(repository, "commit", "--quiet", "--message", "with a part")
    return repository / "project" / "part"


def test_a_submodule_is_clean_until_it_is_edited(repository: Path, submodule: Path) -> None:
    assert provenance.git_state(repository / "project")[1] is False
    (submodule / "part.py").write_text("WIDTH = 2\n")
    assert provenance.git_state(repository / "project")[1] is True


def test_another_commit_of_a_submodule_makes_it_dirty(repository: Path, submodule: Path) -> None:
    git(submodule, "commit", "--quiet", "--allow-empty", "--message", "another")
    assert provenance.git_state(repository / "project")[1] is True


def test_the_configuration_of_a_submodule_starts_no_program(repository: Path, submodule: Path) -> None:
    proof = repository.parent / "started"
    git(submodule, "config", "filter.own.clean", f"touch '{proof}'; cat")
    (repository / ".git/modules/project/part/info/attributes").write_text("* filter=own\n")
    (submodule / "part.py").write_text("WIDTH = 2\n")
    git(repository, "status")
    assert proof.exists()
    proof.unlink()
    assert provenance.git_state(repository / "project")[1] is None
    assert not proof.exists()


@pytest.mark.parametrize("content", ["gitdir: ../..", "gitdir: ../../.git", "gitdir: /nowhere", ""])
def test_a_submodule_that_leads_elsewhere_ends(repository: Path, submodule: Path, content: str) -> None:
    (submodule / ".git").write_text(content)
    (submodule / "project").symlink_to(".")
    assert provenance.git_state(repository / "project")[1] in (True, None)


def test_a_submodule_that_is_not_checked_out_is_clean(repository: Path, submodule: Path) -> None:
    git(repository, "submodule", "--quiet", "deinit", "--force", str(submodule))
    assert provenance.git_state(repository / "project")[1] is False


@pytest.mark.parametrize("mark", ["--assume-unchanged", "--skip-worktree"])
def test_files_marked_as_not_to_be_looked_at_are_not_called_clean(repository: Path, mark: str) -> None:
    git(repository, "update-index", mark, "project/model.py")
    assert provenance.git_state(repository / "project")[1] is None


def test_a_file_whose_name_is_no_text_is_a_file_like_others(repository: Path) -> None:
    (repository / "project" / os.fsdecode(b"\xff.py")).write_text("")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "second")
    assert provenance.git_state(repository / "project")[1] is False


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
