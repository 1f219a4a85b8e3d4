"""Reports of evaluations: text, JSON, and a self-contained HTML page."""
