import pytest

from lambdanets.training.schedule import ScheduleConfig, learning_rate_at


def test_one_cycle_rises_to_the_peak_and_falls_to_almost_nothing() -> None:
    config = ScheduleConfig(warmup_fraction=0.25, start_factor=0.04, final_factor=0.001)
    rates = [learning_rate_at(step, 100, 2.0, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.08)
    assert rates[25] == max(rates) == pytest.approx(2.0)
    assert rates[100] == pytest.approx(0.002)
    assert rates[:26] == sorted(rates[:26])
    assert rates[25:] == sorted(rates[25:], reverse=True)


def test_linear_warmup_of_the_paper() -> None:
    config = ScheduleConfig(warmup_fraction=0.1, warmup_shape="linear", start_factor=0, final_factor=0)
    rates = [learning_rate_at(step, 1000, 1.0, config) for step in range(1000)]
    assert rates[:101] == pytest.approx([step / 100 for step in range(101)])
    assert rates[550] == pytest.approx(0.5)  # the middle of the cosine


def test_without_warmup_the_first_step_is_the_highest() -> None:
    assert learning_rate_at(0, 10, 3.0, ScheduleConfig(warmup_fraction=0)) == 3.0


@pytest.mark.parametrize("name", ["warmup_fraction", "start_factor", "final_factor"])
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_fractions_outside_their_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"schedule.{name}: got"):
        ScheduleConfig(**{name: value})


def test_steps_of_the_papers_detectors() -> None:
    config = ScheduleConfig(warmup_fraction=0.01, warmup_shape="linear", start_factor=0, fall_shape="steps")
    rates = [learning_rate_at(step, 1000, 0.32, config) for step in range(1000)]
    assert rates[5] == pytest.approx(0.16)
    assert [rates[step] for step in (10, 899, 900, 950, 975, 999)] == pytest.approx(
        [0.32, 0.32, 0.032, 0.0032, 0.00032, 0.00032]
    )


def test_drops_outside_the_run_are_refused() -> None:
    with pytest.raises(ValueError, match=r"schedule.drops: got \(0.9, 1.5\), wanted numbers in \(0, 1\)"):
        ScheduleConfig(drops=(0.9, 1.5))
