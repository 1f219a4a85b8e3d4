"""Has moved to `keras_compress.exporting.micro`; this path will go."""
