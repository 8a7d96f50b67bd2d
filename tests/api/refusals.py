"""What every refusal looks like: the standard error body, and nothing of the inside of the service."""

from typing import Any

import httpx


def assert_refused(answer: httpx.Response, status: int, *, param: str | None = None, says: str = "") -> dict[str, Any]:
    """`param` names the member at fault, `says` is part of the sentence; the body is given back."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, Any] = answer.json()
    assert body.keys() == {"is_bifrost_error", "status_code", "error", "extra_fields"}
    assert (body["is_bifrost_error"], body["status_code"], body["extra_fields"]) == (False, status, {})
    error = body["error"]
    assert error.keys() <= {"message", "param"}
    assert error["message"]
    assert "Traceback" not in answer.text
    if param is not None:
        assert error.get("param") == param, answer.text
    assert says.lower() in error["message"].lower()
    if status == 503:
        assert int(answer.headers["retry-after"]) > 0
    return body
