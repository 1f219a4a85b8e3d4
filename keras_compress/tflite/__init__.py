"""Read, inspect and edit `.tflite` files: operators, encodings, MACs and memory."""
