"""What can be said of the Dockerfile without building it."""

import json
import re
import subprocess
from pathlib import Path

import pathspec
import pytest

ROOT = Path(__file__).parents[2]
JOINED = re.sub(r"\\\n", "", (ROOT / "Dockerfile").read_text())
LINES = [line.split(None, 1) for line in JOINED.split("\n") if line.strip() and not line.startswith("#")]
SHELL = [rest for word, rest in LINES if word == "RUN"]
COPIED = [name for word, rest in LINES if word == "COPY" for name in rest.split()[:-1]]
(TORCH,) = (line for line in SHELL if line.startswith("case"))
(OWN,) = (line for line in SHELL if "extras" in line)
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def test_every_file_that_is_copied_exists_and_is_sent_to_the_builder() -> None:
    ignored = pathspec.GitIgnoreSpec.from_lines((ROOT / ".dockerignore").read_text().splitlines())
    assert COPIED
    for name in COPIED:
        assert (ROOT / name).exists(), name
        inner = f"{name}/__init__.py" if (ROOT / name).is_dir() else name
        assert not ignored.match_file(inner), name
    assert ignored.match_file(".git/config")
    assert ignored.match_file("tests/conftest.py")


def test_what_the_wheel_is_built_of_is_copied() -> None:
    metadata = (ROOT / "pyproject.toml").read_text()
    packages = re.search(r"\[tool\.hatch\.build\.targets\.wheel\]\npackages = (\[.*\])", metadata)
    assert packages
    assert {*json.loads(packages[1]), "README.md", "LICENSE", "pyproject.toml"} <= set(COPIED)


@pytest.mark.parametrize("script", SHELL)
def test_every_script_parses(script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def ran(script: str, device: str, index: str = "") -> tuple[int, str]:
    """Run a line with a `pip` that tells its arguments."""
    done = subprocess.run(
        ["sh", "-c", f'pip() {{ echo "$@"; }}\n{script}'],
        env={"DEVICE": device, "TORCH_INDEX": index, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("device", "extras"), [("cpu", "plots"), ("cuda", "gpu,plots")])
def test_the_device_chooses_what_is_installed_beside(device: str, extras: str) -> None:
    assert ran(OWN, device)[1].split()[-1] == f".[{extras}]"


def test_torch_comes_from_the_index_that_is_named_where_one_is() -> None:
    assert "index" not in ran(TORCH, "cpu")[1]
    assert (
        "--extra-index-url https://index.example/cpu torch" in ran(TORCH, "cpu", index="https://index.example/cpu")[1]
    )


def test_another_device_is_refused() -> None:
    assert ran(TORCH, "tpu") == (2, "DEVICE is cpu or cuda, not tpu\n")


def test_the_image_starts_a_command_of_ours() -> None:
    entry = json.loads(next(rest for word, rest in LINES if word == "ENTRYPOINT"))
    assert entry == ["astrobio-audit"]
    assert 'astrobio-audit = "audit.entry:main"' in (ROOT / "pyproject.toml").read_text()


def test_the_changelog_has_the_version_of_the_package_and_known_headings() -> None:
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), flags=re.MULTILINE)
    assert version
    assert re.findall(r"^## (.*)$", CHANGELOG, flags=re.MULTILINE)[:2] == ["[Unreleased]", version[1]]
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", CHANGELOG, flags=re.MULTILINE)) <= kinds
