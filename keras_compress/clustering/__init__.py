"""Weight clustering: kernels whose weights share few values, which a file stores as tables."""
