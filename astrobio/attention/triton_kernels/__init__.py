"""FlashAttention written in Triton, forward and backward (Dao 2023, "FlashAttention-2", arXiv:2307.08691).

Every module can be imported without triton, an optional dependency, see `missing`; launching a kernel then raises
ImportError. `astrobio.attention.attention` comes here through its backend "triton", and
`astrobio.attention.triton_kernels.autograd` has the functions themselves.
"""
