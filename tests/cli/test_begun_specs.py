"""The specs module that `astrobio-audit init` begins: without the marks of its comments and dots it is an audit's."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
Small = Callable[..., Path]
SPECS = "zoo/specs.py"


def as_code(specs: str) -> str:
    """Return a specs module with the marks of its comments taken off, as its first lines tell to do."""
    return "\n".join(line.removeprefix("# ") if line.startswith("# ") else line for line in specs.split("\n"))


def test_its_specs_need_the_dots_filled_in_and_nothing_else(run: Run, small: Small) -> None:
    root = small()
    assert run("init", cwd=root).returncode == 0
    filled = as_code((root / SPECS).read_text()).replace("width=...", "width=4")
    filled = filled.replace("batch_size, ...", "batch_size, 3").replace("inputs: ...", "inputs: output.sum()")
    (root / SPECS).write_text(filled)
    table = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(table.replace("# specs =", "specs ="))
    assert '"tiny_net": {' in filled
    assert "astrobio-audit spec zoo/attention.py::attend" in filled
    done = run("smoke", "--only", "smoke.forward", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed   smoke.forward tiny_net" in done.stdout


FED = """import torch
from torch import nn


class Denoiser(nn.Module):
    \"\"\"Takes noise away.

    guide: indices of the words that describe the image
    \"\"\"

    def __init__(self, width):
        super().__init__()
        self.table, self.words = nn.Embedding(7, width), nn.Embedding(num_embeddings=width, embedding_dim=2)

    def forward(self, x, timesteps, kind, said, guide, caption: torch.LongTensor, attention_mask, position_ids):
        return x + self.table(kind).sum() + self.words(said).sum()


