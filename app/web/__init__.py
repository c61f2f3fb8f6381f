"""The HTTP doors: deliveries, the API, health, documentation."""
