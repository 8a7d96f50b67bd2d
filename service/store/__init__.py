"""All that touches Redis."""
