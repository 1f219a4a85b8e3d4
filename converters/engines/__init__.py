"""Conversion engines, which turn an exported model into a flatbuffer: one per module."""
