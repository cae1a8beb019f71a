from dataclasses import replace

import pytest
import torch
from torch import Tensor

from astrobio.registry import ModelCard, RegisteredModel, registered_model
from astrobio.serving.inputs import InputError, InputSpec, checked, input_specs, num_samples, tensors_from_values

CARD = ModelCard(task="", inputs={}, outputs={}, units={"depth": "m"}, license="", limits=())
EARTH = [1.0, 23.446, 0.016724, 282.04, 330.0, 0.55, 50.0]


def samples(batch_size: int, generator: torch.Generator) -> dict[str, Tensor]:
    """A table, a mask, words of one length, and a network of any size."""
    num_edges = int(torch.randint(3, 9, (), generator=generator)) * 10 + batch_size
    return {
        "depth": torch.rand(batch_size, 3, generator=generator),
        "words": torch.randint(9, (batch_size, 5), generator=generator),
        "mask": torch.ones(batch_size, 5, dtype=torch.bool),
        "edges": torch.randint(4, (2, num_edges), generator=generator),
    }


def entry(**card: object) -> RegisteredModel:
    return RegisteredModel(
        class_path="",
        build=torch.nn.Identity,
        overrides=(),
        card=replace(CARD, **card),
        sample_inputs=samples,
        loss=lambda output, inputs: output,
    )


@pytest.fixture
def specs() -> dict[str, InputSpec]:
    return {spec.name: spec for spec in input_specs(entry(ranges={"depth": (0.0, 10.0)}))}


def only(specs: dict[str, InputSpec], name: str, value: object) -> Tensor:
    return tensors_from_values({name: value}, [specs[name]])[name]


def test_shapes_types_and_the_batch_are_found_from_the_sample_inputs(specs: dict[str, InputSpec]) -> None:
    found = {name: (spec.shape, spec.batch_dim, spec.dtype) for name, spec in specs.items()}
    assert found == {
        "depth": ((None, 3), 0, torch.float32),
        "words": ((None, 5), 0, torch.int64),
        "mask": ((None, 5), 0, torch.bool),
        "edges": ((2, None), None, torch.int64),
    }


def test_a_card_may_free_a_dimension() -> None:
    (_, words, *_) = input_specs(entry(free_dims={"words": (1,)}))
    assert words.shape == (None, None)
    assert only({"words": words}, "words", [[1, 2, 3]]).shape == (1, 3)


def test_the_climate_surrogate_has_named_columns_with_ranges_and_units() -> None:
    (spec,) = input_specs(registered_model("climate_surrogate_small"))
    described = spec.described()
    assert described["shape"] == ["batch", 7]
    assert described["ranges"]["obliquity_deg"] == [0.0, 60.0]  # type: ignore[index]
    assert described["units"]["co2_ppm"] == "parts per million by volume"  # type: ignore[index]


