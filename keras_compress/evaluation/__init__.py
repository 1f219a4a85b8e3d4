"""Evaluation of TFLite files with numpy and a TFLite runtime: neither TensorFlow nor Keras."""
