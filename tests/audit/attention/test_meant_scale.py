"""A scale of the whole width is a mistake, unless the text at the code says plainly that it is meant."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.probe.guess.prose import WIDTH_MEANT
from audit.results import Outcome

from .judged_sources import JudgedSources

# As in github.com/juho-lee/set_transformer, modules.py.
SOURCE = '''
import math

import torch
from torch import Tensor, nn


class SetAttention(nn.Module):
    """{doc}"""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.dim_V, self.num_heads = dim, num_heads
        self.fc_q, self.fc_k, self.fc_v = (nn.Linear(dim, dim) for _ in range(3))
        self.fc_o = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, length, dim)."""
        q, k, v = (f(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for f in (self.fc_q, self.fc_k, self.fc_v))
        {comment}
        weights = (q @ k.transpose(-2, -1) / math.sqrt({size})).softmax(dim=-1)
        return self.fc_o((weights @ v).transpose(1, 2).flatten(2))
'''
TEXTS = {
    "said_at_the_code": {"comment": "# sqrt(dim_V), as in the paper, and not that of one head"},
    "said_by_the_class": {"doc": "Attention of a set; logits are divided by sqrt(dim_V), as Set Transformer has it."},
    "said_nowhere": {},
    "only_restated": {"comment": "# divide by sqrt(dim_V)"},
    "said_of_a_paper_alone": {"comment": "# scaled dot-product attention, as in the paper"},
    "said_and_not_done": {"comment": "# sqrt(dim_V), as in the paper", "size": "q.shape[-1]"},
}
BLANK = {"doc": "Attention of a set.", "comment": "pass", "size": "self.dim_V"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JudgedSources]:
    texts = {name: (SOURCE.format(**{**BLANK, **parts}), "SetAttention") for name, parts in TEXTS.items()}
    judged = JudgedSources(Path(tmp_path_factory.mktemp("sources")), texts)
    yield judged
    judged.close()


@pytest.mark.parametrize("name", ["said_at_the_code", "said_by_the_class"])
def test_what_is_said_to_be_meant_raises_no_alarm(sources: JudgedSources, name: str) -> None:
    found = sources.judge(name, "scale", "oracle", "gradients")
    outcomes = {check: each.outcome for check, (each,) in found.items()}
    assert outcomes["scale"] is Outcome.PASSED, found
    assert Outcome.FAILED not in outcomes.values(), found


@pytest.mark.parametrize("name", ["said_nowhere", "only_restated", "said_of_a_paper_alone"])
def test_what_nobody_says_to_be_meant_fails(sources: JudgedSources, name: str) -> None:
    (found,) = sources.judge(name, "scale")["scale"]
    assert found.outcome is Outcome.FAILED
    assert "1/sqrt(embed_dim)" in str(found.reason)


def test_a_text_about_what_the_code_does_not_do_is_no_contract(sources: JudgedSources) -> None:
    found = sources.judge("said_and_not_done", "scale", "oracle")
    assert {each.outcome for many in found.values() for each in many} <= {Outcome.PASSED, Outcome.NOT_APPLICABLE}


@pytest.mark.parametrize(
    "text",
    ["scale by 1/sqrt(head_dim)", "the sqrt(dim) of the logits", "see the paper", "sqrt(d_k) as in the paper"],
)
def test_a_text_that_does_not_say_it_plainly_says_nothing(text: str) -> None:
    assert not WIDTH_MEANT.search(text)
