"""What is audited: read from `[tool.astrobio-audit]` in the target's `pyproject.toml`, overridden by flags."""

import hashlib
import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from audit.claims import AnyClaim, distinct
from audit.configuration import TABLE as TABLE
from audit.configuration import Table, first_problem, read_table, shortened
from audit.errors import UsageError
from audit.gates import Gates
from audit.missing_module import missing_module
from audit.waivers import Waiver
from audit.weights import DeclaredWeights

_MAX_MIB = 2**30  # a petabyte: the byte count still fits what the kernel takes as a limit
_MAX_PATHS = 10
DottedName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]


class Settings(BaseModel):
    """The keys of `[tool.astrobio-audit]`; unknown keys and wrong types are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    package: Annotated[DottedName | None, Field(description="Import name of the package under audit.")] = None
    source: Annotated[
        str | None,
        Field(min_length=1, description="Folder that holds the package, relative to the target; found when left out."),
    ] = None
    python: Annotated[str | None, Field(description="Interpreter that can import the package.")] = None
    specs: Annotated[
        DottedName | None, Field(description="Module that says how to build each model and what it promises.")
    ] = None
    exclude: Annotated[tuple[str, ...], Field(strict=False, description="Patterns left out, as in `.gitignore`.")] = ()
    notebooks: Annotated[bool, Field(description="Whether the code of Jupyter notebooks is read too.")] = False
    enable: Annotated[
        tuple[str, ...], Field(strict=False, description="Rules that are on beside the default ones.")
    ] = ()
    disable: Annotated[tuple[str, ...], Field(strict=False, description="Rules that are off.")] = ()
    per_path_ignores: Annotated[
        dict[str, Annotated[tuple[str, ...], Field(strict=False)]],
        Field(description="Patterns as in `.gitignore`, relative to the target, each with the rules ignored there."),
    ] = {}
    baseline: Annotated[
        str | None,
        Field(
            min_length=1, description="File of known findings, relative to the target, that do not count for `static`."
        ),
    ] = None
    timeout_s: Annotated[float, Field(gt=0, le=86_400, description="Time limit of one call into the target.")] = 60.0
    memory_mb: Annotated[int, Field(ge=512, le=_MAX_MIB, description="Memory limit of the target's process, MiB.")] = (
        8192
    )
    output_mb: Annotated[
        int, Field(ge=1, le=_MAX_MIB, description="Output limit of one call into the target, MiB.")
    ] = 16
    workers: Annotated[int | None, Field(ge=1, le=256, description="Target processes side by side.")] = None
    forks: Annotated[bool, Field(description="Whether target processes are forks of one that has imported torch.")] = (
        True
    )
    seed: Annotated[int, Field(ge=0, lt=2**63, description="Seed of weights and inputs.")] = 0
    claims: Annotated[
        tuple[AnyClaim, ...], Field(strict=False, description="What the owners publish, and how it is measured.")
    ] = ()
    gates: Annotated[Gates | None, Field(description="What a release needs beside the absence of failures.")] = None
    waivers: Annotated[
        tuple[Waiver, ...], Field(strict=False, description="Failures that somebody answers for until a day.")
    ] = ()
    checkpoints: Annotated[
        tuple[DeclaredWeights, ...],
        Field(strict=False, description="Files of weights and the models that they are for."),
    ] = ()

    tests: Annotated[
        str | None, Field(min_length=1, description="What runs your tests; `readiness` and `mutate` judge them then.")
    ] = None
    tests_limit_s: Annotated[
        float, Field(gt=0, le=86_400, description="Seconds after which `readiness` begins no further mutant.")
    ] = 600.0

    @field_validator("claims")
    @classmethod
    def _have_ids_of_their_own(cls, claims: tuple[AnyClaim, ...]) -> tuple[AnyClaim, ...]:
        return distinct(claims)

    @field_validator("tests")
    @classmethod
    def _is_a_command(cls, tests: str | None) -> str | None:
        try:
            shlex.split(tests or "")
        except ValueError as error:
            raise ValueError(f"cannot be split into words as a shell does: {error}; close or escape it") from error
        return tests


class Target(BaseModel):
    """A package to audit, or a tree of files, with every path absolute and checked to exist.

    Of a tree `source` is the root and `package` the root's name; `paths` are what the user limits the run to.
    """

    model_config = ConfigDict(frozen=True)

    root: Path
    source: Path
    package: str
    python: Path
    settings: Settings
    flags: tuple[str, ...] = ()
    is_tree: bool = False
    paths: tuple[Path, ...] = ()
    probe: bool = False  # of a flag alone: whether code is run is not the target's to say
    device: str = "cpu"  # of a flag alone: where the target runs is not its own to say either
    device_seen: str = ""  # the name of a GPU, and the versions of what computes on it

    @property
    def on_gpu(self) -> bool:
        """Whether the target runs on a GPU."""
        return self.device != "cpu"

    @property
    def package_path(self) -> Path:
        """The package's folder, or its file when it is a single module; the root of a tree."""
        return self.source if self.is_tree else _package_path(self.source, self.package) or self.source

    @property
    def config_digest(self) -> str:
        """SHA-256 of the settings in force, less those that no result depends on."""
        text = self.settings.model_dump_json(exclude={"python", "workers", "forks", "gates", "waivers"}) + self.package
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    @property
    def workers(self) -> int:
        """How many target processes run side by side."""
        return self.settings.workers or min(4, available_cores())

    def relative(self, path: str | Path) -> str | None:
        """Return `path` relative to the root, or None when it lies outside.

        The path may be the target's word: one with a NUL in it or a loop of links lies nowhere.
        """
        try:
            return Path(path).resolve().relative_to(self.root).as_posix()
        except (ValueError, RuntimeError, OSError):  # OSError: a relative path, and the current folder is gone
            return None

    def file_of(self, module: str) -> Path | None:
        """Return the file of a module of the target by its dotted name; None where its sources have none."""
        stem = self.source.joinpath(*module.split("."))
        return next((each for each in (stem.with_suffix(".py"), stem / "__init__.py") if each.is_file()), None)

    @classmethod
    def load(
        cls,
        directory: Path,
        *,
        package: str | None = None,
        python: Path | None = None,
        seed: int | None = None,
        workers: int | None = None,
        notebooks: bool = False,
        probe: bool = False,
        config: Path | None = None,
    ) -> Self:
        """Read the configuration in `directory`, apply the flags and check that what they name exists.

        Raises:
            UsageError: the folder, the configuration, the package or the interpreter is missing or malformed.
        """
        root = _existing_folder(directory)
        settings = _settings(
            root, config, package=package, python=python, seed=seed, workers=workers, notebooks=notebooks or None
        )
        if settings.package is None:
            raise UsageError(
                f"no package named: pass --package NAME or set `package` in {TABLE} of {root / 'pyproject.toml'}"
                + _candidates(_usual_places(root))
            )
        source = _find_source(root, settings.source, settings.package)
        if settings.specs and (missing := missing_module(source, settings.specs)):
            raise UsageError(
                f"{config or root / 'pyproject.toml'}: {TABLE} specs: {shortened(settings.specs)}: {missing}"
            )
        return cls(
            root=root,
            source=source,
            package=settings.package,
            python=_find_interpreter(root, settings.python, from_flag=python is not None),
            settings=settings,
            flags=(
                *(("--package", package) if package else ()),
                *(("--python", str(python)) if python else ()),
                *(("--config", _seen_from(root, config)) if config else ()),
                *(("--notebooks",) if notebooks else ()),
                *(("--probe",) if probe else ()),
            ),
            probe=probe,
        )

    @classmethod
    def load_tree(
        cls,
        directory: Path,
        *,
        python: Path | None = None,
        seed: int | None = None,
        workers: int | None = None,
        notebooks: bool = False,
        probe: bool = False,
        config: Path | None = None,
    ) -> Self:
        """Read the configuration in `directory`, if any, to analyse the files in it; no package needs to be named.

        Raises:
            UsageError: the folder, the configuration or the interpreter is missing or malformed.
        """
        root = _existing_folder(directory)
        settings = _settings(root, config, python=python, seed=seed, workers=workers, notebooks=notebooks or None)
        return cls(
            root=root,
            source=root,
            package=root.name or str(root),
            python=_find_interpreter(root, settings.python, from_flag=python is not None),
            settings=settings,
            flags=(
                *(("--python", str(python)) if python else ()),
                *(("--config", _seen_from(root, config)) if config else ()),
                *(("--notebooks",) if notebooks else ()),
                *(("--probe",) if probe else ()),
            ),
            probe=probe,
            is_tree=True,
        )

    def on_device(self, device: str, seen: str) -> Self:
        """Return the target that runs on another device, which has been seen to be there."""
        return self.model_copy(
            update={"device": device, "device_seen": seen, "flags": (*self.flags, "--device", device)}
        )

    def limited_to(self, paths: Sequence[Path]) -> Self:
        """Return this tree with a report on `paths` only, which are absolute and lie in it."""
        # Every result says how to repeat it: of many paths that is by the whole tree, which holds them.
        shown = paths if len(paths) <= _MAX_PATHS else [self.root]
        names = (os.path.relpath(path, self.root) for path in shown)
        words = (f"./{name}" if name.startswith("-") else name for name in names)
        return self.model_copy(update={"paths": tuple(paths), "flags": (*words, "--target", ".", *self.flags)})


