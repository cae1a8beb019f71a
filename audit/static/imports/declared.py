"""Which distributions the target's project files declare, and which of them only for some platforms."""

import configparser
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from audit.static.imports.interpreter import normalised
from audit.static.imports.requirement_files import of_setup_py, requirements_in, text_in

# Import names whose distribution has another name; of the packages that model packages import.
_DISTRIBUTIONS: Mapping[str, tuple[str, ...]] = {
    "PIL": ("pillow",),
    "bs4": ("beautifulsoup4",),
    "cv2": ("opencv-python", "opencv-python-headless", "opencv-contrib-python"),
    "dateutil": ("python-dateutil",),
    "faiss": ("faiss-cpu", "faiss-gpu"),
    "git": ("gitpython",),
    "jwt": ("pyjwt",),
    "lightning_fabric": ("lightning-fabric", "lightning", "pytorch-lightning"),
    "skimage": ("scikit-image",),
    "sklearn": ("scikit-learn",),
    "tensorboardX": ("tensorboardx",),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "torch": ("pytorch", "torch-cpu", "pytorch-cpu", "pytorch-gpu"),  # of conda
    "yaml": ("pyyaml",),
}
# Kernels, wheels for some accelerators, and modules of the standard library that some systems lack.
PLATFORM_PACKAGES = frozenset(
    {
        "apex", "bitsandbytes", "causal_conv1d", "cupy", "deepspeed", "flash_attn", "flash_attn_interface",
        "habana_frameworks", "mamba_ssm", "mlx", "natten", "pynvml", "tensorrt", "torch_mlu", "torch_musa", "torch_npu",
        "torch_xla", "transformer_engine", "triton", "xformers",
    }
)  # fmt: skip
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*([^;#]*)(?:;\s*([^#]*))?")
_CONDA_ITEM = re.compile(r"\s*-\s+['\"]?(?:[\w.-]+::)?([A-Za-z0-9][\w.-]*)(?!\s*:)\b")
_PLATFORM_MARKER = re.compile(r"sys_platform|platform_system|platform_machine|os_name")


@dataclass(frozen=True, slots=True)
class Declared:
    """Normalised names of distributions, and those that are declared for some platforms only."""

    names: frozenset[str]
    platform_only: frozenset[str]

    def declares(self, module: str) -> bool:
        """Whether some declared distribution can be the one that holds a top-level module."""
        return not self.names.isdisjoint(_candidates(module))

    def is_of_some_platforms(self, module: str) -> bool:
        """Whether a top-level module is made or declared for some platforms only."""
        return module in PLATFORM_PACKAGES or not self.platform_only.isdisjoint(_candidates(module))


def _candidates(module: str) -> set[str]:
    return {normalised(module), *_DISTRIBUTIONS.get(module, ())}


def declared_dependencies(root: Path) -> Declared:
    """Read what the project's files declare, extras and groups among it; nothing of them is run.

    These are `pyproject.toml` (PEP 621, PEP 735, Poetry, Flit, PDM, uv, Hatch), `setup.cfg`, `setup.py`, files of
    requirements and of conda environments. One that cannot be read declares nothing.
    """
    names: set[str] = set()
    platform_only: set[str] = set()
    for line in (
        *_of_pyproject(root), *_of_setup_cfg(root), *of_setup_py(root), *_of_requirements(root), *_of_conda(root)
    ):  # fmt: skip
        match = _REQUIREMENT.match(line)
        if match:
            name = normalised(match[1])
            names.add(name)
            if match[3] and _PLATFORM_MARKER.search(match[3]):
                platform_only.add(name)
    return Declared(frozenset(names), frozenset(platform_only))


def _of_pyproject(root: Path) -> Iterator[str]:
    try:
        document = tomllib.loads(text_in(root, "pyproject.toml"))
    except (ValueError, RecursionError):
        return
    project, tool = _table(document, "project"), _table(document, "tool")
    yield from _texts(project.get("dependencies"))
    for groups in (_table(project, "optional-dependencies"), _table(document, "dependency-groups")):
        for group in groups.values():
            yield from _texts(group)
    dynamic = _table(_table(tool, "setuptools"), "dynamic")
    for part in (dynamic, _table(dynamic, "optional-dependencies")):
        for value in part.values():
            files = value.get("file") if isinstance(value, dict) else None
            for name in [files] if isinstance(files, str) else _texts(files):
                yield from requirements_in(root, name)
    yield from _of_poetry(_table(tool, "poetry"))
    yield from _of_other_tools(tool)


def _of_poetry(poetry: Mapping[str, object]) -> Iterator[str]:
    groups = [_table(group, "dependencies") for group in _tables(_table(poetry, "group"))]
    for table in (_table(poetry, "dependencies"), _table(poetry, "dev-dependencies"), *groups):
        for name, value in table.items():
            found = value if isinstance(value, dict) else {}
            marker = f"sys_platform == {found['platform']}" if "platform" in found else str(found.get("markers", ""))
            yield f"{name}; {marker}"


def _of_other_tools(tool: Mapping[str, object]) -> Iterator[str]:
    flit = _table(_table(tool, "flit"), "metadata")
    yield from (*_texts(flit.get("requires")), *_texts(_table(tool, "uv").get("dev-dependencies")))
    for group in (*_table(flit, "requires-extra").values(), *_table(_table(tool, "pdm"), "dev-dependencies").values()):
        yield from _texts(group)
    for environment in _tables(_table(_table(tool, "hatch"), "envs")):
        yield from (*_texts(environment.get("dependencies")), *_texts(environment.get("extra-dependencies")))


def _table(document: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _tables(document: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    yield from (value for value in document.values() if isinstance(value, dict))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, str))


def _of_setup_cfg(root: Path) -> Iterator[str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text_in(root, "setup.cfg"))
    except (ValueError, configparser.Error):
        return
    values = [parser.get("options", "install_requires", fallback="")]
    if parser.has_section("options.extras_require"):
        values += [value for _, value in parser.items("options.extras_require")]
    for value in values:
        if value.strip().startswith("file:"):
            for name in value.partition(":")[2].split(","):
                yield from requirements_in(root, name.strip())
        else:
            yield from value.splitlines()


def _of_requirements(root: Path) -> Iterator[str]:
    for path in sorted((*root.glob("*requirements*.txt"), *root.glob("requirements/*.txt"))):
        yield from requirements_in(root, path.relative_to(root).as_posix())


def _of_conda(root: Path) -> Iterator[str]:
    """Yield the items below `dependencies:`, those of `pip:` among them; such files are lists of plain words."""
    for path in sorted((*root.glob("*environment*.yml"), *root.glob("*environment*.yaml"), *root.glob("conda*.y*ml"))):
        inside = False
        for line in text_in(root, path.name).splitlines():
            if line[:1].strip() and not line.startswith(("-", "#")):
                inside = line.startswith("dependencies:")
            elif inside and (item := _CONDA_ITEM.match(line)):
                yield item[1]
