"""Correct implementations of attention in many styles, and the single edits that each make one of them wrong.

The implementations are in `tests/fixtures/attention/corpus`, one file per style. Those that are `declared` have specs
beside them, for what they promise cannot be found in their sources; all others are audited as they are found. The edits
are in `corpus_mutants.py`.
"""

from dataclasses import dataclass

# Classes of mistakes that were made in public attention code.
SCALE_SIZE = "scale taken from the wrong size"
SCALE_FORM = "scale inverted, applied twice or left out"
MASK_INVERTED = "mask convention inverted"
MASK_ADDED = "bool or 0/1 mask added to the scores"
MASK_AXIS = "mask broadcast along the wrong axis"
MASK_HEADS = "mask laid out heads-first against batch-first"
MASK_IGNORED = "mask accepted and then ignored"
MASK_AND_CAUSAL = "is_causal and a mask given together"
EMPTY_ROWS = "rows or samples with nothing to attend to"
ALIGNMENT = "top-left against bottom-right causal alignment"
CAUSALITY = "causality applied where it must not be, or only on one path"
DIAGONAL = "later tokens are seen"
ROTARY_OFFSET = "rotary offset with a cache"
ROTARY_PAIRS = "half-split against interleaved rotary pairs"
ANGLES = "angles in low precision"
ALIBI = "ALiBi slopes"
WINDOW = "sliding window off by one"
WINDOW_PATH = "window not applied on some path"
ROLLING = "rolling cache"
GROUPING = "grouped heads: tiled against interleaved"
HEADS = "heads split or merged without moving axes"
AXIS = "softmax over the wrong axis"
PRECISION = "softmax or running sums in the wrong precision"
BLOCKS = "blockwise softmax: running maximum and rescaling"
STRIDES = "non-contiguous inputs"
SAMPLES = "result depends on the other samples"
BACKENDS = "backends disagree"
CAP = "logit cap missing or misplaced"
SINKS = "attention sinks"
DROPOUT = "dropout active in eval"
GRADIENTS = "wrong gradients"
NORMALISER = "linear attention: normaliser"
PACKED = "packed sequences leak"

BUG_CLASSES = tuple(value for name, value in list(vars().items()) if name.isupper() and isinstance(value, str))

SCALE = ("attention.oracle", "attention.scale", "attention.prefix")
MASK = ("attention.mask", "attention.noop_mask")
FUTURE = ("attention.causality", "attention.prefix")
SHAPE = ("attention.depends", "attention.attended_axis", "attention.batch_rows", "attention.causality")
ROWS = ("attention.oracle", "attention.softmax_axis", "attention.row_sums")


