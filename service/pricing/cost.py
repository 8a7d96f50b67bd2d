"""What a usage costs at given rates: the working line by line, and its sum rounded once. Pure arithmetic, exact throughout.

Where a request can be counted in several ways (tokens, pixels, images), the first one counts for which there are both a
quantity and a price.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Final, NamedTuple

from service.money import MAX_DOLLARS, NANOUSD_PER_DOLLAR
from service.pricing.rates import NANO, PER_REQUEST, Rates, TokenUnit, Unit
from service.pricing.usage import Usage

LARGEST_NANOUSD: Final = MAX_DOLLARS * NANOUSD_PER_DOLLAR
"""The most that one request is charged: budgets end there, too, and beyond it Lua would not count exactly."""

_STREAM: Final = "_stream"
_HALF: Final = NANO // 2

_SIZES: Final[tuple[tuple[int, Unit], ...]] = (
    (4096 * 4096, "output_cost_per_image_above_4096_and_4096_pixels"),
    (2048 * 2048, "output_cost_per_image_above_2048_and_2048_pixels"),
    (1024 * 1024, "output_cost_per_image_above_1024_and_1024_pixels"),
    (512 * 512, "output_cost_per_image_above_512_and_512_pixels"),
)
_QUALITIES: Final[dict[str, Unit]] = {
    "low": "output_cost_per_image_low_quality",
    "medium": "output_cost_per_image_medium_quality",
    "high": "output_cost_per_image_high_quality",
    "auto": "output_cost_per_image_auto_quality",
    "": "output_cost_per_image_auto_quality",
}


class Line(NamedTuple):
    """`quantity` units at `price` each, in 1e-30 dollars; None: the unit has no price, so it adds nothing."""

    unit: str
    quantity: int | Fraction
    price: int | None

    @property
    def amount(self) -> int | Fraction:
        return self.quantity * (self.price or 0)


def base_type(request_type: str) -> str:
    """A stream costs what its request costs without streaming."""
    return request_type.removesuffix(_STREAM)


def cost_nanousd(rates: Rates, usage: Usage, request_type: str) -> int:
    return sum_nanousd(working(rates, usage, request_type))


def cost_of_tokens_nanousd(rates: Rates, input_tokens: int, output_tokens: int, request_type: str) -> int:
    """cost_nanousd of one request that used nothing but tokens: what nearly all are. Hot, so a text costs no working."""
    if _RULES.get(request_type) is not _text or input_tokens + output_tokens > rates.usual_up_to_tokens:
        return cost_nanousd(rates, Usage(input_tokens=input_tokens, output_tokens=output_tokens), request_type)
    get = rates.prices.get
    of_tokens = input_tokens * get("input_cost_per_token", 0) + output_tokens * get("output_cost_per_token", 0)
    return _rounded(of_tokens + get(PER_REQUEST, 0))


def sum_nanousd(lines: list[Line]) -> int:
    total: int | Fraction = 0
    for _, quantity, price in lines:
        if price:
            total += quantity * price
    return _rounded(total)


def _rounded(total: int | Fraction) -> int:
    """To nano-dollars, half to even: once, at the very end."""
    if isinstance(total, int):
        nanousd, rest = divmod(total, NANO)
        nanousd += rest > _HALF or (rest == _HALF and nanousd & 1)
    else:
        nanousd = round(total / NANO)
    return min(nanousd, LARGEST_NANOUSD)


def working(rates: Rates, usage: Usage, request_type: str) -> list[Line]:
    """What the cost is the sum of; units of which nothing was used are left out, and everything for a type without a rule."""
    rule = _RULES.get(request_type) or _RULES.get(base_type(request_type))
    if rule is None:
        return []
    lines = rule(rates, usage)
    if usage.sessions:
        lines += _units(rates, usage.sessions, "code_interpreter_cost_per_session")
    if usage.requests and (price := rates.prices.get(PER_REQUEST)) is not None:
        lines.append(Line(PER_REQUEST, usage.requests, price))
    return lines


def has_price(lines: list[Line]) -> bool:
    """Whether anything that was used has a price, be it 0. Using nothing needs none."""
    return not lines or any(line.price is not None for line in lines)


def can_price(rates: Rates, request_type: str) -> bool:
    """Whether there is anything that a request of this type could use and that has a price, be it 0."""
    return any(line.price is not None for usage in _SOME_OF_ALL for line in working(rates, usage, request_type))


_ONE_OF_EACH: Final = Usage(
    input_tokens=6,
    output_tokens=2,
    cached_input_tokens=1,
    cache_creation_input_tokens=1,
    input_image_tokens=1,
    output_image_tokens=1,
    input_audio_tokens=1,
    characters=1,
    seconds=1,
    input_seconds=1,
    images=1,
    input_images=1,
    pixels=4096 * 4096,
    searches=1,
    sessions=1,
)
_SOME_OF_ALL: Final = (
    _ONE_OF_EACH,
    _ONE_OF_EACH._replace(is_batch=True),
    _ONE_OF_EACH._replace(is_priority=True),
    # More than any rate for long requests begins at.
    _ONE_OF_EACH._replace(input_tokens=10**12),
    *(_ONE_OF_EACH._replace(quality=quality) for quality in _QUALITIES),
)


def _text(rates: Rates, usage: Usage) -> list[Line]:
    prompt = usage.input_tokens
    cached = min(usage.cached_input_tokens, prompt)
    created = min(usage.cache_creation_input_tokens, prompt - cached)
    rate = _token_rate(rates, usage, "input_cost_per_token")
    lines = []
    if prompt > cached + created:
        lines.append(Line(rate.unit, prompt - cached - created, rate.price))
    if cached:
        lines.append(_at(cached, _token_rate(rates, usage, "cache_read_input_token_cost"), rate))
    if created:
        lines.append(_at(created, _token_rate(rates, usage, "cache_creation_input_token_cost"), rate))
    if usage.output_tokens:
        rate = _token_rate(rates, usage, "output_cost_per_token")
        lines.append(Line(rate.unit, usage.output_tokens, rate.price))
    if usage.searches:
        lines += _units(rates, usage.searches, "search_context_cost_per_query")
    return lines


def _embedding(rates: Rates, usage: Usage) -> list[Line]:
    return _tokens(usage.input_tokens, _token_rate(rates, usage, "input_cost_per_token"))


def _rerank(rates: Rates, usage: Usage) -> list[Line]:
    return [
        *_tokens(usage.input_tokens, _token_rate(rates, usage, "input_cost_per_token")),
        *_tokens(usage.output_tokens, _token_rate(rates, usage, "output_cost_per_token")),
        *_units(rates, usage.searches, "search_context_cost_per_query"),
    ]


def _speech(rates: Rates, usage: Usage) -> list[Line]:
    of_tokens = _token_rate(rates, usage, "input_cost_per_token")
    spoken = (
        _tokens(usage.characters, _rate(rates, "input_cost_per_character"), of_tokens)
        if usage.characters
        else _tokens(usage.input_tokens, of_tokens)
    )
    return spoken + _first_priced(
        _tokens(
            usage.output_tokens, _rate(rates, "output_cost_per_audio_token"), _token_rate(rates, usage, "output_cost_per_token")
        ),
        _units(rates, usage.seconds, "output_cost_per_second"),
    )


def _transcription(rates: Rates, usage: Usage) -> list[Line]:
    of_text = _token_rate(rates, usage, "input_cost_per_token")
    audio = min(usage.input_audio_tokens, usage.input_tokens)
    heard = _first_priced(
        _tokens(audio, _rate(rates, "input_cost_per_audio_token"), of_text) + _tokens(usage.input_tokens - audio, of_text),
        _units(rates, usage.seconds, "input_cost_per_audio_per_second", "input_cost_per_second"),
    )
    return heard + _tokens(usage.output_tokens, _token_rate(rates, usage, "output_cost_per_token"))


def _image(rates: Rates, usage: Usage) -> list[Line]:
    return _image_input(rates, usage) + _image_output(rates, usage)


def _image_input(rates: Rates, usage: Usage) -> list[Line]:
    of_text = _token_rate(rates, usage, "input_cost_per_token")
    of_images = min(usage.input_image_tokens, usage.input_tokens)
    # Unless it is said how many were sent, it takes as many to make one as there are made: some models are priced by that alone.
    assumed = usage.input_images is None
    images = usage.images if usage.input_images is None else usage.input_images
    return _first_priced(
        _tokens(usage.input_tokens - of_images, of_text)
        + _tokens(of_images, _rate(rates, "input_cost_per_image_token"), of_text),
        _units(rates, usage.pixels * images, "input_cost_per_pixel", optional=assumed),
        _units(rates, images, "input_cost_per_image", optional=assumed),
    )


def _image_output(rates: Rates, usage: Usage) -> list[Line]:
    of_text = _token_rate(rates, usage, "output_cost_per_token")
    # A model that makes images answers in image tokens, unless it says how many of them are text.
    of_images = usage.output_tokens if usage.output_image_tokens is None else min(usage.output_image_tokens, usage.output_tokens)
    flat: list[Unit] = [unit for least_pixels, unit in _SIZES if usage.pixels >= least_pixels]
    quality = _QUALITIES.get(usage.quality.strip().lower())
    if quality is not None:
        flat.insert(0, quality)
    return _first_priced(
        _tokens(usage.output_tokens - of_images, of_text)
        + _tokens(of_images, _rate(rates, "output_cost_per_image_token"), of_text),
        _units(rates, usage.pixels * usage.images, "output_cost_per_pixel"),
        _units(rates, usage.images, *flat, "output_cost_per_image"),
    )


def _video(rates: Rates, usage: Usage) -> list[Line]:
    return [
        *_first_priced(
            _tokens(usage.input_tokens, _token_rate(rates, usage, "input_cost_per_token")),
            _units(rates, usage.input_seconds, "input_cost_per_video_per_second"),
        ),
        *_first_priced(
            _tokens(usage.output_tokens, _token_rate(rates, usage, "output_cost_per_token")),
            _units(rates, usage.seconds, "output_cost_per_video_per_second", "output_cost_per_second"),
        ),
    ]


_RULES: Final[dict[str, Callable[[Rates, Usage], list[Line]]]] = {
    "chat_completion": _text,
    "text_completion": _text,
    "responses": _text,
    "embedding": _embedding,
    "rerank": _rerank,
    "speech": _speech,
    "transcription": _transcription,
    "image_generation": _image,
    "image_variation": _image,
    "image_edit": _image,
    "video_generation": _video,
    "video_remix": _video,
}


class _Rate(NamedTuple):
    unit: str
    price: int | None


def _rate(rates: Rates, unit: Unit) -> _Rate:
    return _Rate(unit, rates.prices.get(unit))


def _token_rate(rates: Rates, usage: Usage, unit: TokenUnit) -> _Rate:
    """One rate for all tokens of the request: of batches, then of long requests, then of the service tier, else the base rate."""
    prices = rates.prices
    if usage.is_batch and (price := prices.get(f"{unit}_batches")) is not None:
        return _Rate(f"{unit}_batches", price)
    for tier in rates.long_context:
        if usage.total_tokens > tier.above_tokens and (price := prices.get(unit + tier.suffix)) is not None:
            return _Rate(unit + tier.suffix, price)
    if usage.is_priority and (price := prices.get(f"{unit}_priority")) is not None:
        return _Rate(f"{unit}_priority", price)
    return _Rate(unit, prices.get(unit))


def _at(quantity: int, rate: _Rate, otherwise: _Rate) -> Line:
    """At the second rate where the first one has no price."""
    unit, price = rate if rate.price is not None or otherwise.price is None else otherwise
    return Line(unit, quantity, price)


def _tokens(quantity: int, rate: _Rate, otherwise: _Rate | None = None) -> list[Line]:
    if not quantity:
        return []
    return [Line(rate.unit, quantity, rate.price) if otherwise is None else _at(quantity, rate, otherwise)]


def _units(rates: Rates, quantity: int | Fraction, *units: Unit, optional: bool = False) -> list[Line]:
    """At the first of the units that has a price; without one not worth a line when `optional`."""
    unit = next((unit for unit in units if unit in rates.prices), None)
    if not quantity or (unit is None and optional):
        return []
    return [Line(unit or units[-1], quantity, rates.prices[unit] if unit else None)]


def _first_priced(*ways: list[Line]) -> list[Line]:
    """The first way of counting that has a price; without any, the first that has a quantity."""
    counted = [lines for lines in ways if lines]
    return next((lines for lines in counted if any(line.price is not None for line in lines)), counted[0] if counted else [])
