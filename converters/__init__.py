"""From a Keras model to a checked TFLite flatbuffer (imported as keras_compress.converters)."""
