"""Types of requests that something may have a price for; `_stream` may follow each."""

from typing import Literal

PricedRequestType = Literal[
    "chat_completion",
    "text_completion",
    "responses",
    "embedding",
    "rerank",
    "speech",
    "transcription",
    "image_generation",
    "image_variation",
    "image_edit",
    "video_generation",
    "video_remix",
]
DEFAULT_REQUEST_TYPE = "chat_completion"
