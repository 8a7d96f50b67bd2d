"""The package cel without its command line, which brings a toolkit for terminals: a seventh of the time to import quotad."""

import sys
from types import ModuleType

sys.modules["cel.cli"] = ModuleType("cel.cli")
import cel  # noqa: E402

# Whoever wants the command line can have it from now on.
del sys.modules["cel.cli"]

__all__ = ["cel"]
