"""Attention from one sequence to another."""

from torch import Tensor

from astrobio.attention.config import AttentionConfig
from astrobio.attention.functional import attention
from astrobio.attention.projections import ProjectedAttention, checked_masks


class CrossAttention(ProjectedAttention):
    """Queries of one sequence attend to another (Vaswani et al. 2017, section 3.2.3: encoder-decoder attention).

    Neither sequence has positions here: what order means between them, a mask or a bias has to say.
    """

    def __init__(self, config: AttentionConfig) -> None:
        """Build the projections.

        Raises:
            ValueError: `config` has settings that mean nothing between two sequences.
        """
        config.refuse(
            "CrossAttention",
            *("is_causal", "rotary_base", "alibi", "window", "num_global_tokens", "feature_map", "block_size"),
        )
        super().__init__(config)

    def forward(
        self,
        hidden_states: Tensor,
        context: Tensor,
        *,
        key_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        attention_bias: Tensor | None = None,
    ) -> Tensor:
        """Attend from `hidden_states` to `context`.

        Args:
            hidden_states: (B, Lq, embed_dim).
            context: (B, Lk, context_dim).
            key_mask: bool, (B, Lk), True where a position of the context may be attended to.
            attention_mask: bool, broadcastable to (B, H, Lq, Lk), True where a query may attend.
            attention_bias: floating point, broadcastable to (B, H, Lq, Lk), added to the scaled scores.

        Returns:
            (B, Lq, embed_dim). A position with nothing to attend to gives the output projection of zeros.

        Raises:
            TypeError: wrong dtype of a mask or of the bias.
            ValueError: wrong shapes.
        """
        self.check_states(hidden_states)
        batch, query_length, _ = hidden_states.shape
        if context.dim() != 3 or context.shape[0] != batch or context.shape[2] != self.context_dim:
            raise ValueError(
                f"context must be (B = {batch}, Lk, context_dim = {self.context_dim}), got {tuple(context.shape)}"
            )
        masks = checked_masks(
            (batch, self.config.num_heads, query_length, context.shape[1]),
            key_mask=key_mask,
            attention_mask=attention_mask,
            attention_bias=attention_bias,
        )
        query = self.heads(self.q_proj, hidden_states)
        key, value = self.heads(self.k_proj, context), self.heads(self.v_proj, context)
        options = self.scoring(query) | masks
        return self.output(attention(query, key, value, backend=self.config.backend, **options))
