"""How full the limits of a provider and model are, in percent, as conditions of routing rules see it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from service.entities import Counter
from service.reservation import PROVIDER_SCOPES, LimitKind, Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Percent of the fullest limit of each kind, under the names of the variables; 0 without a limit, may exceed 100."""

    tokens_used: float = 0.0
    request: float = 0.0
    budget_used: float = 0.0

    @property
    def variables(self) -> dict[str, float]:
        return {"tokens_used": self.tokens_used, "request": self.request, "budget_used": self.budget_used}


NO_USAGE: Final = Usage()

USAGE_VARIABLES: Final = frozenset(NO_USAGE.variables)


def watches_usage(plan: Plan) -> bool:
    """Whether any limit of the plan plays a part in its usage."""
    return any(_plays_a_part(plan, place) for place in range(len(plan.limits)))


def usage_of(plan: Plan, states: Iterable[Counter]) -> Usage:
    """Of provider governance, global model configs and the key's provider config."""
    fullest = dict.fromkeys(LimitKind, 0.0)
    for place, (planned, state) in enumerate(zip(plan.limits, states, strict=True)):
        if planned.limit is not None and _plays_a_part(plan, place):
            fullest[planned.kind] = max(fullest[planned.kind], state.usage * 100 / planned.limit)
    return Usage(
        tokens_used=fullest[LimitKind.TOKENS], request=fullest[LimitKind.REQUESTS], budget_used=fullest[LimitKind.BUDGET]
    )


def _plays_a_part(plan: Plan, place: int) -> bool:
    planned = plan.limits[place]
    if planned.limit is None or planned.scope not in PROVIDER_SCOPES:
        return False
    # Model configs of a key come after the gate.
    return planned.scope != "model_config" or place < plan.gate