def names_package(directory: Path, config: Path | None = None) -> bool:
    """Return whether the configuration in a folder names a package.

    Raises:
        UsageError: the folder is missing, or its configuration malformed.
    """
    return _settings(_existing_folder(directory), config).package is not None


def _settings(root: Path, config: Path | None, *, python: Path | None = None, **flags: object) -> Settings:
    given = {**flags, "python": str(python) if python else None}
    return _validated(read_table(root, config), {key: value for key, value in given.items() if value is not None})


def _seen_from(root: Path, config: Path) -> str:
    """Return the path of a configuration as one that holds in the root, where a result is repeated."""
    path = Path(os.path.abspath(config))
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _existing_folder(directory: Path) -> Path:
    try:
        root = directory.resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, a loop of links; or the current folder is gone
        root = None
    if root is None or not root.is_dir():
        raise UsageError(f"--target {directory}: no such folder; name the folder that holds the package")
    return root


def interpreter_of(directory: Path, python: Path | None, config: Path | None = None) -> Path:
    """Return the interpreter for a folder: the one of the flag, else of its configuration, else the auditor's own.

    Raises:
        UsageError: the folder, its configuration or the interpreter is missing or malformed.
    """
    root = _existing_folder(directory)
    settings = _settings(root, config, python=python)
    return _find_interpreter(root, settings.python, from_flag=python is not None)


