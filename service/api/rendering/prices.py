"""Prices, costs and their working, in dollars."""

from fractions import Fraction
from typing import Any

from service.models.limits import LARGEST_COUNT
from service.pricing.catalog import Listed
from service.pricing.cost import Line
from service.pricing.rates import DOLLAR, dollars


def cost_line_body(line: Line) -> dict[str, Any]:
    is_exact = isinstance(line.quantity, int) and line.quantity <= LARGEST_COUNT
    return {
        "unit": line.unit,
        "quantity": line.quantity if is_exact else float(line.quantity),
        "price": None if line.price is None else dollars(line.price),
        "amount": float(Fraction(line.amount) / DOLLAR),
    }


def priced_model_body(row: Listed, now_ms: int) -> dict[str, Any]:
    return {"provider": row.provider, "model": row.model, "source": row.source, "prices": row.rates(now_ms).in_dollars()}
