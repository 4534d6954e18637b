"""The description of the API: OpenAPI, and the pages that show it."""
