"""A request as conditions see it."""

from collections.abc import Mapping

REQUEST: Mapping[str, object] = {
    "model": "gpt-4o",
    "provider": "openai",
    "request_type": "chat_completion",
    "headers": {"x-tier": "gold", "x-count": "7", "user-agent": "curl/8 (Linux)"},
    "params": {"region": "eu"},
    "virtual_key_id": "vk-1",
    "virtual_key_name": "prod",
    "team_id": "team-1",
    "team_name": "Équipe",
    "customer_id": "customer-1",
    "customer_name": "acme",
    "tokens_used": 81.0,
    "request": 5.0,
    "budget_used": 90.5,
}
