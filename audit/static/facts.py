"""What one file does, apart from its names: plain data and a function of the file's content, so that it can be cached.

Names in facts are full where an import of the file binds them (`torch.nn.functional.softmax`), and start with a dot
where the file itself does (`.Net`).
"""

from dataclasses import dataclass
from enum import StrEnum

from audit.static.parameters import Parameter


class Mechanism(StrEnum):
    """How an attention output comes about."""

    SOFTMAX = "softmax"  # a softmax between two matrix products
    LINEAR = "linear"  # a product with a product of feature maps: no softmax over pairs
    SDPA = "sdpa"  # torch's scaled_dot_product_attention
    MULTIHEAD = "multihead"  # torch's MultiheadAttention
    FLASH = "flash_attn"
    XFORMERS = "xformers"
    FLEX = "flex_attention"
    SAGE = "sageattention"


@dataclass(frozen=True, slots=True)
class AttentionFact:
    """The attention that one function, or the methods of one class, compute.

    `through` are functions it uses, of which later stages know whether they compute attention; with no `mechanisms`
    the fact stands for nothing else. `causal` holds what is passed as `is_causal` or `causal`: true, false, dynamic.
    `parameters` are those of a function; a class has none of its own.
    """

    qualname: str
    line: int
    is_class: bool
    digest: str
    mechanisms: tuple[Mechanism, ...] = ()
    masks: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    causal: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingFact:
    """An optimisation loop, or a call that runs one, in the function `qualname`; `<module>` outside of functions."""

    qualname: str
    line: int
    by: str  # "loop", or the full name of the trainer whose `fit` or `train` is called


@dataclass(frozen=True, slots=True)
class EntryFact:
    """A way in from a command line: a `__main__` guard or a parser of arguments."""

    line: int
    by: str  # "__main__", or the full name of what is called


@dataclass(frozen=True, slots=True)
class NamedLine:
    """A name and the line it is at."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class BuildFact:
    """A compiled extension that code builds: its module name, empty where that is no constant, and by what."""

    name: str
    by: str
    line: int


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Everything that the inventory knows of one file besides its classes."""

    attention: tuple[AttentionFact, ...] = ()
    training: tuple[TrainingFact, ...] = ()
    entries: tuple[EntryFact, ...] = ()
    calls: tuple[str, ...] = ()  # full names of what is called, in files that train
    methods: tuple[str, ...] = ()  # names of the methods called, in files that train
    loaders: tuple[NamedLine, ...] = ()  # constructions of a DataLoader, by the function they are in
    tests: tuple[str, ...] = ()  # functions and methods that pytest or unittest would collect
    kernels: tuple[NamedLine, ...] = ()  # functions decorated with `triton.jit`
    builds: tuple[BuildFact, ...] = ()  # extensions that a setup script or a call at run time builds
