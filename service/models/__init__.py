"""The wire contract: what a request may contain and what a response looks like, one file per resource."""
