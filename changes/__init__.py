"""Change records and their workflow: models, pages, API and admin. Knows nothing about the exchange with partners."""
