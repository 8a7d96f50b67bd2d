"""What a request calls its provider and its model, and what configurations may call the same."""

from collections.abc import Collection


def split_model(provider: str | None, model: str | None, providers: Collection[str]) -> tuple[str | None, str | None]:
    """Provider and model of a request. "openai/gpt-4o" names both, where the part before the first slash is a known provider.

    A provider that is named itself wins, and the model then stays as written: routers have models called "openai/gpt-4o".
    """
    if provider is None and model is not None:
        prefix, _, rest = model.partition("/")
        if rest and prefix in providers:
            return prefix, rest
    return provider, model


def names_of_model(model: str | None, providers: Collection[str]) -> tuple[str, ...]:
    """The names a configuration may use for this model: as written, and without the prefix of a known provider."""
    if model is None:
        return ()
    prefix, _, rest = model.partition("/")
    return (model, rest) if rest and prefix in providers else (model,)
