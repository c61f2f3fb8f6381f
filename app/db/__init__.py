"""Storage: one transaction interface over SQLite and PostgreSQL, and what every table shares."""
