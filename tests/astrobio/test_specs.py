import importlib
import importlib.util
import os
import subprocess
import sys
from operator import attrgetter

import pytest
import torch
from torch import Tensor, nn

from astrobio import attention
from astrobio.attention import AxialAttention3d, RingAttention
from astrobio.attention.backends import PORTABLE_BACKENDS
from astrobio.attention.projections import ProjectedAttention
from astrobio.registry import list_models
from astrobio.specs import ATTENTION, MODELS

MODULES = [name for name, spec in ATTENTION.items() if "class" in spec]
FUNCTIONS = [name for name, spec in ATTENTION.items() if "function" in spec]
PORTABLE = [name for name in FUNCTIONS if "stand_ins" not in ATTENTION[name]]


def resolve(path: str) -> object:
    module, _, name = path.partition(":")
    return attrgetter(name)(importlib.import_module(module))


def hidden_states(contract: dict[str, int], length: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, length, contract["embed_dim"], generator=generator, dtype=torch.float64)


def test_every_registered_model_has_a_spec() -> None:
    assert set(MODELS) - set(list_models()) == {"selective_state_space"}  # a layer by itself
    assert set(list_models()) <= set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_spec_builds_its_class_and_gives_a_gradient_to_every_parameter(name: str) -> None:
    spec = MODELS[name]
    model = spec["build"]()
    assert type(model) is resolve(spec["class"])
    inputs = spec["inputs"](3, torch.Generator().manual_seed(0))
    assert all(len(tensor) == 3 for tensor in inputs.values())
    loss = spec["loss"](model(**inputs), inputs)
    assert loss.shape == ()
    loss.backward()
    assert all((parameter.grad != 0).any() for parameter in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_the_inputs_of_a_model_depend_on_the_generator_only(name: str) -> None:
    first, again, other = (MODELS[name]["inputs"](3, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    for key in first:
        assert torch.equal(first[key], again[key])
        # What says where there is padding is the same in every batch.
        assert first[key].dtype == torch.bool or not torch.equal(first[key], other[key])


def test_attention_is_specified_with_every_portable_backend() -> None:
    for mechanism in ("attention", "grouped_query_causal_rotary", "multi_head_bidirectional"):
        assert {f"{mechanism}_{backend}" for backend in PORTABLE_BACKENDS} <= set(ATTENTION)


@pytest.mark.parametrize("interpreting", ["0", "1"])
def test_our_kernels_are_specified_only_where_they_are_interpreted(interpreting: str) -> None:
    code = "from astrobio.specs import ATTENTION; print('attention_triton' in ATTENTION)"
    environment = {**os.environ, "TRITON_INTERPRET": interpreting}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    runs = interpreting == "1" and importlib.util.find_spec("triton") is not None
    assert found.stdout.strip() == str(runs)


def test_every_layer_of_attention_is_specified() -> None:
    layers = {
        item for item in vars(attention).values() if isinstance(item, type) and issubclass(item, ProjectedAttention)
    }
    assert layers | {AxialAttention3d} == {resolve(ATTENTION[name]["class"]) for name in MODULES}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_the_projections_that_its_contract_declares(name: str) -> None:
    spec = ATTENTION[name]
    contract = spec["contract"]
    module = spec["build"]()
    assert type(module) is resolve(spec["class"])
    query_dim = contract["num_heads"] * contract["head_dim"]
    kv_dim = contract["num_kv_heads"] * contract["head_dim"]
    shapes = {role: tuple(module.get_submodule(path).weight.shape) for role, path in contract["projections"].items()}
    assert shapes == {
        "query": (query_dim, contract["embed_dim"]),
        "key": (kv_dim, contract["embed_dim"]),
        "value": (kv_dim, contract["embed_dim"]),
        "output": (contract["embed_dim"], query_dim),
    }


@pytest.mark.parametrize("name", MODULES)
def test_the_key_mask_of_a_module_hides_what_it_masks(name: str) -> None:
    spec = ATTENTION[name]
    module: nn.Module = spec["build"]().double().eval()
    x = hidden_states(spec["contract"], 6)
    key_mask = torch.tensor([True, False, True, True, True, True]).expand(2, -1)
    masked = spec["forward"](module, x, key_mask)
    x[:, 1] += 5.0
    others = [0, 2, 3, 4, 5]
    assert torch.equal(spec["forward"](module, x, key_mask)[:, others], masked[:, others])
    assert not torch.allclose(spec["forward"](module, x, None)[:, others], masked[:, others])


@pytest.mark.parametrize("name", [name for name in MODULES if "decode" in ATTENTION[name]])
def test_decoding_in_chunks_equals_the_full_forward(name: str) -> None:
    spec = ATTENTION[name]
    module = spec["build"]().double()
    x = hidden_states(spec["contract"], 6)
    difference = spec["decode"](module, list(x.split([2, 1, 3], dim=1))) - spec["forward"](module, x, None)
    # Sums of at most embed_dim + num_heads * head_dim < 100 terms, each below 10, in two orders.
    assert difference.abs().max() <= 2 * 100 * 10 * torch.finfo(torch.float64).eps / 2


def test_decoding_is_specified_exactly_for_the_causal_modules() -> None:
    assert {name for name in MODULES if "decode" in ATTENTION[name]} == {
        name
        for name in MODULES
        if ATTENTION[name]["contract"]["is_causal"] and resolve(ATTENTION[name]["class"]) is not RingAttention
    }


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - set(PORTABLE)))
def test_a_backend_of_a_library_names_what_stands_in_for_it(name: str) -> None:
    """What it computes is judged by the audit, and tested with the backends."""
    assert callable(resolve(ATTENTION[name]["function"]))
    assert ATTENTION[name]["stand_ins"].startswith("flash_attn")


@pytest.mark.parametrize("name", PORTABLE)
def test_a_function_takes_the_shapes_that_its_contract_declares(name: str) -> None:
    contract, forward = ATTENTION[name]["contract"], ATTENTION[name]["forward"]
    assert callable(resolve(ATTENTION[name]["function"]))
    key_length = 4 if contract.get("equal_lengths") else 5
    query = torch.randn(2, contract["num_heads"], 4, contract["head_dim"])
    key, value = torch.randn(2, 2, contract["num_kv_heads"], key_length, contract["head_dim"])
    mask = torch.ones(2, 1, 1, key_length, dtype=torch.bool)
    mask[1] = False
    output = forward(query, key, value, True, mask)
    assert output.shape == query.shape
    assert (output[1] == 0).all()
    assert (output[0] != 0).all()
    assert not torch.allclose(output, forward(query, key, value, False, mask))
