"""What requests cost, worked by hand: every request type, tier, cache, unit and way of rounding.

Costs are in nano-dollars: a token at $0.000002 is 2_000 of them.
"""

from fractions import Fraction
from typing import Any, get_args

import pytest

from service.models.prices import PricingPatch
from service.models.request_types import PricedRequestType
from service.pricing.cost import LARGEST_NANOUSD, cost_nanousd
from service.pricing.rates import Unit, rates_of
from service.pricing.usage import Usage

# A chat model with everything, all rates different.
CHAT = {
    "input_cost_per_token": 2e-6,
    "output_cost_per_token": 8e-6,
    "input_cost_per_token_batches": 1e-6,
    "output_cost_per_token_batches": 4e-6,
    "input_cost_per_token_priority": 3e-6,
    "output_cost_per_token_priority": 12e-6,
    "input_cost_per_token_above_128k_tokens": 4e-6,
    "output_cost_per_token_above_128k_tokens": 16e-6,
    "input_cost_per_token_above_200k_tokens": 5e-6,
    "output_cost_per_token_above_200k_tokens": 20e-6,
    "cache_read_input_token_cost": 5e-7,
    "cache_read_input_token_cost_priority": 6e-7,
    "cache_read_input_token_cost_above_200k_tokens": 7e-7,
    "cache_creation_input_token_cost": 25e-7,
    "cache_creation_input_token_cost_above_200k_tokens": 35e-7,
    "search_context_cost_per_query": 0.01,
    "code_interpreter_cost_per_session": 0.03,
}
# The same model without any of the special rates.
PLAIN = {"input_cost_per_token": 2e-6, "output_cost_per_token": 8e-6}
ONLY_128K = {**PLAIN, "input_cost_per_token_above_128k_tokens": 4e-6, "output_cost_per_token_above_128k_tokens": 16e-6}
# A threshold that catalogues have and the published names do not.
WITH_272K = {**ONLY_128K, "input_cost_per_token_above_272k_tokens": 6e-6, "cache_read_input_token_cost_above_272k_tokens": 3e-7}

EMBEDDING = {"input_cost_per_token": 2e-8}
RERANK = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6, "search_context_cost_per_query": 0.002}
SPEECH = {
    "input_cost_per_character": 15e-6,
    "input_cost_per_token": 6e-7,
    "output_cost_per_audio_token": 12e-6,
    "output_cost_per_token": 9e-6,
    "output_cost_per_second": 0.00025,
}
TRANSCRIPTION = {
    "input_cost_per_audio_token": 6e-6,
    "input_cost_per_token": 25e-7,
    "output_cost_per_token": 1e-5,
    "input_cost_per_audio_per_second": 0.0001,
    "input_cost_per_second": 0.0002,
}
IMAGE = {
    "input_cost_per_token": 5e-6,
    "input_cost_per_image_token": 8e-6,
    "output_cost_per_token": 1e-5,
    "output_cost_per_image_token": 32e-6,
    "output_cost_per_image": 0.02,
    "output_cost_per_image_low_quality": 0.011,
    "output_cost_per_image_medium_quality": 0.042,
    "output_cost_per_image_high_quality": 0.167,
    "output_cost_per_image_auto_quality": 0.05,
}
BY_SIZE = {
    "output_cost_per_image": 0.01,
    "output_cost_per_image_above_512_and_512_pixels": 0.02,
    "output_cost_per_image_above_1024_and_1024_pixels": 0.04,
    "output_cost_per_image_above_2048_and_2048_pixels": 0.08,
    "output_cost_per_image_above_4096_and_4096_pixels": 0.16,
}
PER_IMAGE = {"input_cost_per_image": 1.0, "output_cost_per_image": 1.0}
BY_PIXEL = {"input_cost_per_pixel": 2e-8, "output_cost_per_pixel": 5e-8, **PER_IMAGE}
VIDEO = {
    "input_cost_per_token": 1e-6,
    "output_cost_per_token": 4e-6,
    "input_cost_per_video_per_second": 0.002,
    "output_cost_per_video_per_second": 0.1,
    "output_cost_per_second": 0.3,
}


def but(prices: dict[str, float], *left_out: str, **others: float) -> dict[str, float]:
    return {unit: price for unit, price in {**prices, **others}.items() if unit not in left_out}


