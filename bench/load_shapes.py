"""How many users there are when, as `--shape` of bench/locustfile.py says."""

from typing import Any, Final

from locust import LoadTestShape


class Shape(LoadTestShape):
    """Abstract for Locust, which would otherwise follow a shape without being asked."""

    abstract = True
    use_common_options = True

    @property
    def peak(self) -> int:
        return int(self._option("num_users") or 20)

    @property
    def seconds(self) -> float:
        return float(self._option("run_time") or 120)

    def _option(self, name: str) -> Any:
        return getattr(self.runner.environment.parsed_options, name, None) if self.runner else None

    def users(self, share: float) -> int:
        """How many there should be when this share of the time has passed."""
        raise NotImplementedError

    def tick(self) -> tuple[int, float] | None:
        share = self.get_run_time() / self.seconds  # type: ignore[no-untyped-call]
        return (max(1, self.users(share)), float(self.peak)) if share < 1 else None


class Ramp(Shape):
    """From one user to all of them, in ten steps."""

    abstract = True

    def users(self, share: float) -> int:
        return round(self.peak * (int(share * 10) + 1) / 10)


class Spike(Shape):
    """A tenth of the users; all of them, at once, in the fifth of the time in the middle."""

    abstract = True

    def users(self, share: float) -> int:
        return self.peak if 0.4 <= share < 0.6 else self.peak // 10


class Soak(Shape):
    """All users, after a tenth of the time in which they come."""

    abstract = True

    def users(self, share: float) -> int:
        return round(self.peak * min(1.0, share * 10))


SHAPES: Final[dict[str, type[Shape]]] = {"ramp": Ramp, "spike": Spike, "soak": Soak}
