"""Which token a loss asks for: the next one passes, others fail by one edit, and what does not tell is not judged."""

from collections.abc import Callable
from pathlib import Path

import pytest

from audit.results import Result
from audit.session import Request, conduct
from audit.target import Target
from validation.smoke.plan import plan_smoke

CHECK = "smoke.next_token"
SPECS = """
import torch
import torch.nn.functional as F
from torch import nn


class Decoder(nn.Module):
    def __init__(self, tells=True):
        super().__init__()
        self.tells = tells
        self.embed, self.head = nn.Embedding(11, 16), nn.Linear(16, 11)

    def forward(self, tokens, targets=None):
        logits = self.head(self.embed(tokens).cumsum(1))
        if targets is None:
            return logits
        return {"loss": shifted(logits, targets), "logits": logits if self.tells else logits.detach()}


def shifted(logits, tokens, by=1, **more):
    length = tokens.shape[1]
    logits, wanted = logits[:, :length - by], tokens[:, by:]
    return F.cross_entropy(logits.flatten(0, 1), wanted.flatten(), **more)


def inputs(batch_size, generator):
    return {"tokens": torch.randint(2, 11, (batch_size, 12), generator=generator)}


def run(model, inputs, steps):
    tokens = inputs["tokens"]
    for _ in range(steps):
        tokens = torch.cat((tokens, model(tokens)[:, -1:].argmax(-1)), 1)
    return tokens


def backwards(output, inputs):
    return F.cross_entropy(output[:, 1:].flatten(0, 1), inputs["tokens"][:, :-1].flatten())


GENERATE = {"run": run, "content": "tokens", "prompt": 4}


def entry(loss, **more):
    return {
        "class": "zoo.specs:Decoder", "build": Decoder, "inputs": inputs, "generate": GENERATE, "loss": loss, **more,
    }


def of_separate_targets(batch_size, generator):
    tokens = torch.randint(2, 11, (batch_size, 13), generator=generator)
    return {"tokens": tokens[:, :-1], "targets": tokens[:, 1:]}


def of_one_token(batch_size, generator):
    return {"tokens": torch.randint(2, 11, (batch_size, 1), generator=generator).repeat(1, 12)}


def of_own_loss(batch_size, generator):
    tokens = inputs(batch_size, generator)["tokens"]
    return {"tokens": tokens, "targets": tokens}


MODELS = {
    "shifted": entry(lambda output, inputs: shifted(output, inputs["tokens"])),
    "smoothed": entry(lambda output, inputs: shifted(output, inputs["tokens"], label_smoothing=0.2)),
    "answers_alone": entry(lambda output, inputs: shifted(output[:, 5:], inputs["tokens"][:, 5:])),
    "separate_targets": entry(
        lambda output, inputs: F.cross_entropy(output["logits"].flatten(0, 1), inputs["targets"].flatten()),
        inputs=of_separate_targets,
    ),
    "own_loss": entry(lambda output, inputs: output["loss"], inputs=of_own_loss),
    "not_shifted": entry(lambda output, inputs: shifted(output, inputs["tokens"], by=0)),
    "shifted_by_two": entry(lambda output, inputs: shifted(output, inputs["tokens"], by=2)),
    "backwards": entry(backwards),
    "separate_targets_not_shifted": entry(
        lambda output, inputs: shifted(output["logits"], inputs["targets"], by=1), inputs=of_separate_targets
    ),
    "undeclared": entry(lambda output, inputs: shifted(output, inputs["tokens"]), generate=None),
    "of_no_tokens": entry(lambda output, inputs: output.square().mean()),
    "one_token": entry(
        lambda output, inputs: shifted(output, inputs["tokens"]),
        inputs=of_one_token,
    ),
    "no_logits": entry(lambda output, inputs: output["loss"], inputs=of_own_loss, build=lambda: Decoder(tells=False)),
}
"""
RIGHT = ("shifted", "smoothed", "answers_alone", "separate_targets", "own_loss")
WRONG = {
    "not_shifted": "the token given to forward there",
    "shifted_by_two": "the token 2 behind it",
    "backwards": "the token 1 before it",
    "separate_targets_not_shifted": "the token 2 behind it",
}
UNJUDGED = {
    "undeclared": ("not_applicable", "declare no `generate`"),
    "of_no_tokens": ("not_applicable", "no tokens of the batch"),
    "one_token": ("error", "does not tell"),
    "no_logits": ("not_applicable", "does not depend on logits"),
}
Of = Callable[[str], Result]


@pytest.fixture(scope="module")
def of(tmp_path_factory: pytest.TempPathFactory) -> Of:
    root: Path = tmp_path_factory.mktemp("next_token")
    (root / "zoo").mkdir()
    (root / "zoo" / "__init__.py").touch()
    (root / "zoo" / "specs.py").write_text(SPECS)
    (root / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\nworkers = 2\n')
    results = conduct(Target.load(root), Request(command="smoke", planners=[plan_smoke], only=[CHECK])).results
    return lambda name: next(each for each in results if each.subject.spec == name and each.check == CHECK)


@pytest.mark.parametrize("name", RIGHT)
def test_a_loss_that_asks_for_the_next_token_passes(of: Of, name: str) -> None:
    assert of(name).outcome == "passed", of(name).reason
    assert "positions with a gradient" in (of(name).evidence.bound_origin or "")


@pytest.mark.parametrize("name", WRONG)
def test_another_shift_fails_and_is_named(of: Of, name: str) -> None:
    assert of(name).outcome == "failed", of(name).reason
    assert WRONG[name] in (of(name).reason or "")


@pytest.mark.parametrize("name", UNJUDGED)
def test_what_does_not_tell_is_not_judged(of: Of, name: str) -> None:
    outcome, words = UNJUDGED[name]
    assert of(name).outcome == outcome, of(name).reason
    assert words in (of(name).reason or "")
