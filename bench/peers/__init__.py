"""What others would use instead of quotad, each behind the same small HTTP service, counting the same five limits."""
