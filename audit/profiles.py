"""Which hardware a release is judged for. What needs more than that is no part of the verdict, and is told."""

from enum import StrEnum


class Profile(StrEnum):
    """The hardware, by the name that `--profile` takes."""

    CPU = "cpu"
    GPU = "gpu"
    MULTI_GPU = "multi-gpu"

    @property
    def gpus(self) -> int:
        """How many GPUs a machine must have for all of it to be judged."""
        return _GPUS[self]

    @property
    def use(self) -> str:
        """What the release is judged for, as it follows the verdict."""
        return _USES[self]

    def holds(self, gpus: int) -> bool:
        """Whether what needs so many GPUs belongs to it; beside several GPUs nothing lies outside."""
        return self is Profile.MULTI_GPU or gpus <= self.gpus

    def outside(self, gpus: int) -> str:
        """Return why what needs so many GPUs is not judged."""
        return f"{_OUTSIDE}{self}: needs {'a GPU' if gpus == 1 else f'{gpus} GPUs'}"


_OUTSIDE = "outside the profile "
_GPUS = {Profile.CPU: 0, Profile.GPU: 1, Profile.MULTI_GPU: 2}
_USES = {
    Profile.CPU: "for use on CPUs",
    Profile.GPU: "for use on one GPU",
    Profile.MULTI_GPU: "for use on several GPUs",
}


def left_out_by(reason: str | None) -> str | None:
    """Return the name of the profile that a result lies outside of by its reason; None where it says no such thing."""
    if not (reason or "").startswith(_OUTSIDE):
        return None
    return (reason or "").removeprefix(_OUTSIDE).partition(":")[0]
