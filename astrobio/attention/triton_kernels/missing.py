"""What stands in Triton's place where it cannot be imported, so that the kernels' modules always can.

It accepts what is said when a module is imported: decorators, block sizes and constants. It refuses what needs Triton,
which is to launch a kernel. Each of the modules imports Triton under its own name first, by which its kernels are known
to whoever reads them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn


@dataclass(frozen=True)
class Constant:
    """`tl.constexpr`: an annotation, and a constant of a module."""

    value: object


@dataclass(frozen=True)
class Kernel:
    """A function that would have been compiled."""

    function: Callable[..., object]

    def __getitem__(self, grid: object) -> NoReturn:
        """Kernels are launched on a grid.

        Raises:
            ImportError: always.
        """
        raise ImportError(
            f"the kernel {self.function.__name__} cannot be launched: triton cannot be imported; "
            "the extra `kernels` brings it",
            name="triton",
        )


@dataclass(frozen=True)
class Config:
    """`triton.Config`: block sizes, warps and stages."""

    kwargs: dict[str, int]
    num_warps: int
    num_stages: int


class Language:
    """`triton.language`, as far as it is used outside kernels."""

    constexpr = Constant


class Library:
    """`triton`, as far as it is used outside kernels."""

    Config = Config

    @staticmethod
    def jit(function: Callable[..., object] | None = None, **settings: object) -> Any:
        """The decorator, with settings or without."""
        return Kernel if function is None else Kernel(function)

    @staticmethod
    def autotune(**settings: object) -> Callable[[Any], Any]:
        """A decorator; with nothing to time, the kernel as it is."""
        return lambda kernel: kernel


def placeholders() -> tuple[type[Library], type[Language]]:
    """What takes the names `triton` and `tl`."""
    return Library, Language
