"""FlashAttention written in Triton, forward and backward (Dao 2023, "FlashAttention-2", arXiv:2307.08691).

Nothing here is imported before it is used, since triton is an optional dependency: `astrobio.attention.attention` comes
here through its backend "triton", and `astrobio.attention.triton_kernels.autograd` has the functions themselves.
"""
