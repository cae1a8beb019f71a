"""The inputs on which scripts look for a defect, the smallest first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from audit.attention.subject import AttentionSubject

LENGTHS = (2, 3, 4, 5, 8, 11, 17)
RANKS = 3  # as attention.context_parallel has
PROMPT = "a prompt, then two tokens one by one"


VIEWS = {
    "transposed": "x.transpose(-2, -1).contiguous().transpose(-2, -1)",
    "sliced": "torch.cat((x, x, x), dim=-1)[..., x.shape[-1] : 2 * x.shape[-1]]",
    "stepped": "torch.stack((x, torch.zeros_like(x)), dim=-1).flatten(-2)[..., ::2]",
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The inputs of one script: sizes, which tokens of the first sample are masked, and what the tensors hold."""

    length: int = 2
    queries: int | None = None  # of a function, where they are fewer or more than the keys
    batch: int = 1
    padding: str = ""  # "", "left", "right", "all" of the first sample
    content: str = "one-hot"
    is_causal: bool = False
    factor: float = 1.0
    variant: str = ""


@dataclass(frozen=True, kw_only=True)
class Relation:
    """`bound` is what may come between both sides: rounding of `steps`, of the `result` alone, a
    `thousandth` of what is expected, or `nothing`.

    `differs` says that both sides must differ, and not agree. With `some_rows` the output may lack numbers in rows that
    are not compared, as that of a query to which an inverted mask leaves no key.
    """

    says: str
    lines: Callable[[AttentionSubject, Setting], list[str]]
    settings: Callable[[AttentionSubject], Sequence[Setting]]
    applies: Callable[[AttentionSubject], bool] = lambda subject: True
    bound: Literal["steps", "result", "thousandth", "nothing"] = "steps"
    differs: bool = False
    with_gradient: bool = False
    needs_reference: bool = False
    some_rows: bool = False


def all_settings(
    subject: AttentionSubject, *, padding: Sequence[str] = ("",), batch: Sequence[int] = (1, 2)
) -> list[Setting]:
    """Return settings, the smallest first; one-hot tokens are tried before normal ones."""
    return [
        Setting(length=length, batch=size, padding=side, content=content, is_causal=is_causal)
        for length in LENGTHS
        for side in padding
        for is_causal in _causal(subject)
        for content in ("one-hot", "normal")
        for size in batch
        if content == "normal" or (size == 1 and not subject.contract.context_dim)
    ]


def _causal(subject: AttentionSubject) -> list[bool]:
    """Return the ways in which it is called: a function that can be causal is so where it is asked to."""
    if not subject.contract.is_causal:
        return [False]
    return [True, False] if subject.is_function else [True]


def oracle_settings(subject: AttentionSubject) -> list[Setting]:
    """Return those of all masks and lengths that the oracle is compared on."""
    sides = [""]
    if subject.contract.key_mask:
        sides += ["right", "left"] if subject.is_function or not subject.contract.is_causal else ["right"]
        sides += ["all"] if subject.contract.empty_row else []
    found = [Setting(length=1, is_causal=bool(subject.contract.is_causal), content="normal")]
    for side in sides:
        found += all_settings(subject, padding=[side])
    if subject.is_function:
        pairs = [(1, 2), (2, 3), (3, 5)] + ([(3, 2)] if subject.contract.empty_row else [])
        for queries, length in pairs:
            found += [
                Setting(length=length, queries=queries, is_causal=is_causal, content="normal")
                for is_causal in ([True, False] if subject.contract.is_causal else [False])
            ]
    return sorted(found, key=lambda setting: setting.length)


def large_settings(subject: AttentionSubject) -> list[Setting]:
    """Return those with inputs that make large logits."""
    causal = bool(subject.contract.is_causal)
    return [
        Setting(length=length, content="normal", factor=factor, batch=8, is_causal=causal)
        for length in (1, 2)
        for factor in (10.0, 30.0, 100.0, 300.0, 1e3, 1e4)
    ]


def masked_settings(subject: AttentionSubject) -> list[Setting]:
    """Return those with padding."""
    sides = ("right", "left") if subject.contract.key_mask else ()
    return [
        each for each in all_settings(subject, padding=sides, batch=(1, 2)) if each.length > 2 or not each.is_causal
    ]


def batches_settings(subject: AttentionSubject) -> list[Setting]:
    """Return those of several samples."""
    causal = bool(subject.contract.is_causal)
    sides = ("", "right") if subject.contract.key_mask else ("",)
    return [
        Setting(length=length, batch=batch, content="normal", padding=side, is_causal=causal)
        for length in LENGTHS
        for batch in (2, 3)
        for side in sides
    ]


