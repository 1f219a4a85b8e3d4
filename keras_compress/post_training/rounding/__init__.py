"""How weights are rounded to their grid after training: one file a method."""
