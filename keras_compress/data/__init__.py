"""Every form in which users have samples, read as batches: `reading.read` is the one way in."""
