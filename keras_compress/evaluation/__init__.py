"""Evaluation of TFLite files without TensorFlow."""
