"""Likely causes of error, one a module: each looks at the statistics and names what it finds."""
