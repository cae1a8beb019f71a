"""The kinds of inputs by their names: those that `init` writes are those that the probe feeds."""

import pytest

from audit.probe.guess.kinds import kind_of_input
from audit.probe.guess.roles import role_of
from audit.starting.kinds import Kind, kind_of

NAMES = {
    Kind.WHOLE: "input_ids tokens idx tgt_tokens decoder_input_ids labels y token_type_ids indices class_labels",
    Kind.MASK: "attention_mask mask key_padding_mask src_mask padding_mask attn_bias encoder_attention_mask",
    Kind.POSITIONS: "position_ids positions pos",
    Kind.TIMES: "t timesteps time timestep time_steps sigma noise_level",
    Kind.NORMAL: "x hidden_states head_mask return_mask features inputs_embeds memory tokens_embedded",
}
SAID = [
    ("x", "torch.LongTensor", Kind.WHOLE),
    ("x", 'Int[Tensor, "b n"]', Kind.WHOLE),
    ("sentence", "sentence: indices of the words", Kind.WHOLE),
    ("x", "torch.BoolTensor", Kind.MASK),
    ("x", "Tensor", Kind.NORMAL),
    ("x", "x: int, the number", Kind.NORMAL),
]
CASES = [(name, "", kind) for kind, names in NAMES.items() for name in names.split()] + SAID


@pytest.mark.parametrize(("name", "said", "kind"), CASES)
def test_both_tell_the_same_kind(name: str, said: str, kind: Kind) -> None:
    assert kind_of(name, said) == kind
    assert (kind_of_input(name, said) or "normal") == kind


@pytest.mark.parametrize(
    "name", ["lengths", "seq_lens", "seqlens", "x_lens", "input_lengths", "feat_lengths", "node_lengths"]
)
def test_both_tell_lengths(name: str) -> None:
    assert kind_of(name) == Kind.LENGTHS
    assert role_of(name) == "lengths"


@pytest.mark.parametrize("name", ["cu_seqlens", "length", "lens_model", "max_seqlens"])
def test_what_is_no_length_of_each_row_is_told_as_none(name: str) -> None:
    assert kind_of(name) != Kind.LENGTHS
    assert role_of(name) != "lengths"
