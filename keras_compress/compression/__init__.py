"""`compress` wraps a model, `strip` unwraps it; recipes, and the checks of both."""
