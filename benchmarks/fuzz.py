"""Thousands of damaged and hostile files through inspect, check and evaluate.

    python benchmarks/fuzz.py [--tflite 10000] [--others 2000] [--workers 2] [--first 0]

No process that opens a file may die of it, none may take longer than its limit, and every error
is one of the package's, in one line. A worker is used for many files; where it dies or hangs, the
file is put down as a failure and another worker goes on. Ends with status 1 if a file broke a
rule; those files stay in the folder that is named.
"""

import argparse
import collections
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

# The parent never opens a file; it stays small, so that a new worker is quickly forked.
LIMIT_S = 60
START_S = 600
MEMORY_BYTES = 8 << 30
FILES_OF_ONE_WORKER = {"tflite": 2000, "npz": 1000, "toml": 1000, "keras": 100}


def make_good_files(folder):
    """Write the good files, in a process of their own: TensorFlow is large."""
    worker = multiprocessing.get_context("spawn").Process(target=_make_good_files, args=(folder,))
    worker.start()
    worker.join()
    if worker.exitcode:
        sys.exit("The good files could not be made.")


def _make_good_files(folder):
    import keras
    from keras import layers

    import keras_compress as kc

    keras.utils.set_random_seed(0)
    inputs = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(inputs)
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Add(name="join")([x, layers.BatchNormalization(name="norm")(y)])
    x = layers.Flatten()(layers.MaxPooling2D(4)(x))
    outputs = layers.Dense(4, activation="softmax", name="classes")(x)
    model = keras.Model(inputs, outputs)
    x = np.random.default_rng(0).random((4, 12, 12, 3), np.float32)
    model.save(folder / "model.keras")
    np.savez(folder / "data.npz", x=x, y=np.arange(4))
    kc.convert(model, "cortex_m4", x).save(folder / "model.tflite")
    kc.convert(model, "float32").save(folder / "float.tflite")
    profiles = Path(__file__).resolve().parents[1] / "edge_profiles"
    (folder / "profile.toml").write_text((profiles / "cortex_m4.toml").read_text())
    lines = (profiles / "coral_edgetpu.toml").read_text().splitlines(keepends=True)
    # A user's profile names built-in operators only.
    (folder / "operators.toml").write_text("".join(x for x in lines if "edgetpu-custom" not in x))


SEEDS = {
    "tflite": ("model.tflite", "float.tflite"),
    "npz": ("data.npz",),
    "toml": ("profile.toml", "operators.toml"),
    "keras": ("model.keras",),
}


def work(kind, numbers, folder, tell):
    """Drive the mutants of these numbers; say before each that it begins."""
    import mutants

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    good, (x, y) = mutants.Good(folder), _data(folder)
    path = folder / f"mutant_{os.getpid()}.{kind}"
    if kind == "keras":
        mutants.drive(kind, good.file(kind), good, (x, y))  # TensorFlow starts
    sources = [(folder / name).read_bytes() for name in SEEDS[kind]]
    for number in numbers:
        path.write_bytes(mutants.mutant(kind, sources[number % len(sources)], number))
        tell.send((number, None))
        tell.send((number, mutants.drive(kind, path, good, (x, y))))
    path.unlink()


def _data(folder):
    with np.load(folder / "data.npz", allow_pickle=False) as arrays:
        return arrays["x"], arrays["y"]


class Worker:
    """A process with a share of the numbers, replaced where it dies or hangs."""

    def __init__(self, kind, numbers, folder):
        self.kind, self.left, self.folder = kind, collections.deque(numbers), folder
        self.restarts = 0
        self._process = None

    def start(self):
        """Start a process for the next numbers."""
        share = [*self.left][: FILES_OF_ONE_WORKER[self.kind]]
        context = multiprocessing.get_context("fork")
        self.tells, sender = context.Pipe(duplex=False)
        arguments = self.kind, share, self.folder, sender
        self._process = context.Process(target=work, args=arguments, daemon=True)
        self._process.start()
        sender.close()
        self.at, self.since = None, time.monotonic()

    def outcomes(self):
        """Yield (number, outcomes) of the files that are done by now."""
        if self._process is None and self.left:
            self.start()
        try:
            while self._process is not None and self.tells.poll():
                self.at, found = self.tells.recv()
                self.since = time.monotonic()
                if found is not None:
                    self.left.popleft()
                    yield self.at, found
        except EOFError:
            self._process.join()
            code, self._process = self._process.exitcode, None
            if code and self.left:
                yield self.left.popleft(), {"process": f"died with exit code {code}"}
                self.restarts += 1
        limit = START_S if self.at is None else LIMIT_S
        if self._process is not None and time.monotonic() - self.since > limit:
            self._process.kill()
            self._process.join()
            self._process = None
            yield self.left.popleft(), {"process": f"took longer than {LIMIT_S} s"}
            self.restarts += 1


def fuzz(kind, numbers, folder, workers):
    """Drive mutants; return how often each outcome occurred, the failures, and seconds."""
    counts, failures, start = collections.Counter(), {}, time.monotonic()
    pool = [Worker(kind, numbers[k::workers], folder) for k in range(workers)]
    done = 0
    while any(worker.left for worker in pool):
        for worker in pool:
            for number, found in worker.outcomes():
                done += 1
                counts.update(found.values())
                bad = {v: text for v, text in found.items() if text not in ("done", "refused")}
                if bad:
                    failures[number] = bad
                    print(f"\n{kind} {number}: {bad}", flush=True)
                if done % 100 == 0:
                    print(f"\r{kind} {done} of {len(numbers)}", end="", flush=True)
        time.sleep(0.02)
    print()
    return counts, failures, time.monotonic() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tflite", type=int, default=10_000)
    parser.add_argument("--others", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--kinds", nargs="+", default=list(SEEDS))
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fuzz_"))
    make_good_files(folder)
    rows, failed = [], 0
    for kind in arguments.kinds:
        count = arguments.tflite if kind == "tflite" else arguments.others
        numbers = list(range(arguments.first, arguments.first + count))
        counts, failures, seconds = fuzz(kind, numbers, folder, arguments.workers)
        failed += len(failures)
        rows.append(
            {
                "files": f".{kind}",
                "mutants": count,
                "verbs done": counts["done"],
                "verbs refused": counts["refused"],
                "broke a rule": len(failures),
                "seconds": round(seconds),
            }
        )
        print(rows[-1], flush=True)
        _keep(kind, failures, folder)
    _report(rows, arguments)
    print(f"The files are in {folder}" if failed else "No file broke a rule.")
    sys.exit(bool(failed))


def _keep(kind, failures, folder):
    import mutants

    for number in failures:
        source = (folder / SEEDS[kind][number % len(SEEDS[kind])]).read_bytes()
        (folder / f"broke_{number}.{kind}").write_bytes(mutants.mutant(kind, source, number))


def _report(rows, arguments):
    import importlib.metadata

    import results

    names = ("ai-edge-litert", "keras", "tensorflow", "numpy")
    versions = {name: importlib.metadata.version(name) for name in names}
    text = results.table(rows)
    print(text)
    if arguments.tflite >= 10_000 and set(arguments.kinds) == set(SEEDS):
        about = (
            "Each damaged file goes through the library and the command line. A verb that is done "
            "took the file as it is: much damage leaves a valid file."
        )
        results.write_section("Hostile files", about, text, results.provenance(versions))


if __name__ == "__main__":
    main()