def settings_of(directory: Path, config: Path | None = None) -> Settings:
    """Return what the configuration in a folder says, for a command that needs no package.

    Raises:
        UsageError: the folder or its configuration is missing or malformed.
    """
    return _validated(read_table(_existing_folder(directory), config), {})


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _validated(table: Table, flags: Mapping[str, object]) -> Settings:
    try:
        Settings.model_validate(table.keys)
    except ValidationError as error:
        raise UsageError(table.problem(error, Settings)) from error
    try:
        Settings.model_validate(flags)
    except ValidationError as error:
        raise UsageError(f"--{first_problem(error, Settings)}") from error
    return Settings.model_validate({**table.keys, **flags})


def _package_path(source: Path, package: str) -> Path | None:
    # `os.path`, not `Path.is_dir`, which raises for a name that is longer than the file system takes.
    base = source.joinpath(*package.split("."))
    if os.path.isdir(base):
        return base
    module = base.with_suffix(".py")
    return module if os.path.isfile(module) else None


def _has_python(package: Path) -> bool:
    return package.is_file() or next(package.rglob("*.py"), None) is not None


def _usual_places(root: Path) -> list[Path]:
    return [root, root / "src"]


def _find_source(root: Path, configured: str | None, package: str) -> Path:
    places = _usual_places(root) if configured is None else [root / configured]
    found = {place: path for place in places if (path := _package_path(place, package))}
    # A folder of data can have the package's name; it is the package only where no other is.
    for place, path in sorted(found.items(), key=lambda each: not _has_python(each[1])):
        resolved = place.resolve()
        if not _is_text(resolved):
            raise UsageError(f"{resolved}: not UTF-8; rename the folder, for the target's process is told its name")
        if not resolved.is_relative_to(root):
            raise UsageError(f"{TABLE} source: {configured!r} lies outside the target {root}")
        if not path.resolve().is_relative_to(root):
            raise UsageError(f"package {package!r}: {path} is a link to {path.resolve()}, outside the target {root}")
        return resolved
    tried = " and ".join(str(place) for place in places)
    raise UsageError(
        f"package {shortened(package)!r} not found in {tried}; set `package` or `source`{_candidates(places)}"
    )


def _candidates(places: Sequence[Path]) -> str:
    found = sorted(
        {init.parent.name for place in places if os.path.isdir(place) for init in place.glob("*/__init__.py")}
    )
    return f" (packages found there: {', '.join(found[:8])})" if found else ""


def _find_interpreter(root: Path, configured: str | None, *, from_flag: bool) -> Path:
    if configured is None:
        return Path(sys.executable)
    origin = "--python" if from_flag else f"{TABLE} python"
    # Not resolved: a virtual environment's python is a link, and following it would leave the environment.
    path = Path(configured) if from_flag else root / configured
    if not from_flag and os.sep not in configured:
        path = Path(shutil.which(configured) or path)
    if not os.path.isfile(path) or not os.access(path, os.X_OK):
        place = "" if from_flag else f" at {shortened(str(path))}"
        raise UsageError(f"{origin} {configured}: no such interpreter{place}; name an executable python")
    return path.absolute()


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
