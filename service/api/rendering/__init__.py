"""Stored entities as the published bodies show them: pure functions of an entity, its counters and the time."""
