"""What a request used, in the units that have prices."""

from fractions import Fraction
from typing import Final, NamedTuple

from service.models.enforcement import Usage as UsageMembers

PRIORITY: Final = "priority"


class Usage(NamedTuple):
    """None: not said. Parts are of the tokens whose name they carry; `seconds` of what is made or transcribed."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    input_image_tokens: int = 0
    output_image_tokens: int | None = None
    input_audio_tokens: int = 0
    characters: int = 0
    seconds: Fraction | int = 0
    input_seconds: Fraction | int = 0
    images: int = 1
    input_images: int | None = None
    pixels: int = 0
    quality: str = ""
    searches: int = 0
    sessions: int = 0
    requests: int = 1
    is_priority: bool = False
    is_batch: bool = False

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


def usage_of(sent: UsageMembers) -> Usage:
    return Usage(
        input_tokens=sent.input_tokens or 0,
        output_tokens=sent.output_tokens or 0,
        cached_input_tokens=sent.cached_input_tokens or 0,
        cache_creation_input_tokens=sent.cache_creation_input_tokens or 0,
        input_image_tokens=sent.input_image_tokens or 0,
        output_image_tokens=sent.output_image_tokens,
        input_audio_tokens=sent.input_audio_tokens or 0,
        characters=sent.characters or 0,
        seconds=_exact(sent.seconds),
        input_seconds=_exact(sent.input_seconds),
        images=1 if sent.images is None else sent.images,
        input_images=sent.input_images,
        pixels=pixels_of(sent.size),
        quality=sent.quality or "",
        searches=sent.searches or 0,
        sessions=sent.sessions or 0,
        is_priority=sent.service_tier == PRIORITY,
        is_batch=bool(sent.batch),
    )


def pixels_of(size: str | None) -> int:
    """Of "1024x1024"; 0 without a size."""
    if size is None:
        return 0
    width, _, height = size.partition("x")
    return int(width) * int(height)


def _exact(number: float | None) -> Fraction | int:
    """The decimal number that was written: 0.1 is a tenth."""
    return Fraction(repr(number)) if number else 0
