import threading

import numpy as np
import pytest

from keras_compress.errors import EvaluationError, InvalidArgumentError
from keras_compress.evaluation import batching, runtimes
from keras_compress.evaluation.batch_plan import plan_batches, with_free_batch
from keras_compress.evaluation.batching import run_in_batches
from keras_compress.evaluation.quantization import dequantize, quantize
from keras_compress.evaluation.runtimes.litert import LiteRT
from keras_compress.tflite import flatbuffer


def one_by_one(content, images):
    """The loop that every tutorial shows, as the oracle."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    [start], [end] = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for image in images:
        value = image[None]
        if start["quantization"][0]:
            value = quantize(value, *start["quantization"], start["dtype"])
        interpreter.set_tensor(start["index"], value)
        interpreter.invoke()
        answer = interpreter.get_tensor(end["index"])
        if end["quantization"][0]:
            answer = dequantize(answer, *end["quantization"])
        answers.append(answer)
    return np.concatenate(answers)


@pytest.mark.parametrize("kind", ["float32", "int8", "uint8", "int16x8", "float_around"])
def test_equals_the_usual_loop_with_a_free_batch(files, images, kind):
    """The Flatten's RESHAPE has a constant shape, and the batch is larger than 1 all the same."""
    content = getattr(files, kind)
    ran = run_in_batches(flatbuffer.read(content), [images], runtime=LiteRT, threads=2)
    assert (ran.rows, ran.threads) == (64, 2)
    tolerance = 1e-6 if kind == "float32" else 0
    np.testing.assert_allclose(ran.arrays[0], one_by_one(content, images), rtol=0, atol=tolerance)
    assert ran.arrays[0].dtype == np.float32


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_any_batch_and_thread_count_gives_the_same(files, images, threads, batch_size):
    model = flatbuffer.read(files.int8)
    options = {"threads": threads, "batch_size": batch_size}
    ran = run_in_batches(model, [images], runtime=LiteRT, **options)
    np.testing.assert_array_equal(ran.arrays[0], one_by_one(files.int8, images))
    assert ran.rows == min(batch_size, -(-200 // threads))


def test_uses_the_cores_of_the_process_by_default(files, images, monkeypatch):
    monkeypatch.setattr(batching, "usable_cores", lambda: 3)
    seen = set()

    class Watched(LiteRT):
        def run(self, arrays):
            seen.add(threading.get_ident())
            return super().run(arrays)

    ran = run_in_batches(flatbuffer.read(files.int8), [images], runtime=Watched, batch_size=8)
    assert ran.threads == 3
    assert threading.get_ident() in seen, "the plan is tried out before the threads start"
    assert len(seen) > 1


def test_fewer_samples_than_threads(files, images):
    ran = run_in_batches(flatbuffer.read(files.int8), [images[:1]], runtime=LiteRT, threads=4)
    assert (ran.rows, ran.threads) == (1, 1)
    np.testing.assert_array_equal(ran.arrays[0], one_by_one(files.int8, images[:1]))


def test_micro_runs_in_parallel_processes(files, images):
    micro = runtimes.choose("tflite_micro")
    model = flatbuffer.read(files.int8)
    ran = run_in_batches(model, [images[:40]], runtime=micro, threads=2, batch_size=8)
    assert (ran.rows, ran.threads) == (1, 2)
    reference = runtimes.choose("litert_reference")
    wanted = run_in_batches(model, [images[:40]], runtime=reference, threads=1)
    np.testing.assert_array_equal(ran.arrays[0], wanted.arrays[0])


def test_a_batch_that_answers_otherwise_is_not_taken(files, images):
    """A runtime whose larger batch is wrong is used sample by sample."""

    class Wrong(LiteRT):
        def invoke(self, arrays):
            [outputs] = super().invoke(arrays)
            return [outputs + (self.rows > 1)]

    model = flatbuffer.read(files.int8)
    samples = quantize(
        images[:8], model.inputs[0].scales[0], model.inputs[0].zero_points[0], "int8"
    )
    assert plan_batches(model, LiteRT, [samples]).rows == 8
    assert plan_batches(model, Wrong, [samples]).rows == 1


def test_a_batch_that_is_refused_is_not_taken(files, images):
    model = flatbuffer.read(files.int8)

    class Stubborn(LiteRT):
        def __init__(self, model, *, shapes=None, **options):
            if shapes and shapes[0][0] > 1:
                raise EvaluationError("no")
            super().__init__(model, shapes=shapes, **options)

    ran = run_in_batches(model, [images[:9]], runtime=Stubborn, threads=2)
    assert ran.rows == 1
    np.testing.assert_array_equal(ran.arrays[0], one_by_one(files.int8, images[:9]))


def test_free_batch_changes_the_targets_of_reshape_alone(files):
    model = flatbuffer.read(files.int8)
    free = with_free_batch(model)
    assert len(free.content) == len(model.content)
    changed = [
        k for k, (a, b) in enumerate(zip(model.content, free.content, strict=True)) if a != b
    ]
    [reshape] = [op for op in free.operators if op.name == "RESHAPE"]
    [before] = [op for op in model.operators if op.name == "RESHAPE"]
    assert before.inputs[1].data.tolist() == [1, 144]
    assert reshape.inputs[1].data.tolist() == [-1, 144]
    assert 0 < len(changed) <= 4


def test_free_batch_leaves_shared_constants_alone(handmade):
    """One constant is both RESHAPE's target and a summand."""
    target = np.array([1, 2], np.int32).tobytes()
    tensors = [
        {"name": "x", "shape": (1, 2), "type": "INT32"},
        {"name": "target", "shape": (2,), "type": "INT32", "data": target},
        {"name": "shaped", "shape": (1, 2), "type": "INT32"},
        {"name": "y", "shape": (1, 2), "type": "INT32"},
    ]
    from ai_edge_litert import schema_py_generated as schema

    reshape = ("RESHAPE", [0, 1], [2], None)
    add = ("ADD", [2, 1], [3], schema.AddOptionsT())
    assert with_free_batch(flatbuffer.read(handmade(tensors, [reshape, add], [0], [3]))) is None
    alone = flatbuffer.read(handmade(tensors, [reshape], [0], [2]))
    assert with_free_batch(alone).operators[0].inputs[1].data.tolist() == [-1, 2]


def test_file_with_a_batch_of_its_own(handmade):
    """Four samples at once, with a set that four does not divide."""
    quantization = {"type": "INT8", "scale": [1.0], "zero_point": [0]}
    tensors = [{"name": name, "shape": (4, 3), **quantization} for name in ("x", "y")]
    model = flatbuffer.read(handmade(tensors, [("ABS", [0], [1], None)], [0], [1]))
    x = -np.arange(30.0).reshape(10, 3)
    ran = run_in_batches(model, [x], runtime=LiteRT, threads=2)
    assert ran.rows == 4
    np.testing.assert_array_equal(ran.arrays[0], -x)


def test_output_without_a_batch_is_kept_per_sample(handmade):
    """An output of shape (3,) for each sample."""
    tensors = [
        {"name": "x", "shape": (1, 3), "type": "FLOAT32"},
        {"name": "axis", "shape": (1,), "type": "INT32", "data": np.int32([0]).tobytes()},
        {"name": "y", "shape": (3,), "type": "FLOAT32"},
    ]
    model = flatbuffer.read(handmade(tensors, [("SUM", [0, 1], [2], _reducer())], [0], [2]))
    x = np.random.default_rng(0).random((10, 3)).astype(np.float32)
    ran = run_in_batches(model, [x], runtime=LiteRT)
    assert ran.rows == 1, "summed over the batch, samples would get mixed"
    np.testing.assert_array_equal(ran.arrays[0], x)


def _reducer():
    from ai_edge_litert import schema_py_generated as schema

    return schema.ReducerOptionsT(keepDims=False)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_named(files, images, value):
    spoiled = images.copy()
    spoiled[123, 4, 5, 0] = value
    with pytest.raises(InvalidArgumentError, match=rf"{value} in sample 123 .* \[123, 4, 5, 0\]"):
        run_in_batches(flatbuffer.read(files.int8), [spoiled], runtime=LiteRT)


@pytest.mark.parametrize("option", [{"threads": 0}, {"batch_size": -1}, {"threads": 1.5}])
def test_counts_must_be_whole_and_positive(files, images, option):
    with pytest.raises(InvalidArgumentError, match="whole number of at least 1. Received"):
        run_in_batches(flatbuffer.read(files.int8), [images], runtime=LiteRT, **option)


def test_error_in_one_thread_ends_the_others(files, images):
    runs = []

    class Failing(LiteRT):
        def run(self, arrays):
            runs.append(len(arrays[0]))
            if len(runs) > 3:
                raise EvaluationError("broken")
            return super().run(arrays)

    with pytest.raises(EvaluationError, match="broken"):
        run_in_batches(
            flatbuffer.read(files.int8), [images], runtime=Failing, threads=2, batch_size=1
        )
    assert len(runs) < 10


def test_large_activations_get_smaller_batches(handmade):
    quantization = {"type": "INT8", "scale": [1.0], "zero_point": [0]}
    tensors = [{"name": name, "shape": (1, 1 << 20), **quantization} for name in ("x", "y")]
    model = flatbuffer.read(handmade(tensors, [("ABS", [0], [1], None)], [0], [1]))
    x = np.full((16, 1 << 20), -2, np.int8)
    ran = run_in_batches(model, [x], runtime=LiteRT, threads=1)
    assert ran.rows == 4
    assert (ran.arrays[0] == 2).all()
