"""Workflows, scripts, hooks, containers and entry points: right ones, one edit away, and what is not judged."""

import os
from pathlib import Path
from typing import Any

import pytest

from audit.results import Outcome
from validation.readiness.infrastructure import scripts_parse

from .written import SETTINGS, outcome, results

WORKFLOW = """
name: ci
on: [push]
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: make test
      - run: |
          pip install -r requirements.txt
          bash scripts/check.sh && python tools/make.py --fast
          python -m zoo.train
          .venv/bin/pytest tests/unit
  publish:
    needs: test
    runs-on: ubuntu-latest
    steps:
      - uses: ./actions/publish
"""
HOOKS = """
repos:
  - repo: local
    hooks:
      - id: check
        name: check
        entry: scripts/check.sh
        language: script
      - id: audit
        name: audit
        entry: .venv/bin/astrobio-audit static
        language: system
  - repo: https://example.org/hooks
    rev: v1
    hooks:
      - id: other
"""
ACTION = "name: publish\nruns:\n  using: composite\n  steps:\n    - run: echo\n      shell: bash\n"
CI = ".github/workflows/ci.yml"
DOCKERFILE = """
ARG VERSION=3.12
FROM python:${VERSION} AS base
COPY --chown=me pyproject.toml zoo/ ./
COPY ["requirements.txt", "/srv/"]
ADD https://example.org/x.tar.gz /tmp/
COPY tests/*/ /tests/
COPY --from=base /usr/bin/x /usr/bin/x
RUN <<EOF
COPY nothing nowhere
EOF
COPY ${WHAT} scripts/check.sh \\
  /srv/
"""
PROJECT: dict[str, Any] = {
    CI: WORKFLOW,
    ".pre-commit-config.yaml": HOOKS,
    "Dockerfile": DOCKERFILE,
    "Makefile": "test: zoo\n\techo\nzoo:\n\techo\n",
    "requirements.txt": "",
    "scripts/check.sh": '#!/bin/bash\nset -e\ncd "$(dirname "$0")/.."\nif [ -f x ]; then make zoo; fi\n',
    "tools/make.py": "",
    "tests/unit/test_a.py": "",
    "zoo/train.py": "",
    "actions/publish/action.yml": ACTION,
    "pyproject.toml": f'[project]\nname = "zoo"\nversion = "1"\n[project.scripts]\nzoo = "zoo.train:main"\n{SETTINGS}',
}
PROJECT["zoo/train.py"] = "def main():\n    pass\n"
CHECKS = ("workflows_parse", "commands_exist", "scripts_parse", "entry_points", "hooks_exist", "container_files")


def changed(path: str, old: str, new: str) -> dict[str, Any]:
    assert old in PROJECT[path]
    return {**PROJECT, path: PROJECT[path].replace(old, new)}


def without(path: str) -> dict[str, Any]:
    return {name: content for name, content in PROJECT.items() if name != path}


@pytest.mark.parametrize("check", CHECKS)
def test_what_is_there_passes(tmp_path: Path, check: str) -> None:
    assert outcome(tmp_path, f"infrastructure.{check}", PROJECT) == (Outcome.PASSED, "")


@pytest.mark.parametrize("check", CHECKS)
def test_a_project_without_any_is_not_concerned(tmp_path: Path, check: str) -> None:
    assert outcome(tmp_path, f"infrastructure.{check}", {})[0] is Outcome.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("check", "files", "words"),
    [
        ("workflows_parse", changed(CI, "    steps:\n      - uses: a", "   steps:\n      - uses: a"), "no YAML"),
        ("workflows_parse", changed(CI, "on: [push]\n", ""), "no `on`"),
        ("workflows_parse", changed(CI, "needs: test", "needs: tests"), "needs 'tests'"),
        ("workflows_parse", changed(CI, "      - run: make test", "      - name: make test"), "neither `run` nor"),
        ("workflows_parse", changed("actions/publish/action.yml", "      shell: bash\n", ""), "no `shell`"),
        ("workflows_parse", changed("actions/publish/action.yml", "using", "use"), "no `runs` with `using`"),
        ("workflows_parse", without("actions/publish/action.yml"), "uses ./actions/publish"),
        ("commands_exist", changed(CI, "make test", "make tests"), "no target 'tests'"),
        ("commands_exist", changed("Makefile", "zoo:", "zoos:"), "no target 'zoo'"),
        ("commands_exist", changed("Makefile", "\techo\nzoo", "\t@bash tools/gone.sh\nzoo"), "tools/gone.sh"),
        ("commands_exist", changed(CI, "scripts/check.sh", "scripts/chek.sh"), "scripts/chek.sh does not exist"),
        ("commands_exist", without("requirements.txt"), "requirements.txt does not exist"),
        ("commands_exist", without("tools/make.py"), "tools/make.py does not exist"),
        ("commands_exist", changed(CI, "-m zoo.train", "-m zoo.trian"), "no module zoo.trian"),
        ("commands_exist", changed(CI, "tests/unit", "tests/units"), "tests/units does not exist"),
        ("commands_exist", changed("scripts/check.sh", "make zoo", "astrobio-audit statik"), "no command 'statik'"),
        ("scripts_parse", changed("scripts/check.sh", "; fi", ""), "syntax error"),
        ("entry_points", changed("zoo/train.py", "main", "start"), "zoo.train names no main"),
        ("entry_points", without("zoo/train.py"), "no module zoo.train"),
        ("hooks_exist", changed(".pre-commit-config.yaml", "scripts/check.sh", "scripts/chek.sh"), "scripts/chek.sh"),
        ("hooks_exist", changed(".pre-commit-config.yaml", "        language: script\n", ""), "has no language"),
        ("hooks_exist", changed(".pre-commit-config.yaml", "audit static", "audit statik"), "no command 'statik'"),
        ("hooks_exist", changed(".pre-commit-config.yaml", "repos:", "repos: ["), "no YAML"),
        ("container_files", without("requirements.txt"), "COPY of requirements.txt"),
        ("container_files", changed("Dockerfile", "tests/*/", "test/*/"), "COPY of test/*/"),
        ("container_files", changed("Dockerfile", "FROM python:${VERSION} AS base\n", ""), "does not begin with FROM"),
    ],
)  # fmt: skip
def test_one_edit_fails(tmp_path: Path, check: str, files: dict[str, Any], words: str) -> None:
    found = results(tmp_path, f"infrastructure.{check}", files)
    assert {each.outcome for each in found} == {Outcome.FAILED}
    assert any(words in (each.reason or "") for each in found), [each.reason for each in found]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("zoo-train fit --epochs 3", ""),
        (".venv/bin/zoo-train fit", ""),
        ("zoo-train $WHAT", ""),
        ("other trane --epoch 3", ""),
        ("zoo-train fti", "names the command 'fti'"),
        ("make test && zoo-train fit --epoch-count 3", "names the option --epoch-count"),
    ],
)
def test_commands_of_the_project_itself_are_named_in_its_sources(tmp_path: Path, line: str, said: str) -> None:
    sources = (
        "import argparse\n\n\ndef main():\n    parser = argparse.ArgumentParser()\n"
        "    fit = parser.add_subparsers().add_parser('fit')\n    fit.add_argument('--epochs')\n"
    )
    files = {
        "pyproject.toml": f'{SETTINGS}[project]\nname = "zoo"\n[project.scripts]\nzoo-train = "zoo.train:main"\n',
        "zoo/train.py": sources,
        "Makefile": "test:\n\techo\n",
        CI: WORKFLOW.partition("      - run: |")[0] + f"      - run: {line}\n",
    }
    found = outcome(tmp_path, "infrastructure.commands_exist", files)
    assert found[0] is (Outcome.FAILED if said else Outcome.PASSED), found
    assert said in found[1]


