"""What a scenario says of itself: what is sent, what must come back, how fast it should be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from bench.plain_http import ask
from bench.traffic import GATEWAY_PATH, GATEWAY_TOKEN, KEY, NUMBER, Traffic, get, post
from bench.world import MODEL, PROVIDER, World

INPUT_TOKENS: Final = 1_100
OUTPUT_TOKENS: Final = 210
"""About the medians of the traces in bench/traffic_quantiles.py, chat and code together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`traffic` is given the first number that no run has used."""

    name: str
    meaning: str
    traffic: Callable[[World, int], Traffic]
    before: Callable[[World, int, int], None] | None = None
    """Called with the first number and how many requests to prepare for, outside the measured time."""
    operations: int = 1
    """Decisions in one request."""
    status: int = 200
    count_wrong: Callable[[str], int] | None = None
    """Asks quotad at this URL how many operations did not end as they are meant to, where no status of an answer tells."""
    has_floor: bool = True
    """Endpoints that do nothing take their turns, too."""
    against: "Scenario | None" = None
    """So does this, where quotad promised a ratio to it."""


GATEWAY: Final = {"authorization": f"Bearer {GATEWAY_TOKEN}"}
GATEWAY_WITH_KEY: Final = {**GATEWAY, "x-bf-vk": KEY}
"""Headers of a gateway, without and with the key whose quota is used."""


def count_refused_and_lost(url: str) -> int:
    """Reserves that were not admitted, and settles of what was not reserved or settled before, by quotad's metrics."""
    text = ask(url, [get("/metrics", {})])[0].body.decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return round(sum(sample.value for sample in samples if _is_wrong(sample.name, sample.labels)))


def _is_wrong(name: str, labels: Mapping[str, str]) -> bool:
    match name:
        case "quotad_decisions_total":
            return labels["result"] != "allow"
        case "quotad_settlements_total":
            return labels["outcome"] != "commit"
        case "quotad_uncharged_total":
            return labels["reason"] == "unknown_reservation"
    return False


def reserve_body(request_id: str = NUMBER) -> dict[str, Any]:
    return {
        "provider": PROVIDER,
        "model": MODEL,
        "request_id": request_id,
        "input_tokens": INPUT_TOKENS,
        "max_output_tokens": 2 * OUTPUT_TOKENS,
    }


def settle_body(reservation_id: str = NUMBER) -> dict[str, Any]:
    return {"reservation_id": reservation_id, "input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS}


def reserve_request() -> bytes:
    return post(f"{GATEWAY_PATH}/reserve", GATEWAY_WITH_KEY, reserve_body())
