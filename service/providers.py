"""Names of the providers that exist: those every gateway of this kind speaks to, and the operator's own."""

from collections.abc import Iterable

BUILT_IN = frozenset(
    {"openai", "azure", "anthropic", "bedrock", "cohere", "vertex", "vllm", "mistral", "ollama", "groq", "sgl", "parasail"}
    | {"perplexity", "replicate", "cerebras", "deepseek", "gemini", "openrouter", "elevenlabs", "huggingface", "nebius"}
    | {"xai", "runway", "fireworks", "deepgram"}
    | {"bedrock_mantle", "runware", "sarvam", "wafer", "zro", "databricks", "opencode-go", "opencode-zen"}
)


def known_providers(extra: Iterable[str]) -> frozenset[str]:
    """`extra`: names the operator adds. Names are told apart by case."""
    return BUILT_IN.union(extra)
