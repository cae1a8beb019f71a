import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.static.imports.causes import Cause, ImportRow
from audit.static.imports.declared import declared_dependencies

Write = Callable[[Mapping[str, str]], Path]
RowsOf = Callable[..., dict[str, ImportRow]]

# Each declares `some-lib`, and nothing that is called otherwise than `some-...`.
DECLARING = {
    "PEP 621": {"pyproject.toml": '[project]\nname = "pack"\ndependencies = ["some-lib>=1"]\n'},
    "extra": {"pyproject.toml": '[project.optional-dependencies]\nx = ["some_lib[fast]"]\n'},
    "PEP 735 group": {"pyproject.toml": '[dependency-groups]\ndev = [{include-group = "x"}, "Some.Lib~=1"]\n'},
    "Poetry": {"pyproject.toml": '[tool.poetry.dependencies]\nsome-lib = "^1"\n'},
    "Poetry group": {"pyproject.toml": '[tool.poetry.group.dev.dependencies]\nsome-lib = {version = "^1"}\n'},
    "Flit": {"pyproject.toml": '[tool.flit.metadata]\nrequires = ["some-lib"]\n'},
    "uv": {"pyproject.toml": '[tool.uv]\ndev-dependencies = ["some-lib"]\n'},
    "Hatch environment": {"pyproject.toml": '[tool.hatch.envs.test]\ndependencies = ["some-lib"]\n'},
    "dynamic": {
        "pyproject.toml": '[tool.setuptools.dynamic]\ndependencies = {file = ["needs/base.txt"]}\n',
        "needs/base.txt": "some-lib\n",
    },
    "setup.cfg": {"setup.cfg": "[options]\ninstall_requires =\n    some-lib>1\n"},
    "setup.cfg extra": {"setup.cfg": "[options.extras_require]\nx = some-lib; python_version > '3'\n"},
    "setup.cfg file": {"setup.cfg": "[options]\ninstall_requires = file: base.txt\n", "base.txt": "some-lib\n"},
    "setup.py": {"setup.py": "from setuptools import setup\nsetup(name='a', install_requires=['some-lib>=1'])\n"},
    "setup.py name": {
        "setup.py": "import setuptools\nneeds = []\nneeds += ['some-lib']\nsetuptools.setup(install_requires=needs)\n"
    },
    "setup.py extras": {
        "setup.py": "extras = {}\nextras['x'] = ['some-lib']\nsetup(extras_require=extras)\n"
    },
    "setup.py opens": {
        "setup.py": "setup(install_requires=open('base.txt').read().splitlines())\n",
        "base.txt": "some-lib\n",
    },
    "setup.py opens before": {
        "setup.py": "with open('base.txt') as f:\n    needs = f.read().split()\nsetup(install_requires=needs)\n",
        "base.txt": "some-lib\n",
    },
    "setup.py reads by a function": {
        "setup.py": "def read(name):\n    return open(name).readlines()\nsetup(install_requires=read('base.txt'))\n",
        "base.txt": "some-lib\n",
    },
    "setup.py keywords": {"setup.py": "options = dict(install_requires=['some-lib'])\nsetup(**options)\n"},
    "requirements": {"requirements-dev.txt": "# comment\n-r base.txt\n", "base.txt": "some-lib==1 --hash=x\n"},
    "requirements folder": {"requirements/base.txt": "some-lib @ https://example.org/x.whl\n"},
    "requirements egg": {"requirements.txt": "-e git+https://example.org/x.git#egg=some-lib\n"},
    "conda": {"environment.yml": "name: x\ndependencies:\n  - some-other=1\n  - conda-forge::some-lib>=1\n"},
    "conda pip": {"environment.yml": "dependencies:\n- some-other\n- pip:\n  - some-lib==1\nprefix: /x\n"},
}  # fmt: skip


@pytest.mark.parametrize("files", DECLARING.values(), ids=DECLARING)
def test_a_declared_library_is_found(files: Mapping[str, str], write: Write) -> None:
    found = declared_dependencies(write(files))
    assert found.declares("some_lib")
    assert {name for name in found.names if not name.startswith("some-")} <= {"pip"}


@pytest.mark.parametrize("files", DECLARING.values(), ids=DECLARING)
def test_the_same_files_with_another_name_do_not_declare_it(files: Mapping[str, str], write: Write) -> None:
    renamed = {
        name: text.replace("ome-lib", "ome-else").replace("ome_lib", "ome_else").replace("ome.Lib", "ome.Else")
        for name, text in files.items()
    }
    assert not declared_dependencies(write(renamed)).declares("some_lib")


def test_whether_it_is_declared_decides_the_cause(write: Write, rows_of: RowsOf) -> None:
    files = {"setup.py": "setup(install_requires=['no-such-lib'])\n", "pack/module.py": "import no_such_lib\n"}
    assert rows_of(write(files))["pack.module"].cause is Cause.MISSING_DEPENDENCY
    assert rows_of(write({"setup.py": "setup()\n"}))["pack.module"].cause is Cause.UNDECLARED_DEPENDENCY


def test_poetry_can_declare_for_one_platform_only(write: Write) -> None:
    lines = ("[tool.poetry.dependencies]", 'a = {platform = "win32"}', "b = {markers = \"os_name == 'nt'\"}", 'c = "1"')
    found = declared_dependencies(write({"pyproject.toml": "\n".join(lines)}))
    assert [found.is_of_some_platforms(name) for name in "abc"] == [True, True, False]


@pytest.mark.parametrize(
    "files",
    [
        {"setup.py": "def setup(:\n"},
        {"setup.py": "(" * 5000},
        {"setup.cfg": "no section\n"},
        {"pyproject.toml": "not = = toml\n"},
        {"pyproject.toml": "project = 1\ntool = []\n[dependency-groups]\nx = 1\n"},
        {"requirements.txt": "-r requirements.txt\n-r ../../etc/passwd\n"},
        {"setup.py": "a = b\nb = a\nsetup(install_requires=a)\n"},
        {"environment.yml": "dependencies: 1\n- \n  - :\n"},
    ],
)
def test_files_that_make_no_sense_declare_nothing(files: Mapping[str, str], write: Write) -> None:
    assert declared_dependencies(write(files)).names == frozenset()


def test_a_pipe_and_a_file_outside_are_not_read(write: Write, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = write({"setup.py": "setup(install_requires=open('pipe.txt').read() + open('link.txt').read())\n"})
    outside = tmp_path_factory.mktemp("outside") / "base.txt"
    outside.write_text("some-lib\n")
    os.mkfifo(root / "pipe.txt")
    (root / "link.txt").symlink_to(outside)
    assert declared_dependencies(root).names == frozenset()
