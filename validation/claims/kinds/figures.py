"""What claims on the target's own figures have in common: a callable or a command, for one seed."""

import tempfile
from collections.abc import Mapping

from audit.claims import FigureClaim
from audit.gateway.client import Plain
from validation.claims.call import Measuring


def of_command(measuring: Measuring, claim: FigureClaim, *, samples: str | None, seed: int) -> Mapping[str, Plain]:
    """Run the claim's command in a folder of its own, which is removed, and return the figures that it wrote."""
    assert claim.command is not None
    assert claim.figure is not None
    target = measuring.run.target
    with tempfile.TemporaryDirectory(prefix="astrobio-audit-claim-", ignore_cleanup_errors=True) as scratch:
        return measuring.call(
            "claim_command",
            arguments=list[Plain](claim.command),
            figure=claim.figure,
            samples=samples,
            figure_file=claim.figure_file,
            seed=seed,
            scratch=scratch,
            source=str(target.source),
            root=str(target.root),
        )
