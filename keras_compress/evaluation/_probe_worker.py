"""The child process of `probe`: it runs the file on its standard input once, on zeros."""

import sys

import numpy as np

from keras_compress.errors import CompressionError
from keras_compress.evaluation import runtimes


def main(runtime):
    """Run the file and return the process's exit code; say on standard output what is wrong."""
    try:
        with runtimes.open_file(sys.stdin.buffer.read(), runtime) as opened:
            opened.invoke([np.zeros(tensor.shape, tensor.dtype) for tensor in opened.inputs])
    except CompressionError as error:
        sys.stdout.write(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