@dataclass(frozen=True, kw_only=True)
class Correct:
    """One implementation; `errors` names checks that may be `error`, each with the reason."""

    style: str  # the file
    name: str  # the class or function
    declared: bool = False
    errors: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        return f"{self.style}.{self.name}{'-declared' if self.declared else ''}"


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One edit of the file: `before`, which is there once, becomes `after`. One of `checks` must fail."""

    name: str
    of: Correct
    before: str
    after: str
    bug: str
    checks: tuple[str, ...]


NANO = Correct(style="nano_gpt", name="CausalSelfAttention")
BOOK = Correct(style="textbook", name="MultiHeadedAttention")
BOOK_FUNCTION = Correct(style="textbook", name="attention")
EINSUM = Correct(style="einsum_heads", name="Attention")
LLAMA = Correct(style="hf_llama", name="TinyAttention")
BERT = Correct(style="hf_bert", name="BertSelfAttention")
SDPA = Correct(style="torch_sdpa", name="SelfAttention")
SDPA_CAUSAL = Correct(style="torch_sdpa", name="CausalAttention")
VIT = Correct(style="vit_qkv", name="Attention")
GROUPED = Correct(style="grouped", name="GroupedQueryAttention")
MHA = Correct(style="torch_mha", name="EncoderAttention")
MHA_CAUSAL = Correct(style="torch_mha", name="CausalSelfAttention")
LINEAR = Correct(style="linear_attention", name="LinearAttention")
LINEAR_CAUSAL = Correct(style="linear_attention", name="CausalLinearAttention")
SLIDING = Correct(style="sliding_window", name="SlidingWindowAttention")
CROSS = Correct(style="cross", name="CrossAttention")
TIME_FIRST = Correct(style="time_first", name="MultiheadAttention")
TWO_PATHS = Correct(style="two_paths", name="TwoPathAttention")
CAPPED = Correct(style="soft_cap", name="CappedAttention")
LINEAR_BIAS = Correct(style="alibi", name="AlibiAttention")
T5_STYLE = Correct(style="t5_unscaled", name="T5SelfAttention")
COSINE = Correct(style="cosine", name="CosineAttention")
QK_NORM = Correct(style="qk_norm", name="QKNormAttention")
INDUCED = Correct(style="isab", name="InducedSetAttention")
PERCEIVER = Correct(style="perceiver", name="PerceiverAttention")
GLOBAL = Correct(style="global_tokens", name="GlobalLocalAttention")
RETENTION = Correct(style="retention", name="MultiScaleRetention")
MEMORY = Correct(style="memory_keys", name="MemoryAttention")
GATED = Correct(style="gated", name="GatedAttention")
PERFORMER = Correct(style="performer", name="PerformerAttention")
WINDOW_BESIDE = Correct(style="window_beside", name="LocalAttention")
BLOCK_LOCAL = Correct(style="blocks", name="BlockLocalAttention")
MASK_PASSED = Correct(style="mask_passed", name="CausalSelfAttention")
ONE_SERIES = Correct(style="one_series", name="ALiBiSelfAttention")
EFFICIENT = Correct(style="efficient", name="EfficientAttention")
MUP = Correct(style="mup", name="Attention")
QUIET = Correct(style="quiet", name="quiet_attention")
# A width that is a constant of the module; frames of one pixel; a flag that must be on; as many queries as keys.
CONSTANT_WIDTH = Correct(style="constant_width", name="MultiHeadAttention")
AXIAL = Correct(style="axial_volume", name="AxialAttention3D")
ALWAYS_CAUSAL = Correct(style="always_causal", name="local_attention")
RUNNING_SUM = Correct(style="running_sum", name="causal_linear_attention")
VARLEN = Correct(style="varlen", name="varlen_attention")
# Weights of heads are mixed; exponentials that are too small for float16; an adjacency that is a mask.
TALKING = Correct(style="talking_heads", name="TalkingHeadAttn")
FAVOR = Correct(style="favor", name="FavorAttention")
GRAPH = Correct(style="graph", name="GraphAttention")
# Blocks longer than the inputs; one length only; a docstring of one word; a cache shorter than what was given.
ONLINE = Correct(style="online_softmax", name="flash_attention_forward")
SWIN = Correct(style="swin", name="WindowAttention")
SAID_CAUSAL = Correct(style="said_causal", name="GatedAttention")
ROLLING_WINDOW = Correct(style="rolling_window", name="SlidingWindowAttention")
KERNEL_FOUND = Correct(style="kernels", name="plain_attention")
BLOCKWISE_FOUND = Correct(style="kernels", name="blockwise_attention")
BACKWARD_FOUND = Correct(style="kernels", name="attention_with_backward")
KERNEL = Correct(style="kernels", name="plain_attention", declared=True)
BLOCKWISE = Correct(style="kernels", name="blockwise_attention", declared=True)
BACKWARD = Correct(style="kernels", name="attention_with_backward", declared=True)
CACHE = Correct(style="rotary_cache", name="RotaryAttention", declared=True)
PAIRS = Correct(style="rotary_pairs", name="PairwiseRotary", declared=True)
ROLLING_CACHE = Correct(style="rolling_cache", name="RollingAttention", declared=True)

CORRECT = tuple(value for value in list(vars().values()) if isinstance(value, Correct))
