"""Likely causes of error, one a module: each looks at the evidence and names what it finds."""
