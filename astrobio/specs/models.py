"""How each registered model is built, fed and scored, and what it promises."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from astrobio.attention import SelectiveStateSpace, StateSpaceConfig
from astrobio.data.sequences import END, PAD, SPECIAL_TOKENS, VOCABULARY
from astrobio.models.climate_diffusion import ClimateDiffusion
from astrobio.models.sequence_decoder import SequenceDecoder
from astrobio.registry import list_models, registered_model

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


def _continued(model: SequenceDecoder, inputs: Mapping[str, Tensor], steps: int) -> Tensor:
    return model.generate(inputs["tokens"], steps, temperature=0.0)


def _drawn(model: SequenceDecoder, inputs: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
    return model.generate(inputs["tokens"][:, :_PROMPT], 4, generator=generator)


def _logits_of_what_is_drawn(logits: Tensor) -> Tensor:
    """The logits without those of tokens that are never generated."""
    forbidden = [token for token in range(len(SPECIAL_TOKENS)) if token != END]
    return logits.index_fill(2, torch.tensor(forbidden), -math.inf)


def _seasons(model: ClimateDiffusion, inputs: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
    given = (inputs["planet_parameters"], inputs["first_month"])
    return model.sample(*given, generator=generator, num_steps=2)


_PROMPT = 8
_EVERY_MODEL: dict[str, object] = {
    "random_in_training": False,
    "dtypes": ["float64", "bfloat16", "float16", "autocast bfloat16", "autocast float16"],
}
_OF_SMALL: dict[str, object] = {"compiles": True, "exports": True}
_NODES = {"mask": "node_mask", "content": ["compositions"]}
_EDGES = {"mask": "edge_mask", "content": ["edges"]}
_TRANSFORMER = {"blocks.*": ["attention.out_proj", "feed_forward.2"]}
_DECODER: dict[str, object] = {
    "padding": {"tokens": "tokens", "pad_id": PAD, "removable": True},
    "causal": {"content": ["tokens"]},
    "residual": {"blocks.*": ["attention.out_proj", "down"]},
    "inference": {"generate": _drawn},
    "generate": {
        "run": _continued, "content": "tokens", "prompt": _PROMPT, "logits": _logits_of_what_is_drawn, "ends": END,
        "pads": PAD,
    },
}  # fmt: skip
_FAMILIES: dict[str, dict[str, object]] = {
    # In training it draws its latent vectors. Its pairs are listed with the given edges first, so that a prediction
    # which knows no more than their places is right about every network.
    "metabolic_graph_vae": {
        "random_in_training": True,
        "padding": [_NODES, _EDGES],
        "residual": {"rounds.*": ["update.2"]},
        "targets_differ": False,
    },
    "climate_diffusion": {"inference": {"sample": _seasons}},
    "climate_surrogate": {"residual": _TRANSFORMER},
    "spectral_autoencoder": {"residual": _TRANSFORMER},
    "sequence_decoder": _DECODER,
    "sequence_decoder_hybrid": _DECODER,
    "habitability_fusion": {
        "padding": [_NODES, _EDGES],
        "residual": {
            "network": ["update.2"],
            "blocks.*": ["cross_attention.out_proj", "self_attention.out_proj", "feed_forward.2"],
        },
    },
}


def _hidden_states(batch_size: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Sequences of which one is padded on the left, and the next on the right."""
    key_mask = torch.ones(batch_size, 12, dtype=torch.bool)
    key_mask[0, :5] = False
    key_mask[1:2, 9:] = False
    return {"hidden_states": torch.randn(batch_size, 12, 16, generator=generator), "key_mask": key_mask}


def _running_mean_loss(output: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
    kept = inputs["key_mask"].unsqueeze(-1)
    summed = (inputs["hidden_states"] * kept).cumsum(dim=1) / kept.cumsum(dim=1).clamp(min=1)
    return (output - summed).square()[kept.expand_as(output)].mean()


# A layer by itself: the decoder that has it takes no mask of keys.
_STATE_SPACE: dict[str, object] = {
    "class": "astrobio.attention.state_space:SelectiveStateSpace",
    "build": lambda: SelectiveStateSpace(StateSpaceConfig(embed_dim=16, chunk_size=5)),
    "inputs": _hidden_states,
    "loss": _running_mean_loss,
    "padding": {"mask": "key_mask", "content": ["hidden_states"], "removable": True},
    "causal": {"content": ["hidden_states"]},
    **_EVERY_MODEL,
    **_OF_SMALL,
}

MODELS: dict[str, dict[str, object]] = {
    **{name: _model_spec(name) for name in list_models()},
    "selective_state_space": _STATE_SPACE,
}
