import sys
import sysconfig
from pathlib import Path

from audit.static.environment import site_folders


def interpreter(folder: Path, *, settings: str | None, version: str = "3.12") -> Path:
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    if settings is not None:
        (folder / "pyvenv.cfg").write_text(settings)
    (folder / "lib" / f"python{version}" / "site-packages").mkdir(parents=True)
    return python


def test_the_folder_of_the_running_interpreter_is_found() -> None:
    assert Path(sysconfig.get_path("purelib")) in site_folders(Path(sys.executable))


def test_a_virtual_environment_is_read_from_its_settings(tmp_path: Path) -> None:
    python = interpreter(tmp_path / "venv", settings="home = /usr/bin\nversion = 3.12.4\n")
    assert site_folders(python) == (tmp_path / "venv/lib/python3.12/site-packages",)


def test_the_system_packages_follow_where_the_environment_includes_them(tmp_path: Path) -> None:
    system = interpreter(tmp_path / "system", settings=None)
    settings = f"home = {system.parent}\ninclude-system-site-packages = true\nversion = 3.12\n"
    python = interpreter(tmp_path / "venv", settings=settings)
    assert site_folders(python)[1:] == (tmp_path / "system/lib/python3.12/site-packages",)


def test_folders_named_in_pth_files_follow_and_their_code_does_not_run(tmp_path: Path) -> None:
    python = interpreter(tmp_path / "venv", settings="version = 3.12")
    site = tmp_path / "venv/lib/python3.12/site-packages"
    (tmp_path / "sources").mkdir()
    (site / "a.pth").write_text(f"# comment\n{tmp_path / 'sources'}\nimport os; os._exit(1)\n/nowhere\n")
    assert site_folders(python) == (site, tmp_path / "sources")


def test_the_packages_of_an_editable_install_are_found(tmp_path: Path) -> None:
    python = interpreter(tmp_path / "venv", settings="version = 3.12")
    site = tmp_path / "venv/lib/python3.12/site-packages"
    (site / "__editable__.zoo.pth").write_text("import __editable___zoo_finder; __editable___zoo_finder.install()")
    (site / "__editable___zoo_finder.py").write_text("MAPPING: dict[str, str] = {'zoo': '/src/zoo'}\n")
    assert site_folders(python) == (site, Path("/src"))


def test_an_interpreter_of_unknown_layout_has_none(tmp_path: Path) -> None:
    assert site_folders(tmp_path / "nowhere" / "python") == ()
