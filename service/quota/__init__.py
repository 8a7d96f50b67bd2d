"""Rules of a decision: which limits apply to a request, and the calls of its life, one file a verb."""
