"""Found attention in the ways in which other people's packages write it: what is right fails nowhere, and one edit
of it fails where it is wrong.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.attention.carried import Span, span_of
from audit.attention.guessed import guessed_groups
from audit.attention.named import item_named
from audit.collected import Collected
from audit.execute import open_probe
from audit.judgement import Judgement
from audit.named import Named
from audit.plan import Group, Run
from audit.target import Target, available_cores

SOURCE = '''
import torch
from torch import nn
from torch.nn import functional as F


class NonLocal(nn.Module):
    """One head that is narrower than the input, whose width scales the logits."""

    def __init__(self, in_channels, use_scale=True):
        super().__init__()
        self.scale = in_channels ** -0.5 if use_scale else 1.0
        self.t, self.p, self.g = (nn.Linear(in_channels, 6) for _ in range(3))
        self.z = nn.Linear(6, in_channels)

    def forward(self, x):
        return self.z((self.t(x) @ self.p(x).mT * self.scale).softmax(-1) @ self.g(x))


class SplitNonLocal(nn.Module):
    """Heads that together are as wide as the input, scaled by the width of all."""

    def __init__(self, dim, num_heads=2):
        super().__init__()
        self.heads, self.scale = num_heads, dim ** -0.5
        self.qkv, self.z = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in self.qkv(x).chunk(3, dim=-1))
        return self.z(((q @ k.mT * self.scale).softmax(-1) @ v).transpose(1, 2).flatten(2))


class Outlook(nn.Module):
    """Weights over the eight places around a token come of the token alone, by a layer that is called attn."""

    def __init__(self, dim):
        super().__init__()
        self.v = nn.Linear(dim, dim)
        self.attn = nn.Linear(dim, 81)
        self.proj = nn.Linear(dim, dim)
        self.unfold = nn.Unfold(kernel_size=3, padding=1)

    def forward(self, x):
        """x: (B, H, W, C)"""
        b, h, w, c = x.shape
        v = self.unfold(self.v(x).permute(0, 3, 1, 2)).reshape(b, c, 9, h * w).permute(0, 3, 2, 1)
        weights = self.attn(x).reshape(b, h * w, 9, 9).softmax(dim=-1)
        y = (weights @ v).permute(0, 3, 2, 1).reshape(b, c * 9, h * w)
        return self.proj(F.fold(y, (h, w), kernel_size=3, padding=1).permute(0, 2, 3, 1))


class Base(nn.Module):
    def __init__(self, dim, num_heads):
        super().__init__()
        self.heads = num_heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(dim, dim) for _ in range(3))
        self.out = nn.Linear(dim, dim)

    def attend(self, q, k, v, mask=None):
        q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


class TwoMasks(Base):
    """The first mask is for a context, which this call does not have; the second silences what it hides as well."""

    def forward(self, x, context=None, post_attention_mask=None, attention_mask=None):
        kv = x if context is None else context
        mask = attention_mask if context is None else post_attention_mask
        hidden = None if mask is None else mask[:, None, None]
        y = self.attend(self.to_q(x), self.to_k(kv), self.to_v(kv), hidden)
        if attention_mask is not None:
            y = y * attention_mask[:, :, None].to(y.dtype)
        return self.out(y)


class TwoIgnoredMasks(TwoMasks):
    def forward(self, x, context=None, post_attention_mask=None, attention_mask=None):
        return super().forward(x, context)


class Joint(Base):
    """Two streams that attend to each other, both of which are returned."""

    def __init__(self, dim, num_heads):
        super().__init__(dim, num_heads)
        self.text_q, self.text_k, self.text_v = (nn.Linear(dim, dim) for _ in range(3))

    def forward(self, hidden_states, encoder_hidden_states):
        q = torch.cat([self.to_q(hidden_states), self.text_q(encoder_hidden_states)], dim=1)
        k = torch.cat([self.to_k(hidden_states), self.text_k(encoder_hidden_states)], dim=1)
        v = torch.cat([self.to_v(hidden_states), self.text_v(encoder_hidden_states)], dim=1)
        y = self.out(self.attend(q, k, v))
        return y[:, :hidden_states.shape[1]], y[:, hidden_states.shape[1]:]


class JointWithoutText(Joint):
    """The second stream is computed for nothing."""

    def forward(self, hidden_states, encoder_hidden_states):
        first, second = super().forward(hidden_states, encoder_hidden_states)
        return first + 0.0 * second.sum()


class AttnProcessor:
    """Computes attention with the layers of what it is handed to."""

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None):
        kv = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = attn.to_q(hidden_states), attn.to_k(kv), attn.to_v(kv)
        return attn.out(attn.attend(q, k, v))


class PairsProcessor(AttnProcessor):
    """The first half of the samples is the other's counterpart."""

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None):
        first, second = hidden_states.chunk(2)
        return super().__call__(attn, torch.cat([first, second]))