def test_good_values_become_tensors_of_the_models_types(specs: dict[str, InputSpec]) -> None:
    values = {"depth": [[1, 2.5, 3]], "words": [[1, 2, 3, 4, 5]], "mask": [[True] * 5], "edges": [[0, 1], [1, 0]]}
    tensors = tensors_from_values(values, list(specs.values()))
    assert {name: tensor.dtype for name, tensor in tensors.items()} == {n: s.dtype for n, s in specs.items()}
    assert tensors["depth"].tolist() == [[1.0, 2.5, 3.0]]
    assert num_samples(tensors, list(specs.values())) == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("depth", 1.0, "depth is 1.0; expected a list, 2 levels deep"),
        ("depth", [], "depth is an empty list; expected a list, 2 levels deep"),
        ("depth", [[]], r"depth\[0\] is an empty list"),
        ("depth", [1.0], r"depth\[0\] is 1.0; expected a list"),
        ("depth", [[1.0, "2", 3.0]], r"depth\[0\]\[1\] is '2'; expected a number"),
        ("depth", [[1.0, None, 3.0]], r"depth\[0\]\[1\] is None; expected a number"),
        ("depth", [[1.0, True, 3.0]], r"depth\[0\]\[1\] is True; expected a number"),
        ("depth", [[1.0, [2.0], 3.0]], r"depth\[0\]\[1\] is \[2.0\]; expected a number"),
        ("depth", [[1.0, 2.0, 3.0], [1.0]], r"depth\[1\] has length 1, depth\[0\] has 3"),
        ("depth", [[1.0, 2.0]], r"depth has shape \(1, 2\); expected \(batch, 3\)"),
        ("depth", [[1.0, float("nan"), 3.0]], r"depth\[0\]\[1\] is not a number; expected a finite number"),
        ("depth", [[1.0, 1e999, 3.0]], r"depth\[0\]\[1\] is too large, or infinite"),
        ("depth", [[1.0, 10**400, 3.0]], "depth holds a number that is too large"),
        ("depth", [[1.0, 10.5, 3.0]], r"depth\[0\]\[1\] is 10.5, outside the range of the model, 0 to 10 m"),
        ("depth", [[1.0, -1e-9, 3.0]], r"depth\[0\]\[1\] is -1e-09, outside the range"),
        ("words", [[1, 2, 3, 4, 5.0]], r"words\[0\]\[4\] is 5.0; expected a whole number"),
        ("words", [[1, 2, 3, 4, 2**63]], "words holds a number that is too large"),
        ("mask", [[1, 0, 1, 0, 1]], r"mask\[0\]\[0\] is 1; expected true or false"),
        ("edges", [[0, 1, 2]], r"edges has shape \(1, 3\); expected \(2, any\)"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    specs: dict[str, InputSpec], name: str, value: object, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        only(specs, name, value)


def test_a_number_that_only_float32_cannot_hold_is_refused() -> None:
    specs = {spec.name: spec for spec in input_specs(entry())}
    with pytest.raises(InputError, match=r"depth\[0\]\[2\] is too large, or infinite"):
        only(specs, "depth", [[1.0, 2.0, 1e39]])


def test_missing_and_unknown_inputs_are_named(specs: dict[str, InputSpec]) -> None:
    depth = [specs["depth"]]
    with pytest.raises(InputError, match="depth is missing; the inputs are: depth"):
        tensors_from_values({}, depth)
    with pytest.raises(InputError, match="there is no input 'breadth'; the inputs are: depth"):
        tensors_from_values({"depth": [[1.0, 2.0, 3.0]], "breadth": 1}, depth)
    with pytest.raises(InputError, match="the inputs must be an object with: depth"):
        tensors_from_values([1.0], depth)


def test_inputs_that_differ_in_their_number_of_samples_are_refused(specs: dict[str, InputSpec]) -> None:
    values = {"depth": [[1.0, 2.0, 3.0]], "mask": [[True] * 5, [True] * 5]}
    with pytest.raises(InputError, match="the inputs differ in their number of samples: depth 1, mask 2"):
        tensors_from_values(values, [specs["depth"], specs["mask"]])


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.ones(1, 3, dtype=torch.int64), r"depth holds integers \(torch.int64\); expected floating-point"),
        (torch.ones(1, 3, dtype=torch.bool), "depth holds booleans"),
        (torch.ones(1, 3, dtype=torch.complex64), "depth holds complex"),
        (torch.ones(3), r"depth has shape \(3,\); expected \(batch, 3\)"),
        (torch.ones(0, 3), r"depth has shape \(0, 3\)"),
    ],
)
def test_tensors_of_another_kind_or_shape_are_refused(
    specs: dict[str, InputSpec], tensor: Tensor, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        checked({"depth": tensor}, [specs["depth"]])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_floating_point_tensors_are_taken_in_any_precision(specs: dict[str, InputSpec], dtype: torch.dtype) -> None:
    assert checked({"depth": torch.ones(2, 3, dtype=dtype)}, [specs["depth"]])["depth"].dtype == torch.float32


def test_the_ends_of_a_range_are_inside_it_in_every_precision() -> None:
    specs = input_specs(entry(ranges={"depth": (0.1, 0.3)}))[:1]
    ends = torch.tensor([[0.1, 0.2, 0.3]], dtype=torch.float64)
    for dtype in (torch.float64, torch.float32, torch.float16):
        checked({"depth": ends.to(dtype)}, specs)
    with pytest.raises(InputError, match="outside the range"):
        checked({"depth": ends + 1e-9}, specs)


def test_a_column_out_of_range_is_named_with_its_unit() -> None:
    specs = input_specs(registered_model("climate_surrogate_small"))
    tilted = [*EARTH[:1], 95.0, *EARTH[2:]]
    message = r"planet_parameters\[1\].obliquity_deg is 95, outside the range of the model, 0 to 60 degree"
    with pytest.raises(InputError, match=message):
        tensors_from_values({"planet_parameters": [EARTH, tilted]}, specs)
