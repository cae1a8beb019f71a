"""The table in pyproject.toml, or a file in its place, and the flags that win over it."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.target import Settings, Target

from .tables import HEADER, configured, refusal

MakeTarget = Callable[..., Target]
GATES = "package = 'zoo'\n[tool.astrobio-audit.gates]\n"
WAIVER = (
    "package = 'zoo'\n[[tool.astrobio-audit.waivers]]\ncheck = 'a.b'\nsubject = 'c'\nowner = 'Ada'\nreason = 'r'\n"
    "expires = 2027-01-31\n"
)


def test_a_table_is_read_and_what_it_leaves_out_has_defaults(project: Path) -> None:
    target = Target.load(configured(project, 'package = "zoo"\ntimeout_s = 5\nexclude = ["a", "b"]\n'))
    assert target.package_path == project / "zoo"
    assert target.settings == Settings(package="zoo", timeout_s=5, exclude=("a", "b"))
    assert target.python == Path(sys.executable)


def test_flags_win_over_the_file(project: Path) -> None:
    (project / "other.py").write_text("")
    folder = configured(project, 'package = "zoo"\nseed = 1\nworkers = 1\npython = "absent"\n')
    target = Target.load(folder, package="other", seed=2, workers=3, python=Path(sys.executable))
    assert (target.package, target.settings.seed, target.workers) == ("other", 2, 3)
    assert target.package_path == project / "other.py"
    assert target.flags == ("--package", "other", "--python", sys.executable)


def test_flags_are_enough_without_a_pyproject(project: Path) -> None:
    assert Target.load(project, package="zoo").package_path == project / "zoo"


def test_a_source_folder_is_found(project: Path) -> None:
    (project / "src").mkdir()
    (project / "zoo").rename(project / "src" / "zoo")
    assert Target.load(project, package="zoo").source == project / "src"
    (project / "zoo" / "data").mkdir(parents=True)  # a folder of that name without Python is no package
    assert Target.load(project, package="zoo").source == project / "src"
    (project / "zoo" / "data" / "a.py").touch()
    assert Target.load(project, package="zoo").source == project


def test_the_configuration_digest_does_not_depend_on_where_the_interpreter_lies(project: Path) -> None:
    plain = Target.load(configured(project, 'package = "zoo"\n'))
    with_python = Target.load(configured(project, f'package = "zoo"\npython = "{sys.executable}"\n'))
    changed = Target.load(configured(project, 'package = "zoo"\nmemory_mb = 4096\n'))
    assert Target.load(configured(project, WAIVER)).config_digest == plain.config_digest  # no result depends on it
    assert plain.config_digest == with_python.config_digest != changed.config_digest


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("packge = 'zoo'", r"packge: unknown key; did you mean 'package'?"),
        (
            "xyzzy = 1",
            "xyzzy: unknown key; known keys: baseline, checkpoints, claims, disable, enable, exclude, forks, gates,",
        ),
        ("package = 3", "package: input should be a valid string, got 3"),
        ("package = 'zoo-1'", "package: should be a dotted name"),
        ("package = 'zoo/../..'", "package: should be a dotted name"),
        ("package = ''", "package: should be a dotted name"),
        ("package = 'zoo.'", "package: should be a dotted name"),
        ("package = 'zoo\\n'", "package: should be a dotted name"),
        ("package = 'zoo'\nspecs = 'zoo:specs'", "specs: should be a dotted name"),
        ("package = 'zoo'\nspecs = ['zoo']", "specs: input should be a valid string"),
        ("package = 'zoo'\ntimeout_s = '60'", "timeout_s: input should be a valid number, got '60'"),
        ("package = 'zoo'\ntimeout_s = 0", "timeout_s: input should be greater than 0"),
        ("package = 'zoo'\ntimeout_s = nan", "timeout_s: should be a number, got nan"),
        ("package = 'zoo'\ntimeout_s = inf", "timeout_s: input should be less than or equal to 86400"),
        ("package = 'zoo'\nmemory_mb = 512.5", "memory_mb: input should be a valid integer"),
        ("package = 'zoo'\nmemory_mb = 1", "memory_mb: input should be greater than or equal to 512"),
        ("package = 'zoo'\noutput_mb = true", "output_mb: input should be a valid integer"),
        ("package = 'zoo'\nworkers = 0", "workers: input should be greater than or equal to 1"),
        ("package = 'zoo'\nworkers = 1000000", "workers: input should be less than or equal to 256"),
        ("package = 'zoo'\nseed = -1", "seed: input should be greater than or equal to 0"),
        ("package = 'zoo'\nseed = 9223372036854775808", "seed: input should be less than"),
        ("package = 'zoo'\nexclude = 'a'", "exclude: input should be a list"),
        ("package = 'zoo'\nexclude = [1]", "exclude, entry 1: input should be a valid string"),
        ("package = 'zoo'\nsource = 1", "source: input should be a valid string"),
        ("package = 'zoo'\n[tool.astrobio-audit.limits]\nx = 1", "limits: unknown key"),
        (GATES + "min_scor = 1", "gates.min_scor: unknown key; did you mean 'min_score'?"),
        (GATES + "xyzzy = 1", "gates.xyzzy: unknown key; known keys: areas, fail_on, judged, min_coverage, min_score"),
        (GATES + "min_score = 95", "gates.min_score: input should be less than or equal to 1, got 95"),
        (GATES + "min_score = '1'", "gates.min_score: input should be a valid number, got '1'"),
        (
            GATES + "fail_on = ['small']",
            "gates.fail_on, entry 1: input should be 'critical', 'major' or 'minor', got 'small'",
        ),
        (GATES + "judged = 'smoke'", "gates.judged: input should be a list, got 'smoke'"),
        (
            GATES + "areas.smoke.min_coverag = 1",
            "gates.areas.smoke.min_coverag: unknown key; did you mean 'min_coverage'?",
        ),
        (
            GATES + "areas.smoke.xyzzy = 1",
            "gates.areas.smoke.xyzzy: unknown key; known keys: min_coverage, min_score",
        ),
        (WAIVER.replace("owner", "ownr"), "waivers, entry 1, owner: field required"),
        (WAIVER + "raison = 'x'", "waivers, entry 1, raison: unknown key; did you mean 'reason'?"),
        (WAIVER.replace("'Ada'", "' '"), "waivers, entry 1, owner: should say something, got ' '"),
        (
            WAIVER.replace("2027-01-31", "2027-01-31T12:00:00"),
            "waivers, entry 1, expires: should be a day without a time",
        ),
        (
            WAIVER.replace("2027-01-31", "'soon'"),
            "waivers, entry 1, expires: should be a day, such as 2027-01-31, got 'soon'",
        ),
        (WAIVER.replace("2027-01-31", "20270131"), "waivers, entry 1, expires: should be a day, such as 2027-01-31"),
        (WAIVER + WAIVER.partition("\n")[2].replace("owner", "ownr"), "waivers, entry 2, owner: field required"),
        ("package = 'zoo'\nwaivers = 3", "waivers: input should be a list, got 3"),
    ],
)
def test_a_wrong_key_or_value_is_named(project: Path, table: str, message: str) -> None:
    line = refusal(configured(project, table))
    assert line.startswith("pyproject.toml: [tool.astrobio-audit] ")
    assert message in line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "pyproject.toml: not UTF-8 at byte 0; save it as UTF-8"),
        (b"\xef\xbb\xbf[tool]\n", "pyproject.toml: begins with a byte order mark"),
        (b'[tool.astrobio-audit]\npackage = "\xe9"', "pyproject.toml: not UTF-8 at byte 33"),
        (b"[tool.astrobio-audit", "pyproject.toml: not valid TOML"),
        (b"a = 1\na = 2", "pyproject.toml: not valid TOML"),
        (b"package = zoo", "pyproject.toml: not valid TOML"),
        (b"\x00", "pyproject.toml: not valid TOML"),
        (b"[tool]\nastrobio-audit = 3", "pyproject.toml: tool.astrobio-audit must be a table, not int"),
        (b"[[tool.astrobio-audit]]", "pyproject.toml: tool.astrobio-audit must be a table, not list"),
        (b"", "no package named"),
        (b"tool = 3", "no package named"),
        (b"number = " + 5000 * b"1", "pyproject.toml"),
        (b"deep = " + 100_000 * b"[", "pyproject.toml"),
        (HEADER.encode() + b"package = 0x" + 5000 * b"f", "package: input should be a valid string"),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_a_file_that_cannot_be_used_is_named(project: Path, content: bytes, message: str) -> None:
    (project / "pyproject.toml").write_bytes(content)
    assert message in refusal(project)


@pytest.mark.parametrize("key", ["package", "exclude", "workers", "a"])
def test_a_value_that_cannot_be_shown_is_refused_all_the_same(project: Path, key: str) -> None:
    deep = ".".join([key, *["a"] * 900])
    for table in (f"{deep} = 1", f"{key} = [{{a = 0x{5000 * 'f'}}}]"):
        line = refusal(configured(project, table))
        assert f"{key}: " in line or f"{key}, entry 1: " in line
        assert len(line) < 300


def test_a_long_key_or_value_is_shortened(project: Path) -> None:
    for letter, table in (("k", "{} = 1"), ("v", "seed = '{}'")):
        line = refusal(configured(project, table.format(5000 * letter)))
        assert 77 * letter not in line
        assert len(line) == len(refusal(configured(project, table.format(6000 * letter))))


@pytest.mark.parametrize("key", ["memory_mb", "output_mb"])
@pytest.mark.parametrize("value", ["1073741825", "0x" + 5000 * "f"], ids=["petabyte", "huge"])
def test_a_limit_that_no_machine_has_is_refused(project: Path, key: str, value: str) -> None:
    line = refusal(configured(project, f"package = 'zoo'\n{key} = {value}"))
    assert f"{key}: input should be less than or equal to 1073741824" in line


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/tty", "pipe"])
def test_a_file_without_an_end_is_not_read(project: Path, device: str) -> None:
    os.mkfifo(project / "pipe")
    (project / "pyproject.toml").symlink_to(device)
    assert refusal(project, package="zoo").endswith("pyproject.toml: cannot be read: it is not a file")


def test_a_folder_in_place_of_the_file_is_named(project: Path) -> None:
    (project / "pyproject.toml").mkdir()
    assert refusal(project).endswith("pyproject.toml: cannot be read: Is a directory")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named(project: Path) -> None:
    configured(project, 'package = "zoo"').joinpath("pyproject.toml").chmod(0)
    assert "cannot be read: Permission denied" in refusal(project)


@pytest.mark.parametrize("name", ["astrobio_audit", "astrobioaudit", "astro-bio-audit"])
def test_a_table_of_nearly_the_right_name_is_told(project: Path, name: str) -> None:
    (project / "pyproject.toml").write_text(f"[tool.{name}]\npackage = 'zoo'\n")
    assert refusal(project).endswith(f"pyproject.toml: [tool.{name}]: did you mean [tool.astrobio-audit]?")


def test_the_interpreter_that_a_flag_names_is_part_of_what_repeats_a_check(project: Path) -> None:
    target = Target.load(project, package="zoo", python=Path(sys.executable))
    assert target.flags == ("--package", "zoo", "--python", sys.executable)


def test_a_tree_needs_no_package_and_its_paths_are_named_in_commands_unless_they_are_many(tmp_path: Path) -> None:
    tree = Target.load_tree(tmp_path)
    assert (tree.is_tree, tree.package, tree.package_path, tree.flags) == (True, tmp_path.name, tmp_path, ())
    few = tree.limited_to([tmp_path / "a.py", tmp_path / "-b.py"])
    assert few.flags == ("a.py", "./-b.py", "--target", ".")
    many = tree.limited_to([tmp_path / f"{number}.py" for number in range(1000)])
    assert len(many.paths) == 1000
    assert many.flags == (".", "--target", ".")
