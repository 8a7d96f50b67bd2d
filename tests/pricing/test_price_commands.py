"""`quotad prices` as a user meets it: in a process of its own."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from redis import Redis

from service.store import keys
from tests.serving import environment_with, quotad

SHEET = Path(__file__).with_name("sheet.json")
GOOD = {"litellm_provider": "mine", "input_cost_per_token": 1e-6}


def run(*arguments: str, cwd: Path, redis_url: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        quotad("prices", *arguments),
        cwd=cwd,
        env=environment_with(QUOTAD_REDIS_URL=redis_url),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_import_and_clear(tmp_path: Path, redis: Redis, redis_url: str):
    shown = redis_url.partition("?")[0]
    result = run("import", str(SHEET), cwd=tmp_path, redis_url=redis_url)
    assert (result.returncode, result.stderr) == (0, "")
    version = int(redis.hget(keys.versions(), "pricing") or 0)
    assert result.stdout.splitlines() == [
        f"Reading {SHEET}, {SHEET.stat().st_size:,} bytes.",
        f"Redis: {shown}.",
        "Imported the prices of 12 models of 9 providers.",
        "Without a price: 2.",
        "Not used, because requests are not counted in them: output_cost_per_reasoning_token (1), ocr_cost_per_page (1).",
        f"They are version {version} of all prices: every worker goes by them from its next decision on.",
    ]
    assert redis.hget(keys.price_sheet(), "name") == "sheet.json"
    result = run("clear", cwd=tmp_path, redis_url=redis_url)
    assert (result.returncode, result.stdout) == (
        0,
        f"Redis: {shown}.\nImported prices are gone; those that come with the service remain.\n",
    )
    assert not redis.exists(keys.price_sheet())


def test_a_file_whose_name_is_no_text(tmp_path: Path, redis: Redis, redis_url: str):
    name = os.fsdecode(b"lat-\xe9.json")
    (tmp_path / name).write_bytes(SHEET.read_bytes())
    result = run("import", name, cwd=tmp_path, redis_url=redis_url)
    assert (result.returncode, result.stderr) == (0, "")
    assert redis.hget(keys.price_sheet(), "name") == "lat-\N{REPLACEMENT CHARACTER}.json"


@pytest.mark.parametrize(
    "text, status, complaint",
    [
        (None, 2, "quotad: Cannot read prices.json: No such file or directory.\n"),
        ("{", 1, "quotad: prices.json: it is not JSON: "),
        ("[]", 1, "quotad: prices.json: it must be a JSON object of models\n"),
        ("{}", 1, "quotad: prices.json: it holds no price\n"),
        (
            json.dumps({"good": GOOD, "bad": {**GOOD, "input_cost_per_token": "free"}}),
            1,
            "quotad: prices.json: 1 entry cannot be used, so nothing was imported:\n"
            "  bad: input_cost_per_token must be a number\n",
        ),
    ],
)
def test_what_cannot_be_imported(tmp_path: Path, redis: Redis, redis_url: str, text: str | None, status: int, complaint: str):
    if text is not None:
        (tmp_path / "prices.json").write_text(text)
    result = run("import", "prices.json", cwd=tmp_path, redis_url=redis_url)
    assert (result.returncode, result.stderr[: len(complaint)]) == (status, complaint)
    assert not redis.exists(keys.price_sheet(), keys.versions())


def test_what_cannot_be_used_may_be_left_out(tmp_path: Path, redis: Redis, redis_url: str):
    (tmp_path / "prices.json").write_text(json.dumps({"good": GOOD, "bad": {**GOOD, "input_cost_per_token": -1}}))
    result = run("import", "--skip-invalid", "prices.json", cwd=tmp_path, redis_url=redis_url)
    assert result.returncode == 0
    assert "  bad: input_cost_per_token must be between 0 and 9000000" in result.stdout.splitlines()
    assert redis.exists(keys.price_sheet())
