import json
import subprocess
import sys

import numpy as np
import pytest

from keras_compress.tflite import arena, flatbuffer

MEASURE = """
import json, os, re, sys, tempfile
import numpy as np
from tflite_micro.python.tflite_micro import runtime
figures = []
for path in sys.argv[1:]:
    interpreter = runtime.Interpreter.from_file(path, arena_size=1000000)
    details = interpreter.get_input_details(0)
    interpreter.set_input(np.ones(details["shape"], details["dtype"]), 0)
    interpreter.invoke()
    with tempfile.TemporaryFile() as log:
        kept = os.dup(2)
        os.dup2(log.fileno(), 2)
        interpreter.print_allocations()
        os.dup2(kept, 2)
        log.seek(0)
        text = log.read().decode()
    figures.append({k: int(re.search(k + r" (\\d+) bytes", text)[1]) for k in ("head", "tail")})
print(json.dumps(figures))
"""


def test_plan_by_hand():
    assert arena.plan([]) == 0
    assert arena.plan([(64, 0, 1), (32, 1, 2), (64, 2, 3)]) == 96
    # The largest lies at 0, one of the others fits beside it only while it is not alive.
    assert arena.plan([(100, 0, 3), (50, 0, 1), (50, 2, 3)]) == 150
    assert arena.plan([(100, 0, 3), (50, 0, 2), (50, 2, 3)]) == 200


def test_plan_never_beats_what_is_alive_at_once():
    random = np.random.default_rng(1)
    for _ in range(200):
        starts = random.integers(0, 12, 10)
        sizes, ends = random.integers(1, 60, 10), starts + random.integers(0, 5, 10)
        buffers = list(zip(sizes.tolist(), starts.tolist(), ends.tolist(), strict=True))
        alive = [sum(s for s, a, b in buffers if a <= step <= b) for step in range(20)]
        assert max(alive) <= arena.plan(buffers) <= sizes.sum()


def softmax(builder, dtype):
    wide = dtype == "int16"
    scale, zero_point = (1 / 32768, 0) if wide else (1 / 256, -128)
    source = builder.tensor((1, 12), dtype, scales=(0.1,))
    target = builder.tensor((1, 12), dtype, scales=(scale,), zero_point=zero_point)
    builder.operator("SOFTMAX", [source], [target], beta=1.0)
    return source, target


def convolution_and_mean(builder, conv, dtype):
    source, features = conv(builder, height=12, filters=6, dtype=dtype)
    kind = "float32" if dtype == "float32" else dtype
    average = builder.tensor((1, 6), kind)
    axes = builder.tensor((2,), "int32", data=[1, 2], scales=())
    builder.operator("MEAN", [features, axes], [average], keepDims=False)
    return source, average


def branches(builder, dtype):
    """Two branches of one input, so that more than two maps live at once."""
    source = builder.tensor((1, 6, 6, 8), dtype)
    made = [builder.tensor((1, 6, 6, 8), dtype) for _ in range(4)]
    builder.operator("RELU", [source], [made[0]])
    builder.operator("RELU6", [source], [made[1]])
    builder.operator("RELU", [made[0]], [made[2]])
    builder.operator("ADD", [made[2], made[1]], [made[3]])
    maximum = builder.tensor((1, 8), dtype)
    axes = builder.tensor((2,), "int32", data=[1, 2], scales=())
    builder.operator("REDUCE_MAX", [made[3], axes], [maximum], keepDims=False)
    return source, maximum


def fill_counter(builder):
    """A state that an initialization of its own sets, and that each run adds its input to."""
    handle = builder.tensor((), "resource", scales=())
    source, state, total = (builder.tensor((1, 40), "float32") for _ in range(3))
    builder.operator("CALL_ONCE", [], [], initSubgraphIndex=1)
    builder.operator("VAR_HANDLE", [], [handle], sharedName="state", container="")
    builder.operator("READ_VARIABLE", [handle], [state])
    builder.operator("ADD", [source, state], [total])
    builder.operator("ASSIGN_VARIABLE", [handle, total], [])
    builder.end_graph([source], [total])
    handle = builder.tensor((), "resource", scales=())
    zeros = builder.tensor((1, 40), "float32", data=0)
    builder.operator("VAR_HANDLE", [], [handle], sharedName="state", container="")
    builder.operator("ASSIGN_VARIABLE", [handle, zeros], [])
    return [], []