def test_a_syntax_error_is_found_on_its_line(tmp_path: Path) -> None:
    (result,) = results(tmp_path, "infrastructure.scripts_parse", {"run": "#!/bin/sh\necho\nif true; then\n"})
    assert result.location is not None
    assert (result.location.path, result.location.line) == ("run", 4)


def test_reading_a_script_runs_nothing_of_it(tmp_path: Path) -> None:
    script = f"#!/bin/bash\ntouch {tmp_path}/made\nset +n\ntouch {tmp_path}/made\n"
    assert outcome(tmp_path, "infrastructure.scripts_parse", {"run.sh": script})[0] is Outcome.PASSED
    assert not (tmp_path / "made").exists()


def test_without_bash_scripts_are_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts_parse.shutil, "which", lambda name: None)
    found = outcome(tmp_path, "infrastructure.scripts_parse", PROJECT)
    assert found == (Outcome.SKIPPED, "bash is not installed; it would parse 1 scripts")


@pytest.mark.parametrize(
    "script",
    [
        "cd build && ./configure\n./made.sh\n",
        "curl -o tool.sh https://example.org/tool.sh\nbash tool.sh\n",
        "[ -x ./other.sh ] && ./other.sh\n",
        "cat > run.py <<EOF\nmake nothing\nbash gone.sh\nEOF\npython run.py\n",
        'bash "$1/x.sh"; ./*.sh; "${HERE}"/y.sh\n',
        "cd $SOMEWHERE\n./x.sh\n",
        "python -m other.module; python -c 'import x'; .venv/bin/pip install x\n",
    ],
)
def test_what_the_text_does_not_tell_is_not_judged(tmp_path: Path, script: str) -> None:
    found = outcome(tmp_path, "infrastructure.commands_exist", {"run.sh": script})
    assert found[0] in (Outcome.PASSED, Outcome.NOT_APPLICABLE), found


@pytest.mark.parametrize(
    "bomb",
    ["a: &a [x, x]\nb: &b [*a, *a]\non: *b\njobs: *b\n", "[" * 5000, "a: 2020-13-45\n", "a: !!python/name:os.system\n"],
)
def test_a_hostile_workflow_is_told_and_runs_nothing(tmp_path: Path, bomb: str) -> None:
    assert outcome(tmp_path, "infrastructure.workflows_parse", {".github/workflows/a.yml": bomb})[0] is Outcome.FAILED


DOCKER = '#!/bin/sh\necho "$@" >> {log}\ncase $1 in build) exit {code};; esac\n'


@pytest.mark.parametrize(("code", "expected"), [(0, Outcome.PASSED), (3, Outcome.FAILED)])
def test_the_container_is_built_where_the_user_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, expected: Outcome
) -> None:
    check, log = "infrastructure.container_builds", tmp_path / "log"
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "docker").write_text(DOCKER.format(log=log, code=code))
    (programs / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    assert outcome(tmp_path / "project", check, PROJECT)[0] is Outcome.SKIPPED
    assert not log.exists()
    assert outcome(tmp_path / "project", check, None, builds=True)[0] is expected
    assert log.read_text().splitlines() == ["info", "build --quiet --file Dockerfile ."]


def test_without_a_service_the_container_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "docker").write_text("#!/bin/sh\nexit 1\n")
    (programs / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    found = outcome(tmp_path / "project", "infrastructure.container_builds", PROJECT, builds=True)
    assert found == (Outcome.SKIPPED, "docker is not installed, or its service does not answer")
