"""What each argument of a call is, by its name: hidden states, queries, a mask, rotary tables, sizes of an image."""

import inspect
import re

_HIDDEN = """x hidden_states inputs input hidden tensor tokens src feat feats features seq sequence embeddings embedding
emb inp xs z hidden_state inputs_embeds data sample tgt input_tensor states encodings x_in input_embeds feature
token_embeddings embeds h input_states patches node_features latents target input_features batch inputs_q"""
_QUERY = "q query queries xq query_states query_layer x_q q_input query_input qs queries_input"
_KEY = "k key keys xk key_states key_layer x_k k_input key_input ks keys_input"
_VALUE = "v value values xv value_states value_layer x_v v_input value_input vs values_input"
_CONTEXT = """context encoder_hidden_states memory key_value_states kv encoder_output encoder_outputs enc_out
encoder_out mem inputs_kv ctx kv_states cond y source encoder_states x_kv context_states key_value kv_input
encoder_hidden key_values cross_states encoder_output_states"""
_CONTEXT_MASK = """context_mask encoder_attention_mask memory_mask cross_attention_mask memory_key_padding_mask
encoder_mask ctx_mask kv_mask"""
_ROPE_PAIR = """position_embeddings rotary_pos_emb rope position_embedding rotary_embeddings cos_sin rotary rope_cache
rotary_emb rotary_embedding rope_embeddings"""
_ROPE_TABLE = "freqs_cis freqs freqs_complex pos_cis rope_freqs freq_cis rotary_freqs freqs_cos_sin"
_POSITIONS = "position_ids positions pos_ids input_pos cache_position pos position"
_ZERO = "start_pos layer_idx offset past_length start_position cur_pos start_index idx layer_id step"
_EMBEDDED = "residual query_pos pos_embed key_pos query_pos_embed pos_emb position_embed"
_GRID = (
    "hw size hw_shapes x_size resolution shape spatial_shape spatial_shapes grid_size input_size feat_size image_size"
)
_ROLES = {
    name: role
    for role, names in (
        ("hidden", _HIDDEN),
        ("query", _QUERY),
        ("key", _KEY),
        ("value", _VALUE),
        ("context", _CONTEXT),
        ("context mask", _CONTEXT_MASK),
        ("rope pair", _ROPE_PAIR),
        ("rope table", _ROPE_TABLE),
        ("positions", _POSITIONS),
        ("zero", _ZERO),
        ("zeros", _EMBEDDED),
        ("grid", _GRID),
        ("cos", "cos rope_cos cos_emb freqs_cos"),
        ("sin", "sin rope_sin sin_emb freqs_sin"),
        ("height", "h height hh"),
        ("width", "w width ww"),
        ("alibi", "alibi"),
        ("causal", "causal is_causal"),
        ("owner", "module"),
    )
    for name in names.split()
}
_PACKED = re.compile(r"^cu_?seq_?len(gth)?s?(_(q|k|kv|query|key))?$|^cu_lens?$|^cumulative_seqlens?$")
_LONGEST = re.compile(r"^max_?seq_?lens?(_(q|k|kv|query|key))?$|^max_length_(q|k)$|^max_s$")
_LENGTHS = re.compile(r"^(?!cu_|max_)(.*_)?(lengths|lens|seqlens)$")
_MASK = re.compile(
    r"mask|^attn_bias$|^attention_bias$|^adj(acency)?(_mat(rix)?)?$|^(is_)?(allowed|visible|visibility|attendable)$"
    r"|^(may|can)_(attend|see)$|^allow(ed)?_(keys|pairs|attention)$"
)
_OTHER_MASK = re.compile(r"head_mask|return|mask_ratio|mask_prob|mask_flat|layer_head")


def role_of(name: str) -> str | None:
    """Return what an argument of this name is; None where the name says nothing."""
    plain = name.lower().strip("_")
    if plain in _ROLES:
        return _ROLES[plain]
    if _PACKED.search(plain):
        return "packed k" if plain.endswith(("_k", "_kv", "_key")) else "packed"
    if _LONGEST.search(plain):
        return "longest k" if plain.endswith(("_k", "_kv", "_key")) else "longest"
    if _LENGTHS.search(plain):
        return "lengths"
    if _MASK.search(plain) and not _OTHER_MASK.search(plain):
        return "mask"
    return None


def is_required(parameter: inspect.Parameter) -> bool:
    """Whether a call must give this argument."""
    return parameter.default is parameter.empty


def is_named(parameter: inspect.Parameter) -> bool:
    """Whether this is one argument, not `*args` or `**kwargs`."""
    return parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
