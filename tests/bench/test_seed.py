"""What the bench checks of the copies it fills a store with."""

import json

import pytest

from bench.seed import lasting

THEN, LATER = "2026-11-23T10:00:23.361Z", "2026-11-23T10:01:23.362Z"


def answers(*, name: str = "original", reset: str = THEN, used: float = 0.0, of_team: float = 0.0) -> tuple[bytes, bytes]:
    """Quota of a key, and the key as administrators see it."""
    limit = {"max_limit": 5.0, "created_at": THEN, "token_last_reset": reset, "next_reset_at": reset}
    own = limit | {"id": "51e701df-a773-4b81-86a4-000000000000", "current_usage": used, "remaining": 5.0 - used}
    team = limit | {"current_usage": of_team, "reserved": of_team, "remaining": 5.0 - of_team}
    quota = {"virtual_key_name": name, "budgets": [own]}
    admin = {"virtual_key": {"name": name, "budgets": [own], "team": {"budgets": [team]}}}
    return json.dumps(quota, separators=(",", ":")).encode(), json.dumps(admin, separators=(",", ":")).encode()


@pytest.mark.parametrize("moved", [{"name": "copy"}, {"reset": LATER}, {"of_team": 1.5e-7}])
def test_what_moves_by_itself_is_no_difference(moved: dict[str, float | str]):
    assert lasting(*answers(**moved)) == lasting(*answers())  # type: ignore[arg-type]


def test_what_the_key_itself_used_is_a_difference():
    assert lasting(*answers(used=1.0)) != lasting(*answers())
