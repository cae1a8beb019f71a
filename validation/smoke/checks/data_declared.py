"""The data sets of the package are declared, so that they can be read."""

from collections.abc import Sequence

from audit.catalog import Catalog, Undeclared, unusable
from audit.judgement import Judgement, Measured, judged, not_applicable, skipped
from audit.results import Check, Comparison, Severity
from audit.static.inventory import InventoryItem
from audit.static.kinds import InventoryKind
from validation.smoke.model import listed

CHECK = Check(
    id="smoke.data_declared",
    title="The specs declare the package's data sets",
    proves="Where the sources define classes of data sets, the specs have an entry in DATA for at least one.",
    defect="a Dataset that no entry of DATA builds",
    severity=Severity.MINOR,
)


def judge(catalog: Catalog | Undeclared, inventory: Sequence[InventoryItem]) -> Judgement:
    """Compare what the sources define with what the specs declare."""
    found = sorted(f"{item.module}:{item.qualname}" for item in inventory if item.kind is InventoryKind.DATASET)
    data = catalog.data if isinstance(catalog, Catalog) else None
    if isinstance(catalog, Catalog) and (trouble := unusable(catalog, "data")):
        return trouble
    if not found and not data:
        return not_applicable("the sources define no class of torch.utils.data.Dataset, and the specs declare no DATA")
    if data is None:
        return skipped(f"the specs declare no DATA, so these data sets are not read: {listed(found)}")
    return judged(
        Measured(
            value=len(data),
            bound=1,
            comparison=Comparison.AT_LEAST,
            origin="an audit of nothing proves nothing; classes of torch.utils.data.Dataset in the sources: "
            f"{len(found)}",
            unit="entries declared",
        ),
        otherwise=f"DATA is empty, and the sources define data sets: {listed(found)}",
    )
