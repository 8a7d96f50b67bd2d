"""The examples run as they say."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.ports import reserved_port
from tests.serving import ROOT, serve


@contextlib.contextmanager
def toy_gateway(quotad_url: str) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(reserved_port())
        environment = os.environ | {"QUOTA": f"{quotad_url}/api/governance/quota", "PORT": str(port)}
        command = [sys.executable, str(ROOT / "examples" / "toy_gateway.py")]
        process = stack.enter_context(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
        try:
            for _ in range(500):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.mark.slow
def test_the_toy_gateway(tmp_path: Path):
    with serve("--demo", cwd=tmp_path) as served, toy_gateway(served.url) as gateway:
        found = re.search(r"Demo key: (\S+)", served.said)
        assert found is not None
        key = {"x-bf-vk": found[1]}
        response = httpx.post(gateway, content="Tell me", headers=key, timeout=10)
        assert (response.status_code, response.text) == (200, "A model would answer 'Tell me' at greater length. ")
        quota = served.get("/api/governance/virtual-keys/quota", key).json()
        assert quota["rate_limit"]["request_current_usage"] == 1
        assert (quota["rate_limit"]["token_current_usage"], quota["rate_limit"]["token_reserved"]) == (2 + 9, 0)
        assert quota["budgets"][0]["current_usage"] > 0

        response = httpx.post(gateway, content="Tell me", headers={"x-bf-vk": "sk-bf-unknown"}, timeout=10)
        assert (response.status_code, response.json()["message"]) == (401, "Virtual key not found")
