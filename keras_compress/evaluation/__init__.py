"""Evaluate TFLite files with numpy and a TFLite runtime, without TensorFlow or Keras."""
