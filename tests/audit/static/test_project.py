from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from audit.static import records
from audit.static.analysis import analyse
from audit.static.inventory import InventoryItem
from audit.static.per_file import Answer, FactFunction
from audit.static.sources import SourceFile

Tree = Callable[[Mapping[str, str | bytes]], Path]

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 987654\n"
LOOP = (
    "import torch\nfrom zoo import Net\n"
    "def train(rounds):\n    model = Net()\n    optimizer = torch.optim.AdamW(model.parameters())\n"
    "    for _ in range(rounds):\n        with torch.autocast('cpu'):\n            loss = model(1)\n"
    "        loss.backward()\n        optimizer.step()\n    torch.save(model.state_dict(), 'a.pt')\n"
)
GUARD = "if __name__ == '__main__':\n    train(3)\n"
ZOO = {"zoo/__init__.py": "from torch import nn\nclass Net(nn.Module): ...\n"}


def items(root: Path, kind: str) -> list[InventoryItem]:
    found = analyse(root, root / "zoo", project=root)
    return [item for item in (*found.inventory, *found.surroundings) if item.kind == kind]


def test_a_script_that_trains_says_what_it_uses(tree: Tree) -> None:
    (item,) = items(tree(ZOO | {"scripts/run.py": LOOP + GUARD}), "training_script")
    assert (item.path, item.line, item.qualname) == ("scripts/run.py", 9, "train")
    assert item.facts == {
        "by": ("loop",),
        "started_by": ("__main__",),
        "models": ("zoo.Net",),
        "optimizers": ("torch.optim.AdamW",),
        "amp": True,
        "checkpointing": True,
        "distribution": (),
    }


@pytest.mark.parametrize(
    "source",
    [
        LOOP,
        LOOP.replace("        optimizer.step()\n", "") + GUARD,
        LOOP.replace("loss.backward()", "pass") + GUARD,
        "class Model:\n    def fit(self): ...\nif __name__ == '__main__':\n    Model().fit()\n",
        "from sklearn.svm import SVC\nif __name__ == '__main__':\n    SVC().fit([1], [2])\n",
    ],
    ids=["nothing starts it", "no step", "no backward", "its own fit", "another library's fit"],
)
def test_what_does_not_train_or_cannot_be_started_is_no_training_script(tree: Tree, source: str) -> None:
    assert items(tree(ZOO | {"run.py": source}), "training_script") == []


@pytest.mark.parametrize(
    ("source", "by"),
    [
        ("import lightning as L\ntrainer = L.Trainer()\ntrainer.fit(1)\n", "lightning.Trainer"),
        ("from transformers import Seq2SeqTrainer as T\ndef main():\n    T().train()\n", "transformers.Seq2SeqTrainer"),
    ],
)
def test_a_call_of_a_trainer_trains(tree: Tree, source: str, by: str) -> None:
    (item,) = items(tree(ZOO | {"run.py": source + "if __name__ == '__main__': ...\n"}), "training_script")
    assert item.facts["by"] == (by,)


def test_a_script_of_the_project_starts_a_module_of_the_package(tree: Tree) -> None:
    settings = "[project]\nname = 'zoo'\n[project.scripts]\nzoo-train = 'zoo.run:train'\n"
    root = tree(ZOO | {"zoo/run.py": LOOP, "pyproject.toml": settings})
    (item,) = items(root, "training_script")
    assert item.facts["started_by"] == ("zoo-train",)
    (entry,) = items(root, "entry_point")
    assert (entry.path, entry.qualname, entry.facts["starts"]) == ("pyproject.toml", "zoo-train", "zoo.run:train")


@pytest.mark.parametrize(
    ("source", "by"),
    [
        ("import argparse\ndef main():\n    argparse.ArgumentParser()\n", "argparse.ArgumentParser"),
        ("import typer\napp = typer.Typer()\n", "typer.Typer"),
        ("import click\n@click.command()\ndef main(): ...\n", "click.command"),
        ("import click\n@click.group\ndef main(): ...\n", "click.group"),
        ("if '__main__' == __name__:\n    pass\n", "__main__"),
    ],
)
def test_ways_in_from_a_command_line_are_entry_points(tree: Tree, source: str, by: str) -> None:
    (item,) = items(tree(ZOO | {"main.py": source}), "entry_point")
    assert item.facts["by"] == (by,)


def test_tests_and_data_loaders_are_listed(tree: Tree) -> None:
    tests = "def test_a(): ...\nclass TestB:\n    def test_c(self): ...\n    def helper(self): ...\ndef make(): ...\n"
    loader = "from torch.utils.data import DataLoader\ndef batches(data):\n    return DataLoader(data)\n"
    root = tree(ZOO | {"tests/test_net.py": tests, "tests/helpers.py": tests, "zoo/data.py": loader})
    assert [item.facts for item in items(root, "test")] == [{"count": 2, "functions": ("test_a", "TestB.test_c")}]
    assert [(item.qualname, item.line) for item in items(root, "data_pipeline")] == [("batches", 3)]


