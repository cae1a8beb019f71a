"""What every page of a report says about its own numbers: how the score is reached, and where and when it was made."""

from collections.abc import Mapping

from audit.report.document import Report
from audit.report.machines import machine_rows

SCORE_NOTE = (
    "Score: the smallest share of checks passed among the areas. Coverage: the smallest share of checks that came "
    "to a conclusion. Within an area every check weighs the same. Only `passed` earns credit."
)


def provenance_rows(report: Report) -> Mapping[str, str]:
    """Return what the report was made of, by name. The texts may be the target's."""
    provenance = report.provenance
    environment = provenance.environment
    dirty = " (with uncommitted changes)" if provenance.dirty else ""
    rows = {
        "tool": f"{report.tool.name} {report.tool.version}, report schema {report.schema_version}",
        "command": provenance.command,
        "commit": f"{provenance.commit or 'not in a git repository'}{dirty}",
        "package digest": provenance.package_digest or "-",
        "configuration digest": provenance.config_digest,
        "seed": str(provenance.seed),
        "auditor": f"Python {provenance.python}, torch {provenance.torch or 'not used'}",
        "machine": f"{provenance.platform}, {provenance.machine}",
        "started, finished": f"{provenance.started_at}, {provenance.finished_at}",
    }
    if report.profile:
        rows["profile"] = f"{report.profile}, {report.profile.use}"
    if environment:
        devices = ", ".join(device.name for device in environment.devices) or "none"
        rows["target's interpreter"] = (
            f"Python {environment.python}, torch {environment.torch}, accelerators: {devices}"
        )
    return {**rows, **machine_rows(report)}
