"""What an argument is, by its conventional name, and the small sizes that are given to it."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Sizes that fit together. `embed` is `heads * head_dim`; `context` is the width of what is attended to across."""

    embed: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int


# In the first, all sizes differ from one another, from the batch sizes (1, 2, 3) where they can, and from the lengths
# (1, 5, 11, 22); the others are for classes that ask for powers of two, larger heads, or equal numbers of heads.
SIZES = (
    Sizes(48, 6, 3, 8, 40),
    Sizes(64, 4, 4, 16, 80),
    Sizes(128, 8, 4, 16, 96),
    Sizes(128, 4, 2, 32, 96),
    Sizes(96, 6, 6, 16, 64),
    Sizes(256, 4, 2, 64, 128),
    Sizes(64, 1, 1, 64, 40),
)
HEADS_OF_LENGTH = Sizes(88, 11, 11, 8, 40)  # as many heads as tokens in the usual input
LONGEST = 64  # positions: more than twice the longest input
WINDOW = 4
FEATURES = 10

_EMBED = """dim d_model hidden_size embed_dim n_embd embedding_dim channels in_channels query_dim dims model_dim
embed_size emb_dim emb_size in_dim input_dim hidden_dim n_embed width num_channels num_hiddens inp_dim
input_size_dim dim_in embed d_embed d_hidden feature_dim features in_features d_in c ch dmodel model_size
attention_dim hidden embedding_size token_dim node_dim input_channels embed_dims feat_dim q_dim dim_q
d_input query_size attn_dim attention_channel hidden_channels q_channels in_planes planes inplanes
hid_dim hiddensize embeddim output_dim out_dim out_features out_channels dim_out d_out d_output proj_dim
total_dim embeddings in_chans in_ch inner_dim x_dim size state_dim in_chs out_chs in_dims"""
_HEADS = """num_heads heads n_head n_heads num_attention_heads nhead nheads h head_num attention_heads num_head
number_of_heads heads_num n_attention_heads encoder_attention_heads decoder_attention_heads numheads num_q_heads
num_query_heads q_heads n_q_heads head_count"""
_HEAD_DIM = """head_dim dim_head head_size d_head attention_head_dim attn_head_dim d_k d_v d_kv dim_per_head dk dv
attention_head_size head_width heads_dim dims_per_head d_q d_qk per_head_dim dim_heads head_channels num_head_channels
qk_head_dim v_head_dim key_query_dim"""
_KV_HEADS = """num_kv_heads num_key_value_heads n_kv_heads kv_heads n_kv_head num_query_groups n_query_groups
num_groups_kv kv_head_num multi_query_group_num nkvheads num_kv n_local_kv_heads n_local_heads num_heads_kv n_heads_kv
n_head_kv kv_n_heads kv_num_heads n_kvheads"""
_CONTEXT = """context_dim cross_attention_dim kdim vdim kv_dim encoder_dim cond_dim key_dim value_dim memory_dim
ctx_dim encoder_hidden_size dim_context dim_kv context_size_dim encoder_hidden_dim kv_channels dim_cond"""
_LENGTH = """max_seq_len max_position_embeddings n_positions n_ctx max_len seq_len context_length sequence_length
num_patches num_tokens n_tokens seq_length ctx_len max_length context_window max_seq_length max_sequence_length
max_positions num_positions seqlen max_seqlen maxlen ctx_length max_context_length context_size n_patches seq max_t
max_relative_position max_position max_context max_target_positions max_source_positions"""
_WINDOW = """window window_size sliding_window chunk_size chunk bucket_size local_window attention_window attn_window
window_len local_window_size local_attn_window_size sliding_window_size segment_size attention_chunk_size q_chunk_size
query_chunk_size kv_chunk_size key_chunk_size win_size block_len block_q block_k q_block_size kv_block_size ws
lsh_attn_chunk_length local_attn_chunk_length block window_length attn_window_size"""
_FEATURES = """num_features nb_features num_landmarks landmarks proj_k k rank num_random_features n_features
feature_map_dim m projection_dim linformer_k num_proj low_rank latent_dim kv_lora_rank q_lora_rank r num_feats"""
_SCALAR = {
    **dict.fromkeys(("layer_idx", "layer_id", "layer_index", "layer_num", "layer_number", "layer", "idx"), 0),
    **dict.fromkeys(("vocab_size", "num_embeddings", "vocab"), 50),
    **dict.fromkeys(("num_layers", "n_layer", "n_layers", "num_hidden_layers", "depth"), 2),
    **dict.fromkeys(("intermediate_size", "d_ff", "ffn_dim", "mlp_dim", "dim_feedforward", "n_inner", "ff_dim"), 96),
    **dict.fromkeys(("eps", "layer_norm_eps", "rms_norm_eps", "norm_eps", "layernorm_eps"), 1e-6),
    **dict.fromkeys(("rope_theta", "rope_base", "theta", "rotary_base", "base", "rotary_emb_base"), 10000.0),
    **dict.fromkeys(("sr_ratio", "stride", "reduction", "dilation", "expand_ratio", "norm_factor", "ratio"), 1),
    **dict.fromkeys(("kernel_size", "conv_kernel", "dw_kernel"), 3),
    **dict.fromkeys(("num_groups", "groups", "norm_num_groups"), 2),
    "_attn_implementation": "eager",
    "attn_implementation": "eager",
    "partial_rotary_factor": 1.0,
    "rotary_pct": 1.0,
    "mlp_ratio": 2.0,
    "hidden_act": "gelu",
    "batch_first": True,
    "tensor_parallel_size": 1,
    "world_size": 1,
    "pretraining_tp": 1,
    "device": None,
    "dtype": None,
    "initializer_range": 0.02,
}
_KINDS = {
    name: kind
    for kind, names in (
        ("embed", _EMBED),
        ("heads", _HEADS),
        ("head_dim", _HEAD_DIM),
        ("kv_heads", _KV_HEADS),
        ("context", _CONTEXT),
        ("length", _LENGTH),
        ("window", _WINDOW),
        ("features", _FEATURES),
    )
    for name in names.split()
}
_IMAGE = {"input_size", "img_size", "image_size", "resolution", "input_resolution", "feat_size", "fmap_size", "size_hw"}
# Of the image that the usual input is: one row of as many places as it has tokens.
SIDES = {"height": 1, "width": 11}
_DROP = re.compile(r"drop|(^|_)pdrop")
# Given although they have a default, for a default is large, or hides a path that only other sizes reach.
_OVERRIDDEN = {"embed", "heads", "head_dim", "kv_heads", "window", "features", "length", "context"}
CONFIG_NAMES = {"config", "cfg", "conf", "args", "hparams", "configuration", "options", "opt", "hp", "hps", "settings"}
CONFIG_NAMES |= {
    "model_args",
    "model_config",
    "params",
    "config_",
    "attn_config",
    "attention_config",
    "opts",
    "model_cfg",
}


