"""Layer types: which weights, which axes, what fuses with them. One file a type."""
