"""Weight clustering: kernels whose weights share a few values, which a file stores as tables."""
