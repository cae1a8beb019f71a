"""What the target's specs declare: its registered models and attention mechanisms."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, JsonValue

from audit.judgement import Judgement, Measured, error, judged, not_applicable
from audit.results import Comparison, Frozen
from audit.target import TABLE

Section = Literal["models", "attention", "data", "training"]

_MAX_LISTED = 3  # entries that cannot be used
_HOW_TO_CORRECT = "correct it in the specs; docs/writing-specs.md has every key"

HOW_TO_DECLARE = (
    f"write a module that defines MODELS and ATTENTION and name it as `specs` in {TABLE}; "
    "see 'Your own package' in the README"
)
HOW_TO_DECLARE_TRAINING = (
    "declare under TRAINING in the specs what trains, or TRAINING = {} where nothing is to be trained; "
    "see docs/writing-specs.md"
)


class Padding(Frozen):
    """What marks padding, and the content that is hidden there; `axis` is that of positions in the content.

    `mask` is the argument that `marks` it: a mask (B, L), in which True `keeps` a position or hides it; lengths (B,);
    or tokens (B, L), which are `pad_id` there. `outputs` has the axis of positions of each output whose positions are
    others than those of the content; None is what the specs do not say.
    """

    mask: str
    content: list[str]
    marks: Literal["mask", "lengths", "tokens"] = "mask"
    pad_id: int | None = None
    axis: int = 1
    keeps: bool = True
    removable: bool = False  # a row says the same without it
    outputs: dict[str, int] | None = None


class Causal(Frozen):
    """What a model reads in one direction: arguments of forward, and the axis of positions in them.

    `outputs` has the axis of positions of each output that has positions; None is what the specs do not say.
    """

    content: list[str]
    axis: int = 1
    outputs: dict[str, int] | None = None


class Generate(Frozen):
    """What continues a prompt with the likeliest tokens; after `ends` a row holds `pads`."""

    content: str
    prompt: int | None = None
    ends: int | None = None
    pads: int | None = None


class SpecEntry(Frozen):
    """One entry of the specs, as the probe read it; `problem` says why it cannot be used."""

    problem: str | None
    declared_class: str | None = Field(default=None, alias="class")
    declared_function: str | None = Field(default=None, alias="function")
    decodes: bool = False
    decodes_masked: bool = False  # `decode` also takes a mask of keys
    contract: dict[str, JsonValue] | None = None
    stand_ins: str | None = None  # the library whose stand-in is there when it is called
    # How a model behaves; None is what the specs do not say.
    random_in_training: bool | None = None
    differs_in_training: bool = False  # train mode returns something else than eval mode
    padding: list[Padding] | None = None
    causal: Causal | None = None
    residual: dict[str, list[str]] | None = None  # last layers of the branches of each block, by its name
    tied: list[list[str]] | None = None  # groups of names that are one tensor
    frozen: list[str] | None = None  # patterns of the names of parameters; every other one learns
    inference: list[str] | None = None  # what is called beside forward
    generate: Generate | None = None
    dtypes: list[str] | None = None  # that it runs in beside float32
    compiles: bool | str | None = None  # a text names another entry of the same class that stands for it
    exports: bool | str | None = None
    dynamic_batch: bool = False  # an export takes batches of any size
    targets_differ: bool = True  # what the loss compares with tells the samples of a batch apart
    stops_gradients: bool = False  # what its loss detaches is detached on purpose
    initial_loss: float | None = None  # of a model that knows nothing yet
    meta: bool = True  # whether the model can be built without the values of its tensors
    device: str | None = None  # the kind of device that the model needs
    has_splits: bool = False  # of a data set: whether its parts are declared
    random: bool = False  # of a data set: whether an item differs each time it is read

    @property
    def declared(self) -> str | None:
        """The class or function that the entry names, `module:qualname`."""
        return self.declared_class or self.declared_function


class TrainingEntry(SpecEntry):
    """One entry of TRAINING; it may name the target's own command, one for two ranks, and a speed to reach."""

    has_command: bool = False
    has_ranks: bool = False
    has_optimizer: bool = False  # gives it
    optimizer_steps: float | None = None  # of the command, for each of its own
    min_steps_per_s: float | None = None


class Catalog(Frozen):
    """The sections of the specs; None where the specs do not define one."""

    models: dict[str, SpecEntry] | None = None
    attention: dict[str, SpecEntry] | None = None
    benchmarks: dict[str, SpecEntry] | None = None  # backends of attention to be timed
    data: dict[str, SpecEntry] | None = None
    training: dict[str, TrainingEntry] | None = None
    # For a section that is not defined, a table that is nearly called so.
    misnamed: dict[str, str] = Field(default_factory=dict)
    path: str | None = None

    def entries(self, section: Section) -> Mapping[str, SpecEntry] | None:
        """Return the entries of a section; None where the specs do not define it."""
        found: Mapping[str, SpecEntry] | None = getattr(self, section)
        return found

    def problems(self, *sections: Section) -> list[str]:
        """Say what is wrong with each of these sections that has another name, and each entry that cannot be used."""
        misnamed = [self.undefined(section) for section in sections if section in self.misnamed]
        return misnamed + [
            f"{section.upper()}[{name!r}]: {entry.problem}"
            for section in sections
            for name, entry in sorted((self.entries(section) or {}).items())
            if entry.problem
        ]

    def undefined(self, section: Section) -> str:
        """Say that a section is not defined, and what is nearly called so."""
        near = self.misnamed.get(section)
        hint = f"; {near} is no section, did you mean {section.upper()}?" if near else ""
        return f"the specs do not define {section.upper()}{hint}"


class Undeclared(Exception):
    """There is no usable catalogue; carries the judgement that the report shows for it."""

    def __init__(self, judgement: Judgement) -> None:
        """Keep the judgement."""
        super().__init__(judgement.reason)
        self.judgement = judgement


def unusable(catalog: Catalog, *sections: Section) -> Judgement | None:
    """Return the error that what cannot be used in these sections is due to; None where all can be."""
    problems = catalog.problems(*sections)
    if not problems:
        return None
    more = f"; {len(problems) - _MAX_LISTED} more" if len(problems) > _MAX_LISTED else ""
    return error("; ".join(problems[:_MAX_LISTED]) + more, fix=_HOW_TO_CORRECT)


def judge_section(catalog: Catalog | Undeclared, section: Section, *, may_be_empty: bool) -> Judgement:
    """Judge whether a section declares something to check.

    Args:
        catalog: what the specs declare, or why that is unknown.
        section: which one.
        may_be_empty: whether a section that is declared and empty says that there is nothing of its kind.
    """
    if isinstance(catalog, Undeclared):
        return catalog.judgement
    entries = catalog.entries(section)
    name = section.upper()
    if entries is None:
        return error(catalog.undefined(section), fix=HOW_TO_DECLARE)
    if trouble := unusable(catalog, section):
        return trouble
    if not entries and may_be_empty:
        return not_applicable(f"the specs declare that there is nothing of this kind: {name} is empty")
    return judged(
        Measured(
            value=len(entries),
            bound=1,
            comparison=Comparison.AT_LEAST,
            origin="an audit of nothing proves nothing",
            unit="entries declared",
        ),
        otherwise=f"{name} is empty",
    )
