"""What a `.tflite` becomes: C++ source, Vela, Coral, Android, weights compressed for Micro."""
