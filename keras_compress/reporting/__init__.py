"""Reports of evaluations: text, JSON, and an HTML page that needs nothing beside itself."""
