"""Attention through our own Triton kernels, `astrobio.attention.triton_kernels`."""

import torch
from torch import Tensor

from astrobio.attention.backends.call import AttentionCall
from astrobio.attention.backends.libraries import gradient_reason, is_installed
from astrobio.attention.triton_kernels.interpreter import is_interpreting

# float32 is multiplied in single instructions, unrolled, and takes minutes to compile for wider heads.
_LARGEST_HEAD_DIM = {torch.float16: 256, torch.bfloat16: 256, torch.float32: 128}
_OLDEST_CAPABILITY = (8, 0)  # older GPUs have no bfloat16, and less shared memory than the smallest blocks need


class TritonBackend:
    """FlashAttention as written here: every mask and bias, but no dropout, sinks or global tokens.

    Computes in float32 what is not a product of half types. float32 inputs with scores of some 60 and more lose a digit
    against plain attention, since scores are brought to base 2 before the largest is taken off. Runs on CUDA devices;
    on the CPU only under Triton's interpreter, which is for tests: `TRITON_INTERPRET=1` in the environment before
    triton is imported.
    """

    name = "triton"

    def unsupported_reason(self, call: AttentionCall) -> str | None:
        """Why the kernels cannot compute `call` exactly, or None when they can."""
        if torch.compiler.is_compiling():
            return "torch.compile does not trace how it launches its kernels"
        if call.query.device.type == "cuda":
            if torch.version.hip is not None:
                return "its block sizes are for CUDA devices, and this is ROCm"
            if torch.cuda.get_device_capability(call.query.device) < _OLDEST_CAPABILITY:
                return "it needs a device of compute capability 8.0 or newer"
        elif not (call.query.device.type == "cpu" and is_interpreting()):
            return f"it runs on CUDA devices, not on {call.query.device.type}"
        if not is_installed("triton"):
            return "triton is not installed; the extra `kernels` brings it"
        if call.query.dtype not in _LARGEST_HEAD_DIM:
            return f"it takes float16, bfloat16 and float32, not {call.query.dtype}"
        largest = _LARGEST_HEAD_DIM[call.query.dtype]
        if not 1 <= call.query.shape[3] <= largest:
            return f"it takes heads of 1 to {largest} features in {call.query.dtype}, not {call.query.shape[3]}"
        for option, missing in (("dropout_p", "dropout"), ("sinks", "sinks"), ("num_global_tokens", "global tokens")):
            if option in call.options:
                return f"it has no {missing}"
        if call.bias is not None and call.bias.dtype == torch.float64:
            return "it computes in float32, and the bias is float64"
        return gradient_reason(call)

    def run(self, call: AttentionCall) -> Tensor:
        """The attended values, (B, H, Lq, D), in the dtype of the query."""
        from astrobio.attention.triton_kernels.autograd import attend

        return attend(call)
