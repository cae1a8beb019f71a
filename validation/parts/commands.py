"""The commands that can be planned here and carried out elsewhere."""

import atexit
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from audit.parts.commands import PlannedCommand
from audit.profiles import Profile
from audit.session import Planner


def _static(profile: Profile | None) -> Sequence[Planner]:
    from audit.static.checks import plan_static
    from audit.static.rules.checks import plan_rules

    return [plan_static, plan_rules]


def _smoke(profile: Profile | None) -> Sequence[Planner]:
    from validation.smoke.plan import plan_smoke

    return [plan_smoke]


def _attention(profile: Profile | None) -> Sequence[Planner]:
    from audit.attention.plan import plan_attention

    return [plan_attention]


def _readiness(profile: Profile | None) -> Sequence[Planner]:
    from validation.readiness.planners import release_planners

    during = ExitStack()
    atexit.register(during.close)  # a part does not say when the last of its groups is done
    return release_planners(during, profile=profile)


COMMANDS: Mapping[str, PlannedCommand] = {
    each.name: each
    for each in (
        PlannedCommand(name="readiness", planners=_readiness, release=True, needs_inventory=True),
        PlannedCommand(name="smoke", planners=_smoke),
        PlannedCommand(name="attention", planners=_attention, one_thread=True),
        PlannedCommand(name="static", planners=_static, needs_inventory=True),
    )
}
