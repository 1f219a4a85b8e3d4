"""The graph of a Keras model, as calls and values; subclassed models are supported too."""
