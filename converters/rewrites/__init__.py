"""Rewrites: layers as operators that a target supports, with the same results. One per module."""
