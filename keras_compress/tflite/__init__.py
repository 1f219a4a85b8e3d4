"""The `.tflite` file by itself: read, inspected, edited, its operators, operations and memory."""
