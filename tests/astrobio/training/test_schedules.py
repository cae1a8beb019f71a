import pytest

from astrobio.training.schedules import SCHEDULES, learning_rate_factor


def factors(schedule: str, *, steps: int = 100, warm_up_steps: int = 10) -> list[float]:
    return [
        learning_rate_factor(step, steps=steps, warm_up_steps=warm_up_steps, schedule=schedule) for step in range(steps)
    ]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_warms_up_linearly_and_never_leaves_the_unit_interval(schedule: str) -> None:
    values = factors(schedule)
    assert values[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert all(0.0 < value <= 1.0 for value in values)


def test_the_ends_of_the_schedules() -> None:
    assert factors("constant")[-1] == 1.0
    assert factors("linear")[-1] == pytest.approx(0.01)
    assert factors("cosine")[-1] == pytest.approx(0.00025, rel=0.02)  # (pi / 200)^2
    assert factors("cosine")[50] == pytest.approx(0.5)


def test_a_run_shorter_than_its_warm_up_reaches_half_its_steps_warming_up() -> None:
    assert factors("constant", steps=4, warm_up_steps=50) == [0.5, 1.0, 1.0, 1.0]


def test_an_unknown_schedule_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown schedule 'step'; choose from: constant, cosine, linear"):
        factors("step")
