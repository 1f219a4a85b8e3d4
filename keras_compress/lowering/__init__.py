"""Layers that are taken apart into what TFLite runs, and put together again."""