def kind_of(name: str, *, lengthy_block: bool) -> str | None:
    """Return what an argument of this name is: `embed`, `heads`, ..., `drop`, `image`; None where it says nothing.

    `block_size` is the maximal length where a mask of that size is made (`lengthy_block`), else a window.
    """
    plain = name.lower().lstrip("_")
    if plain == "block_size":
        return "length" if lengthy_block else "window"
    if plain in _KINDS:
        return _KINDS[plain]
    if _DROP.search(plain) or plain in ("p", "attn_p", "resid_p"):
        return "drop"
    return "image" if plain in _IMAGE else None


def candidates(kind: str, sizes: Sizes) -> list[object]:
    """Return the values of an argument of this kind, the first one to be tried first."""
    match kind:
        case "embed":
            return [sizes.embed]
        case "heads":
            return [sizes.heads]
        case "head_dim":
            return [sizes.head_dim]
        case "kv_heads":
            return [sizes.kv_heads, sizes.heads, 1]
        case "context":
            return [sizes.context, sizes.embed]
        case "length":
            return [LONGEST, 11]
        case "window":
            return [WINDOW, {"$tuple": [1, 11]}, 11, {"$tuple": [WINDOW, WINDOW]}]
        case "features":
            return [FEATURES, sizes.head_dim, 2, 32]
        case "image":
            return [{"$tuple": [1, 11]}, 11]
    return [0.0]


def scalar_of(name: str) -> tuple[object, ...]:
    """Return the one value that an argument of this name gets, or nothing."""
    return (_SCALAR[name],) if name in _SCALAR else ()


def overrides_default(kind: str, default: object) -> bool:
    """Whether an argument of this kind gets a value of ours in place of its default."""
    if kind == "drop":
        return isinstance(default, int | float) and not isinstance(default, bool)
    if kind == "kv_heads":
        return default is None or (isinstance(default, int) and default != 1)
    if kind not in _OVERRIDDEN or isinstance(default, bool):
        return False
    if kind in ("window", "length", "features"):
        return isinstance(default, int) and default > 1
    return isinstance(default, int)