def chunks_settings(subject: AttentionSubject) -> list[Setting]:
    """Return those of decoding, after left padding too; none where no way to decode is declared or was found."""
    if not subject.decodes:
        return []
    window = subject.contract.window or 0
    lengths = [*LENGTHS, *([2 * window + 1] if window else [])]
    masked = subject.contract.key_mask and (bool(subject.form) or subject.decodes_masked)
    return [
        Setting(length=length, batch=2 if side else 1, content=content, is_causal=True, variant=chunk, padding=side)
        for length in lengths
        for side in (("", "left") if masked else ("",))
        for chunk in ("1", "2", "3", PROMPT)
        for content in ("one-hot", "normal")
        if length > (2 if chunk == PROMPT else int(chunk)) and (content == "normal" or not side)
    ]


def repeated_settings(subject: AttentionSubject) -> list[Setting]:
    """Return those of several calls, with dropout set or not."""
    variants = ("",) if subject.is_function else ("", "dropout")
    return [
        Setting(length=length, content="normal", is_causal=bool(subject.contract.is_causal), variant=variant)
        for length in (3, 8, 17)
        for variant in variants
    ]


def layouts_settings(subject: AttentionSubject) -> list[Setting]:
    """Return those of each kind of view."""
    return [
        Setting(length=n, content="normal", is_causal=bool(subject.contract.is_causal), variant=name, padding=side)
        for n in (2, 3, 5)
        for side in (("", "right") if subject.contract.key_mask else ("",))
        for name in VIEWS
    ]


def touching_settings(subject: AttentionSubject) -> list[Setting]:
    """Return those of calls that may overwrite an input."""
    sides = ("", "right") if subject.contract.key_mask else ("",)
    found = all_settings(subject, padding=sides, batch=(1, 2))
    return found + ([Setting(length=3, is_causal=True, variant="2", content="normal")] if subject.decodes else [])


def differentiated_settings(subject: AttentionSubject) -> list[Setting]:
    """Return those of gradients."""
    return [
        each for each in all_settings(subject, batch=(1,)) if each.length > 2 and each.content == "normal"
    ] + oracle_sides(subject)


def oracle_sides(subject: AttentionSubject) -> list[Setting]:
    """Return those with masks for gradients, where empty rows are declared."""
    sides = ("right", "all") if subject.contract.empty_row and subject.contract.key_mask else ()
    return [each for each in all_settings(subject, padding=sides, batch=(2,)) if each.content == "normal"]


def depending_settings(subject: AttentionSubject) -> list[Setting]:
    """Return those in which something is replaced."""
    causal = bool(subject.contract.is_causal)
    return [
        Setting(length=length, batch=2, content="normal", is_causal=causal, variant=variant)
        for length in (3, 5, 11)
        for variant in ("input", "key")
    ]


def beyond_settings(subject: AttentionSubject) -> list[Setting]:
    """Return those that are longer than the window."""
    if subject.contract.window is None or subject.contract.window > max(LENGTHS) * 8:
        return []
    return [
        Setting(length=subject.contract.window + more, content="normal", is_causal=bool(subject.contract.is_causal))
        for more in (1, 4)
    ]


def long_settings(subject: AttentionSubject) -> list[Setting]:
    """Return those of low precision, up to positions that bfloat16 cannot tell apart."""
    return [
        Setting(length=n, content="normal", is_causal=bool(subject.contract.is_causal), variant=dtype, factor=factor)
        for n in (8, 33, 130, 300, 521)
        for dtype in ("bfloat16", "float16")
        if not subject.is_declared or dtype in subject.contract.dtypes
        for factor in (1.0, 4.0)
    ]


def shared_settings(subject: AttentionSubject) -> list[Setting]:
    """Return those of sequences that are spread over ranks; few, for each takes processes of its own."""
    return [
        Setting(length=RANKS * share, content="normal", is_causal=each, padding=side)
        for share in (2, 4)
        for side in (("", "right") if subject.contract.key_mask else ("",))
        for each in _causal(subject)
    ]


def one_settings(subject: AttentionSubject) -> list[Setting]:
    """Return those of one sample."""
    causal = bool(subject.contract.is_causal)
    return [Setting(length=length, content="normal", is_causal=causal) for length in (3, 5, 11)]


def is_module(subject: AttentionSubject) -> bool:
    """Whether it has parameters and a mode."""
    return not subject.is_function


def is_causal(subject: AttentionSubject) -> bool:
    """Whether no output may depend on later tokens."""
    return bool(subject.contract.is_causal) and subject.contract.context_dim is None


def has_no_order(subject: AttentionSubject) -> bool:
    """Whether outputs follow their tokens to other places."""
    contract = subject.contract
    return contract.rotary_base is None and contract.window is None and not (contract.is_causal and is_module(subject))


def is_over_ranks(subject: AttentionSubject) -> bool:
    """Whether its sequence may be spread over processes."""
    return bool(subject.contract.context_parallel)


def takes_mask(subject: AttentionSubject) -> bool:
    """Whether it takes a mask of keys."""
    return subject.contract.key_mask
