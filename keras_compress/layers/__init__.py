"""Layer types: their kernels, the axes of these, and what TFLite fuses. One file per type."""
