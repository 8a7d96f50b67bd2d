"""Every operation of the API as plain data, one table per resource: what the OpenAPI document is built from."""
