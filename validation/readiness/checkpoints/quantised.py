"""The blocks of ggml's quantised types: how many elements share one, its bytes, and where its scales lie.

Sizes are those of `GGML_QUANT_SIZES` in the package gguf 0.19 (`gguf/constants.py` of llama.cpp, 2026-11-26), places
those of the structures in `ggml-common.h` there. A number is its scale times a small integer, so where no scale is NaN
or infinite no number is.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Block(NamedTuple):
    """A block: its elements, its bytes, and where a scale of 16 bits begins; nowhere where these are not followed."""

    elements: int
    size_bytes: int
    scales: tuple[int, ...] = ()


BLOCKS = {
    "q4_0": Block(32, 18, (0,)), "q4_1": Block(32, 20, (0, 2)), "q5_0": Block(32, 22, (0,)),
    "q5_1": Block(32, 24, (0, 2)), "q8_0": Block(32, 34, (0,)), "q2_k": Block(256, 84, (80, 82)),
    "q3_k": Block(256, 110, (108,)), "q4_k": Block(256, 144, (0, 2)), "q5_k": Block(256, 176, (0, 2)),
    "q6_k": Block(256, 210, (208,)), "iq2_xxs": Block(256, 66, (0,)), "iq2_xs": Block(256, 74, (0,)),
    "iq3_xxs": Block(256, 98, (0,)), "iq1_s": Block(256, 50, (0,)), "iq4_nl": Block(32, 18, (0,)),
    "iq3_s": Block(256, 110, (0,)), "iq2_s": Block(256, 82, (0,)), "iq4_xs": Block(256, 136, (0,)),
    "iq1_m": Block(256, 56), "tq1_0": Block(256, 54, (52,)), "tq2_0": Block(256, 66, (64,)),
    "mxfp4": Block(32, 17), "nvfp4": Block(64, 36), "q1_0": Block(128, 18),
}  # fmt: skip


def counted_blocks(content: bytes, block: Block) -> tuple[int, int]:
    """Return how many numbers are NaN and infinite by their scales, in bytes that are whole blocks."""
    rows = np.frombuffer(content, np.uint8).reshape(-1, block.size_bytes)
    nan: NDArray[np.bool_] = np.zeros(len(rows), np.bool_)
    infinite = nan.copy()
    for start in block.scales:
        scales = np.ascontiguousarray(rows[:, start : start + 2]).view("<f2")[:, 0]
        nan |= np.isnan(scales)
        infinite |= np.isinf(scales)
    return int(nan.sum()) * block.elements, int((infinite & ~nan).sum()) * block.elements
