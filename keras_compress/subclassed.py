"""Has moved to `keras_compress.graph.subclassed`; this path will go."""

from keras_compress.support.forwarding import forward

__getattr__ = forward(__name__, "keras_compress.graph.subclassed")
