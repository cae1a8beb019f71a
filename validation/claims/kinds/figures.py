"""What claims on the target's own figures have in common: a callable or a command, for one seed."""

from collections.abc import Mapping
from pathlib import Path

from audit.claims import FigureClaim
from audit.gateway.client import Plain
from audit.scratch import scratch_folder
from validation.claims.call import Measuring


def of_command(measuring: Measuring, claim: FigureClaim, *, samples: str | None, seed: int) -> Mapping[str, Plain]:
    """Run the claim's command in a folder of its own, which is removed, and return the figures that it wrote."""
    assert claim.command is not None
    assert claim.figure is not None
    target = measuring.run.target
    with scratch_folder("claim") as folder:
        scratch = Path(folder, "scratch")  # with nothing of ours in it
        scratch.mkdir()
        return measuring.call(
            "claim_command",
            arguments=list[Plain](claim.command),
            figure=claim.figure,
            samples=samples,
            figure_file=claim.figure_file,
            seed=seed,
            scratch=str(scratch),
            source=str(target.source),
            root=str(target.root),
        )
