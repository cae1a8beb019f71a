"""The classes of mistakes that a defect can belong to: why each matters, how it is mended, where it was made before.

The threads are public ones on github.com. They tell of mistakes of the class, most of them mended since, and say
nothing of the subject in hand.
"""

from dataclasses import dataclass

_GITHUB = "https://github.com/"


@dataclass(frozen=True, kw_only=True)
class BugClass:
    """One class; `related` are public threads, the first one the plainest."""

    name: str
    why: str
    fix: str
    threads: tuple[str, ...] = ()

    @property
    def related(self) -> tuple[str, ...]:
        """The addresses of the threads."""
        return tuple(_GITHUB + thread for thread in self.threads)


UNKNOWN = BugClass(
    name="Cause not established",
    why="the output is not the declared one, whatever the reason",
    fix="compare the trace and the reproducer with what is declared; a declaration that says something else is a cause",
)

# A row each: name, why it matters, how it is mended, threads.
_ROWS: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "scale_size": (
        "Scale taken from the wrong size",
        "the logits are too flat or too sharp, which training hides and weights made elsewhere do not",
        "scale the product of queries and keys by 1/sqrt(head_dim), the size that is added up in it",
        (
            "lucidrains/vit-pytorch/issues/65",
            "karpathy/ng-video-lecture/issues/6",
        ),
    ),
    "scale_form": (
        "Scale inverted, applied twice or left out",
        "the softmax becomes nearly uniform, or nearly one-hot and without a gradient",
        "multiply the logits by 1/sqrt(head_dim) once; `scaled_dot_product_attention` does it already",
        (
            "esceptico/perceiver-io/issues/9",
            "lucidrains/x-transformers/issues/190",
        ),
    ),
    "mask_inverted": (
        "Mask convention inverted",
        "padding is attended to and the content is not",
        "turn the mask round where it is read; in `scaled_dot_product_attention` True is a key that may be seen",
        (
            "huggingface/transformers/issues/38094",
            "lucidrains/halonet-pytorch/issues/4",
        ),
    ),
    "causal_inverted": (
        "Causal mask inverted",
        "each token sees those after it and none before it, which cannot be there when tokens are generated",
        "turn the causal mask round: `tril()` is what may be seen; `masked_fill` and the masks of "
        "`nn.MultiheadAttention` take what may not, `triu(diagonal=1)`",
        (),
    ),
    "mask_added": (
        "Bool or 0/1 mask added to the scores",
        "True counts as 1, so that a masked key is less likely by a factor of e and not left out",
        "turn the mask into 0 and -inf, or use `masked_fill`",
        (
            "vllm-project/speculators/issues/691",
            "EleutherAI/gpt-neox/issues/139",
        ),
    ),
    "mask_axis": (
        "Mask broadcast along the wrong axis",
        "whole queries are masked, and padded keys still have weight",
        "give a mask of keys the shape (B, 1, 1, Lk)",
        (
            "hyunwoongko/transformer/issues/40",
            "huggingface/transformers/issues/26421",
        ),
    ),
    "mask_heads": (
        "Mask laid out heads-first against batch-first",
        "a sample gets the padding of another",
        "repeat a mask (B, Lk) head by head within each sample: `repeat_interleave(num_heads, dim=0)`",
        (
            "line/lighthouse/issues/77",
            "lsdefine/attention-is-all-you-need-keras/issues/36",
        ),
    ),
    "mask_ignored": (
        "Mask accepted and then ignored",
        "the output of a sample depends on its padding",
        "set the scores of masked keys to -inf before the softmax, on every path",
        (
            "huggingface/transformers/issues/47946",
            "huggingface/transformers/issues/36293",
        ),
    ),
    "mask_and_causal": (
        "is_causal and a mask given together",
        "with a padding mask every token sees those after it",
        "combine both: `allowed = causal & mask`, and pass the result as the only mask",
        (
            "pytorch/pytorch/issues/131254",
            "pytorch/pytorch/issues/187413",
        ),
    ),
    "empty_rows": (
        "Rows or samples with nothing to attend to",
        "NaN spreads from one padded sample through the loss into every weight",
        "keep the scores of a row without keys finite, and set its output to zero after the softmax",
        (
            "pytorch/pytorch/issues/103963",
            "pytorch/pytorch/issues/103749",
        ),
    ),
    "alignment": (
        "Top-left against bottom-right causal alignment",
        "with a cache, a new token sees the first keys only",
        "shift the diagonal by the number of cached keys: `tril(diagonal=Lk - Lq)`",
        (
            "pytorch/pytorch/issues/108108",
            "pytorch/pytorch/issues/103082",
        ),
    ),
    "causality": (
        "Causality applied where it must not be, or only on one path",
        "what is learned on one path is not what is computed on another",
        "apply the causal mask on every path or on none",
        (
            "McGill-NLP/llm2vec/issues/79",
            "huggingface/transformers/issues/33676",
        ),
    ),
    "rotary_offset": (
        "Rotary offset with a cache",
        "generated tokens have the positions of the first ones",
        "begin positions at the number of cached tokens",
        ("pytorch/executorch/issues/2010", "skyzh/tiny-llm/issues/46"),
    ),
    "left_padding": (
        "Left padding and position ids",
        "a padded prompt gives another answer than the prompt alone",
        "count positions from the first token that is not padding",
        (
            "huggingface/transformers/issues/22161",
            "unslothai/unsloth/issues/3803",
        ),
    ),
    "rotary_pairs": (
        "Half-split against interleaved rotary pairs",
        "scores do not depend on the distance alone, and weights of other implementations do not fit",
        "rotate the pairs that the table of angles was made for",
        ("raiyanyahya/how-to-train-your-gpt/issues/6", "vllm-project/vllm-ascend/issues/12820"),
    ),
    "rotary_turned": (
        "Rotary base, or what is rotated and which way",
        "scores depend on positions otherwise than declared, and weights of other implementations do not fit",
        "rotate queries and keys, and nothing else, by position * base^(-2i/head_dim) with the declared base",
        (),
    ),
    "angles": (
        "Angles in low precision",
        "positions above 256 fall together in bfloat16",
        "compute angles in float32, and round the cosines and sines",
        (
            "EleutherAI/gpt-neox/issues/1003",
            "huggingface/transformers/issues/25681",
        ),
    ),
    "alibi": (
        "ALiBi slopes",
        "heads look back over other distances than in the model that was trained",
        "use the published slopes, also where the number of heads is no power of two",
        (
            "ml-explore/mlx/issues/3071",
            "ml-explore/mlx/issues/343",
        ),
    ),
    "window": (
        "Sliding window off by one",
        "a query sees one key more or less than the model was trained with",
        "mask where `query - key >= window`; `window_size` of flash_attn counts the keys beside the query",
        (
            "huggingface/transformers/issues/39408",
            "huggingface/transformers/issues/40163",
        ),
    ),
    "window_path": (
        "Window not applied on some path",
        "long inputs are computed as without a window, on this path only",
        "apply the window wherever the causal mask is applied",
        (
            "unslothai/unsloth/issues/8253",
            "huggingface/transformers/issues/35924",
        ),
    ),
    "rolling_cache": (
        "Rolling cache",
        "once the window is full, keys are lost or have the wrong positions",
        "drop keys from the front, and keep their positions with them",
        (
            "huggingface/transformers/issues/37574",
            "huggingface/transformers/issues/31917",
        ),
    ),
    "grouping": (
        "Grouped heads: tiled against interleaved",
        "query heads use the keys of another group",
        "repeat key and value heads with `repeat_interleave(groups, dim=1)`",
        (
            "onnx/onnx/issues/7274",
            "ekzhang/jax-js/issues/180",
        ),
    ),
    "heads": (
        "Heads split or merged without moving axes",
        "features of several tokens are mixed, or tokens attend over heads or samples",
        "split as (B, L, H, D), transpose to (B, H, L, D), and the other way round before `flatten(2)`",
        (
            "jsbaan/transformer-from-scratch/issues/6",
            "reczoo/FuxiCTR/issues/30",
        ),
    ),
    "softmax_axis": (
        "Softmax over the wrong axis",
        "the weights of a query do not sum to 1, and depend on other queries",
        "take the softmax over the keys: the last axis of (B, H, Lq, Lk)",
        (
            "labmlai/annotated_deep_learning_paper_implementations/issues/146",
            "FudanNLP/fastNLP/issues/254",
        ),
    ),
    "precision": (
        "Softmax or running sums in the wrong precision",
        "sums of many small weights come to a halt, and near logits become equal",
        "take the softmax in float32 or in the dtype of the call, whichever is wider",
        (
            "huggingface/transformers/issues/48459",
            "tinygrad/tinygrad/issues/12280",
        ),
    ),
    "blockwise": (
        "Blockwise softmax: running maximum and rescaling",
        "large logits overflow, or earlier blocks keep a wrong weight",
        "subtract each row's maximum, and rescale what was summed whenever it grows",
        (
            "pytorch/executorch/issues/9105",
            "Dao-AILab/flash-attention/issues/2082",
        ),
    ),
    "mask_value": (
        "Masked with a number that logits reach",
        "where logits are large, hidden keys have weight",
        "fill with -inf, or with `torch.finfo(dtype).min` where a row may be empty",
        (),
    ),
    "overflow": (
        "Softmax without the maximum of its row",
        "large logits become infinite, or a whole row zero by zero, and NaN spreads through the loss",
        "subtract each row's maximum before the exponential, as `softmax` does",
        (),
    ),
    "strides": (
        "Non-contiguous inputs",
        "transposed or sliced inputs are read in the wrong order",
        "use `reshape` or `.contiguous()`, and no `as_strided` or pointer that takes strides for granted",
        (
            "pytorch/pytorch/issues/181133",
            "pytorch/pytorch/issues/163597",
        ),
    ),
    "outside_of_tensors": (
        "Kernel reads or writes outside of its tensors",
        "what lies beside a tensor is read or overwritten, or the GPU stops with an illegal memory access",
        "mask every load and store by the number of rows and of features",
        (),
    ),
    "samples": (
        "Result depends on the other samples",
        "the answer to one request depends on those beside it",
        "keep the batch the first axis, and use each sample's own mask",
        (
            "PriorLabs/TabPFN/issues/800",
            "thinking-machines-lab/batch_invariant_ops/issues/6",
        ),
    ),
    "backends": (
        "Backends disagree",
        "the result depends on which library is installed",
        "give every backend the same scale, mask and window",
        (
            "huggingface/transformers/issues/36585",
            "huggingface/transformers/issues/33660",
        ),
    ),
    "soft_cap": (
        "Logit cap missing or misplaced",
        "logits grow without the bound that was trained with, or a mask loses its effect",
        "cap the logits before they are masked, on every path",
        (
            "huggingface/transformers/issues/32309",
            "huggingface/transformers/issues/31887",
        ),
    ),
    "sinks": (
        "Attention sinks",
        "the weights of a row sum to another number than in training",
        "add the sink's logit to the denominator on every path",
        (
            "radixark/miles/issues/1500",
            "openvinotoolkit/openvino/issues/36039",
        ),
    ),
    "dropout": (
        "Dropout active in eval",
        "the same input has another output each time",
        "pass `dropout_p=self.dropout if self.training else 0.0`",
        (
            "pytorch/pytorch/issues/124464",
            "huggingface/pytorch-image-models/issues/1978",
        ),
    ),
    "packed": (
        "Packed sequences leak",
        "a sequence sees those packed before it",
        "mask by sequence, and begin positions anew in each",
        (
            "huggingface/nanoVLM/issues/204",
            "huggingface/trl/issues/3526",
        ),
    ),
    "gradients": (
        "Wrong gradients",
        "training takes steps that do not follow from the loss",
        "look for a detached tensor, a wrong backward, a root of zero or a parameter that nothing reads",
        (
            "NVIDIA/TransformerEngine/issues/3216",
            "XunhaoLai/native-sparse-attention-triton/issues/27",
        ),
    ),
    "normaliser": (
        "Weights divided by another sum than their own",
        "the output grows with the length of the input, or with how much its tokens are alike",
        "divide by the sum of the same features that weight the values",
        (
            "lucidrains/performer-pytorch/issues/40",
            "lucidrains/performer-pytorch/issues/41",
        ),
    ),
    "later_tokens": (
        "Later tokens are seen",
        "the token to be predicted is among the inputs, so that training succeeds and generation fails",
        "mask the scores so that query i sees keys up to i + (Lk - Lq) only",
        (),
    ),
    "undeclared_positions": (
        "Positions that are not declared",
        "what is computed depends on the order of tokens, and the contract says that it does not",
        "declare or remove them (`rotary_base`, `alibi_slopes`, `window`); for a learned bias leave out `projections`",
        (),
    ),
    "softmax_twice": (
        "Softmax taken twice",
        "a softmax of weights between 0 and 1 makes them nearly equal",
        "leave one of them out",
        (),
    ),
    "overwritten": (
        "An input is overwritten",
        "the caller goes on with other numbers than it wrote",
        "write to a copy: `x = x + y` for `x += y`, `masked_fill` for `masked_fill_`",
        (),
    ),
    "one_key": (
        "Each query meets one key",
        "its weight is 1 whatever it is, so that queries and keys have no effect",
        "attend over the axis of positions, to every key that the mask allows",
        (),
    ),
    "hidden_error": (
        "An error is hidden",
        "the call returns something although what it was asked for failed, and nobody is told",
        "let the error through, or catch the one that is expected and compute the same another way",
        (),
    ),
}
CLASSES = {key: BugClass(name=name, why=why, fix=fix, threads=of) for key, (name, why, fix, of) in _ROWS.items()}


def bug_class(key: str | None) -> BugClass:
    """Return a class by its id; None is the one of causes that are not established."""
    return UNKNOWN if key is None else CLASSES[key]
