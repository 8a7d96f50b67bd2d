"""What an admin does: read, apply the rules of governance/, commit whole. Knows the store, not HTTP."""
