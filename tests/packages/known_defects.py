"""Failures in packages that were read and are the package's own: what is told of each, why it is right, and where."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Defect:
    """One failure of one class or function.

    `told` is a pattern of the whole reason, so that another failure of the same check is not taken for this one; it may
    leave out in how many cases it shows, which `cases` is a pattern of. `why` says why it is no false alarm, `at` where
    the package has it.
    """

    of: str
    check: str
    told: str
    why: str
    at: str
    cases: str = ".+"

    def is_told_by(self, reason: str) -> bool:
        """Whether a reason, as `judged` gives it, is that of this defect, in whatever way the class was built."""
        name, _, rest = reason.partition(": ")
        told = re.fullmatch(rf"{re.escape(self.check)}: (?:{self.told})(?: \(\d+ of \d+ cases: (?P<cases>.*)\))?", rest)
        if told is None or name.partition("[")[0] != self.of:
            return False
        return told["cases"] is None or re.fullmatch(self.cases, told["cases"]) is not None


_UNREAD = "is taken, nothing reads it, and it changes nothing"
_ROUNDED = (
    "the output is farther from that of float32 than rounding explains, as where rotary angles, softmax or running "
    "sums are computed in low precision: 521 tokens"
)
TIMM = (
    Defect(
        "TransformerDecoderLayerOptimal",
        "attention.mask",
        "outputs changed when the content of masked keys was replaced, as with a mask that is accepted and then "
        "ignored: right padding",
        "takes four masks, and hands none of them to its attention",
        "timm 1.0.31, layers/ml_decoder.py:67",
    ),
    Defect(
        "TransformerDecoderLayerOptimal",
        "attention.arguments_used",
        f"tgt_mask {_UNREAD}(; tgt_key_padding_mask {_UNREAD})?",
        "the signature of torch's decoder layer is kept, and of its masks nothing is; who passes one is not told",
        "timm 1.0.31, layers/ml_decoder.py:61",
    ),
)
DIFFUSERS = (
    Defect(
        "SAMEAttention",
        "attention.low_precision",
        _ROUNDED,
        "rotary frequencies are a buffer, which bfloat16 rounds, and positions are counted in its dtype: from 257 on "
        "bfloat16 does not tell each from the next",
        "diffusers 0.42.1, models/autoencoders/autoencoder_same.py:137",
    ),
    Defect(
        "SAMEAttnProcessor",
        "attention.low_precision",
        _ROUNDED,
        "as SAMEAttention, which it computes",
        "diffusers 0.42.1, models/autoencoders/autoencoder_same.py:137",
    ),
    Defect(
        "SanaWMSoftmaxAttention",
        "attention.logits_dtype",
        r"scaled_dot_product_attention \(fused\): called in float32, the logits are bfloat16",
        "takes float32 to bfloat16 before its scores and tells nobody; its comment says that float32 falls back to "
        "another kernel, and the cast takes that choice from the caller",
        "diffusers 0.42.1, models/transformers/transformer_sana_wm.py:2104",
    ),
    Defect(
        "SanaWMSoftmaxAttention",
        "attention.noncontiguous",
        "views that are not contiguous give another output than their copies: transposed",
        "rounds to bfloat16 within, in another order for each layout of its inputs",
        "diffusers 0.42.1, models/transformers/transformer_sana_wm.py:2104",
    ),
)
X_TRANSFORMERS = (
    Defect(
        "Attend",
        "attention.branches",
        r"branches compute different functions: plain and flash = True, [\w ,]+",
        "the causal flag of a call, which replaces that of the constructor, is not handed to `flash_attn`: with flash "
        "on the constructor's holds, and a call with causal=True sees later tokens",
        "x-transformers 2.31.10, x_transformers/attend.py:547",
        cases=r"(plain and flash = True, [^;()=]+(; |$))+",
    ),
)
