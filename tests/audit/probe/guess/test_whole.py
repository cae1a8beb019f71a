"""How a whole model is built and fed, where only its source and its layers say what it takes."""

from pathlib import Path
from typing import NamedTuple

import pytest

from audit.probe.guess.whole import find

MODEL = """
import torch
from torch import nn


class Series(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.embed, self.head = nn.Linear(IN, dim), nn.Linear(dim, 3)

    def forward(self, x):
        hidden = self.embed(x.unsqueeze(-1) if IN == 1 else x)
        batch, length, width = hidden.shape
        return self.head(hidden.mean(1))
"""


@pytest.mark.parametrize(("width", "fed"), [(1, "x=normal float32 (B, 12)"), (5, "x=normal float32 (B, 12, 5)")])
def test_what_takes_one_number_gets_more_than_one_position(tmp_path: Path, width: int, fed: str) -> None:
    path = tmp_path / f"series_{width}.py"
    path.write_text(MODEL.replace("IN", str(width)))
    found = find(str(path), None, "Series", 0)
    assert (found["problem"], found["fed"]) == (None, fed)


HEAD = """
from dataclasses import dataclass
import torch
from torch import nn
"""

STATES = """
class Model(nn.Module):
    def __init__(self, input_size=6, hidden_size=8, num_layers=2):
        super().__init__()
        self.rnn = nn.GRU(input_size, hidden_size, num_layers, batch_first=True)
    def forward(self, x):
        return self.rnn(x)
"""


class Case(NamedTuple):
    """A model, how it is built, and what it is fed with."""

    source: str
    built: str
    fed: str


CASES = {
    "defaults_are_kept": Case(
        """
class Model(nn.Module):
    def __init__(self, vocab_size, d_model=64, num_heads=4):
        super().__init__()
        self.embed = nn.Embedding(vocab_size, d_model)
    def forward(self, tokens):
        return self.embed(tokens)
""",
        "Model(vocab_size=50)",
        "tokens=whole below 50 int64 (B, 12)",
    ),
    "defaults_that_do_not_work_are_not": Case(
        """
class Model(nn.Module):
    def __init__(self, d_model=0):
        super().__init__()
        self.layer = nn.Linear(d_model, 3) if d_model else None
    def forward(self, x):
        return self.layer(x)
""",
        "Model(d_model=48)",
        "x=normal float32 (B, 12, 48)",
    ),
    "large_defaults_are_made_small": Case(
        """
@dataclass
class Config:
    n_embd: int = 4096
    n_head: int = 32
    bias: bool = False
class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layer = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
    def forward(self, x):
        return self.layer(x)
""",
        "Model(config=Config(n_embd=48, n_head=6))",
        "x=normal float32 (B, 12, 48)",
    ),
    "defaults_of_a_configuration_are_kept": Case(
        """
@dataclass
class Config:
    n_embd: int = 32
    n_head: int = 4
class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layer = nn.Linear(config.n_embd, config.n_embd)
    def forward(self, x):
        return self.layer(x)
""",
        "Model(config=Config())",
        "x=normal float32 (B, 12, 32)",
    ),
    "images_that_are_cut_up_before_the_first_layer": Case(
        """
class Model(nn.Module):
    def __init__(self, *, image_size, patch_size, num_classes, channels=3):
        super().__init__()
        self.cut = nn.Unfold(patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(channels * patch_size**2)
        self.where = nn.Parameter(torch.zeros((image_size // patch_size) ** 2, channels * patch_size**2))
        self.head = nn.Linear(channels * patch_size**2, num_classes)
    def forward(self, img):
        return self.head((self.norm(self.cut(img).transpose(1, 2)) + self.where).mean(1))
""",
        "Model(image_size=32, patch_size=4, num_classes=10)",
        "img=normal float32 (B, 3, 32, 32)",
    ),
    "time_before_the_image_and_a_class_behind_it": Case(
        """
class Model(nn.Module):
    def __init__(self, dim=8, num_classes=7):
        super().__init__()
        self.stem, self.label = nn.Conv2d(3, dim, 3, padding=1), nn.Embedding(num_classes, dim)
    def forward(self, t, x, y):
        return self.stem(x) + (self.label(y) + t[:, None])[:, :, None, None]
""",
        "Model()",
        "x=normal float32 (B, 3, 32, 32), t=uniform float32 (B,), y=whole below 7 int64 (B,)",
    ),
    "each_argument_has_its_own_first_layer": Case(
        """
class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(100, 8)
    def forward(self, text):
        return self.table(text.long()).mean(1)
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.words = nn.Conv2d(3, 8, 4, 4), Words()
    def forward(self, picture, description):
        return self.conv(picture).mean((2, 3)), self.words(description)
""",
        "Model()",
        "picture=normal float32 (B, 3, 32, 32), description=whole below 100 int64 (B, 12)",
    ),
    "what_an_annotation_says_is_whole": Case(
        """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.table = nn.Linear(1, 6), nn.Embedding(20, 6)
    def forward(self, sentence: torch.LongTensor):
        looked = [self.table(each) for each in sentence.unbind(1)]
        return self.scale(torch.stack(looked, 1).mean(-1, keepdim=True))
""",
        "Model()",
        "sentence=whole below 20 int64 (B, 12)",
    ),
    "a_part_that_an_annotation_names": Case(
        """
class Layers(nn.Module):
    def __init__(self, dim, depth=None):
        super().__init__()
        assert depth is not None
        self.layers = nn.ModuleList(nn.Linear(dim, dim) for _ in range(depth))
    def forward(self, x):
        return x
class Model(nn.Module):
    def __init__(self, layers: Layers):
        super().__init__()
        self.layers = layers
        self.width = layers.layers[0].in_features
    def forward(self, x):
        return self.layers.layers[0](x)
""",
        "Model(layers=Layers(dim=48, depth=2))",
        "x=normal float32 (B, 12, 48)",
    ),
    "bags_of_ids": Case(
        """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = nn.EmbeddingBag(50, 8, mode="sum"), nn.Linear(8, 3)
    def forward(self, ids):
        return self.head(self.table(ids))
""",
        "Model()",
        "ids=whole below 50 int64 (B, 12)",
    ),
    "lengths_of_features": Case(
        """
class Model(nn.Module):
    def __init__(self, dim=48):
        super().__init__()
        self.layer = nn.Linear(dim, 4)
    def forward(self, feats, feat_lengths):
        shown = torch.arange(feats.shape[1]) < feat_lengths[:, None]
        return self.layer(feats * shown[..., None]).sum(1) / feat_lengths[:, None]
""",
        "Model()",
        "feats=normal float32 (B, 12, 48), feat_lengths=lengths int64 (B,)",
    ),
    "a_graph": Case(
        """
class Model(nn.Module):
    def __init__(self, in_features):
        super().__init__()
        self.layer = nn.Linear(in_features, 4)
    def forward(self, x, adj):
        return adj @ self.layer(x)
""",
        "Model(in_features=48)",
        "x=normal float32 (B, 12, 48), adj=ones float32 (B, 12, 12)",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_model_is_built_and_fed(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.py"
    path.write_text(HEAD + CASES[name].source)
    found = find(str(path), None, "Model", 0)
    assert (found["problem"], found["built"], found["fed"]) == (None, CASES[name].built, CASES[name].fed)


def test_a_state_of_as_many_layers_as_samples_is_no_mixing(tmp_path: Path) -> None:
    path = tmp_path / "states.py"
    path.write_text(HEAD + STATES)
    found = find(str(path), None, "Model", 0)
    assert (found["problem"], found["mixes"]) == (None, False)
