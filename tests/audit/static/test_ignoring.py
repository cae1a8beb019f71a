import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.static.discovery import discover

Tree = Callable[[Mapping[str, str | bytes]], Path]

FILES = ["x.py", "a.py", "a/x.py", "a/b/y.py", "b/x.py", "b/a/x.py", "pkg/x.py", "pkg/a/b/x.py"]
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="compares with git, which is not installed")


def kept_by_git(root: Path) -> list[str]:
    command = ["git", "-C", str(root), "-c", "core.excludesFile=", "ls-files", "-o", "--exclude-standard", "-z"]
    listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return sorted(path for path in listed.split("\0") if path.endswith(".py"))


def kept(root: Path) -> list[str]:
    return [file.relative for file in discover(root, root).files]


@needs_git
@pytest.mark.parametrize(
    "ignore_files",
    [
        {".gitignore": "a/\n!a/b/\n"},
        {".gitignore": "/*\n!/pkg/\n"},
        {".gitignore": "*\n!*/\n!x.py\n"},
        {".gitignore": "a/**\n!a/x.py\n"},
        {".gitignore": "**/b/\n"},
        {".gitignore": "a\n", "pkg/.gitignore": "!a\n"},
        {".gitignore": "x.py\n", "pkg/a/.gitignore": "!x.py\n"},
        {".gitignore": "b/x.py\n/x.py\n"},
        {".gitignore": "\\!x.py\n#a\nx.py   \n\n!\n"},
        {".gitignore": "\ufeffx.py\r\npkg/\r\n"},
        {"pkg/.gitignore": "/x.py\na/b\n"},
        {".gitignore": "[!a]/\n?.py\n"},
    ],
    ids=lambda files: " + ".join(f"{path}={content!r}" for path, content in files.items()),
)
def test_the_files_kept_are_those_that_git_keeps(tree: Tree, ignore_files: dict[str, str]) -> None:
    root = tree(dict.fromkeys(FILES, "") | ignore_files)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    assert kept(root) == kept_by_git(root)


ATOMS = st.sampled_from(["a", "b", "pkg", "x.py", "*.py", "*", "?", "a*", "[ab]"])
PATTERNS = st.just("**/a") | st.builds(
    lambda sign, parts, end: sign + "/".join(parts) + end,
    st.sampled_from(["", "", "/", "!", "!/"]),
    st.lists(ATOMS, min_size=1, max_size=3),
    st.sampled_from(["", "", "/"]),
)


@needs_git
@settings(max_examples=40, deadline=None)
@given(lines=st.lists(PATTERNS, min_size=1, max_size=4), nested=st.lists(PATTERNS, max_size=2))
def test_any_two_ignore_files_keep_what_git_keeps(lines: list[str], nested: list[str]) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for file in FILES:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).touch()
        (root / ".gitignore").write_text("\n".join(lines))
        (root / "a/.gitignore").write_text("\n".join(nested))
        subprocess.run(["git", "init", "-q", folder], check=True)
        assert kept(root) == kept_by_git(root)
