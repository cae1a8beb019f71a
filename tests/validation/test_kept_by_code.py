"""What was measured before is measured again when code of the validation has changed."""

import functools

from audit.own_code import packages_of
from validation.claims.plan import plan_claims
from validation.smoke.plan import plan_smoke
from validation.training.plan import planner_of
from validation.training.settings import TrainingSettings


def test_the_validation_takes_part_in_what_it_plans() -> None:
    for planner in (plan_smoke, planner_of(TrainingSettings()), functools.partial(plan_claims, slow=True)):
        assert packages_of([planner]) == {"audit", "validation"}
