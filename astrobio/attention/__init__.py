"""Softmax attention: grouped-query heads, rotary embedding, key/value cache, and interchangeable backends.

The mask convention, in `astrobio.attention.masks`, is one for the whole package: boolean, True means "may attend".
"""

from astrobio.attention.cache import KVCache
from astrobio.attention.config import AttentionConfig
from astrobio.attention.functional import BackendSelection, attention, select_backend
from astrobio.attention.multi_head import MultiHeadAttention
from astrobio.attention.rotary import apply_rotary, rotary_angles

__all__ = [
    "AttentionConfig",
    "BackendSelection",
    "KVCache",
    "MultiHeadAttention",
    "apply_rotary",
    "attention",
    "rotary_angles",
    "select_backend",
]
