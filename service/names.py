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
    """The names a configuration may use for this model: as written, and without the known providers in front of it."""
    if model is None:
        return ()
    names = [model]
    while True:
        prefix, _, rest = names[-1].partition("/")
        if not rest or prefix not in providers:
            return tuple(names)
        names.append(rest)


def names_of_model_at(provider: str | None, names: tuple[str, ...]) -> tuple[str, ...]:
    """These names, then each with the provider in front: a configuration may have "openai/gpt-4o" as it is asked for."""
    return names if provider is None else (*names, *(f"{provider}/{name}" for name in names))
