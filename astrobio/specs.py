"""How an auditor builds each model of this package, and what its attention promises.

Plain Python and torch. `MODELS` has one entry for every registered model, `DATA` one for every kind of simulated data
set; `ATTENTION` one for every mechanism and backend that runs on every device, and for our Triton kernels where
`TRITON_INTERPRET=1` lets them run on a CPU; `BENCHMARKS` one for every backend of `attention`, which says itself what
it does not support. Sizes are small, and differ from one another so that swapped dimensions do not go unnoticed.
"""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from astrobio.attention import (
    AttentionConfig,
    AxialAttention3d,
    BlockSparseAttention,
    CrossAttention,
    FlashAttention,
    GroupedQueryAttention,
    LinearAttention,
    MultiHeadAttention,
    RingAttention,
    SlidingWindowAttention,
    attention,
    big_bird_layout,
)
from astrobio.attention.backends import BACKENDS, PORTABLE_BACKENDS, AttentionCall
from astrobio.attention.backends.libraries import is_installed
from astrobio.attention.linear import elu_plus_one
from astrobio.attention.state_space import selective_scan
from astrobio.attention.triton_kernels.interpreter import is_interpreting
from astrobio.data.climate_dataset import make_climate_dataset, split_by_planet
from astrobio.data.cubes import make_cube_dataset
from astrobio.data.fold import make_fold_dataset
from astrobio.data.habitability import make_habitability_dataset
from astrobio.data.metabolic_networks import generate_networks
from astrobio.data.sequences import VOCABULARY
from astrobio.data.spectra_dataset import make_spectra_dataset
from astrobio.registry import list_models, registered_model
from astrobio.training.schedules import learning_rate_factor
from astrobio.training.task import Batch, TrainingTask
from astrobio.training.tasks import TASKS, create_task

# What the losses are of models that know nothing, in the order of the classes: an even distribution over the tokens; a
# velocity of zero, for a target of unit variance; an even chance for each pair of compounds.
_INITIAL_LOSSES = {
    "astrobio.models.sequence_decoder:SequenceDecoder": math.log(len(VOCABULARY)),
    "astrobio.models.climate_diffusion:ClimateDiffusion": 1.0,
    "astrobio.models.metabolic_graph_vae:MetabolicGraphVAE": math.log(2),
}


def _model_spec(name: str) -> dict[str, object]:
    entry = registered_model(name)
    spec: dict[str, object] = {
        "class": entry.class_path,
        "build": entry.build,
        "inputs": entry.sample_inputs,
        "loss": entry.loss,
        **_behaviour(name),
    }
    if entry.class_path in _INITIAL_LOSSES:
        spec["initial_loss"] = _INITIAL_LOSSES[entry.class_path]
    return spec


def _behaviour(name: str) -> dict[str, object]:
    """What a model promises beside its outputs, by the name of its family."""
    family, _, size = name.rpartition("_")
    promised = {**_EVERY_MODEL, **_FAMILIES.get(family, {})}
    if size == "small":
        return {**promised, **_OF_SMALL}
    # The larger ones differ by their sizes alone; capturing them takes several times as long and shows no more.
    small = f"{family}_small"
    return {**promised, **dict.fromkeys(_OF_SMALL, small), "tiny": registered_model(small).build}


def _data_spec(make: Callable[[int, int], Any], class_: str) -> dict[str, object]:
    """A data set of planets or networks, simulated once, and its parts as training splits it."""

    @cache
    def build() -> Any:
        return make(_NUM_SIMULATED, 0)

    def splits() -> dict[str, object]:
        dataset = build()
        if isinstance(dataset, list):  # networks, which are made one after the other and all different
            return {"train": dataset[2:], "held_out": dataset[:2]}
        train, held_out = split_by_planet(dataset, held_out_fraction=0.25, seed=0)
        return {"train": train, "held_out": held_out}

    return {"class": class_, "build": build, "item": _item, "splits": splits}


