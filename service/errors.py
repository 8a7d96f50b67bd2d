"""Every failure a client can see: its HTTP status, its type and the headers that go with it.

A refused request (over budget, over limit) is a value, not an exception; see quota/.
"""


class ServiceError(Exception):
    """Rendered as the standard error body by api/answers.py; `param` is the member at fault."""

    status = 500

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param

    @property
    def headers(self) -> dict[str, str]:
        return {}


class InvalidRequest(ServiceError):
    """The request itself is wrong; `param` names the member, e.g. `budgets[0].max_limit`."""

    status = 400


class Unauthorized(ServiceError):
    """No credential, or one that is not known."""

    status = 401

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class Forbidden(ServiceError):
    """A known credential that may not do this."""

    status = 403


class NotFound(ServiceError):
    status = 404


class Conflict(ServiceError):
    """Taken by another entity, or changed by another admin meanwhile."""

    status = 409


class PayloadTooLarge(ServiceError):
    status = 413


class _NotNow(ServiceError):
    """The same call may be answered a second later."""

    status = 503

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": "1"}


class KeepsChanging(_NotNow):
    """An admin, or several, changed what a decision goes by before each attempt at it. Nothing was decided."""

    def __init__(self) -> None:
        super().__init__("the configuration keeps changing; try again")


class StoreUnavailable(_NotNow):
    """Redis did not answer, or refused to work. Whether a write was applied is not known. `reason` is for the log alone."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message
