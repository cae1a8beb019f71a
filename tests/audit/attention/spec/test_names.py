"""What a printed specs module is called and calls is Python whatever the target is called."""

import ast
import importlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from audit.attention.spec.elsewhere import reached_from
from audit.attention.spec.header import none_lines
from audit.attention.spec.lines import python
from audit.attention.spec.names import aliases_of, import_name, one_line_each
from audit.attention.spec.stub import leaves_nothing, spec_stub
from audit.errors import Unfinished, UsageError
from audit.probe.guess import whole
from audit.probe.guess.find import find

SOURCE = """
from torch import nn, ones, tril


class {name}(nn.Module):
    def __init__(self, dim=32, heads=4, block_size={block}):
        super().__init__()
        self.heads = heads
        self.c_attn = nn.Linear(dim, 3 * dim)
        self.c_proj = nn.Linear(dim, dim)
        self.register_buffer("bias", tril(ones(block_size, block_size)))

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = (t.view(b, n, self.heads, -1).transpose(1, 2) for t in self.c_attn(x).split(c, dim=2))
        att = (q @ k.mT * k.shape[-1] ** -0.5).masked_fill(self.bias[:n, :n] == 0, float("-inf")).softmax(-1)
        return self.c_proj((att @ v).transpose(1, 2).reshape(b, n, c))
"""


def written(folder: Path, name: str, block: int = 64) -> tuple[dict[str, Any], str]:
    """Return the reply about a class of this name, and its module, which no other test has loaded."""
    module = f"own_{name}_{block}".lower()
    (folder / f"{module}.py").write_text(SOURCE.format(name=name, block=block))
    importlib.invalidate_caches()
    reply: dict[str, Any] = find(str(folder / f"{module}.py"), module, name, 0)
    return reply, module


