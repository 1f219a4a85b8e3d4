"""Encodings of weights that TFLite Micro's DECODE operator undoes. One file an encoding."""
