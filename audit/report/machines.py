"""The machines of a report that was put together from several, for reading."""

from collections import Counter
from collections.abc import Mapping

from audit.report.document import Report
from audit.report.text import counted


def machine_rows(report: Report) -> Mapping[str, str]:
    """Return what each machine is and how many results were measured on it, by its name; empty where there is one.

    The texts may be those of another machine: whoever shows them escapes them.
    """
    numbers = Counter(result.evidence.machine for result in report.results)
    rows = {}
    for each in report.machines:
        environment = each.environment
        there = "target's interpreter not asked"
        if environment:
            devices = ", ".join(device.name for device in environment.devices) or "none"
            there = f"Python {environment.python}, torch {environment.torch}, accelerators: {devices}"
        results = counted(numbers[each.name], "result")
        rows[f"measured on {each.name}"] = f"{results}; {each.platform}, {each.machine}; {there}"
    return rows