def executed(text: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(compile(text, "stub", "exec"), namespace)
    return namespace


@pytest.mark.parametrize(
    "file", ["my-model.py", "2d.py", "a b.py", "a::b.py", "class.py", "a.b.py", 'a"""\nimport os #.py', "s\udcff.py"]
)
def test_a_file_that_no_import_can_name_is_refused_in_one_line(tmp_path: Path, file: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be imported by name.*rename it") as refused:
        import_name(tmp_path / file)
    assert "\n" not in str(refused.value)


def test_a_folder_that_no_import_can_name_is_refused(tmp_path: Path) -> None:
    for folder in ("class", "my-pkg"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
        with pytest.raises(UsageError, match="rename its folder"):
            import_name(tmp_path / folder / "__init__.py")
    with pytest.raises(UsageError, match="rename its folder"):
        import_name(tmp_path / "class" / "layers.py")


def test_a_file_of_a_package_is_imported_by_its_dotted_name(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    assert import_name(tmp_path / "pkg" / "match.py") == "pkg.match"
    assert import_name(tmp_path / "alone.py") == "alone"


def test_a_line_stays_one_line() -> None:
    text = one_line_each(['    # a\nimport os\r\x0cos.system("x")', "    return 1"])
    assert [type(node) for node in ast.walk(ast.parse(f"def f():\n{text}"))].count(ast.Import) == 0
    assert text.count("\n") == 2


def test_what_the_target_says_cannot_leave_its_comment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    reply, _ = written(tmp_path, "Hostile")
    hostile = 'x"""\nINJECTED = 1\r\nINJECTED = 2 #\\'
    reply["subjects"][0]["inferred_from"]["num_heads"] = hostile
    reply["not_built"] = {hostile: hostile}
    reply |= {"module": None, "problem": hostile, "path": str(tmp_path / f"{hostile}/own_hostile_64.py")}
    assert "INJECTED" not in executed(spec_stub(reply))


def test_what_is_no_python_is_not_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    reply, _ = written(tmp_path, "Broken")
    reply["subjects"][0]["choices"]["arguments"] = {"not a name": 1}
    with pytest.raises(Unfinished, match="cannot be written as Python"):
        spec_stub(reply)


@pytest.mark.parametrize("name", ["inputs", "loss", "build", "forward", "build_model", "MODELS", "Tensor", "Settings",
                                  "ATTENTION", "torch", "hidden_states", "module", "dict"])  # fmt: skip
def test_a_class_that_is_called_like_a_part_of_the_module_has_an_alias(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    reply, module = written(tmp_path, name)
    text = spec_stub(reply)
    assert f"import {name} as target_{name}" in text
    ((key, entry),) = executed(text)["ATTENTION"].items()
    assert (key, entry["class"]) == (name, f"{module}:{name}")
    x = torch.randn(2, 5, entry["contract"]["embed_dim"])
    assert entry["forward"](entry["build"](), x, None).shape == x.shape
    model: Any = whole.find(reply["path"], module, name, 0)
    models = executed(spec_stub(reply, model=model, attends=False))["MODELS"]
    fed = models[name]["inputs"](2, torch.Generator().manual_seed(0))
    assert models[name]["loss"](models[name]["build"]()(**fed), fed).numel() == 1


def test_a_name_that_clashes_with_nothing_has_no_alias() -> None:
    text = "def build():\n    length = 1\n    return length\n"
    assert aliases_of(text, ["Attention"]) == {}
    assert aliases_of(text, ["length", "target_length"]) == {"length": "target_length_"}


def test_numbers_that_are_no_literals_are_written_as_calls() -> None:
    assert eval(python([float("inf"), -float("inf")])) == [float("inf"), -float("inf")]


def test_a_key_that_must_be_there_and_is_not_is_left_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    reply, _ = written(tmp_path, "CausalWhole")
    assert leaves_nothing(reply)
    for key in ("is_causal", "embed_dim"):
        contract = dict(reply["subjects"][0]["contract"])
        del contract[key]
        assert not leaves_nothing({**reply, "subjects": [{**reply["subjects"][0], "contract": contract}]})
    assert not leaves_nothing({**reply, "subjects": []})


def test_a_fused_projection_is_said_to_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    text = spec_stub(written(tmp_path, "Fused")[0])
    assert '# "projections" is left out: c_attn is fused' in text
    assert '"projections": ...' not in text


def test_a_default_length_that_is_long_enough_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "block_size" not in spec_stub(written(tmp_path, "Long", 64)[0])
    assert "block_size=64" in spec_stub(written(tmp_path, "Short", 8)[0])


def test_the_attention_beside_a_model_is_named() -> None:
    assert not [line for line in none_lines([]) if "also" in line]
    lines = none_lines([f"a/b.py::C{i}" for i in range(10)])
    assert "    # also: astrobio-audit spec a/b.py::C0" in lines
    assert "    # and 2 more; see `astrobio-audit static`" in lines


def test_files_that_a_file_imports_are_found_however_it_imports_them(tmp_path: Path) -> None:
    package = tmp_path / "pkg"
    (package / "inner").mkdir(parents=True)
    for folder in (package, package / "inner"):
        (folder / "__init__.py").touch()
    (package / "model.py").write_text("from . import block\nfrom pkg.inner import deep\nimport torch\n")
    (package / "block.py").write_text("from .inner.far import x\n")
    for name in ("inner/deep", "inner/far", "unused"):
        (package / f"{name}.py").touch()
    names = {path.relative_to(package).as_posix() for path in reached_from(package / "model.py")}
    assert names >= {"model.py", "block.py", "inner/deep.py", "inner/far.py"}
    assert "unused.py" not in names
    shutil.rmtree(package)


@pytest.mark.parametrize(("folder", "is_followed"), [("site-packages", False), ("project", True)])
def test_among_installed_packages_the_imports_of_its_own_are_followed(
    tmp_path: Path, folder: str, is_followed: bool
) -> None:
    for name in ("pkg", "torch"):
        (tmp_path / folder / name).mkdir(parents=True)
        (tmp_path / folder / name / "__init__.py").touch()
    model = tmp_path / folder / "pkg" / "model.py"
    model.write_text("import torch\nfrom . import block\n")
    model.with_name("block.py").touch()
    names = {path.relative_to(tmp_path / folder).as_posix() for path in reached_from(model)}
    assert names >= {"pkg/model.py", "pkg/block.py"}
    assert ("torch/__init__.py" in names) == is_followed
