"""Better accuracy without training: rounding, bias correction, equalization, statistics."""
