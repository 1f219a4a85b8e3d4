"""A lower bound on the size of weights that are encoded one by one."""

import numpy as np


def zero_order_entropy_bytes(values):
    """Return the bytes of the best code that encodes each value independently.

        H = -sum over values v of p(v) * log2 p(v), with p(v) the frequency of v

    times the number of values, in bytes. A code that uses structure (positions of zeros, channels
    of different spread) may take less.

    Args:
        values: Array of integers.

    Returns:
        A float.

    Example:
        >>> zero_order_entropy_bytes(np.array([0, 0, 0, 0, 1, 1, 2, 3]))
        1.75

    Source: Shannon 1948, "A mathematical theory of communication", section 6.
    """
    _, counts = np.unique(values, return_counts=True)
    return float(np.sum(counts * np.log2(counts.sum() / counts))) / 8
