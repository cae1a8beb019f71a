"""Further edits of the corpus: sums, sizes, and axes that fit by chance, each seen in one of the implementations."""

from .corpus import (
    BERT,
    FAVOR,
    GRADIENTS,
    HEADS,
    NORMALISER,
    PACKED,
    SCALE_SIZE,
    TALKING,
    VARLEN,
    Mutant,
)

FURTHER = (
    Mutant(
        name="talking_scale_of_heads",
        of=TALKING,
        before="self.scale = head_dim**-0.5",
        after="self.scale = num_heads**-0.5",
        bug=SCALE_SIZE,
        checks=("attention.scale",),
    ),
    Mutant(
        name="favor_divided_by_the_length",
        of=FAVOR,
        before="(q @ context) / normalizer",
        after="(q @ context) / k.shape[-2]",
        bug=NORMALISER,
        checks=("attention.row_sums",),
    ),
    Mutant(
        name="favor_sum_without_a_gradient",
        of=FAVOR,
        before="k.sum(dim=-2)",
        after="k.sum(dim=-2).detach()",
        bug=GRADIENTS,
        checks=("attention.derivatives",),
    ),
    Mutant(
        name="varlen_sees_all_before",
        of=VARLEN,
        before="vi = v[start:end].transpose(0, 1).unsqueeze(0)",
        after="vi = v[:end].transpose(0, 1).unsqueeze(0)\n        ki = k[:end].transpose(0, 1).unsqueeze(0)",
        bug=PACKED,
        checks=("attention.batch_rows",),
    ),
    # It can be called only where there are as many tokens as heads.
    Mutant(
        name="bert_merged_where_it_fits",
        of=BERT,
        before="context.permute(0, 2, 1, 3).contiguous()",
        after="context.contiguous()",
        bug=HEADS,
        checks=("attention.permutation", "attention.mask"),
    ),
)
