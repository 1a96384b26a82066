"""Documents as tests run them: programs in the docs, the OpenAPI document."""
