"""Read samples in any supported form as batches, through `reading.read`."""
