"""Models wrapped for compression, and stripped: `compress`, `strip`, recipes and their checks."""
