"""The names that a pickle of weights may import: those that torch.load takes with weights_only=True."""

import re

# torch/_weights_only_unpickler.py, `_get_allowed_globals`, torch 2.13; a test compares. None of these runs what a
# pickle says.
# The names in `__builtin__` are those of protocol 2, which calls the module as Python 2 did.
_NAMES = frozenset({
    "_codecs.encode", "builtins.bytearray", "builtins.complex", "builtins.set", "collections.Counter",
    "__builtin__.bytearray", "__builtin__.complex", "__builtin__.set", "collections.OrderedDict", "torch.Size",
    "torch.Tensor", "torch.device", "torch.nn.parameter.Parameter", "torch.serialization._get_layout",
    "torch._tensor._rebuild_from_type_v2", "torch.storage.TypedStorage", "torch.storage.UntypedStorage", "torch.bool",
    "torch.bfloat16",
})  # fmt: skip
_REBUILDS = frozenset({
    "tensor", "tensor_v2", "tensor_v3", "parameter", "parameter_with_state", "sparse_tensor", "qtensor",
    "meta_tensor_no_storage", "nested_tensor", "wrapper_subclass", "device_tensor_from_numpy",
    "device_tensor_from_cpu_tensor",
})  # fmt: skip
_KINDS = "BFloat16|Bool|Byte|Char|ComplexDouble|ComplexFloat|Double|Float|Half|Int|Long|Short"
_FORMS = re.compile(
    rf"torch\.(?:cuda\.)?(?:sparse\.)?(?:{_KINDS})(?:Storage|Tensor)"
    r"|torch\.(?:QInt8|QInt32|QUInt8|QUInt4x2|QUInt2x4)Storage"
    r"|torch\.(?:float|int|uint|complex|qint|quint|bits)[0-9]+(?:x[0-9]+)?(?:_[a-z0-9]+)*"
    r"|torch\.per_(?:tensor|channel)_(?:affine|symmetric|affine_float_qparams)"
)
_REBUILD = "torch._utils._rebuild_"


def is_allowed(name: str) -> bool:
    """Return whether torch.load takes a name with weights_only=True."""
    if name.startswith(_REBUILD):
        return name.removeprefix(_REBUILD) in _REBUILDS
    return name in _NAMES or bool(_FORMS.fullmatch(name))
