"""Which provider serves a request that names none: drawn by weight, the others are its fallbacks."""

import math
from collections.abc import Iterable

from service.entities import ProviderConfig, VirtualKey
from service.quota.allow_lists import allows_model
from service.routing.draw import Draw, hashed


def candidates(key: VirtualKey, names: tuple[str, ...], request_id: str, draw: Draw = hashed) -> list[ProviderConfig]:
    """Provider configs that take part, in drawn order: each next one by weight among those left. Weight 0 comes last.

    The smallest of exponentially distributed times, each divided by its weight, wins with probability weight / total. And each
    depends on its own provider only: leaving one out does not change the order of the others.
    """

    def arrival(config: ProviderConfig) -> tuple[float, str]:
        assert config.weight is not None
        time = -math.log(draw(request_id, config.provider))
        return (time / config.weight if config.weight > 0 else math.inf, config.provider)

    return sorted(
        (config for config in key.provider_configs if config.weight is not None and allows_model(config, names)), key=arrival
    )


def ranked_fallbacks(others: Iterable[ProviderConfig], model: str | None) -> list[str]:
    """What to try next should the chosen provider fail, the heaviest first."""
    ranked = sorted(others, key=lambda config: (-(config.weight or 0), config.provider))
    return [f"{config.provider}/{model or ''}" for config in ranked]
