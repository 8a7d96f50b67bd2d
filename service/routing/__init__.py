"""Routing rules at work: conditions written in CEL."""
