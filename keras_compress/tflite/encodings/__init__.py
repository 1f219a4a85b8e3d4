"""Encodings of weights that TFLite Micro's DECODE operator decodes. One per module."""
