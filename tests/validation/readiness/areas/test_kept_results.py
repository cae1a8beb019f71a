"""Where results of earlier runs are taken over, weights are read again when they change, and documents always."""

import io
from pathlib import Path

import torch

from audit.results import Result
from audit.session import Request, conduct
from audit.target import Target
from validation.readiness.areas import plan_areas

from .written import write


def weights(value: float) -> bytes:
    buffer = io.BytesIO()
    torch.save({"w": torch.tensor([1.0, value])}, buffer)
    return buffer.getvalue()


def kept(root: Path) -> dict[str, Result]:
    request = Request(command="readiness", planners=[plan_areas], release=True, cache=True, keeps_results=True)
    return {each.check: each for each in conduct(Target.load(root), request).results}


def test_weights_are_read_again_when_they_change_and_links_in_every_run(tmp_path: Path) -> None:
    root = write(tmp_path, {"w.pt": weights(2.0), "README.md": "[a](there.md)", "there.md": ""})
    first, second = kept(root), kept(root)
    assert first["checkpoints.finite"].evidence.measured_at is None
    assert second["checkpoints.finite"].evidence.measured_at is not None
    assert second["checkpoints.finite"].subject.digest == first["checkpoints.finite"].subject.digest
    assert second["documents.links_lead"].evidence.measured_at is None
    (root / "there.md").unlink()
    (root / "w.pt").write_bytes(weights(float("nan")))
    third = kept(root)
    assert {name: third[name].outcome.value for name in ("checkpoints.finite", "documents.links_lead")} == {
        "checkpoints.finite": "failed",
        "documents.links_lead": "failed",
    }
