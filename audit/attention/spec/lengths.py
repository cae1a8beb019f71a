"""Maximal lengths that were given to a constructor and need not be: its own default does, as a call shows."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as save_safetensors

from audit.attention.found import Way, source_of
from audit.attention.subject import BATCH_SIZE, LENGTH
from audit.gateway import Probe, ProbeFailure, TargetRaised
from audit.gateway.client import Plain

_LENGTHS = (1, LENGTH, 2 * LENGTH + 1)  # up to the longest input of a property
_MOST = 4096  # a square mask of so many float32 is 64 MiB; a longer one is not made for a shorter text
_LENGTH = re.compile(  # a maximal length by its name, and no window
    r"block_size|n_ctx|context_(size|window|length)|(n|num)_positions|max_(position_embeddings|positions)"
    r"|(max_|ctx_|context_)?(seq_?)?len(gth)?|max_(seq|sequence)_len(gth)?|(seq|sequence)_len(gth)?|seqlen|maxlen|max_t"
)
_DEFAULT = re.compile(r"(\w+)\s*(?::.*)?=\s*(\d+)$")


def with_own_lengths(reply: Mapping[str, Plain], probe: Probe, *, seed: int) -> Mapping[str, Plain]:
    """Return the reply without the lengths among its arguments for which a class has a default that it works with."""
    found: Any = reply
    defaults = _defaults(found["signature"].get("build", ()))
    subjects = [_tried(each, found, defaults, probe, seed) for each in found["subjects"]]
    return {**reply, "subjects": subjects}


def _defaults(signature: list[str]) -> dict[str, int]:
    said = (match for each in signature if (match := _DEFAULT.match(each)))
    return {match[1]: int(match[2]) for match in said if int(match[2]) <= _MOST}


def _tried(subject: Any, reply: Any, defaults: Mapping[str, int], probe: Probe, seed: int) -> Any:
    choices = subject["choices"]
    is_length = {name for name in choices["arguments"] if _LENGTH.fullmatch(name)}
    left = {name: value for name, value in choices["arguments"].items() if name not in is_length & defaults.keys()}
    if (
        left == choices["arguments"]
        or choices["form"]["canonical"] == "function"
        or subject["contract"].keys() & {"context_dim", "window"}
    ):
        return subject
    without = {**subject, "choices": {**choices, "arguments": left}}
    return without if _answers(without, reply, probe, seed) else subject


def _answers(subject: Any, reply: Any, probe: Probe, seed: int) -> bool:
    """Whether what is so built takes inputs of every length."""
    width = subject["contract"]["embed_dim"]
    drawn = torch.Generator().manual_seed(seed)
    blob = {f"{i}.x": torch.randn(BATCH_SIZE, length, width, generator=drawn) for i, length in enumerate(_LENGTHS)}
    calls: list[Plain] = [{"kind": "forward", "is_causal": False, "hidden_states": name} for name in blob]
    try:
        probe.call(
            "attention_run",
            subject=source_of(Path(reply["path"]), reply["qualname"], Way.model_validate(subject)),
            declared=reply["declared"],
            seed=seed,
            dtype="float32",
            calls=calls,
            tensors=save_safetensors(blob),
            opened=False,
        )
    except (TargetRaised, ProbeFailure):  # it needs what it was given
        return False
    return True