class OverwritingProcessor(AttnProcessor):
    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None):
        if not hidden_states.requires_grad:
            hidden_states *= 1.01
        return super().__call__(attn, hidden_states)


class Attention(Base):
    def __init__(self, dim, heads, processor=None):
        super().__init__(dim, heads)
        self.processor = processor or AttnProcessor()

    def forward(self, hidden_states, encoder_hidden_states=None, attention_mask=None):
        return self.processor(self, hidden_states, encoder_hidden_states, attention_mask)


def eager_attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **kwargs):
    scores = query @ key.mT * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = F.dropout(scores.softmax(-1), p=dropout, training=module.training)
    return (weights @ value).transpose(1, 2).contiguous(), weights
'''
RIGHT = ("NonLocal", "Outlook", "TwoMasks", "Joint", "eager_attention", "AttnProcessor")


class Guesses:
    def __init__(self, root: Path, source: str) -> None:
        path = root / "layers.py"
        path.write_text(source)
        self.target = Target.load_tree(root)
        self._collected = Collected(self.target)
        self._path = path
        self._probe = open_probe(self.target, side_by_side=available_cores())

    def group(self, name: str) -> Group:
        (group,) = guessed_groups(self._collected, [item_named(self._collected, Named(self._path, name))])
        return group

    def judge(self, name: str, *checks: str) -> dict[str, list[Judgement]]:
        run = Run(target=self.target, probe=self._probe, seed=0)
        found: dict[str, list[Judgement]] = {}
        for planned in self.group(name).planned:
            if checks and planned.check.id.partition(".")[2] not in checks:
                continue
            answer = planned.judge(run)
            found[planned.check.id.partition(".")[2]] = [answer] if isinstance(answer, Judgement) else list(answer)
            if planned.check.id == "attention.built":
                assert found["built"][0].outcome == "passed", found["built"][0].reason
        return found

    def close(self) -> None:
        self._probe.close()
        self._collected.close()


@pytest.fixture(scope="module")
def guesses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guesses]:
    made = Guesses(tmp_path_factory.mktemp("guesses"), SOURCE)
    yield made
    made.close()


def failures(found: dict[str, list[Judgement]]) -> dict[str, str | None]:
    return {check: each.reason for check, listed in found.items() for each in listed if each.outcome == "failed"}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_fails_nowhere(guesses: Guesses, name: str) -> None:
    found = guesses.judge(name)
    assert failures(found) == {}
    assert sum(each.outcome == "passed" for listed in found.values() for each in listed) >= 8


def test_the_mask_that_hides_keys_in_this_call_is_judged(guesses: Guesses) -> None:
    assert [each.outcome for each in guesses.judge("TwoMasks")["mask"]][:1] == ["passed"]


def test_masks_that_are_all_ignored_fail(guesses: Guesses) -> None:
    assert "accepted and then ignored" in str(failures(guesses.judge("TwoIgnoredMasks"))["mask"])


def test_a_part_that_leads_to_no_output_fails(guesses: Guesses) -> None:
    assert "text_q" in str(failures(guesses.judge("JointWithoutText"))["gradients"])


def test_a_processor_is_judged_in_the_class_that_runs_it(guesses: Guesses) -> None:
    assert "hidden_states" in str(failures(guesses.judge("OverwritingProcessor"))["inputs_untouched"])


def test_a_processor_of_pairs_is_not_judged_on_single_samples(guesses: Guesses) -> None:
    with pytest.raises(AssertionError, match="it takes no batch of 1: ValueError: not enough values"):
        guesses.judge("PairsProcessor")


def test_heads_scaled_by_the_width_of_all_fail(guesses: Guesses) -> None:
    assert "1/sqrt(embed_dim)" in str(failures(guesses.judge("SplitNonLocal"))["scale"])


def test_the_lines_of_a_definition_are_those_of_the_one_that_begins_there(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("if 1:\n    def f():\n        pass\nelse:\n    def f():\n        x = 1\n        return x\n")
    assert span_of(path, "f", 5) == Span(path, 5, 7)
    assert span_of(path, "f", 2) == Span(path, 2, 3)
    assert span_of(path, "absent", 4) == Span(path, 4, 4)
    assert span_of(path, "f", 5).holds((("/elsewhere.py", 6), (str(path), 6)))
    assert not span_of(path, "f", 5).holds(((str(path), 3), ("/elsewhere.py", 6)))
