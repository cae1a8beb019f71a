"""The probe writes and reads the safetensors format as the library does."""

import json

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.probe.tensors import digest, dump, flatten, load, raw

DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
]  # fmt: skip
LAYOUTS = ("contiguous", "transposed", "strided", "expanded", "offset")


def bits(tensor: torch.Tensor) -> tuple[torch.dtype, tuple[int, ...], bytes]:
    """Return what makes two tensors the same: dtype, shape and every bit, those of a NaN included."""
    plain = torch.empty(tensor.shape, dtype=tensor.dtype)
    plain.copy_(tensor.detach())
    return tensor.dtype, tuple(tensor.shape), plain.reshape(-1).view(torch.uint8).numpy().tobytes()


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """Any dtype, rank and layout; floating-point elements may be NaN, infinite or subnormal."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    layout = draw(st.sampled_from(LAYOUTS))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    if layout == "strided" and shape:
        shape = [*shape[:-1], 2 * shape[-1]]
    count = int(torch.tensor(shape).prod()) if shape else 1
    if dtype is torch.bool:
        flat = torch.randint(0, 2, (count + 1,), generator=generator).bool()
    else:
        width = torch.empty(0, dtype=dtype).element_size()
        flat = torch.randint(0, 256, ((count + 1) * width,), dtype=torch.uint8, generator=generator).view(dtype)
    tensor = (flat[1:] if layout == "offset" else flat[:-1]).reshape(shape)
    if layout == "transposed" and len(shape) > 1:
        return tensor.transpose(0, -1)
    if layout == "strided" and shape:
        return tensor[..., ::2]
    if layout == "expanded":
        return tensor.unsqueeze(0).expand(3, *shape)
    return tensor


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6).filter(lambda name: name != "__metadata__")


@settings(deadline=None)
@given(st.dictionaries(NAMES, tensors(), max_size=4))
def test_the_library_reads_what_the_probe_writes(written: dict[str, torch.Tensor]) -> None:
    read = safetensors.torch.load(dump(written))
    assert {name: bits(each) for name, each in read.items()} == {name: bits(each) for name, each in written.items()}


@settings(deadline=None)
@given(st.dictionaries(NAMES, tensors(), max_size=4))
def test_the_probe_reads_what_the_library_writes(written: dict[str, torch.Tensor]) -> None:
    data = safetensors.torch.save(
        {name: each.contiguous() for name, each in written.items()}, {"made": "by the library"}
    )
    read = load(data)
    assert {name: bits(each) for name, each in read.items()} == {name: bits(each) for name, each in written.items()}


@settings(deadline=None)
@given(tensors())
def test_the_digest_is_of_content_and_not_of_layout(tensor: torch.Tensor) -> None:
    assert digest(tensor) == digest(tensor.clone(memory_format=torch.contiguous_format))
    assert raw(tensor) == bits(tensor)[2]


@settings(deadline=None)
@given(tensors().filter(lambda tensor: tensor.numel() > 0))
def test_the_digest_changes_with_any_bit(tensor: torch.Tensor) -> None:
    changed = torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor)
    changed.reshape(-1).view(torch.uint8)[-1] ^= 1
    assert digest(tensor) != digest(changed)


def test_the_digest_changes_with_dtype_and_shape() -> None:
    same_bytes = [
        torch.zeros(4),
        torch.zeros(4, dtype=torch.int32),
        torch.zeros(2, 2),
        torch.zeros(2, dtype=torch.int64),
    ]
    assert len({raw(tensor) for tensor in same_bytes}) == 1
    assert len({digest(tensor) for tensor in same_bytes}) == len(same_bytes)


def test_complex_numbers_become_pairs() -> None:
    tensor = torch.tensor([1 + 2j, 3 - 4j])
    assert safetensors.torch.load(dump({"z": tensor}))["z"].tolist() == [[1.0, 2.0], [3.0, -4.0]]


def test_tensors_that_require_gradients_and_parameters_are_written() -> None:
    parameter = torch.nn.Parameter(torch.arange(3.0))
    assert safetensors.torch.load(dump({"p": parameter, "q": parameter * 2}))["q"].tolist() == [0.0, 2.0, 4.0]


def test_a_conjugated_view_is_written_as_its_values() -> None:
    tensor = torch.tensor([1 + 2j]).conj()
    assert tensor.is_conj()
    assert safetensors.torch.load(dump({"z": tensor}))["z"].tolist() == [[1.0, -2.0]]


def test_a_negated_view_is_written_as_its_values() -> None:
    tensor = torch.tensor([1 + 2j]).conj().imag
    assert tensor.is_neg()
    assert tensor.tolist() == [-2.0]
    assert safetensors.torch.load(dump({"x": tensor}))["x"].tolist() == [-2.0]
    assert digest(tensor) == digest(torch.tensor([-2.0]))


def test_a_dtype_without_a_name_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^tensor 'x' has dtype torch.float8_e4m3fn, which the probe cannot send$"):
        dump({"x": torch.zeros(2, dtype=torch.float8_e4m3fn)})


def test_the_header_is_aligned_and_sorted_so_that_equal_content_is_equal_bytes() -> None:
    first, second = torch.ones(3), torch.zeros((), dtype=torch.int8)
    data = dump({"b": first, "a": second})
    assert data == dump({"a": second, "b": first})
    size = int.from_bytes(data[:8], "little")
    assert size % 8 == 0
    assert list(json.loads(data[8 : 8 + size])) == ["a", "b"]


def test_outputs_of_every_shape_are_found_by_their_path() -> None:
    class Output:
        def __init__(self) -> None:
            self.logits, self.name, self.hidden = torch.ones(1), "text", [torch.ones(2), {"deep": torch.ones(3)}]

    assert {name: each.numel() for name, each in flatten(Output()).items()} == {
        "output.logits": 1, "output.hidden.0": 2, "output.hidden.1.deep": 3,
    }  # fmt: skip
    assert list(flatten(torch.ones(1))) == ["output"]
    assert list(flatten((torch.ones(1), None, [torch.ones(1)]))) == ["output.0", "output.2.0"]
    assert flatten("text") == flatten(None) == flatten(7) == flatten({}) == flatten(Output) == {}
