"""Split layers into the operators that TFLite runs, and restore them afterwards."""
