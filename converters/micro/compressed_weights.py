"""Has moved to `keras_compress.exporting.micro.compressed_weights`; this path will go."""

from keras_compress.support.forwarding import forward

__getattr__ = forward(__name__, "keras_compress.exporting.micro.compressed_weights")
