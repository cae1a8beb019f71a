"""A small package with models and trainers, each but the right one wrong by a single edit, and one run over all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.devices import on_device
from audit.report.document import Report
from audit.session import Request, conduct
from audit.target import Target
from validation.training.plan import planner_of
from validation.training.settings import TrainingSettings

MODEL = """
class {name}(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 2)
        {built}

    def forward(self, x):
        {forward}
"""
HEAD = """
import torch
from torch import nn

NAN = float('nan')

def assert_determined():
    if torch.are_deterministic_algorithms_enabled():
        raise RuntimeError("it does not have a deterministic implementation")
"""
# What is done more when it is built, the body of forward, and the check that must fail; the right one fails none.
MODELS: dict[str, tuple[str, str, str | None]] = {
    "Right": ("pass", "return self.layer(x)", None),
    "Noisy": ("pass", "return self.layer(nn.functional.dropout(x, 0.1, self.training))", None),
    "GrowsNan": (
        "self.register_buffer('count', torch.zeros(()))",
        "self.count += self.training; return self.layer(x) + (NAN if self.count > 700 else 0.0)",
        "run",
    ),
    "Constant": ("pass", "return self.layer(torch.ones_like(x))", "learns"),
    "Leaking": ("self.kept = []", "self.kept.append(x.new_zeros(3000)); return self.layer(x)", "memory"),
    "Unseeded": (
        "pass",
        "g = torch.Generator(); g.seed(); return self.layer(x + 0.01 * torch.randn(x.shape, generator=g).to(x))",
        "twin",
    ),
    "Forgetful": (
        "self.mean = torch.zeros(6)",
        "self.mean = 0.9 * self.mean.to(x) + 0.1 * x.detach().mean(0); return self.layer(x - self.mean)",
        "resume",
    ),
    "Undetermined": (  # as torch says it of an operation on a GPU
        "pass",
        "assert_determined(); return self.layer(x)",
        None,
    ),
    "Detector": (  # returns its loss in train mode, and what it finds in eval mode
        "pass",
        "y = self.layer(x); return {'loss': (y - x[:, :2]).square().mean()} if self.training else [y]",
        None,
    ),
    "Overwriting": (
        "self.scale = nn.Parameter(torch.ones(()))",
        "self.scale.data.copy_(1.0 + 0.1 * x.detach().mean()); return self.layer(x) * self.scale",
        "ranks",
    ),
}

TRAINER = '''
"""python -m zoo.NAME FOLDER --steps N --every N --seed N [--resume]"""

import argparse, copy, io, os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(64, 256)
        self.last = nn.Linear(256, 1)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))

def broken(model, gradients):
    for name, p in model.named_parameters():
        values = p.grad if gradients else p
        if values is not None and not values.isfinite().all():
            return name

def save(path, state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    aside = path.with_suffix(".partial")
    try:
        with aside.open("wb") as file:
            content = buffer.getvalue()
            for start in range(0, len(content), 16384):
                file.write(content[start : start + 16384])
                file.flush()
                os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise SystemExit(f"{path} cannot be written: {error.strerror}")

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--every", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(given.seed)
    model = nn.Sequential(nn.BatchNorm1d(64, affine=False), Net())
    average = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    newest, done = given.folder / "newest.pt", 0
    if given.resume and newest.exists():
        state = torch.load(newest)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        done = state["step"]
    for step in range(done, given.steps):
        generator = torch.Generator().manual_seed(given.seed * 1000 + step)
        x = torch.randn(16, 64, generator=generator)
        optimizer.zero_grad()
        loss = (model(x) - x[:, :1]).square().mean()
        if not loss.isfinite():
            raise SystemExit(f"the loss is {float(loss)} at step {step + 1}: {broken(model, False)} is not finite")
        loss.backward()
        if name := broken(model, True):
            raise SystemExit(f"the gradient of {name} is not finite at step {step + 1}")
        optimizer.step()
        with torch.no_grad():
            for mean, p in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(p, 0.1)
        if (step + 1) % given.every == 0:
            if name := broken(model, False):
                raise SystemExit(f"{name} is not finite after step {step + 1}")
            states = {"model": model.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
            save(newest, {**states, "step": step + 1})

if __name__ == "__main__":
    main()
'''
# The single edit that makes the trainer wrong, and the check that must fail.
TRAINERS: dict[str, tuple[str, str, str | None]] = {
    "right_trainer": ("", "", None),
    "unseeded": ("torch.manual_seed(given.seed)", "torch.seed()", "command_repeats"),
    "fails": ("Net())", "Nett())", "command_repeats"),
    "forgets_momentum": ('optimizer.load_state_dict(state["optimizer"])', "pass", "command_resumes"),
    "forgets_statistics": (
        'state["model"])',
        'state["model"] | nn.Sequential(model[0]).state_dict())',
        "command_resumes",
    ),
    "draws_anew": ("given.seed * 1000 + step)", "given.seed * 1000 + step + 7 * given.resume)", "command_resumes"),
    "forgets_average": ('average.load_state_dict(state["average"])', "pass", "command_resumes"),
    "never_moves": ("lr=0.05", "lr=0.0", "command_repeats"),
    "one_step_more": ("range(done, given.steps)", "range(done, given.steps + 1)", "command_repeats"),
    "steps_twice": ("optimizer.step()", "optimizer.step(); optimizer.step()", "unjudged"),
    "stops_early": ("range(done, given.steps)", "range(done, min(given.steps, 12))", "unjudged"),
    "two_optimizers": (
        "optimizer.step()",
        "optimizer.step(); globals().setdefault('second', torch.optim.SGD(model.parameters(), lr=0.001)).step()",
        None,
    ),
    "every_other": ("optimizer.step()", "optimizer.step() if step % 2 else None", None),
    "writes_no_checkpoint": ("if (step + 1) % given.every == 0:", "if False:", "command_resumes"),
    "writes_in_place": ('path.with_suffix(".partial")', "path", "command_killed"),
    "copies_over_the_last": (
        "os.replace(aside, path)",
        "__import__('shutil').copyfile(aside, path)",
        "command_killed",
    ),
    "removes_the_last_first": (
        'aside = path.with_suffix(".partial")',
        'aside = path.with_suffix(".partial"); path.unlink(missing_ok=True)',
        "command_killed",
    ),
    "writes_in_the_background": (
        'save(newest, {**states, "step": step + 1})',
        "before = globals().get('pending')\n"
        "            before and before.result()  # raises what it raised\n"
        "            pool = globals().setdefault('pool', ThreadPoolExecutor(1))\n"
        "            globals()['pending'] = pool.submit("
        "save, newest, copy.deepcopy({**states, 'step': step + 1}))",
        None,
    ),
    "looks_at_no_gradient": ("if name := broken(model, True):", "if False:", "command_nan"),
    "names_no_parameter": ("the gradient of {name} is not finite", "diverged", "command_nan"),
    "saves_nan": ("if name := broken(model, False):", "if False:", "command_nan"),
    "swallows_write_errors": ('raise SystemExit(f"{path} cannot', 'return print(f"{path} cannot', "command_disk_full"),
    "steps_by_hand": ("optimizer.step()", "[p.data.add_(p.grad, alpha=-0.05) for p in model.parameters()]", "unjudged"),
}

# Trains on the shards of a batch, as many as there are ranks or passes.
RANKED = '''
"""[torchrun] python -m zoo.NAME FOLDER --steps N --seed N [--accumulate N] [--resume]"""

import argparse, gc, json, os
from pathlib import Path
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        dist.init_process_group("gloo")
    torch.manual_seed(given.seed)
    model = nn.Linear(64, 1)
    trained = DistributedDataParallel(model) if world > 1 else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    shards = world * given.accumulate
    lines = []
    for step in range(given.steps):
        optimizer.zero_grad()
        losses = torch.zeros((), dtype=torch.float64)
        for index in range(given.accumulate):
            shard = step * shards + index * world + rank
            generator = torch.Generator().manual_seed(given.seed * 1000 + shard)
            x = torch.randn(16 // shards, 64, generator=generator)
            loss = (trained(x) - x[:, :1]).square().mean()
            (loss / given.accumulate).backward()
            losses += loss.detach() / shards
        if world > 1:
            dist.all_reduce(losses)
        optimizer.step()
        lines.append(json.dumps({"step": step + 1, "loss": float(losses)}))
    if rank == 0:
        (given.folder / "log.jsonl").write_text("\\n".join(lines))
    if world > 1:
        del trained
        gc.collect()  # it is part of a cycle, and must be gone before the connection
        dist.destroy_process_group()

if __name__ == "__main__":
    main()
'''
# The single edit, and what becomes of the comparison of two ranks with one process.
RANKED_TRAINERS: dict[str, tuple[str, str, str]] = {
    "ranked": ("", "", "passed"),
    "same_half": ("index * world + rank", "index * world", "failed"),
    "logs_nothing": ("if rank == 0:", "if rank == world:", "error"),
}

SPECS = """
import torch
from zoo import models, right_trainer

