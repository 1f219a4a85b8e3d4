"""How channels pass through each family of layers: one rule per file, selected by file name."""
