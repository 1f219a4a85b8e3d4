"""Quantization-aware training: quantizers for weights, calibrators for activations."""
