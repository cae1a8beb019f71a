"""Which classes of torch hold weights."""

MAKES_WEIGHTS = frozenset(
    f"torch.nn.{name}"
    for name in (
        "Linear", "Bilinear", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d",
        "Embedding", "EmbeddingBag", "LayerNorm", "RMSNorm", "GroupNorm", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d",
        "MultiheadAttention", "LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "TransformerEncoderLayer",
        "TransformerDecoderLayer", "TransformerEncoder", "PReLU", "Parameter", "parameter.Parameter",
    )
)  # fmt: skip
