"""Attention: one configuration, one mask convention, one file per mechanism, and interchangeable backends.

The mask convention, in `astrobio.attention.masks`, is one for the whole package: boolean, True means "may attend".
"""

from astrobio.attention.alibi import published_alibi_slopes
from astrobio.attention.axial import AxialAttention3d
from astrobio.attention.backends import BackendFailedWarning
from astrobio.attention.block_sparse import BlockSparseAttention, big_bird_layout, block_sparse_attention
from astrobio.attention.cache import Cache, KVCache, SlidingKVCache, StaticKVCache
from astrobio.attention.config import AttentionConfig
from astrobio.attention.cross import CrossAttention
from astrobio.attention.functional import BackendSelection, attention, last_selection, select_backend
from astrobio.attention.linear import LinearAttention, LinearState, linear_attention
from astrobio.attention.multi_head import FlashAttention, GroupedQueryAttention, MultiHeadAttention
from astrobio.attention.ring import RingAttention, ring_attention
from astrobio.attention.rotary import apply_rotary, rotary_angles
from astrobio.attention.sliding_window import SlidingWindowAttention, local_attention
from astrobio.attention.state_space import SelectiveStateSpace, StateSpaceConfig, StateSpaceState

__all__ = [
    "AttentionConfig",
    "AxialAttention3d",
    "BackendFailedWarning",
    "BackendSelection",
    "BlockSparseAttention",
    "Cache",
    "CrossAttention",
    "FlashAttention",
    "GroupedQueryAttention",
    "KVCache",
    "LinearAttention",
    "LinearState",
    "MultiHeadAttention",
    "RingAttention",
    "SelectiveStateSpace",
    "SlidingKVCache",
    "SlidingWindowAttention",
    "StateSpaceConfig",
    "StateSpaceState",
    "StaticKVCache",
    "apply_rotary",
    "attention",
    "big_bird_layout",
    "block_sparse_attention",
    "last_selection",
    "linear_attention",
    "local_attention",
    "published_alibi_slopes",
    "ring_attention",
    "rotary_angles",
    "select_backend",
]
