"""`kc.check` works in a time that grows with the number of operators, and not with its square."""

import sys

import numpy as np
import pytest

import keras_compress as kc


def chain(builder, count, dtype="int8", name="LOGISTIC", **names):
    tensors = [builder.tensor((1, 8), dtype, **_named(i, **names)) for i in range(count + 1)]
    for source, target in zip(tensors, tensors[1:], strict=False):
        builder.operator(name, [source], [target])
    return tensors[:1], tensors[-1:]


def _named(index, layers=False):
    return {"name": f"model/layer_{index}/op"} if layers else {}


def fan(builder, count, dtype="int8", name="LOGISTIC"):
    source = builder.tensor((1, 8), dtype)
    targets = [builder.tensor((1, 8), dtype) for _ in range(count)]
    for target in targets:
        builder.operator(name, [source], [target])
    return [source], targets


def gathered(builder, count):
    """Many maps that one operator joins."""
    source, targets = fan(builder, count)
    joined = builder.tensor((1, 8 * count))
    builder.operator("CONCATENATION", targets, [joined], axis=1)
    return source, [joined]


def island(builder, count):
    """A chain in float inside a file of integers."""
    source, inside = builder.tensor((1, 8)), builder.tensor((1, 8), "float32")
    builder.operator("DEQUANTIZE", [source], [inside])
    for _ in range(count):
        following = builder.tensor((1, 8), "float32")
        builder.operator("ELU", [inside], [following])
        inside = following
    target, last = builder.tensor((1, 8)), builder.tensor((1, 8))
    builder.operator("QUANTIZE", [inside], [target])
    builder.operator("RELU", [target], [last])
    return [source], [last]


def conversions(builder, count):
    """Each of many inputs is converted to integers."""
    sources = [builder.tensor((1, 8), "float32") for _ in range(count)]
    targets = [builder.tensor((1, 8)) for _ in range(count)]
    for source, target in zip(sources, targets, strict=True):
        builder.operator("QUANTIZE", [source], [target])
    return sources, targets


SHAPES = {
    "nameless chain": chain,
    "chain of layers": lambda b, n: chain(b, n, layers=True),
    "chain in float": lambda b, n: chain(b, n, "float32"),
    "operators that most targets lack": lambda b, n: chain(b, n, "int8", "ELU", layers=True),
    "fan": fan,
    "fan in float": lambda b, n: fan(b, n, "float32"),
    "join": gathered,
    "float island": island,
    "many inputs": conversions,
}


def steps_of(content, profile):
    """Count the lines and calls that a check executes."""
    count = 0

    def trace(*_):
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        kc.check(content, profile)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("shape", SHAPES)
def test_four_times_the_operators_take_four_times_the_steps(new_builder, shape):
    contents = []
    for count in (30, 120):
        builder = new_builder()
        contents.append(builder.content(*SHAPES[shape](builder, count)))
    for profile in ("coral_edgetpu", "ethos_u55_128"):
        kc.check(contents[0], profile)  # reads the profile, once a process
        few, many = (steps_of(content, profile) for content in contents)
        assert np.log(many / few) / np.log(4) <= 1.1, (profile, few, many)
