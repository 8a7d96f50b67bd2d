"""What a virtual key may use at all: providers, models, keys of providers (steps 4 to 6 of docs/limits.md)."""

from service.entities import ProviderConfig, VirtualKey
from service.models.allow_lists import EVERYTHING
from service.names import names_of_model_at
from service.reservation import Blockage


def blockage(key: VirtualKey, config: ProviderConfig | None, provider: str | None, names: tuple[str, ...]) -> Blockage | None:
    """What refuses a request whatever its limits say; None when nothing does.

    `config` is the key's for the provider; `names` those of the model, as sent first, () without one.
    """
    if not key.is_active:
        return Blockage(decision="virtual_key_blocked", reason="Virtual key is inactive")
    if config is not None:
        return None if allows_model(config, names) else _model_blocked(names, f"on provider '{config.provider}'")
    if provider is not None:
        return Blockage(decision="provider_blocked", reason=f"Provider '{provider}' is not allowed for this virtual key")
    if not key.provider_configs:
        return Blockage(decision="provider_blocked", reason="No provider is allowed for this virtual key")
    if not any(allows_model(one, names) for one in key.provider_configs):
        return _model_blocked(names, "on any of its providers")
    return Blockage(
        decision="provider_blocked", reason="No provider of this virtual key has a weight, so the request must name its provider"
    )


def allows_model(config: ProviderConfig, names: tuple[str, ...]) -> bool:
    """The blacklist first. Letter case plays no part; a request without a model is not judged by its model."""
    if not names:
        return True
    wanted = {name.casefold() for name in names_of_model_at(config.provider, names)}
    return not _lists(config.blacklisted_models, wanted) and _lists(config.allowed_models, wanted)


def allowed_key_ids(config: ProviderConfig | None) -> tuple[str, ...]:
    """Which keys of the provider may serve; () = none."""
    if config is None:
        return ()
    return (EVERYTHING,) if config.allow_all_keys else config.key_ids


def narrowed(key_ids: tuple[str, ...], pinned: str | None) -> tuple[str, ...]:
    """To the key that a routing rule pins, where it may serve; None: no rule pins any."""
    if pinned is None:
        return key_ids
    return (pinned,) if EVERYTHING in key_ids or pinned in key_ids else ()


def _lists(models: tuple[str, ...], wanted: set[str]) -> bool:
    return any(model == EVERYTHING or model.casefold() in wanted for model in models)


def _model_blocked(names: tuple[str, ...], where: str) -> Blockage:
    return Blockage(decision="model_blocked", reason=f"Model '{names[0]}' is not allowed for this virtual key {where}")
