"""The course of `astrobio-audit smoke`, from its options to its exit code."""

from collections.abc import Sequence

from audit.attention.named import items_named
from audit.collected import Collected
from audit.command import deliver_from_elsewhere, run_area, run_named
from audit.errors import UsageError
from audit.named import Named
from audit.plan import Plan, resumed
from audit.session import Planner
from audit.static.inventory import InventoryKind
from validation.smoke.command import SmokeOptions
from validation.smoke.plan import load_ahead, plan_imports, plan_smoke, plugged_group


def run_smoke(options: SmokeOptions) -> None:
    """Judge the target's models, or those that are named as `FILE::NAME`.

    Raises:
        UsageError: the options, the names or the configuration need correcting.
        typer.Exit: always at the end, with the report's exit code.
    """
    if options.gateway:
        deliver_from_elsewhere(options, command="smoke")
    if not options.names:
        run_area(options, command="smoke", planners=lambda: [plan_with_or_without_specs], keeps_results=True)
        return
    run_named(options, options.names, command="smoke", planner_of=_plan_named, keeps_results=True)


def plan_with_or_without_specs(collected: Collected) -> Plan:
    """Plan what the specs declare; where none are configured, the imports and the models of the inventory."""
    if collected.target.settings.specs is not None:
        return plan_smoke(collected)
    models = [item for item in collected.analysis.models if item.resolved]
    if not models:
        return plan_smoke(collected)
    load_ahead(collected)
    from validation.smoke.guessed import guessed_groups

    return resumed((plan_imports(collected), *guessed_groups(collected, models), *plugged_group(collected)))


def _plan_named(names: Sequence[Named]) -> Planner:
    def plan(collected: Collected) -> Plan:
        from validation.smoke.guessed import guessed_groups

        items = items_named(collected, names, InventoryKind.MODEL)
        functions = [item.qualname for item in items if item.facts.get("form") == "function"]
        if functions:
            raise UsageError(f"{functions[0]}: is a function; smoke judges model classes")
        return resumed(guessed_groups(collected, items))

    return plan
