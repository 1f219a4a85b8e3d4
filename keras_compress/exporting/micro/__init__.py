"""Exports for TFLite Micro on microcontrollers."""
