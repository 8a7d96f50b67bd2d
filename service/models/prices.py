"""Unit prices that an override may replace, in dollars."""

from typing import Annotated

from pydantic import Field

from service.models.strict import StrictModel
from service.money import MAX_DOLLARS

Price = Annotated[float, Field(ge=0, le=MAX_DOLLARS)]


def _price(description: str) -> float | None:
    price: float | None = Field(default=None, description=description)
    return price


class PricingPatch(StrictModel):
    """Dollars per unit. A price of 0 makes the unit free; one that is left out, or null, stays as the catalogue has it."""

    input_cost_per_token: Price | None = _price("Base rate of prompt tokens.")
    output_cost_per_token: Price | None = _price("Base rate of completion tokens.")
    input_cost_per_token_batches: Price | None = _price("Rate of batch requests.")
    output_cost_per_token_batches: Price | None = _price("Rate of batch requests.")
    input_cost_per_token_priority: Price | None = _price("Rate of the priority service tier.")
    output_cost_per_token_priority: Price | None = _price("Rate of the priority service tier.")
    input_cost_per_token_above_128k_tokens: Price | None = _price("Rate of the whole request above 128,000 tokens.")
    output_cost_per_token_above_128k_tokens: Price | None = _price("Rate of the whole request above 128,000 tokens.")
    input_cost_per_token_above_200k_tokens: Price | None = _price("Rate of the whole request above 200,000 tokens.")
    output_cost_per_token_above_200k_tokens: Price | None = _price("Rate of the whole request above 200,000 tokens.")
    input_cost_per_character: Price | None = _price("Speech input.")

    cache_read_input_token_cost: Price | None = _price("Prompt tokens read from the provider's cache.")
    cache_read_input_token_cost_above_200k_tokens: Price | None = _price("The same above 200,000 tokens.")
    cache_read_input_token_cost_priority: Price | None = _price("The same in the priority service tier.")
    cache_creation_input_token_cost: Price | None = _price("Prompt tokens written to the provider's cache.")
    cache_creation_input_token_cost_above_200k_tokens: Price | None = _price("The same above 200,000 tokens.")
    cache_read_input_image_token_cost: Price | None = _price("Kept and shown; plays no part in costs.")
    cache_creation_input_audio_token_cost: Price | None = _price("Kept and shown; plays no part in costs.")

    input_cost_per_image: Price | None = _price("Per image sent.")
    output_cost_per_image: Price | None = _price("Per image made.")
    input_cost_per_pixel: Price | None = _price("Per pixel sent.")
    output_cost_per_pixel: Price | None = _price("Per pixel made.")
    input_cost_per_image_token: Price | None = _price("Image tokens of the prompt.")
    output_cost_per_image_token: Price | None = _price("Image tokens made.")
    output_cost_per_image_low_quality: Price | None = _price("Per image of low quality.")
    output_cost_per_image_medium_quality: Price | None = _price("Per image of medium quality.")
    output_cost_per_image_high_quality: Price | None = _price("Per image of high quality.")
    output_cost_per_image_auto_quality: Price | None = _price("Per image of auto quality.")
    output_cost_per_image_premium_image: Price | None = _price("Kept and shown; plays no part in costs.")
    output_cost_per_image_above_512_and_512_pixels: Price | None = _price("Per image of at least 512 x 512 pixels.")
    output_cost_per_image_above_1024_and_1024_pixels: Price | None = _price("Per image of at least 1024 x 1024 pixels.")
    output_cost_per_image_above_2048_and_2048_pixels: Price | None = _price("Per image of at least 2048 x 2048 pixels.")
    output_cost_per_image_above_4096_and_4096_pixels: Price | None = _price("Per image of at least 4096 x 4096 pixels.")

    input_cost_per_audio_token: Price | None = _price("Audio tokens of the prompt.")
    output_cost_per_audio_token: Price | None = _price("Audio tokens made.")
    input_cost_per_audio_per_second: Price | None = _price("Audio sent.")
    input_cost_per_second: Price | None = _price("Audio sent, where no audio rate is set.")
    input_cost_per_video_per_second: Price | None = _price("Video sent.")
    output_cost_per_video_per_second: Price | None = _price("Video made.")
    output_cost_per_second: Price | None = _price("Speech made; video made, where no video rate is set.")

    search_context_cost_per_query: Price | None = _price("Per web search.")
    code_interpreter_cost_per_session: Price | None = _price("Per code interpreter session.")

    @property
    def prices(self) -> dict[str, float]:
        """Those that are there, by name."""
        return {name: price for name, price in self if price is not None}
