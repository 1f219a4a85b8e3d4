"""Where a training step spends its time: TensorFlow's profiler, summed by type of operation.

    python benchmarks/step_profile.py --network mobilenet_v1_025 --batch_size 64

The time of an operation is that of the thread that runs it; threads run beside each other, so the
sum is more than the step. Types that take less than `--least` ms a step in every variant are left
out. All processes keep the memory that they free (`allocator.py`). Writes its section of
RESULTS.md; `--section ""` prints only.
"""

import argparse
import collections
import glob
import os
import tempfile

import results
import tensorflow as tf
from allocator import keep_memory
from step_time import prepare, variants
from step_turns import batches
from training import versions

STEPS = 20


def operations(trace):
    """Yield (type of operation, milliseconds) for each that a profile holds."""
    # TensorFlow 2.21 has no public reader of what its profiler writes.
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    (path,) = glob.glob(os.path.join(trace, "**", "*.xplane.pb"), recursive=True)
    space = xplane_pb2.XSpace()
    with open(path, "rb") as file:
        space.ParseFromString(file.read())
    for plane in space.planes:
        names = {found.id: found.name for found in plane.event_metadata.values()}
        for line in plane.lines:
            for event in line.events:
                name, _, kind = names[event.metadata_id].rpartition(":")
                # An operation is `name:type`; the executor around it is a C++ name with `::`.
                if name and ":" not in name and not name.startswith("$") and kind.isidentifier():
                    yield kind, event.duration_ps / 1e9


def profile(model, callbacks, batch_size):
    """Return {type of operation: milliseconds in one step}."""
    x, y = batches(batch_size, STEPS)
    prepare(model)
    model.fit(x, y, batch_size=batch_size, callbacks=callbacks, verbose=0)
    taken = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            model.fit(x, y, batch_size=batch_size, callbacks=callbacks, verbose=0)
        for kind, milliseconds in operations(folder):
            taken[kind] += milliseconds / STEPS
    return taken


def rows(profiles, least):
    """Return a table's rows, the largest sums first, and a last one with the sums of all."""
    kinds = {kind for taken in profiles.values() for kind in taken}
    worst = {kind: max(taken[kind] for taken in profiles.values()) for kind in kinds}
    shown = sorted((k for k in kinds if worst[k] >= least), key=worst.get, reverse=True)
    table = [
        {"operation, ms a step": kind, **{n: round(t[kind], 1) for n, t in profiles.items()}}
        for kind in shown
    ]
    sums = {name: round(sum(taken.values()), 1) for name, taken in profiles.items()}
    return [*table, {"operation, ms a step": "all", **sums}]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--network", default="mobilenet_v1_025")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--least", type=float, default=2.0)
    parser.add_argument("--section", default="Training step: where the time goes")
    options = parser.parse_args()
    keep_memory()
    profiles = {
        name: profile(*variant, options.batch_size)
        for name, variant in variants(options.network).items()
    }
    table = results.table(rows(profiles, options.least))
    print(table)
    if options.section:
        facts = results.provenance(versions(), steps=STEPS)
        results.write_section(options.section, facts, table)


if __name__ == "__main__":
    main()
