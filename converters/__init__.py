"""From a Keras model to a checked TFLite flatbuffer (imported as keras_compress.converters)."""

if __name__ == "converters":
    # Under this name a checkout would hold a second copy of every class.
    raise ImportError("Import it as keras_compress.converters. Received: import converters")
