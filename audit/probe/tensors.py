"""Tensors as bytes in the safetensors format (https://github.com/huggingface/safetensors#format).

Written here and not taken from the library because the target's environment need not have it; the parent reads with
the library, which checks every offset.
"""

import ctypes
import hashlib
import json
from collections.abc import Mapping

import torch

# Bound at import, before the target's code runs: a target that replaces torch's functions does not reach these.
_empty = torch.empty
_frombuffer = torch.frombuffer
_view_as_real = torch.view_as_real
_resolve_conj = torch.resolve_conj
_resolve_neg = torch.resolve_neg
_detach = torch.Tensor.detach
_to = torch.Tensor.to
_contiguous = torch.Tensor.contiguous
_numel = torch.Tensor.numel
_element_size = torch.Tensor.element_size
_data_ptr = torch.Tensor.data_ptr
_to_dense = torch.Tensor.to_dense
_sha256 = hashlib.sha256
_string_at = ctypes.string_at

_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_DTYPES = {name: dtype for dtype, name in _NAMES.items()}
_HEADER_BYTES = 8
_SPARSE = (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)


def raw(tensor: torch.Tensor) -> bytes:
    """Return the elements in row-major order as bytes; views that are conjugate or negative count as their values.

    So do sparse tensors, with a zero where they have no entry.
    """
    flat = _contiguous(_to(_resolve_neg(_resolve_conj(dense(_detach(tensor)))), "cpu"))
    size = _numel(flat) * _element_size(flat)
    return _string_at(_data_ptr(flat), size) if size else b""


def dense(tensor: torch.Tensor) -> torch.Tensor:
    """Return a sparse tensor as a dense one, and any other as it is."""
    return _to_dense(tensor) if tensor.layout in _SPARSE else tensor


def digest(tensor: torch.Tensor) -> str:
    """Return the SHA-256 of dtype, shape and elements."""
    head = f"{tensor.dtype}{tuple(tensor.shape)}".encode()
    return _sha256(head + raw(tensor)).hexdigest()


def dump(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Return `tensors` in the safetensors format.

    Complex tensors are stored as pairs of real numbers, and sparse ones as dense ones.
    """
    header: dict[str, dict[str, object]] = {}
    parts: list[bytes] = []
    offset = 0
    for name in sorted(tensors):
        tensor = dense(_detach(tensors[name]))
        tensor = _view_as_real(_resolve_conj(tensor)) if tensor.is_complex() else tensor
        if tensor.dtype not in _NAMES:
            raise TypeError(f"tensor {name!r} has dtype {tensor.dtype}, which the probe cannot send")
        part = raw(tensor)
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + len(part)],
        }
        parts.append(part)
        offset += len(part)
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % _HEADER_BYTES)
    return len(head).to_bytes(_HEADER_BYTES, "little") + head + b"".join(parts)


def load(data: bytes) -> dict[str, torch.Tensor]:
    """Read what the parent sent; it is trusted, so its offsets are not checked."""
    size = int.from_bytes(data[:_HEADER_BYTES], "little")
    header = json.loads(data[_HEADER_BYTES : _HEADER_BYTES + size])
    body = data[_HEADER_BYTES + size :]
    header.pop("__metadata__", None)
    tensors: dict[str, torch.Tensor] = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        dtype = _DTYPES[entry["dtype"]]
        # torch.frombuffer refuses an empty buffer.
        flat = _frombuffer(bytearray(body[start:end]), dtype=dtype) if end > start else _empty(0, dtype=dtype)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def flatten(output: object, prefix: str = "output") -> dict[str, torch.Tensor]:
    """Return every tensor in nested dicts, lists, tuples and objects with tensor attributes, by its path."""
    if isinstance(output, torch.Tensor):
        return {prefix: output}
    if isinstance(output, Mapping):
        items = [(str(key), value) for key, value in output.items()]
    elif isinstance(output, list | tuple):
        items = [(str(index), value) for index, value in enumerate(output)]
    elif hasattr(output, "__dict__") and not isinstance(output, type):
        items = list(vars(output).items())
    else:
        return {}
    found: dict[str, torch.Tensor] = {}
    for key, value in items:
        if isinstance(value, torch.Tensor | Mapping | list | tuple):
            found.update(flatten(value, f"{prefix}.{key}"))
    return found
