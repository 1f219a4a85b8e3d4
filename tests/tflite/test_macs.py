import numpy as np
import pytest

from keras_compress.tflite import macs


def test_convolution_by_hand(read_operator, conv):
    # 8 x 8 positions, 16 filters of 3 x 3 x 4.
    assert macs.count(read_operator(conv, filters=16)) == 8 * 8 * 16 * 3 * 3 * 4
    assert macs.count(read_operator(conv, stride=2, batch=3)) == 3 * 4 * 4 * 8 * 3 * 3 * 4


def layer(name, shapes, out, constants=(1,), **options):
    def fill(builder):
        inputs = [
            builder.tensor(shape, data=1 if i in constants else None)
            for i, shape in enumerate(shapes)
        ]
        builder.operator(name, inputs, [builder.tensor(out)], **options)

    return fill


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        (layer("DEPTHWISE_CONV_2D", [(1, 8, 8, 4), (1, 5, 3, 4)], (1, 8, 8, 4)), 256 * 15),
        (layer("FULLY_CONNECTED", [(2, 3, 8), (5, 8)], (2, 3, 5)), 6 * 8 * 5),
        (layer("TRANSPOSE_CONV", [(4,), (2, 3, 3, 4), (1, 4, 4, 4)], (1, 8, 8, 2)), 64 * 18),
        (layer("CONV_3D", [(1, 4, 4, 4, 2), (3, 3, 3, 2, 5)], (1, 2, 2, 2, 5)), 40 * 54),
        (layer("BATCH_MATMUL", [(2, 3, 4), (2, 4, 5)], (2, 3, 5), ()), 2 * 3 * 4 * 5),
        (layer("BATCH_MATMUL", [(4, 3), (4, 5)], (3, 5), (), adjX=True), 3 * 4 * 5),
        (layer("RELU", [(1, 8)], (1, 8), ()), 0),
    ],
)
def test_other_operators_by_hand(read_operator, fill, expected):
    assert macs.count(read_operator(fill)) == expected


def test_lstm_by_hand(read_operator):
    def fill(builder):
        gates = [builder.tensor((6, 4), data=1) for _ in range(4)]
        recurrent = [builder.tensor((6, 6), data=1) for _ in range(4)]
        inputs = [builder.tensor((1, 5, 4)), *gates, *recurrent]
        builder.operator("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [builder.tensor((1, 5, 6))])

    assert macs.count(read_operator(fill)) == 5 * 4 * (6 * 4 + 6 * 6)


def test_convolution_against_numpy_multiplications(read_operator, conv):
    """Counts the products of a direct convolution with VALID padding."""
    operator = read_operator(conv, height=6, channels=2, filters=3, padding="VALID")
    windows = np.lib.stride_tricks.sliding_window_view(np.ones((6, 6, 2)), (3, 3, 2))
    assert macs.count(operator) == windows.size * 3