def fill_loop(builder, width=64):
    """A loop whose body needs more memory than the graph around it."""
    count, source, counted, total = (
        builder.tensor(shape, kind, scales=())
        for shape, kind in (((1,), "int32"), ((1, 8), "float32")) * 2
    )
    options = {"condSubgraphIndex": 1, "bodySubgraphIndex": 2}
    builder.operator("WHILE", [count, source], [counted, total], **options)
    builder.end_graph([count, source], [counted, total])
    count, source = builder.tensor((1,), "int32", scales=()), builder.tensor((1, 8), "float32")
    limit, less = builder.tensor((1,), "int32", data=3, scales=()), builder.tensor((1,), "bool")
    builder.operator("LESS", [count, limit], [less])
    builder.end_graph([count, source], [less])
    count, counted = (builder.tensor((1,), "int32", scales=()) for _ in range(2))
    one = builder.tensor((1,), "int32", data=1, scales=())
    source, target = (builder.tensor((1, 8), "float32") for _ in range(2))
    wide = builder.tensor((1, width, 8), "float32")
    shape = builder.tensor((3,), "int32", data=[1, width, 8], scales=())
    axis = builder.tensor((1,), "int32", data=[1], scales=())
    builder.operator("BROADCAST_TO", [source, shape], [wide])
    builder.operator("MEAN", [wide, axis], [target], keepDims=False)
    builder.operator("ADD", [count, one], [counted])
    return [count, source], [counted, target]


@pytest.fixture(scope="module")
def measured(tmp_path_factory, new_builder, conv):
    """Files of several kinds, each with the arena that TFLite Micro reports for it."""
    pytest.importorskip("tflite_micro.python", reason="tflite-micro is not installed")
    folder = tmp_path_factory.mktemp("arena")
    files = {}
    for dtype in ("int8", "int16", "float32"):
        fillers = [lambda b, d=dtype: convolution_and_mean(b, conv, d)]
        fillers += [lambda b, d=dtype: branches(b, d)] if dtype != "int16" else []
        fillers += [lambda b, d=dtype: softmax(b, d)] if dtype != "float32" else []
        for number, fill in enumerate(fillers):
            builder = new_builder()
            source, target = fill(builder)
            path = folder / f"{dtype}_{number}.tflite"
            path.write_bytes(builder.content([source], [target]))
            files[path.name] = path
    fillers = {"counter": fill_counter}
    fillers |= {f"loop_{width}": lambda b, w=width: fill_loop(b, w) for width in (4, 64)}
    for name, fill in fillers.items():
        builder = new_builder()
        files[name] = folder / f"{name}.tflite"
        files[name].write_bytes(builder.content(*fill(builder)))
    run = [sys.executable, "-c", MEASURE, *map(str, files.values())]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {
        name: (arena.estimate(flatbuffer.read(path)), figures)
        for (name, path), figures in zip(files.items(), json.loads(done.stdout), strict=True)
    }


def test_head_is_the_one_that_tflite_micro_plans(measured):
    heads = {name: (estimate.head, real["head"]) for name, (estimate, real) in measured.items()}
    loops = [heads.pop(f"loop_{width}") for width in (4, 64)]
    assert all(estimated == real for estimated, real in heads.values()), heads
    # Of two buffers of one size in different graphs it is open which is placed first.
    narrow, wide = loops
    assert wide[0] - narrow[0] == wide[1] - narrow[1] > 1900


def test_tail_is_an_upper_bound_that_is_not_far_off(measured):
    tails = {name: (estimate.tail, real["tail"]) for name, (estimate, real) in measured.items()}
    assert all(real <= estimated <= real + 1024 for estimated, real in tails.values()), tails


def plain_plan(buffers):
    """The same placement, each buffer compared with each one before it."""
    placed = []
    last_first = list(buffers)[::-1]
    for size, first, last in sorted(last_first, key=lambda buffer: -buffer[0]):
        offset = 0
        for start, end in sorted(b[:2] for b in placed if b[2] <= last and first <= b[3]):
            if start - offset >= size:
                break
            offset = max(offset, end)
        placed.append((offset, offset + size, first, last))
    return max((end for _, end, *_ in placed), default=0)


def test_plan_places_each_buffer_in_the_first_gap():
    random = np.random.default_rng(2)
    for count in (1, 5, 40, 120):
        for _ in range(20):
            starts = random.integers(0, 30, count)
            sizes, ends = random.integers(0, 60, count), starts + random.integers(0, 12, count)
            buffers = list(zip(sizes.tolist(), starts.tolist(), ends.tolist(), strict=True))
            assert arena.plan(buffers) == plain_plan(buffers)


def test_plan_of_more_bytes_than_any_memory_has():
    assert arena.plan([(2**200, 0, 1), (2**200, 2, 3)]) == 2**201
