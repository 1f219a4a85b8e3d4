"""Every form in which users have samples, read as batches."""
