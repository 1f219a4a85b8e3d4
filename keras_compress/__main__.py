"""`python -m keras_compress` is the `keras-compress` command."""

from keras_compress.cli.main import run

run()
