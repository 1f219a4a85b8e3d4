"""How channels pass through each family of layers, one rule a file; found by file name."""
