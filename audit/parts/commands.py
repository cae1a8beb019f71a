"""What a command is that can be planned on one machine and carried out on others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.profiles import Profile
from audit.session import Planner
from audit.target import Target


@dataclass(frozen=True, kw_only=True)
class PlannedCommand:
    """How a command plans, and how it carries out.

    `planners` is called where they are needed, for they import much; it takes the profile of a release.
    """

    name: str
    planners: Callable[[Profile | None], Sequence[Planner]]
    release: bool = False
    needs_inventory: bool = False
    one_thread: bool = False


@dataclass(frozen=True, kw_only=True)
class TargetFlags:
    """What names a target, as the options of a command were set."""

    folder: Path
    package: str | None = None
    python: Path | None = None
    seed: int | None = None
    workers: int | None = None
    config: Path | None = None

    def load(self) -> Target:
        """Read the target's configuration.

        Raises:
            UsageError: the folder, the configuration, the package or the interpreter is missing or malformed.
        """
        return Target.load(
            self.folder,
            package=self.package,
            python=self.python,
            seed=self.seed,
            workers=self.workers,
            config=self.config,
        )
