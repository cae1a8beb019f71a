"""Softmax attention: grouped-query heads, rotary embedding, key/value cache, and interchangeable backends.

The mask convention, in `astrobio.attention.masks`, is one for the whole package: boolean, True means "may attend".
"""

from astrobio.attention.alibi import published_alibi_slopes
from astrobio.attention.backends import BackendFailedWarning
from astrobio.attention.cache import KVCache
from astrobio.attention.config import AttentionConfig
from astrobio.attention.functional import BackendSelection, attention, last_selection, select_backend
from astrobio.attention.multi_head import MultiHeadAttention
from astrobio.attention.rotary import apply_rotary, rotary_angles

__all__ = [
    "AttentionConfig",
    "BackendFailedWarning",
    "BackendSelection",
    "KVCache",
    "MultiHeadAttention",
    "apply_rotary",
    "attention",
    "last_selection",
    "published_alibi_slopes",
    "rotary_angles",
    "select_backend",
]
