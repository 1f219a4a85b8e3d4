"""Multiply-accumulate operations (MACs), counted from the shapes in the flatbuffer."""

from keras_compress.tflite import operators
from keras_compress.tflite.model import Operator


def count(operator: Operator) -> int:
    """Count the multiply-accumulate operations of an operator, over the file's own batch.

    The MACs of a convolution are output positions * output channels * kernel height * kernel width
    * input channels per group; of a Dense layer, rows * inputs * units; of a matrix product, rows *
    inner * columns. Operators without a matrix product have none.

    Args:
        operator: An operator as `keras_compress.tflite.flatbuffer` reads it.

    Returns:
        The number of MACs.
    """
    rule = operators.row(operator.name).macs
    return rule(operator) if rule else 0
