"""What all tests share: a quiet TensorFlow, the checkout's folder, models written by hand."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

ROOT = Path(__file__).resolve().parents[1]
pytest_plugins = [
    "tests.fixtures.converted_networks",
    "tests.fixtures.handwritten_files",
    "tests.fixtures.resuming",
    "tests.fixtures.seeds",
]

# Test machines are shared: how long one example takes says nothing.
settings.register_profile("shared_machine", deadline=None)
settings.load_profile("shared_machine")


def pytest_collection_finish():
    """Start few TensorFlows and look through what they consist of once: both take long."""
    from keras_compress.converters.engines import _converter_process

    # A process for conversions outlives tests that convert nothing.
    _converter_process.pool.idle_s = 900
    _converter_process.pool.jobs = 100
    gc.collect()
    gc.freeze()
    # To delete traced functions takes a seventh of the time of tests, to keep them some memory.
    gc.disable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Let a test that collects garbage meet its own alone: Keras' `clear_session` does."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure():
    """Leave what is garbage to the end of the process."""
    gc.freeze()


def _handmade(tensors, operators=(), inputs=(), outputs=(), subgraphs=1):
    """Return the bytes of a model written with the schema's own classes.

    Args:
        tensors: Dictionaries with `name`, `shape`, `type` (name in the schema) and maybe
            `data` (bytes), `scale`, `zero_point`, `axis`.
        operators: (built-in name, input indices, output indices, options object or None).
        inputs: Tensor indices.
        outputs: Tensor indices.
        subgraphs: How many equal subgraphs the model has.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT(version=3, description=b"handmade")
    model.buffers = [schema.BufferT()]
    model.operatorCodes, graph = [], schema.SubGraphT(name=b"main")
    graph.tensors, graph.operators = [], []
    graph.inputs, graph.outputs = list(inputs), list(outputs)
    for fields in tensors:
        tensor = schema.TensorT(name=fields["name"].encode(), shape=list(fields["shape"]))
        tensor.type = getattr(schema.TensorType, fields["type"])
        tensor.quantization = schema.QuantizationParametersT()
        if "scale" in fields:
            tensor.quantization.scale = np.float32(fields["scale"])
            tensor.quantization.zeroPoint = np.int64(fields["zero_point"])
            tensor.quantization.quantizedDimension = fields.get("axis", 0)
        tensor.buffer = 0
        if "data" in fields:
            tensor.buffer = len(model.buffers)
            data = np.frombuffer(fields["data"], np.uint8)
            model.buffers.append(schema.BufferT(data=data))
        graph.tensors.append(tensor)
    for name, op_inputs, op_outputs, options in operators:
        number = getattr(schema.BuiltinOperator, name)
        code = schema.OperatorCodeT(builtinCode=number, version=1)
        code.deprecatedBuiltinCode = min(number, 127)
        operator = schema.OperatorT(opcodeIndex=len(model.operatorCodes))
        operator.inputs, operator.outputs = list(op_inputs), list(op_outputs)
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        model.operatorCodes.append(code)
        graph.operators.append(operator)
    model.subgraphs = [graph] * subgraphs
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture(scope="session")
def handmade():
    """The function that writes a model by hand."""
    return _handmade
