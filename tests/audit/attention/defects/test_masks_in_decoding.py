"""Decoding that is wrong with a mask alone is no question of the causal diagonal, and the other way round."""

from collections.abc import Callable

import pytest

from audit.results import Defect, Outcome, Result

from .edited_modules import found_in

_MODULE = """import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(24, 72), nn.Linear(24, 24)

    def forward(self, x, key_mask=None, cache=None):
        q, k, v = self.qkv(x).unflatten(-1, (3, 4, 6)).permute(2, 0, 3, 1, 4)
        if cache:
            k, v = torch.cat((cache["k"], k), dim=2), torch.cat((cache["v"], v), dim=2)
        start, keys = k.shape[2] - q.shape[2], k.shape[2]
        if cache is not None:
            cache["k"], cache["v"] = k, v
        allowed = torch.ones(q.shape[2], keys, dtype=torch.bool).tril(start)
        if key_mask is not None:
            allowed = allowed & key_mask[:, None, None, :]
        scores = (q @ k.mT * q.shape[-1] ** -0.5).masked_fill(~allowed, torch.finfo(x.dtype).min)
        return self.out((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
"""
_SPECS = """import torch
from zoo import {names}


def decode(module, chunks, key_mask=None):
    cache, outputs, end = {{}}, [], 0
    for chunk in chunks:
        end += chunk.shape[1]
        outputs.append(module(chunk, None if key_mask is None else key_mask[:, :end], cache=cache))
    return torch.cat(outputs, dim=1)


def declared(module, **more):
    return {{
        "class": f"{{module.__name__}}:Attention",
        "build": module.Attention,
        "forward": lambda built, x, key_mask: built(x, key_mask),
        "contract": {{
            "embed_dim": 24, "num_heads": 4, "num_kv_heads": 4, "head_dim": 6, "is_causal": True, "key_mask": True,
        }},
        **more,
    }}


ATTENTION = {{each.__name__[4:]: declared(each, decode=decode) for each in ({names},)}}
ATTENTION["undecoded"] = declared(right)
"""
_POSITIONS, _MASKS = "positions or the causal diagonal restart", "the mask of cached keys is forgotten or cut otherwise"
# What is edited, the class of the defect, and what is said of it.
WRONG: dict[str, tuple[str, str, str | None, tuple[str, ...]]] = {
    "lost": (
        "key_mask is not None:", "key_mask is not None and start == 0:", "mask_ignored",
        ("the mask is not applied while decoding", _MASKS),
    ),
    "turned": ("key_mask[:, None, None, :]", "key_mask[:, None, None, :].roll(start, -1)", None,
        ("masked tokens have influence while decoding", _MASKS),
    ),
    "top_left": (
        ".tril(start)", ".tril(start if q.shape[2] == 1 else 0)", "alignment",
        ("several at once are not", _POSITIONS),
    ),
}  # fmt: skip


FoundOne = Callable[[str], tuple[Result, list[Defect]]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> FoundOne:
    edits = {"right": [], **{name: [(before, after)] for name, (before, after, *_) in WRONG.items()}}
    specs = _SPECS.format(names=", ".join(edits))
    of_all = found_in(tmp_path_factory.mktemp("decoding"), _MODULE, specs, edits, only=("kv_cache",))

    def of(name: str) -> tuple[Result, list[Defect]]:
        results, defects = of_all(name)
        return results["attention.kv_cache"], defects

    return of


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_while_decoding_is_told_apart(found: FoundOne, name: str) -> None:
    _, _, bug, words = WRONG[name]
    result, (defect,) = found(name)
    assert result.outcome is Outcome.FAILED
    assert defect.bug == bug, defect.explanation
    assert all(each in defect.explanation for each in words), defect.explanation
    assert not any(each in defect.explanation for each in {_POSITIONS, _MASKS}.difference(words))


@pytest.mark.parametrize(("name", "outcome"), [("right", Outcome.PASSED), ("undecoded", Outcome.NOT_APPLICABLE)])
def test_what_is_right_or_decodes_nothing_has_no_defect(found: FoundOne, name: str, outcome: Outcome) -> None:
    result, defects = found(name)
    assert result.outcome is outcome, result.reason
    assert not defects
