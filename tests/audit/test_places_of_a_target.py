"""Where a target, its package, its specs and its interpreter may lie."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.target import Target

from .tables import configured, refusal


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        ("zoo.spces", "zoo.spces: there is no module spces in zoo; did you mean zoo.specs?"),
        ("zoo.inner.specs", "zoo.inner.specs: there is no module specs in zoo/inner"),
        ("zoo.xyzzy.specs", "zoo.xyzzy.specs: there is no module xyzzy in zoo"),
    ],
)
def test_specs_that_have_no_file_are_refused_before_any_work(project: Path, specs: str, said: str) -> None:
    for name in ("__init__.py", "specs.py", "inner/__init__.py"):
        (project / "zoo" / name).parent.mkdir(exist_ok=True)
        (project / "zoo" / name).touch()
    line = refusal(configured(project, f"package = 'zoo'\nspecs = {specs!r}"))
    assert line.endswith(f"pyproject.toml: [tool.astrobio-audit] specs: {said}")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.symlink_to("nowhere.py"), "a link that leads nowhere"),
        (Path.mkdir, "a folder"),
        (os.mkfifo, "no regular file"),
    ],
)
def test_specs_whose_file_cannot_be_read_are_told_so(project: Path, make: Callable[[Path], object], said: str) -> None:
    (project / "zoo" / "__init__.py").touch()
    make(project / "zoo" / "specs.py")
    configured(project, "package = 'zoo'\nspecs = 'zoo.specs'")
    assert refusal(project).endswith(f"zoo.specs: zoo/specs.py is {said}")
    (project / "zoo" / "specs").mkdir()  # a package of that name goes before
    assert Target.load(project).settings.specs == "zoo.specs"


@pytest.mark.parametrize(
    "specs", ["zoo.specs", "zoo.inner", "zoo.built", "zoo_specs", "elsewhere.specs", "space.specs"]
)
def test_specs_that_have_a_file_or_may_be_elsewhere_are_not(project: Path, specs: str) -> None:
    for name in ("zoo/__init__.py", "zoo/specs.py", "zoo/inner/one.py", "zoo/built.cpython-312.so", "space/one.py"):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).touch()
    assert Target.load(configured(project, f"package = 'zoo'\nspecs = {specs!r}")).settings.specs == specs


def test_a_package_that_looks_for_its_modules_elsewhere_is_left_to_the_import(project: Path) -> None:
    (project / "zoo" / "__init__.py").write_text("__path__.append('/opt/zoo')\n")
    assert Target.load(configured(project, "package = 'zoo'\nspecs = 'zoo.specs'")).settings.specs == "zoo.specs"


@pytest.mark.parametrize(
    "make",
    [lambda path: None, Path.touch, lambda path: path.symlink_to(path)],
    ids=["absent", "a file", "a loop of links"],
)
def test_a_target_that_is_not_a_folder_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "target")
    assert refusal(tmp_path / "target", package="zoo").startswith(f"--target {tmp_path}/target: no such folder")


@pytest.mark.parametrize("name", [300 * "a", "a\0b", "a\udcffb\0"], ids=["too long", "NUL", "no text"])
def test_a_target_that_cannot_exist_is_named(tmp_path: Path, name: str) -> None:
    assert "no such folder" in refusal(tmp_path / name, package="zoo")


def test_a_current_folder_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert refusal(Path(), package="zoo").startswith("--target .: no such folder")


def test_a_folder_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff") / "zoo").mkdir(parents=True)
    assert "not UTF-8; rename the folder" in refusal(tmp_path / os.fsdecode(b"\xff"), package="zoo")


def test_a_package_that_is_not_there_is_named_with_those_that_are(project: Path) -> None:
    line = refusal(project, package="zo")
    assert line.startswith(f"package 'zo' not found in {project} and {project}/src")
    assert line.endswith("(packages found there: zoo)")


def test_without_a_package_the_candidates_are_named(project: Path) -> None:
    line = refusal(project)
    assert line.startswith("no package named: pass --package NAME or set `package`")
    assert line.endswith("(packages found there: zoo)")


@pytest.mark.parametrize("name", ["zoo.absent", "zoo.__init__.more", "Zoo", "zoo_"])
def test_a_dotted_name_that_leads_nowhere_is_refused(project: Path, name: str) -> None:
    assert f"package '{name}' not found" in refusal(project, package=name)


@pytest.mark.parametrize("length", [256, 5000])
def test_a_name_longer_than_a_path_may_be_is_not_found(project: Path, length: int) -> None:
    assert "not found" in refusal(project, package="a" * length)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"package": "a b"}, "--package: should be a dotted name"),
        ({"package": "../zoo"}, "--package: should be a dotted name"),
        ({"package": "zoo\udcff"}, "--package: "),
        ({"workers": 0}, "--workers: input should be greater than or equal to 1, got 0"),
        ({"seed": -1}, "--seed: input should be greater than or equal to 0, got -1"),
        ({"seed": 2**63}, "--seed: input should be less than"),
    ],
)
def test_a_wrong_flag_is_named_as_a_flag(project: Path, flags: dict[str, object], message: str) -> None:
    assert refusal(project, **flags).startswith(message)


def test_a_source_outside_the_target_is_refused(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "zoo").mkdir()
    for source in (str(outside), os.path.relpath(outside, project)):
        assert "lies outside the target" in refusal(configured(project, f'package = "zoo"\nsource = "{source}"'))


def test_a_package_that_is_a_link_out_of_the_target_is_refused(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "linked").mkdir()
    (outside / "linked" / "__init__.py").write_text("")
    (project / "linked").symlink_to(outside / "linked")
    assert "outside the target" in refusal(project, package="linked")


@pytest.mark.parametrize("name", ["linked", "zoo.linked"])
def test_a_module_that_is_a_link_out_of_the_target_is_refused(
    project: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.py"
    outside.write_text("")
    project.joinpath(*name.split(".")).with_suffix(".py").symlink_to(outside)
    assert f"is a link to {outside}, outside the target" in refusal(project, package=name)


def test_a_package_that_is_a_link_within_the_target_is_audited(project: Path) -> None:
    (project / "alias").symlink_to("zoo")
    assert Target.load(project, package="alias").package_path == project / "alias"


def test_a_place_is_told_relative_to_the_target_or_not_at_all(project: Path) -> None:
    # What is asked for may come from a traceback of the target.
    (project / "loop").symlink_to("loop")
    target = Target.load(project, package="zoo")
    assert target.relative(project / "zoo" / "a.py") == "zoo/a.py"
    for path in ("/etc/passwd", "../zoo", "a\0b", project / "loop"):
        assert target.relative(path) is None
    assert target.relative(project / (5000 * "a")) == 5000 * "a"


def test_a_source_that_is_a_loop_of_links_is_refused(project: Path) -> None:
    (project / "loop").symlink_to(project / "loop")
    assert "not found" in refusal(configured(project, 'package = "zoo"\nsource = "loop"'))


@pytest.mark.parametrize("python", ["absent", "bin/absent", ".", "", "zoo/__init__.py", "/", "\\u0000", "a\\nb"])
def test_an_interpreter_that_is_not_one_is_named(project: Path, python: str) -> None:
    line = refusal(configured(project, f'package = "zoo"\npython = "{python}"'))
    assert line.startswith("[tool.astrobio-audit] python ")
    assert re.search(r": no such interpreter at /.*; name an executable python$", line, re.DOTALL)


def test_an_interpreter_given_as_a_flag_is_named_as_one(project: Path) -> None:
    assert refusal(project, package="zoo", python=Path("absent")).startswith("--python absent: no such interpreter")


def test_an_interpreter_that_may_not_be_executed_is_refused(project: Path) -> None:
    (project / "python").write_text("#!/bin/sh\n")
    assert "no such interpreter" in refusal(project, package="zoo", python=project / "python")


def test_an_interpreter_is_relative_to_the_target_and_stays_in_its_environment(project: Path) -> None:
    link = project / "env" / "bin" / "python"
    link.parent.mkdir(parents=True)
    link.symlink_to(sys.executable)
    assert Target.load(configured(project, 'package = "zoo"\npython = "env/bin/python"')).python == link