def inputs(batch_size, generator):
    return {"x": torch.randn(batch_size, 6, generator=generator)}

def loss(output, inputs):
    return (output - inputs["x"][:, :2]).square().mean()

MODELS = {
    name: {"class": f"zoo.models:{name}", "build": getattr(models, name), "inputs": inputs, "loss": loss}
    for name in NAMES
}

def batches(seed, start_step):
    step = start_step
    while True:
        x = torch.randn(16, 64, generator=torch.Generator().manual_seed(seed * 1000 + step))
        yield x, x[:, :1]
        step += 1

def trained(module, **more):
    return {
        "class": "zoo.right_trainer:Net",
        "build": right_trainer.Net,
        "batches": batches,
        "loss": lambda model, batch: (model(batch[0]) - batch[1]).square().mean(),
        "optimizer": lambda model: torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        "command": "{python} -m zoo." + module
        + " {checkpoint_dir} --steps {steps} --every {checkpoint_every} --seed {seed} {resume}",
        **more,
    }

TRAINING = {name: trained(name) for name in TRAINERS}
"""


def write(root: Path, specs: str, *, trains: bool) -> Path:
    package = root / "zoo"
    package.mkdir(parents=True)
    (root / "pyproject.toml").write_text('[tool.astrobio-audit]\npackage = "zoo"\nspecs = "zoo.specs"\nworkers = 2\n')
    (package / "__init__.py").write_text("")
    models = HEAD
    for name, (built, forward, _) in MODELS.items():
        models += MODEL.format(name=name, built=built, forward=forward)
    (package / "models.py").write_text(models)
    for text, edits in ((TRAINER, TRAINERS), (RANKED, RANKED_TRAINERS)):
        for name, (before, after, _) in edits.items() if trains else ():
            assert before in text
            (package / f"{name}.py").write_text(text.replace(before, after, 1) if before else text)
    (package / "specs.py").write_text(f"NAMES, TRAINERS = {list(MODELS)}, {list(TRAINERS)}\n{specs}")
    return root


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Report]:
    """Trains what a package declares; what is given replaces or follows the usual specs."""

    def run(
        *,
        subjects: Any = (),
        only: Any = (),
        specs: str = SPECS,
        trains: bool = True,
        device: str = "cpu",
        **settings: Any,
    ) -> Report:
        root = write(tmp_path_factory.mktemp("trained") / "project", specs, trains=trains)
        planner = planner_of(TrainingSettings(**settings))
        request = Request(command="train", planners=[planner], subjects=subjects, only=only)
        return conduct(on_device(Target.load(root), device), request)

    return run


@pytest.fixture(scope="session")
def usual_specs() -> str:
    return SPECS
