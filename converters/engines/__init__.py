"""Converters from an exported model to a flatbuffer, one a module."""
