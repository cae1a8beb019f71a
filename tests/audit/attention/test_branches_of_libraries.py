"""Where a library is installed and can be called, its branch is judged with it, and not with a stand-in."""

from pathlib import Path

import pytest

from audit.results import Outcome

from .judged_branches import FOLDER, judged_with_library

NAME = "CausalSelfAttention"
# A guard that asks for a GPU would find none here.
SUBJECT = (FOLDER / "flash_option.py").read_text().replace(" and q.is_cuda", "")
LIBRARY = '''
"""Flash attention as it is documented, as far as the subject calls it; float32 is refused, as by the library."""

import torch
from torch.nn import functional as F

__version__ = "2.9.0"


def flash_attn_func(q, k, v, dropout_p=0.0, softmax_scale=None, causal=False):
    if q.dtype not in (torch.float16, torch.bfloat16):
        raise RuntimeError("FlashAttention only support fp16 and bf16 data type")
    q, k, v = (each.transpose(1, 2) for each in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal, scale=softmax_scale).transpose(1, 2)
'''


def test_a_library_that_agrees_passes_and_is_named(tmp_path: Path) -> None:
    (found,) = judged_with_library(tmp_path, SUBJECT, NAME, "flash_attn", LIBRARY)
    assert found.outcome is Outcome.PASSED, found.reason
    assert found.measured is not None
    assert "flash_attn 2.9.0: called with bfloat16" in found.measured.origin
    assert "stand-in" not in found.measured.origin


def test_a_wrong_call_of_the_library_is_found(tmp_path: Path) -> None:
    edited = SUBJECT.replace("causal=True)", "causal=False)")
    assert edited != SUBJECT
    (found,) = judged_with_library(tmp_path, edited, NAME, "flash_attn", LIBRARY)
    assert found.outcome is Outcome.FAILED
    assert "flash_attn 2.9.0" in str(found.reason)


@pytest.mark.parametrize(
    ("library", "said"),
    [
        (LIBRARY.replace("only support fp16 and bf16 data type", "takes no head of this size").replace(
            "if q.dtype not in (torch.float16, torch.bfloat16):", "if q.shape[-1] != 48:"
        ), "takes no head of this size"),
        ("raise OSError('libcudart.so.12 is missing')", "stand-in for flash_attn"),
    ],
    ids=["not of this head_dim", "cannot be imported"],
)  # fmt: skip
def test_what_the_library_does_not_do_is_not_passed_for_it(tmp_path: Path, library: str, said: str) -> None:
    text = SUBJECT.replace("except ImportError", "except (ImportError, OSError)")
    (found,) = judged_with_library(tmp_path, text, NAME, "flash_attn", library)
    told = found.reason if found.measured is None else found.measured.origin
    assert said in str(told), found
    assert (found.outcome is Outcome.PASSED) == ("stand-in" in said)