def text(input_tokens: int, output_tokens: int, **others: Any) -> Usage:
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens, **others)


SQUARE = 1024 * 1024

WORKED = [
    # --- text: what is asked and what is answered
    ("chat_completion", PLAIN, text(1_000, 500), 1_000 * 2_000 + 500 * 8_000),
    ("text_completion", PLAIN, text(1_000, 500), 1_000 * 2_000 + 500 * 8_000),
    ("responses", PLAIN, text(1_000, 500), 1_000 * 2_000 + 500 * 8_000),
    ("chat_completion_stream", PLAIN, text(1_000, 500), 1_000 * 2_000 + 500 * 8_000),  # as without streaming
    ("chat_completion", PLAIN, text(0, 0), 0),  # nothing used
    ("chat_completion", PLAIN, text(0, 7), 7 * 8_000),
    ("chat_completion", {}, text(1_000, 500), 0),  # no price counts as 0
    ("chat_completion", {"output_cost_per_token": 8e-6}, text(1_000, 500), 500 * 8_000),  # only the answer has a price
    ("chat_completion", {**PLAIN, "input_cost_per_token": 0.0}, text(1_000, 500), 500 * 8_000),  # asking is free
    # --- caches; the published example first
    ("chat_completion", CHAT, text(1_000, 500, cached_input_tokens=400), 600 * 2_000 + 400 * 500 + 500 * 8_000),
    ("responses", CHAT, text(1_000, 0, cache_creation_input_tokens=300), 700 * 2_000 + 300 * 2_500),
    # read and written: what is left over is neither
    (
        "chat_completion", CHAT, text(1_000, 10, cached_input_tokens=600, cache_creation_input_tokens=300),
        100 * 2_000 + 600 * 500 + 300 * 2_500 + 10 * 8_000,
    ),
    ("chat_completion", CHAT, text(1_000, 0, cached_input_tokens=5_000), 1_000 * 500),  # clamped to the prompt
    # clamped to what the cache did not hold
    (
        "chat_completion", CHAT, text(1_000, 0, cached_input_tokens=800, cache_creation_input_tokens=900),
        800 * 500 + 200 * 2_500,
    ),
    ("chat_completion", CHAT, text(0, 5, cached_input_tokens=100), 5 * 8_000),  # a part of nothing
    ("chat_completion", PLAIN, text(1_000, 0, cached_input_tokens=400), 600 * 2_000 + 400 * 2_000),  # no cache rate: as prompt
    ("chat_completion", PLAIN, text(1_000, 0, cache_creation_input_tokens=400), 600 * 2_000 + 400 * 2_000),
    ("chat_completion", but(CHAT, cache_read_input_token_cost=0.0), text(1_000, 0, cached_input_tokens=400), 600 * 2_000),
    # --- long requests: one rate for all tokens, strictly above, by the total
    ("chat_completion", CHAT, text(120_000, 8_000), 120_000 * 2_000 + 8_000 * 8_000),  # 128,000 in all: base
    ("chat_completion", CHAT, text(120_000, 8_001), 120_000 * 4_000 + 8_001 * 16_000),  # one more: another rate for everything
    ("chat_completion", CHAT, text(200_000, 0), 200_000 * 4_000),  # exactly 200,000
    ("chat_completion", CHAT, text(200_000, 1), 200_000 * 5_000 + 1 * 20_000),
    ("chat_completion", ONLY_128K, text(200_000, 1), 200_000 * 4_000 + 1 * 16_000),  # no rate above 200k: that of 128k
    ("chat_completion", PLAIN, text(500_000, 1), 500_000 * 2_000 + 1 * 8_000),  # none at all: the base
    # only the prompt has a long rate
    (
        "chat_completion", but(PLAIN, input_cost_per_token_above_200k_tokens=5e-6), text(250_000, 10),
        250_000 * 5_000 + 10 * 8_000,
    ),
    # above 200k the caches have rates of their own, above 128k they do not
    (
        "chat_completion", CHAT, text(210_000, 0, cached_input_tokens=200_000, cache_creation_input_tokens=4_000),
        6_000 * 5_000 + 200_000 * 700 + 4_000 * 3_500,
    ),
    ("chat_completion", CHAT, text(150_000, 0, cached_input_tokens=100_000), 50_000 * 4_000 + 100_000 * 500),
    # no cache rate: the rate of the prompt, long as it is
    ("chat_completion", ONLY_128K, text(150_000, 0, cached_input_tokens=100_000), 150_000 * 4_000),
    # thresholds that only catalogues know
    ("chat_completion", WITH_272K, text(272_000, 0), 272_000 * 4_000),
    ("chat_completion", WITH_272K, text(272_000, 1), 272_000 * 6_000 + 1 * 16_000),
    ("chat_completion", WITH_272K, text(273_000, 0, cached_input_tokens=100_000), 173_000 * 6_000 + 100_000 * 300),
    # --- priority and batch
    ("chat_completion", CHAT, text(1_000, 500, is_priority=True), 1_000 * 3_000 + 500 * 12_000),
    ("chat_completion", PLAIN, text(1_000, 500, is_priority=True), 1_000 * 2_000 + 500 * 8_000),  # no priority rate
    ("chat_completion", CHAT, text(1_000, 0, is_priority=True, cached_input_tokens=400), 600 * 3_000 + 400 * 600),
    ("chat_completion", CHAT, text(1_000, 0, is_priority=True, cache_creation_input_tokens=400), 600 * 3_000 + 400 * 2_500),
    ("chat_completion", CHAT, text(130_000, 1, is_priority=True), 130_000 * 4_000 + 16_000),  # long beats priority
    ("chat_completion", CHAT, text(210_000, 0, is_priority=True, cached_input_tokens=10_000), 200_000 * 5_000 + 10_000 * 700),
    ("chat_completion", CHAT, text(1_000, 500, is_batch=True), 1_000 * 1_000 + 500 * 4_000),
    ("chat_completion", PLAIN, text(1_000, 500, is_batch=True), 1_000 * 2_000 + 500 * 8_000),  # no batch rate
    ("chat_completion", CHAT, text(210_000, 0, is_batch=True), 210_000 * 1_000),  # a batch stays a batch however long
    ("chat_completion", ONLY_128K, text(130_000, 0, is_batch=True), 130_000 * 4_000),
    ("chat_completion", CHAT, text(1_000, 0, is_batch=True, cached_input_tokens=400), 600 * 1_000 + 400 * 500),
    ("chat_completion", CHAT, text(1_000, 500, is_batch=True, is_priority=True), 1_000 * 1_000 + 500 * 4_000),
    # --- searches and sessions
    ("chat_completion", CHAT, text(1_000, 500, searches=3), 1_000 * 2_000 + 500 * 8_000 + 3 * 10_000_000),
    ("chat_completion", PLAIN, text(1_000, 500, searches=3), 1_000 * 2_000 + 500 * 8_000),  # searching has no price
    ("responses", CHAT, text(100, 0, sessions=2), 100 * 2_000 + 2 * 30_000_000),
    # --- what text is not charged by
    ("chat_completion", {**PLAIN, "input_cost_per_audio_token": 1.0}, text(100, 0, input_audio_tokens=60), 100 * 2_000),
    ("chat_completion", {**PLAIN, **PER_IMAGE}, text(100, 0, images=5), 100 * 2_000),
    ("chat_completion", {**PLAIN, "cache_read_input_image_token_cost": 1.0}, text(100, 0, cached_input_tokens=50), 100 * 2_000),
    # --- embeddings
    ("embedding", EMBEDDING, text(1_000, 0), 1_000 * 20),
    ("embedding", {**EMBEDDING, "output_cost_per_token": 1.0}, text(1_000, 9), 1_000 * 20),  # the answer costs nothing
    ("embedding", {**EMBEDDING, "input_cost_per_token_batches": 1e-8}, text(1_000, 0, is_batch=True), 1_000 * 10),
    # --- rerank
    ("rerank", RERANK, text(500, 20, searches=2), 500 * 1_000 + 20 * 2_000 + 2 * 2_000_000),
    ("rerank", {"search_context_cost_per_query": 0.002}, text(500, 20, searches=1), 2_000_000),
    # --- speech
    ("speech", SPEECH, Usage(characters=100, output_tokens=50), 100 * 15_000 + 50 * 12_000),
    ("speech", SPEECH, Usage(characters=100, input_tokens=40), 100 * 15_000),  # characters, when they are known
    ("speech", but(SPEECH, "input_cost_per_character"), Usage(characters=100), 100 * 600),  # at the rate of tokens
    ("speech", SPEECH, Usage(input_tokens=40), 40 * 600),
    ("speech", but(SPEECH, "output_cost_per_audio_token"), Usage(output_tokens=50), 50 * 9_000),
    ("speech", SPEECH, Usage(seconds=12), 12 * 250_000),  # no tokens: by the second
    ("speech", SPEECH, Usage(output_tokens=50, seconds=12), 50 * 12_000),  # tokens before seconds
    ("speech", {"output_cost_per_second": 0.00025}, Usage(output_tokens=50, seconds=12), 12 * 250_000),  # no rate of tokens
    ("speech", SPEECH, Usage(seconds=Fraction("1.5")), 375_000),  # 1.5 x 250,000
    ("speech_stream", SPEECH, Usage(characters=100), 100 * 15_000),
    # --- transcription
    (
        "transcription", TRANSCRIPTION, text(100, 20, input_audio_tokens=90),
        90 * 6_000 + 10 * 2_500 + 20 * 10_000,
    ),
    ("transcription", but(TRANSCRIPTION, "input_cost_per_audio_token"), text(100, 0, input_audio_tokens=90), 100 * 2_500),
    ("transcription", TRANSCRIPTION, text(100, 20), 100 * 2_500 + 20 * 10_000),  # not said what is audio
    ("transcription", TRANSCRIPTION, text(100, 0, input_audio_tokens=500), 100 * 6_000),  # clamped
    ("transcription", TRANSCRIPTION, Usage(seconds=30, output_tokens=20), 30 * 100_000 + 20 * 10_000),
    ("transcription", but(TRANSCRIPTION, "input_cost_per_audio_per_second"), Usage(seconds=30), 30 * 200_000),
    ("transcription", {"input_cost_per_second": 0.0001}, text(100, 0, seconds=30), 30 * 100_000),  # tokens have no price
    # --- images: by tokens
    (
        "image_generation", IMAGE, text(60, 1_000, input_image_tokens=20, output_image_tokens=900),
        40 * 5_000 + 20 * 8_000 + 100 * 10_000 + 900 * 32_000,
    ),
    ("image_generation", IMAGE, text(60, 1_000), 60 * 5_000 + 1_000 * 32_000),  # an image is made of image tokens
    ("image_generation", IMAGE, text(60, 1_000, output_image_tokens=0), 60 * 5_000 + 1_000 * 10_000),  # unless it is said
    ("image_edit", but(IMAGE, "input_cost_per_image_token"), text(60, 0, input_image_tokens=20, images=0), 60 * 5_000),
    ("image_edit", but(IMAGE, "output_cost_per_image_token"), text(0, 1_000), 1_000 * 10_000),
    # by quality
    ("image_generation", IMAGE, Usage(quality="low"), 11_000_000),  # one image unless it is said
    ("image_generation", IMAGE, Usage(images=3, quality="medium"), 3 * 42_000_000),
    ("image_generation", IMAGE, Usage(images=2, quality="HIGH"), 2 * 167_000_000),
    ("image_generation", IMAGE, Usage(images=2), 2 * 50_000_000),  # blank is auto
    ("image_generation", IMAGE, Usage(quality="auto"), 50_000_000),
    ("image_generation", IMAGE, Usage(quality="hd"), 20_000_000),  # a quality without a price: the flat one
    ("image_variation", but(IMAGE, "output_cost_per_image_high_quality"), Usage(quality="high"), 20_000_000),
    ("image_generation", IMAGE, Usage(images=0), 0),
    # by size, the largest threshold that is reached
    ("image_generation", BY_SIZE, Usage(pixels=256 * 256), 10_000_000),
    ("image_generation", BY_SIZE, Usage(pixels=512 * 512), 20_000_000),
    ("image_generation", BY_SIZE, Usage(pixels=1024 * 1024 - 1), 20_000_000),
    ("image_generation", BY_SIZE, Usage(pixels=1792 * 1024, images=2), 2 * 40_000_000),
    ("image_generation", BY_SIZE, Usage(pixels=2048 * 2048), 80_000_000),
    ("image_generation", BY_SIZE, Usage(pixels=8192 * 4096), 160_000_000),
    ("image_generation", BY_SIZE, Usage(), 10_000_000),  # no size
    (
        "image_generation", but(BY_SIZE, "output_cost_per_image_above_4096_and_4096_pixels"), Usage(pixels=4096 * 4096),
        80_000_000,  # that size has no price, the one below has
    ),
    ("image_generation", {**BY_SIZE, **IMAGE}, Usage(pixels=SQUARE, quality="low"), 11_000_000),  # quality before size
    # by pixels, before a flat price; as many images in as are made unless it is said
    ("image_generation", BY_PIXEL, Usage(pixels=SQUARE, images=2), SQUARE * 2 * 20 + SQUARE * 2 * 50),
    ("image_edit", BY_PIXEL, Usage(pixels=SQUARE, images=1, input_images=3), SQUARE * 3 * 20 + SQUARE * 1 * 50),
    ("image_generation", BY_PIXEL, Usage(images=2), 2 * 1_000_000_000 + 2 * 1_000_000_000),
    ("image_variation", {"input_cost_per_image": 0.02}, Usage(images=2), 2 * 20_000_000),
    ("image_edit", {"input_cost_per_image": 0.02, "output_cost_per_image": 0.04}, Usage(input_images=0), 40_000_000),
    ("image_generation", {"output_cost_per_image": 0.04}, text(50, 1_056), 40_000_000),  # tokens have no price, images have
    ("image_generation", {"output_cost_per_image_premium_image": 1.0}, Usage(), 0),  # stored, not used
    # --- video
    ("video_generation", VIDEO, text(100, 50), 100 * 1_000 + 50 * 4_000),
    ("video_generation", VIDEO, Usage(seconds=8), 8 * 100_000_000),
    ("video_remix", VIDEO, Usage(seconds=8, input_seconds=5), 5 * 2_000_000 + 8 * 100_000_000),
    ("video_generation", but(VIDEO, "output_cost_per_video_per_second"), Usage(seconds=8), 8 * 300_000_000),
    ("video_generation", VIDEO, text(100, 0, seconds=8), 100 * 1_000 + 8 * 100_000_000),  # each side by itself
    # --- rounding: once for the request, half to even
    ("chat_completion", {"input_cost_per_token": 1e-10}, text(5, 0), 0),  # 0.5
    ("chat_completion", {"input_cost_per_token": 1e-10}, text(15, 0), 2),  # 1.5
    ("chat_completion", {"input_cost_per_token": 1e-10}, text(25, 0), 2),  # 2.5
    ("chat_completion", {"input_cost_per_token": 1e-10}, text(26, 0), 3),  # 2.6
    ("chat_completion", {"input_cost_per_token": 4e-10, "output_cost_per_token": 4e-10}, text(1, 1), 1),  # 0.4 + 0.4
    ("embedding", {"input_cost_per_token": 1e-10}, text(1_000_000_000, 0), 100_000_000),  # a tenth each, exact
    ("speech", {"output_cost_per_second": 1e-9}, Usage(seconds=Fraction(5, 2)), 2),  # 2.5
    ("speech", {"output_cost_per_second": 1e-9}, Usage(seconds=Fraction(7, 2)), 4),  # 3.5
    ("chat_completion", {"input_cost_per_token": 0.1 + 0.2}, text(1, 0), 300_000_000),  # 0.30000000000000004
    # --- the most that one request is charged
    ("chat_completion", {"input_cost_per_token": 9_000_000.0}, text(2, 0), 9_000_000 * 1_000_000_000),
    # --- a type that nobody has a rule for
    ("moderation", PLAIN, text(1_000, 500), 0),
]  # fmt: skip


@pytest.mark.parametrize("request_type, prices, usage, nanousd", WORKED)
def test_worked_cost(request_type: str, prices: dict[str, float], usage: Usage, nanousd: int):
    assert cost_nanousd(rates_of(prices), usage, request_type) == nanousd


def test_every_request_type_and_unit_is_worked():
    assert {row[0] for row in WORKED} >= set(get_args(PricedRequestType))
    unused = {"cache_creation_input_audio_token_cost"}
    assert {unit for row in WORKED for unit in row[1]} >= set(get_args(Unit)) - unused
    assert max(row[3] for row in WORKED) == LARGEST_NANOUSD


def test_units_are_those_that_overrides_can_have():
    assert get_args(Unit) == tuple(PricingPatch.model_fields)
    assert len(get_args(Unit)) == 42
