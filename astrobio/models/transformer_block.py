"""The block of the transformers of this package that see all tokens at once."""

from torch import Tensor, nn

from astrobio.attention import AttentionConfig, MultiHeadAttention


class TransformerBlock(nn.Module):
    """Pre-norm block: attention over the tokens, then a feed-forward network, each added to its input."""

    def __init__(self, attention: AttentionConfig, *, feed_forward_dim: int) -> None:
        """Build one block.

        Args:
            attention: settings of the attention; its `embed_dim` is the size of a token.
            feed_forward_dim: hidden size of the feed-forward part.
        """
        super().__init__()
        embed_dim = attention.embed_dim
        self.attention_norm = nn.LayerNorm(embed_dim)
        self.attention = MultiHeadAttention(attention)
        self.feed_forward_norm = nn.LayerNorm(embed_dim)
        self.feed_forward = nn.Sequential(
            nn.Linear(embed_dim, feed_forward_dim), nn.GELU(), nn.Linear(feed_forward_dim, embed_dim)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, tokens, embed_dim) to the same shape."""
        tokens = tokens + self.attention(self.attention_norm(tokens))
        output: Tensor = tokens + self.feed_forward(self.feed_forward_norm(tokens))
        return output
