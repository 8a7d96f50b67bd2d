"""quotad: virtual keys, budgets, rate limits, routing rules and prices for LLM gateways, kept in Redis."""

__version__ = "0.1.0"
