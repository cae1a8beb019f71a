"""Which cases are timed: a named preset, whose axes flags replace."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from audit.errors import UsageError
from validation.benchmark.cases import DTYPES, AttentionCase, Mode, ModelCase
from validation.benchmark.presets import Preset

_HEADS = re.compile(r"(\d{1,5})(?::(\d{1,5}))?")
_ATTENTION_MODES = (Mode.FORWARD, Mode.BACKWARD, Mode.DECODE)
_MOST_CASES = 10_000


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The axes; every combination is a case.

    Batch and heads that are None follow from `tokens` in a batch and `hidden` features of all heads together, as in the
    tables of Dao 2023 (arXiv:2307.08691): as many samples, and as many heads, as make these up.
    """

    batches: tuple[int | None, ...]
    heads: tuple[tuple[int, int] | None, ...]
    lengths: tuple[int, ...]
    head_dims: tuple[int, ...]
    causal: tuple[bool, ...]
    windows: tuple[int | None, ...]
    dtypes: tuple[str, ...]
    modes: tuple[Mode, ...]
    model_batch: int
    model_modes: tuple[Mode, ...]
    tokens: int = 16_384
    hidden: int = 2_048

    def attention_cases(self) -> list[AttentionCase]:
        """Return every combination once, in order.

        Raises:
            UsageError: an axis has a value that no case can have, or there are too many cases.
        """
        axes = (self.modes, self.dtypes, self.head_dims, self.heads, self.batches, self.causal, self.windows)
        combinations = itertools.product(*axes, self.lengths)
        cases: dict[str, AttentionCase] = {}
        for mode, dtype, head_dim, heads, batch, is_causal, window, length in combinations:
            query_heads, key_heads = heads or (max(self.hidden // head_dim, 1),) * 2
            try:
                case = AttentionCase.model_validate(
                    {
                        "batch": batch if batch is not None else max(self.tokens // length, 1),
                        "heads": query_heads, "kv_heads": key_heads, "length": length, "head_dim": head_dim,
                        "is_causal": is_causal, "window": window, "dtype": dtype, "mode": mode,
                    }
                )  # fmt: skip
            except ValidationError as invalid:
                first = invalid.errors()[0]
                where = ".".join(str(part) for part in first["loc"]) or "case"
                raise UsageError(f"--{where.replace('_', '-')}: {first['msg']}") from invalid
            cases.setdefault(case.id, case)
            if len(cases) > _MOST_CASES:
                raise UsageError(f"more than {_MOST_CASES} cases; name fewer values")
        return list(cases.values())

    def model_cases(self, names: Sequence[str]) -> list[ModelCase]:
        """Return the cases of the models of these names."""
        return [
            ModelCase.model_validate({"name": name, "batch": self.model_batch, "mode": mode})
            for name in names
            for mode in self.model_modes
        ]


PRESETS = {
    Preset.QUICK: Grid(
        batches=(1,), heads=((4, 4), (4, 2)), lengths=(256,), head_dims=(64,), causal=(True,), windows=(None,),
        dtypes=("float32",), modes=_ATTENTION_MODES, model_batch=2, model_modes=(Mode.FORWARD,),
    ),
    Preset.CPU: Grid(
        batches=(1,), heads=((8, 8), (8, 2)), lengths=(128, 512, 2048), head_dims=(64,), causal=(True,),
        windows=(None,), dtypes=("float32",), modes=_ATTENTION_MODES, model_batch=4,
        model_modes=(Mode.FORWARD, Mode.TRAINING_STEP),
    ),
    Preset.GPU: Grid(
        batches=(None,), heads=(None,), lengths=(2048, 4096, 8192, 16_384), head_dims=(64, 128), causal=(False, True),
        windows=(None,), dtypes=("bfloat16",), modes=_ATTENTION_MODES, model_batch=16,
        model_modes=(Mode.FORWARD, Mode.TRAINING_STEP),
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Axes:
    """What flags say of the axes; empty leaves the preset's."""

    batch: Sequence[int] = ()
    heads: Sequence[str] = ()
    length: Sequence[int] = ()
    head_dim: Sequence[int] = ()
    causal: bool | None = None
    window: Sequence[int] = ()
    dtype: Sequence[str] = ()
    mode: Sequence[str] = ()
    model_batch: int | None = None


def grid_of(preset: Preset, axes: Axes) -> Grid:
    """Return the preset with the axes that flags name.

    Raises:
        UsageError: a flag has no possible value.
    """
    grid = PRESETS[preset]
    unknown = [name for name in axes.dtype if name not in DTYPES]
    if unknown:
        raise UsageError(f"--dtype {unknown[0]}: should be one of {', '.join(DTYPES)}")
    every = [mode.value for mode in Mode]
    strange = [name for name in axes.mode if name not in every]
    if strange:
        raise UsageError(f"--mode {strange[0]}: should be one of {', '.join(every)}")
    modes = [Mode(name) for name in axes.mode]
    return replace(
        grid,
        batches=tuple(axes.batch) or grid.batches,
        heads=tuple(_heads(text) for text in axes.heads) or grid.heads,
        lengths=tuple(axes.length) or grid.lengths,
        head_dims=tuple(axes.head_dim) or grid.head_dims,
        causal=grid.causal if axes.causal is None else (axes.causal,),
        windows=tuple(each or None for each in axes.window) or grid.windows,
        dtypes=tuple(axes.dtype) or grid.dtypes,
        modes=tuple(mode for mode in modes if mode in _ATTENTION_MODES) if modes else grid.modes,
        model_modes=tuple(mode for mode in modes if mode in (Mode.FORWARD, Mode.TRAINING_STEP))
        if modes
        else grid.model_modes,
        model_batch=grid.model_batch if axes.model_batch is None else axes.model_batch,
    )


def _heads(text: str) -> tuple[int, int]:
    found = _HEADS.fullmatch(text)
    if found is None:
        raise UsageError(f"--heads {text}: should be H or H:HKV, as in 8:2")
    heads, key_heads = int(found[1]), int(found[2] or found[1])
    if not heads or not key_heads or heads % key_heads:
        raise UsageError(f"--heads {text}: the first should be a multiple of the second")
    return heads, key_heads
