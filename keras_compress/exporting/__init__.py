"""Exports of a `.tflite` file: C++ source, Vela, Coral, Android, compressed weights for Micro."""