def _item(dataset: Any, index: int) -> object:
    """One planet or one network; data sets of planets are indexed by tensors."""
    return dataset[index] if isinstance(dataset, list) else dataset[torch.tensor([index])]


def _training_spec(name: str) -> dict[str, object]:
    """A learning task with its preset "fast", in an auditor's loop and by our own command."""
    preset = create_task(name, "fast").preset
    tasks: dict[int, TrainingTask] = {}  # by seed: a task keeps the data that it has simulated

    def task_of(seed: int) -> TrainingTask:
        if seed not in tasks:
            tasks[seed] = create_task(name, "fast", seed=seed)
        return tasks[seed]

    def batches(seed: int, start_step: int) -> Callable[[int], Batch]:
        return lambda step: task_of(seed).batch(step, preset.batch_size)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        return task_of(_ANY_SEED).loss(model, batch)["loss"]

    def optimizer(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.AdamW(model.parameters(), lr=preset.learning_rate, weight_decay=preset.weight_decay)

    def scheduler(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        factor = partial(
            learning_rate_factor, steps=preset.steps, warm_up_steps=preset.warm_up_steps, schedule="constant"
        )
        return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)

    options = (
        f"train {name} --preset fast --seed {{seed}} --steps {{steps}} --checkpoint-every {{checkpoint_every}} "
        "--output {checkpoint_dir} --threads 1"
    )
    ranks: dict[str, object] = {
        "torchrun": f"{{python}} -m torch.distributed.run --standalone --nproc-per-node 2 -m astrobio.cli {options}",
        "one_process": f"{{python}} -m astrobio.cli {options} --accumulate 2",
        "curve": "log.jsonl",
    }
    return {
        "class": registered_model(_LEARNED[name]).class_path,
        "build": lambda: task_of(_ANY_SEED).build_model(),
        "batches": batches,
        "loss": loss,
        "optimizer": optimizer,
        "scheduler": scheduler,
        "command": f"{{python}} -m astrobio.cli {options} {{resume}}",
        **({} if name in _DRAWING else ranks),
    }


def _path(item: Callable[..., object]) -> str:
    return f"{item.__module__}:{item.__qualname__}"


def _forward(module: nn.Module, hidden_states: Tensor, key_mask: Tensor | None) -> Tensor:
    output: Tensor = module(hidden_states, key_mask=key_mask)
    return output


def _decode(module: nn.Module, chunks: list[Tensor]) -> Tensor:
    """The outputs of consecutive chunks, each (B, l_i, embed_dim), that share the layer's own kind of cache."""
    cache = module.new_cache()  # type: ignore[operator]
    return torch.cat([module(chunk, cache=cache) for chunk in chunks], dim=1)


def _cross_forward(module: nn.Module, hidden_states: Tensor, key_mask: Tensor | None) -> Tensor:
    output: Tensor = module(hidden_states, hidden_states, key_mask=key_mask)
    return output


def _axial_forward(module: nn.Module, hidden_states: Tensor, key_mask: Tensor | None) -> Tensor:
    """What attention along the width adds to one line of a cube."""
    cube = hidden_states.transpose(1, 2)[:, :, None, None, :]
    added = module(cube, cell_mask=None if key_mask is None else key_mask[:, None, None, :]) - cube
    line: Tensor = added[:, :, 0, 0, :].transpose(1, 2)
    return line


def _contract(config: AttentionConfig) -> dict[str, object]:
    """What the layers promise that are projections around attention."""
    return {
        "embed_dim": config.embed_dim,
        "num_heads": config.num_heads,
        "num_kv_heads": config.kv_heads,
        "head_dim": config.dim_per_head,
        "is_causal": config.is_causal,
        "scale": None,
        "key_mask": True,
        "rotary_base": config.rotary_base,
        "rotary_layout": "half",
        "window": config.window,
        "soft_cap": config.soft_cap,
        "alibi_slopes": "published" if config.alibi else None,
        "sinks": "sinks" if config.sinks else None,
        "projections": _PROJECTIONS,
        "empty_row": "zeros",
    }


def _layer_spec(
    layer: type[MultiHeadAttention] | type[RingAttention],
    config: AttentionConfig,
    *,
    decode: Callable[[nn.Module, list[Tensor]], Tensor] | None = None,
) -> dict[str, object]:
    spec: dict[str, object] = {
        "class": _path(layer),
        "build": lambda: layer(config),
        "forward": _forward,
        "contract": _contract(config),
    }
    return spec if decode is None else {**spec, "decode": decode}


def _function_spec(backend: str) -> dict[str, object]:
    def forward(query: Tensor, key: Tensor, value: Tensor, is_causal: bool, mask: Tensor | None) -> Tensor:
        return attention(query, key, value, is_causal=is_causal, attention_mask=mask, backend=backend)

    return {
        "function": _path(attention),
        "forward": forward,
        "contract": {
            "num_heads": 6,
            "num_kv_heads": 3,
            "head_dim": 10,
            "is_causal": True,
            "scale": None,
            "key_mask": True,
            "empty_row": "zeros",
        },
    }


def _library_spec(name: str, library: str) -> dict[str, object]:
    """A backend of a library for GPUs. An auditor puts an exact stand-in in the library's place where there is none."""
    backend = BACKENDS[name]

    def forward(query: Tensor, key: Tensor, value: Tensor, is_causal: bool, mask: Tensor | None) -> Tensor:
        assert mask is None  # none is declared
        scale = query.shape[-1] ** -0.5
        return backend.run(AttentionCall(query=query, key=key, value=value, scale=scale, is_causal=is_causal))

    return {
        "function": f"{type(backend).__module__}:{type(backend).__qualname__}.run",
        "forward": forward,
        "stand_ins": library,
        "contract": {
            "num_heads": 6,
            "num_kv_heads": 3,
            "head_dim": 16,
            "is_causal": True,
            "scale": None,
            "empty_row": "zeros",
        },
    }


def _benchmark_spec(name: str) -> dict[str, object]:
    """A backend as it is timed: through `attention`, whose checks are part of a call."""
    backend = BACKENDS[name]

    def forward(query: Tensor, key: Tensor, value: Tensor, is_causal: bool, window: int | None) -> Tensor:
        return attention(query, key, value, is_causal=is_causal, window=window, backend=name)

    def unsupported(query: Tensor, key: Tensor, value: Tensor, is_causal: bool, window: int | None) -> str | None:
        scale = query.shape[-1] ** -0.5
        call = AttentionCall(query=query, key=key, value=value, scale=scale, is_causal=is_causal, window=window)
        return backend.unsupported_reason(call)

    return {
        "function": f"{type(backend).__module__}:{type(backend).__qualname__}.run",
        "forward": forward,
        "unsupported": unsupported,
    }


_EVERY_MODEL: dict[str, object] = {
    "random_in_training": False,
    "dtypes": ["float64", "bfloat16", "float16", "autocast bfloat16", "autocast float16"],
}
_OF_SMALL: dict[str, object] = {"compiles": True, "exports": True}
_NODES = {"mask": "node_mask", "content": ["compositions"]}
_EDGES = {"mask": "edge_mask", "content": ["edges"]}
_FAMILIES: dict[str, dict[str, object]] = {
    # In training it draws its latent vectors. Its pairs are listed with the given edges first, so that a prediction
    # which knows no more than their places is right about every network.
    "metabolic_graph_vae": {"random_in_training": True, "padding": [_NODES, _EDGES], "targets_differ": False},
    "habitability_fusion": {"padding": [_NODES, _EDGES]},
}
_PROJECTIONS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
_WINDOW = 4


def _grouped_query_causal_rotary(backend: str) -> AttentionConfig:
    return AttentionConfig(
        embed_dim=40, num_heads=6, num_kv_heads=2, head_dim=8, is_causal=True, rotary_base=10_000.0, backend=backend
    )


def _multi_head_bidirectional(backend: str) -> AttentionConfig:
    return AttentionConfig(embed_dim=28, num_heads=3, head_dim=10, bias=True, backend=backend)


_grouped = partial(AttentionConfig, embed_dim=40, num_heads=6, num_kv_heads=2, head_dim=8)


def _linear_spec() -> dict[str, object]:
    config = _grouped(is_causal=True, feature_map="elu_plus_one")
    return {
        "class": _path(LinearAttention),
        "build": lambda: LinearAttention(config),
        "forward": _forward,
        "decode": _decode,
        "contract": {**_contract(config), "feature_map": "elu_plus_one", "rows_sum_to_one": True},
    }


def _cross_spec() -> dict[str, object]:
    """Attention to the sequence itself, so that there is an oracle."""
    config = _grouped()
    return {
        "class": _path(CrossAttention),
        "build": lambda: CrossAttention(config),
        "forward": _cross_forward,
        "contract": _contract(config),
    }


def _axial_spec() -> dict[str, object]:
    config = _grouped()
    projections = {role: f"layers.width.{name}" for role, name in _PROJECTIONS.items()}
    return {
        "class": _path(AxialAttention3d),
        "build": lambda: AxialAttention3d(config, axes=("width",)),
        "forward": _axial_forward,
        "contract": {**_contract(config), "positions": "none", "projections": projections},
    }


def _block_sparse_spec() -> dict[str, object]:
    """Blocks of one position in a band, which is a window, so that there is an oracle."""
    config = _grouped(is_causal=True, rotary_base=100.0, block_size=1)
    layout = big_bird_layout(_LONGEST, num_neighbours=_WINDOW - 1, num_global=0)
    return {
        "class": _path(BlockSparseAttention),
        "build": lambda: BlockSparseAttention(config, layout),
        "forward": _forward,
        "decode": _decode,
        "contract": {**_contract(config), "window": _WINDOW},
    }


def _scan_spec() -> dict[str, object]:
    """The selective scan without decay, which is linear attention whose rows are not divided by their sums."""

    def forward(query: Tensor, key: Tensor, value: Tensor, is_causal: bool, mask: Tensor | None) -> Tensor:
        query, key = elu_plus_one(query), elu_plus_one(key)
        # One head after another, (B, L, D): the channels are those of the value, the states the features of the key.
        heads = []
        for each_query, each_key, each_value in zip(query.unbind(1), key.unbind(1), value.unbind(1), strict=True):
            decay = each_value.new_zeros(value.shape[3], key.shape[3])
            step = torch.ones_like(each_value)
            if mask is not None:
                step = step.masked_fill(~mask[:, 0, 0, :, None], 0.0)
            if is_causal:
                read, _ = selective_scan(each_value, step, decay, each_key, each_query)
            else:  # every query reads what the last key leaves
                _, state = selective_scan(each_value, step, decay, each_key, each_key)
                still = each_query.new_zeros(*each_query.shape[:2], value.shape[3])
                read, _ = selective_scan(still, still, decay, each_query, each_query, hidden=state)
            heads.append(read)
        return torch.stack(heads, dim=1)

    return {
        "function": _path(selective_scan),
        "forward": forward,
        "contract": {
            "num_heads": 3,
            "num_kv_heads": 3,
            "head_dim": 10,
            "is_causal": True,
            "key_mask": True,
            "equal_lengths": True,
            "feature_map": "elu_plus_one",
            "rows_sum_to_one": False,
            "empty_row": "zeros",
        },
    }


# Our kernels run on a CPU only where Triton is told to interpret them.
_INTERPRETED_BACKENDS = ("triton",) if is_interpreting() and is_installed("triton") else ()
_NUM_SIMULATED = 8  # planets or networks of a data set
# The model that the preset "fast" of each task learns.
_LEARNED = {
    "climate": "climate_surrogate_small",
    "climate_diffusion": "climate_diffusion_small",
    "datacube": "datacube_unet_small",
    "habitability": "habitability_fusion_small",
    "metabolic_graph_vae": "metabolic_graph_vae_small",
    "sequence_decoder": "sequence_decoder_small",
    "spectral_autoencoder": "spectral_autoencoder_small",
}
_DRAWING = ("metabolic_graph_vae",)  # draws in its forward pass, and each rank draws otherwise
_ANY_SEED = 0  # neither a model nor a loss depends on the seed of a task, which is that of its data
_LONGEST = 32  # tokens of the longest input of an audit in float32, with room to spare

MODELS: dict[str, dict[str, object]] = {name: _model_spec(name) for name in list_models()}

DATA: dict[str, dict[str, object]] = {
    "climates": _data_spec(make_climate_dataset, "astrobio.data.climate_dataset:ClimateDataset"),
    "climates_near_the_fold": _data_spec(make_fold_dataset, "astrobio.data.climate_dataset:ClimateDataset"),
    "cubes": _data_spec(make_cube_dataset, "astrobio.data.cubes:CubeDataset"),
    "spectra": _data_spec(make_spectra_dataset, "astrobio.data.spectra_dataset:SpectraDataset"),
    "habitability": _data_spec(make_habitability_dataset, "astrobio.data.habitability:HabitabilityDataset"),
    "metabolic_networks": _data_spec(generate_networks, "astrobio.data.metabolic_networks:MetabolicNetwork"),
}
TRAINING: dict[str, dict[str, object]] = {name: _training_spec(name) for name in sorted(TASKS)}

ATTENTION: dict[str, dict[str, object]] = {
    **{
        f"grouped_query_causal_rotary_{name}": _layer_spec(
            MultiHeadAttention, _grouped_query_causal_rotary(name), decode=_decode
        )
        for name in PORTABLE_BACKENDS
    },
    **{
        f"multi_head_bidirectional_{name}": _layer_spec(MultiHeadAttention, _multi_head_bidirectional(name))
        for name in PORTABLE_BACKENDS
    },
    **{f"attention_{name}": _function_spec(name) for name in (*PORTABLE_BACKENDS, *_INTERPRETED_BACKENDS)},
    "attention_flash_attention_2": _library_spec("flash_attention_2", "flash_attn"),
    "attention_flash_attention_3": _library_spec("flash_attention_3", "flash_attn_interface"),
    "attention_flash_attention_4": _library_spec("flash_attention_4", "flash_attn.cute"),
    "flash_causal_alibi": _layer_spec(FlashAttention, _grouped(is_causal=True, alibi=True), decode=_decode),
    "grouped_query_capped_with_sinks": _layer_spec(GroupedQueryAttention, _grouped(soft_cap=2.0, sinks=True)),
    "sliding_window_causal_rotary": _layer_spec(
        SlidingWindowAttention, _grouped(is_causal=True, rotary_base=100.0, window=_WINDOW), decode=_decode
    ),
    "sliding_window_bidirectional_alibi": _layer_spec(SlidingWindowAttention, _grouped(alibi=True, window=_WINDOW)),
    "cross_attention": _cross_spec(),
    "axial_3d": _axial_spec(),
    "block_sparse_causal_rotary": _block_sparse_spec(),
    "linear_causal": _linear_spec(),
    "selective_scan": _scan_spec(),
    "ring_attention_on_one_process": _layer_spec(RingAttention, _grouped(is_causal=True, rotary_base=100.0)),
}

BENCHMARKS: dict[str, dict[str, object]] = {f"astrobio_{name}": _benchmark_spec(name) for name in BACKENDS}