@pytest.mark.parametrize(
    ("path", "content", "kind", "says"),
    [
        ("weights/net.pt", b"PK\x03\x04", "checkpoint", "content"),
        ("weights/net.safetensors", POINTER, "checkpoint", "git-lfs pointer"),
        ("pytorch_model-00001.bin", b"", "checkpoint", "empty"),
        ("data/stars.csv", b"\n<!DOCTYPE html><html>404</html>", "data_file", "html page"),
        ("planets.json", b"<html><body>Forbidden</body></html>", "data_file", "html page"),
        ("data/planets.json", b"{}", "data_file", "content"),
        ("data/cube.nc", b"  \n", "data_file", "empty"),
    ],
)
def test_weights_and_data_say_what_they_hold(tree: Tree, path: str, content: bytes, kind: str, says: str) -> None:
    (item,) = items(tree({**ZOO, path: content}), kind)
    assert (item.path, item.facts["content"], item.facts["size_bytes"]) == (path, says, len(content))


def test_a_pointer_says_how_large_the_content_is(tree: Tree) -> None:
    assert items(tree({**ZOO, "net.pt": POINTER}), "checkpoint")[0].facts["declared_bytes"] == 987654


def test_settings_in_json_are_no_data(tree: Tree) -> None:
    assert items(tree(ZOO | {"package.json": "{}"}), "data_file") == []


def test_ignored_weights_are_listed_and_those_of_environments_are_not(tree: Tree) -> None:
    root = tree({**ZOO, ".gitignore": "*.pt\n", "a.pt": b"x", "env/pyvenv.cfg": "", "env/lib/b.pt": b"x"})
    assert [item.path for item in items(root, "checkpoint")] == ["a.pt"]


CRATE = "[package]\nname = 'fast-core'\n[lib]\nname = 'fast_core'\n[dependencies]\npyo3 = '0.22'\n"
SETUP = (
    "from setuptools import setup\nfrom torch.utils.cpp_extension import CUDAExtension\n"
    "setup(ext_modules=[CUDAExtension(name='zoo._kernels', sources=['a.cu'])])\n"
)
KERNEL = "import triton\nimport triton.language as tl\n@triton.jit\ndef add(x, y): ...\n"


def test_extensions_are_present_or_missing(tree: Tree) -> None:
    files = {
        "rust/Cargo.toml": CRATE,
        "other/Cargo.toml": "[package]\nname = 'x'\n",
        "setup.py": SETUP,
        "zoo/k.py": KERNEL,
    }
    root = tree({**ZOO, **files, "zoo/fast_core.abi3.so": b""})
    found = {item.qualname: (item.facts["language"], item.facts["present"]) for item in items(root, "extension")}
    assert found == {"fast_core": ("rust", True), "zoo._kernels": ("cuda", False), "add": ("triton", True)}


def test_other_packages_and_folders_of_installed_packages_are_not_read(tree: Tree) -> None:
    root = tree(ZOO | {"other/__init__.py": "", "other/run.py": LOOP + GUARD})
    assert items(root, "training_script") == []
    tree({"zoo-1.0.dist-info/METADATA": "", "run.py": LOOP + GUARD})
    assert items(root, "training_script") == []


def test_a_broken_pyproject_declares_nothing(tree: Tree) -> None:
    assert items(tree(ZOO | {"pyproject.toml": "[project\n"}), "entry_point") == []


def test_a_deeply_nested_expression_costs_a_file_its_facts_and_not_its_classes(tree: Tree) -> None:
    nested = "def f():\n    return x" + "()" * 700 + "\n"
    root = tree({"zoo/__init__.py": ZOO["zoo/__init__.py"] + nested + GUARD + "softmax = 1\n"})
    assert [item.qualname for item in items(root, "model")] == ["Net"]


def test_what_tests_hold_can_be_left_out_and_is_not_read_then(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    places = ("tests/held.py", "scripts/testing/held.py", "test_held.py", "scripts/tests.py", "scripts/held.py")
    root = tree(ZOO | dict.fromkeys(places, LOOP + GUARD))
    found = analyse(root, root / "zoo", project=root)
    read: list[str] = []
    whole = records.read_in_parts

    def reading(file: SourceFile, function: FactFunction[object]) -> Answer[object]:
        read.append(file.relative)
        return whole(file, function)

    monkeypatch.setattr(records, "read_in_parts", reading)
    left = {item.path for item in found.surroundings_without_tests if item.kind == "training_script"}
    assert left == {"scripts/held.py", "scripts/tests.py"} == set(read).intersection(places)
    assert {item.path for item in found.surroundings if item.kind == "training_script"} == set(places)
