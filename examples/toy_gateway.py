"""A toy gateway: asks quotad before it asks the model, streams the answer, settles what was used.

make serve                       # prints a demo key
python3 examples/toy_gateway.py  # serves on port 9000
curl -N -H 'x-bf-vk: <demo key>' http://127.0.0.1:9000 -d 'Tell me something about quotas'
"""

import json
import os
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

QUOTA = os.environ.get("QUOTA", "http://127.0.0.1:8080/api/governance/quota")
TOKEN = {"x-quota-token": os.environ.get("QUOTAD_GATEWAY_TOKEN", "")}


def ask(call: str, **body: Any) -> tuple[int, dict[str, Any]]:
    """Every call may be repeated with the same id: a real gateway would do so when it times out or is answered 503."""
    try:
        with urlopen(Request(f"{QUOTA}/{call}", json.dumps(body).encode(), TOKEN), timeout=5) as answer:
            return answer.status, json.load(answer)
    except HTTPError as refusal:
        return refusal.code, json.load(refusal)


def model(prompt: str) -> Iterator[str]:
    """Stands for a provider."""
    for word in f"A model would answer '{prompt}' at greater length.".split():
        time.sleep(0.05)
        yield word + " "


class Gateway(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        prompt = self.rfile.read(int(self.headers["content-length"])).decode()
        key, request_id, words = self.headers.get("x-bf-vk"), str(uuid.uuid4()), len(prompt.split())
        asked = {"virtual_key": key, "model": "openai/gpt-4o", "input_tokens": words, "max_output_tokens": 500}
        status, answer = ask("reserve", request_id=request_id, **asked)
        self.send_response(status)
        if "retry_after" in answer:
            self.send_header("Retry-After", str(answer["retry_after"]))
        self.end_headers()
        if status != 200:
            self.wfile.write(json.dumps(answer["error"]).encode())
            return
        used = 0
        try:
            for word in model(prompt):
                used += 1
                self.wfile.write(word.encode())
        except ConnectionError:
            pass  # the client hung up, and has used what it got
        finally:
            ask("settle", reservation_id=request_id, input_tokens=words, output_tokens=used)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Gateway).serve_forever()
