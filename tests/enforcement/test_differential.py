"""The scripts agree with a plain Python model of the rules, step by step, whatever is configured and called."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.enforcement.machine import Machine

QUICK = settings(
    max_examples=25,
    stateful_step_count=25,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    # Shrinking takes longer than reading a failure as it was found.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


def machine_on(redis_url: str) -> type[Machine]:
    return type("Machine", (Machine,), {"redis_url": redis_url})


def test_scripts_and_model_agree(redis_url: str):
    run_state_machine_as_test(machine_on(redis_url), settings=QUICK)


@pytest.mark.slow
def test_scripts_and_model_agree_for_long(redis_url: str):
    run_state_machine_as_test(machine_on(redis_url), settings=settings(QUICK, max_examples=400, stateful_step_count=60))
