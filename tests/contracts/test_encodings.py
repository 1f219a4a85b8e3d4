"""The contract of all encodings: what they encode, TFLite Micro's own DECODE gives back."""

import itertools

import numpy as np
import pytest

from keras_compress.evaluation.runtimes import open_file
from keras_compress.exporting.micro.decode_operators import insert_decoders
from keras_compress.support import plugins
from keras_compress.tflite.editor import pack, unpack
from keras_compress.tflite.encodings.base import Encoded, pack_bits, unpack_bits

PACKAGE = "keras_compress.tflite.encodings"
pytest.importorskip("tflite_micro", reason="the oracle is TFLite Micro's own decoder")

# Shapes whose channels do not fill whole bytes, and axes first, last and absent.
CASES = [((12, 3, 3, 5), 0), ((1, 3, 3, 33), 3), ((7, 9), 0), ((50,), None), ((5, 31), None)]
# Tables of 2 to 7 bits.
LEVELS = [3, 6, 14, 60, 100]


def draw(shape, levels):
    random = np.random.default_rng(len(shape))
    chosen = random.choice(np.arange(-127, 128), levels, replace=False).astype(np.int8)
    return np.where(random.random(shape) < 0.6, 0, random.choice(chosen, shape)).astype(np.int8)


def decode_on_the_device(handmade, cases):
    """Run a file that hands decoded weights out, each through a RESHAPE that copies them."""
    tensors = [{"name": "x", "shape": [1, 1], "type": "INT8"}]
    operators, encodings = [], {}
    for values, axis, encoded in cases:
        channels = 1 if axis is None else values.shape[axis]
        scales = {"scale": np.linspace(0.5, 1, channels), "zero_point": [0] * channels}
        shape = np.int32([values.size]).tobytes()
        first = len(tensors)
        tensors += [
            {"name": "w", "shape": values.shape, "type": "INT8", "data": values.tobytes()}
            | {**scales, "axis": axis or 0},
            {"name": "shape", "shape": [1], "type": "INT32", "data": shape},
            {"name": "y", "shape": [values.size], "type": "INT8"},
        ]
        operators.append(("RESHAPE", [first, first + 1], [first + 2], None))
        encodings[0, first] = encoded
    outputs = [outputs[0] for _, _, outputs, _ in operators]
    model = unpack(handmade(tensors, operators, [0], outputs))
    insert_decoders(model, encodings)
    with open_file(pack(model)) as opened:
        assert opened.name() == "tflite_micro"
        found = opened.invoke([np.zeros((1, 1), np.int8)])
    return [f.reshape(values.shape) for f, (values, _, _) in zip(found, cases, strict=True)]


@pytest.mark.parametrize("name", plugins.names(PACKAGE))
def test_device_decodes_what_was_encoded(handmade, name):
    encoding = plugins.get(PACKAGE, name)()
    cases = []
    for (shape, axis), levels in itertools.product(CASES, LEVELS):
        values = draw(shape, levels)
        zero_points = np.zeros(1 if axis is None else shape[axis], np.int64)
        encoded = encoding.encode(values, zero_points, axis)
        cases.append((values, axis, encoded))
        again = np.empty_like(values)
        encoding.decode(encoded, again, zero_points, axis)
        np.testing.assert_array_equal(again, values)
    found = decode_on_the_device(handmade, cases)
    for array, (values, axis, _) in zip(found, cases, strict=True):
        np.testing.assert_array_equal(array, values, f"shape {values.shape}, axis {axis}")


@pytest.mark.parametrize("name", plugins.names(PACKAGE))
def test_channels_in_the_middle_are_left_alone(name):
    values = draw((3, 4, 5), 3)
    assert plugins.get(PACKAGE, name)().encode(values, np.zeros(4, np.int64), 1) is None


def test_codes_are_unique():
    codes = [plugins.get(PACKAGE, name).code for name in plugins.names(PACKAGE)]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("bits", range(1, 9))
def test_bits_are_packed_most_significant_first(bits):
    codes = np.random.default_rng(bits).integers(0, 2**bits, 21)
    packed = pack_bits(codes, bits)
    text = "".join(f"{code:0{bits}b}" for code in codes).ljust(len(packed) * 8, "0")
    assert packed == int(text, 2).to_bytes(len(packed), "big")
    np.testing.assert_array_equal(unpack_bits(packed, bits, codes.size), codes)


def test_more_values_than_a_table_holds_are_refused():
    values = np.arange(-100, 100, dtype=np.int8)[None]
    table = plugins.get(PACKAGE, "look_up_table")()
    assert table.encode(values, np.zeros(1, np.int64), None) is None
    assert table.encode(values[:, :128], np.zeros(1, np.int64), None) is not None


def test_sizes_are_those_of_the_formats():
    values = draw((64, 100), 14)
    bitmap, table = (
        plugins.get(PACKAGE, n)().encode(values, np.zeros(1, np.int64), None)
        for n in ("bitmap", "look_up_table")
    )
    assert len(bitmap) == 16 + values.size / 8 + np.count_nonzero(values)
    assert len(table) == 16 + len(np.unique(values)) + values.size / 2
    assert len(Encoded(b"12", b"345")) == 5
