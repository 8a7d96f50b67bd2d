"""Values that many tests send and expect."""

import re
from typing import Final

from service.api.rendering.times import timestamp
from tests.api.conftest import NOW_MS

NOW: Final = timestamp(NOW_MS)
RECORD: Final = {"config_hash": "", "created_at": NOW, "updated_at": NOW}
"""Of what was made while the clock was stopped."""

UUID_4: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
UNKNOWN: Final = "00000000-0000-4000-8000-000000000000"
"""An id that nothing has."""

NAMES: Final = (
    " spaces around ",
    "Ünïcode 🔑 名前",
    "sk-bf-name",
    "a/b%2Fc?d#e",
    '"quotes" \\ and\nlines',
    "\u200b",
    "x" * 255,
)
"""Unusual ones that are accepted."""
