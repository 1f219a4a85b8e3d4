"""Layers as operators that a target takes, where that changes nothing. One file a rewrite."""