class Words(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.table = nn.Embedding(50, width)

    def forward(self, x):
        return self.table(x.long())


class Reader(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.words, self.layer = Words(width), nn.Linear(width, width)

    def forward(self, page, shade):
        return self.words(page) + self.layer(shade)


class Tokens(nn.Module):
    def forward(self, input_ids=None, labels=None):
        return input_ids


class CTCSpoken(nn.Module):
    def forward(self, x, lengths):
        return x


class Neck(nn.Module):
    def forward(self, *features, sizes: list[torch.Tensor], pairs: Tuple[Tensor, ...], by_name: dict[str, Tensor]):
        return features[0]


class ViT(nn.Module):
    def forward(self, picture, start: int, scale: float, causal: bool):
        return picture[..., start:] * scale
"""


def test_what_an_argument_takes_is_told_by_its_name_its_annotation_and_its_table(run: Run, small: Small) -> None:
    root = small(zoo__fed_dot_py=FED)
    assert run("init", cwd=root).returncode == 0
    text = as_code((root / SPECS).read_text())
    table = "torch.randint({}, (batch_size, ...), generator=generator)".format
    expected = {
        "x": "torch.randn(batch_size, ..., generator=generator)",
        "timesteps": "torch.rand(batch_size, generator=generator)",
        "kind": table(7),
        "said": table("..."),
        "guide": table("..."),
        "caption": table("..."),
        "attention_mask": "torch.ones(batch_size, ..., dtype=torch.bool)",
        "position_ids": "torch.arange(...).expand(batch_size, -1).clone()",
        "input_ids": table("..."),
        "page": table("..."),
        "shade": "torch.randn(batch_size, ..., generator=generator)",
        "lengths": "torch.full((batch_size,), ...)",
        "features": "[torch.randn(batch_size, ..., generator=generator)]",
        "sizes": "[torch.randn(batch_size, ..., generator=generator)]",
        "pairs": "[torch.randn(batch_size, ..., generator=generator)]",
        "by_name": '{"...": torch.randn(batch_size, ..., generator=generator)}',
        "start": "0",
        "scale": "1.0",
        "causal": "False",
    }
    for name, drawn in expected.items():
        assert f'"{name}": {drawn}' in text
    assert '"labels"' not in text
    assert '"vit": {' in text
    assert '"ctc_spoken": {' in text
    compile(text, SPECS, "exec")


LEARNT = """import torch
from torch.utils.data import DataLoader, Dataset

from zoo.net import TinyNet


class Points(Dataset):
    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return torch.full((3,), float(index))


def main():
    model = TinyNet(4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch in DataLoader(Points(8), batch_size=4):
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()


if __name__ == "__main__":
    main()
"""


def test_data_sets_and_a_trainer_are_begun_and_work_once_the_dots_are_filled_in(run: Run, small: Small) -> None:
    root = small(zoo__learnt_dot_py=LEARNT)
    assert run("init", cwd=root).returncode == 0
    begun = as_code((root / SPECS).read_text())
    assert '"class": "zoo.learnt:Points"' in begun
    assert '# "command": "{python} zoo/learnt.py --steps {steps} --output {checkpoint_dir} {resume}",' in begun
    for dots, filled in (
        ("width=...", "width=4"),
        ("zoo.learnt.Points(size=...)", "zoo.learnt.Points(size=8)"),
        ("batch_size, ...", "batch_size, 3"),
        ('"loss": lambda output, inputs: ...', '"loss": lambda output, inputs: output.square().mean()'),
        ("lambda step: ...", "lambda step: torch.randn(2, 3, generator=torch.Generator().manual_seed(seed + step))"),
        ('"loss": lambda model, batch: ...', '"loss": lambda model, batch: model(batch).square().mean()'),
    ):
        assert dots in begun
        begun = begun.replace(dots, filled)
    (root / SPECS).write_text(begun)
    table = root / "pyproject.toml"
    table.write_text(table.read_text().replace("# specs =", "specs ="))
    smoke = run("smoke", "--only", "smoke.data_items", "--only", "smoke.forward", cwd=root)
    assert "passed   smoke.data_items points" in smoke.stdout, smoke.stdout + smoke.stderr
    assert "passed   smoke.forward tiny_net" in smoke.stdout
    train = run("train", "--steps", "20", "--only", "train.run", cwd=root)
    assert "passed   train.run tiny_net" in train.stdout, train.stdout + train.stderr


@pytest.mark.parametrize(
    ("options", "told", "command"),
    [
        (["--max-steps", "--out", "--resume"], None, "--max-steps {steps} --out {checkpoint_dir} {resume}"),
        (
            ["--epochs", "--output"],
            "# It takes --epochs, --output; what resumes it is said by the key resume:",
            "--steps {steps} --output",
        ),
    ],
)
def test_training_begins_with_the_model_and_the_options_of_the_trainer(
    run: Run, small: Small, options: list[str], told: str | None, command: str
) -> None:
    declared = "".join(f"    parser.add_argument({option!r})\n" for option in options)
    trainer = LEARNT.replace("def main():\n", f"def main():\n    parser = argparse.ArgumentParser()\n{declared}")
    before = "from torch import nn\n\n\nclass Before(nn.Module):\n    def forward(self, x):\n        return x\n"
    root = small(zoo__before_dot_py=before, zoo__a_dot_py=before.replace("Before", "TinyNet"))
    (root / "fit.py").write_text(f"import argparse\n{trainer}")
    assert run("init", cwd=root).returncode == 0
    begun = as_code((root / SPECS).read_text())
    compile(begun, SPECS, "exec")
    training = begun[begun.index("TRAINING") :]
    assert '"class": "zoo.net:TinyNet"' in training
    assert '"build": MODELS["tiny_net_2"]["build"],' in training
    assert begun.count('"tiny_net_2": {') == 2
    assert "Before" not in training
    assert f'# "command": "{{python}} fit.py {command}' in training
    assert ("# It takes" in training) is (told is not None)
    assert told is None or told in training


def test_a_class_in_a_function_is_left_out_and_what_is_begun_is_python(run: Run, small: Small) -> None:
    inner = LEARNT.replace("def main():\n", "def main():\n    class Local(Dataset):\n        pass\n\n")
    root = small(zoo__learnt_dot_py=inner)
    assert run("init", cwd=root).returncode == 0
    begun = as_code((root / SPECS).read_text())
    compile(begun, SPECS, "exec")
    assert "zoo.learnt:Points" in begun
    assert "Local" not in begun


SETS = """import torch
from torch.utils.data import Dataset


class Whole(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.tensor([float(index)])


class Files(Whole):
    def __init__(self, folder, *more, split, cached=False, **options):
        self.folder = folder


class Heir(Files):
    pass


class Placed(Whole):
    def __init__(self, folder, /, size, limit=None):
        self.folder = folder
"""


def test_a_draft_gives_what_a_constructor_asks_for_and_nothing_else(run: Run, small: Small) -> None:
    root = small(zoo__sets_dot_py=SETS)
    assert run("init", cwd=root).returncode == 0
    begun = as_code((root / SPECS).read_text())
    compile(begun, SPECS, "exec")
    for expected in ("Whole()", "Files(folder=..., split=...)", "Placed(..., size=...)", "Heir(folder=..., split=...)"):
        assert f'"build": lambda: zoo.sets.{expected},  # decide' in begun


def test_dots_that_are_left_in_are_told_and_run_as_nothing(run: Run, small: Small) -> None:
    root = small(zoo__sets_dot_py=SETS)
    assert run("init", cwd=root).returncode == 0
    (root / SPECS).write_text(as_code((root / SPECS).read_text()))
    table = root / "pyproject.toml"
    table.write_text(table.read_text().replace("# specs =", "specs ="))
    smoke = run("smoke", "--json", cwd=root)
    assert smoke.returncode == 3, smoke.stdout + smoke.stderr
    found = {(each["check"], each["subject"]["spec"]): each for each in json.loads(smoke.stdout)["results"]}
    for check, name, section in (("smoke.build", "tiny_net", "MODELS"), ("smoke.data_items", "files", "DATA")):
        assert found[check, name]["outcome"] == "error"
        assert f"{section}[{name!r}]: fill in the dots (`...`) at line" in found[check, name]["reason"]
    assert found["smoke.data_items", "whole"]["outcome"] == "passed"
    train = run("train", cwd=root)
    assert train.returncode == 3, train.stdout + train.stderr
    assert "TRAINING['tiny_net']: fill in the dots (`...`) at line" in " ".join(train.stdout.split())


def test_a_trainer_beside_the_package_is_found(run: Run, small: Small) -> None:
    root = small()
    (root / "scripts").mkdir()
    (root / "scripts" / "fit été.py").write_text(LEARNT)
    assert run("init", cwd=root).returncode == 0
    begun = as_code((root / SPECS).read_text())
    assert "{python} 'scripts/fit été.py' --steps {steps}" in begun
    assert "Points" not in begun  # what is not in the package is none of its data sets
    compile(begun, SPECS, "exec")
