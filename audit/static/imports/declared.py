"""Which distributions the target's project files declare, and which of them only for some platforms."""

import configparser
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from audit.static.imports.interpreter import normalised

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
    """Read what `pyproject.toml`, `setup.cfg` and `requirements*.txt` declare; an unreadable one declares nothing."""
    names: set[str] = set()
    platform_only: set[str] = set()
    for line in (*_of_pyproject(root), *_of_setup_cfg(root), *_of_requirements(root)):
        match = _REQUIREMENT.match(line)
        if match:
            name = normalised(match[1])
            names.add(name)
            if match[3] and _PLATFORM_MARKER.search(match[3]):
                platform_only.add(name)
    return Declared(frozenset(names), frozenset(platform_only))


def _of_pyproject(root: Path) -> Iterator[str]:
    try:
        document = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return
    project = _table(document, "project")
    yield from _texts(project.get("dependencies"))
    for group in (*_table(project, "optional-dependencies").values(), *_table(document, "dependency-groups").values()):
        yield from _texts(group)
    yield from _table(_table(_table(document, "tool"), "poetry"), "dependencies")


def _table(document: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, str))


def _of_setup_cfg(root: Path) -> Iterator[str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(root / "setup.cfg", encoding="utf-8")
    except (OSError, ValueError, configparser.Error):
        return
    yield from parser.get("options", "install_requires", fallback="").splitlines()
    if parser.has_section("options.extras_require"):
        for _, value in parser.items("options.extras_require"):
            yield from value.splitlines()


def _of_requirements(root: Path) -> Iterator[str]:
    for path in sorted(root.glob("*requirements*.txt")):
        try:
            yield from path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            continue
