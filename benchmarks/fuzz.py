"""Thousands of damaged and hostile files through inspect, check and evaluate.

    python benchmarks/fuzz.py [--tflite 10000] [--others 2000] [--workers 2] [--first 0]

No process that opens a file may die of it, none may take longer than its limit, and every error
is one of the package's, in one line. A worker is used for many files; where it dies or hangs, the
file is put down as a failure and another worker goes on. Ends with status 1 if a file broke a
rule; those files stay in the folder that is named. Started again after a kill, it goes on with the
files that are left.
"""

import argparse
import collections
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import mutants
import numpy as np
import results
from idle_processes import end_idle_processes
from record import Record

# Of what opens the files.
VERSIONS = results.package_versions("ai-edge-litert", "keras", "tensorflow", "numpy")
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
    end_idle_processes()


def _data(folder):
    with np.load(folder / "data.npz", allow_pickle=False) as arrays:
        return arrays["x"], arrays["y"]


class Worker:
    """A process with a share of the numbers, replaced where it dies or hangs."""

    def __init__(self, kind, numbers, folder):
        self.kind, self.left, self.folder = kind, collections.deque(numbers), folder
        self._process = self.at = None

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
        limit = START_S if self.at is None else LIMIT_S
        if self._process is not None and time.monotonic() - self.since > limit:
            self._process.kill()
            self._process.join()
            self._process = None
            yield self.left.popleft(), {"process": f"took longer than {LIMIT_S} s"}

    def join(self):
        """Wait for the last process."""
        if self._process is not None:
            self._process.join()


def fuzz(kind, numbers, folder, workers, record):
    """Drive mutants, and put down what became of each.

    Args:
        kind: A key of `SEEDS`.
        numbers: Numbers of the mutants.
        folder: Folder of the good files.
        workers: How many processes work side by side.
        record: `Record` of the outcomes; what it has is not driven again.
    """
    known = {row["number"] for row in record.rows if row["kind"] == kind}
    left = [number for number in numbers if number not in known]
    done, before, start = len(numbers) - len(left), _cpu(), time.monotonic()
    pool = [Worker(kind, left[k::workers], folder) for k in range(workers)]
    while any(worker.left for worker in pool):
        for worker in pool:
            for number, found in worker.outcomes():
                done += 1
                record.add({"kind": kind, "number": number, "found": found})
                if mutants.broken(found):
                    print(f"{kind} {number}: {mutants.broken(found)}", flush=True)
                if done % 100 == 0:
                    seconds = time.monotonic() - start
                    print(f"{kind} {done} of {len(numbers)}, {seconds:.0f} s", flush=True)
        time.sleep(0.02)
    for worker in pool:
        worker.join()
    record.add({"kind": f"processor seconds of {kind}", "number": None, "cpu": _cpu() - before})


def _cpu():
    """Processor seconds of all processes that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row_of(kind, rows):
    """Return the row of the table for one kind of file."""
    found = [row["found"] for row in rows if row["kind"] == kind]
    counts = collections.Counter(outcome for verbs in found for outcome in verbs.values())
    used = [row["cpu"] for row in rows if row["kind"] == f"processor seconds of {kind}"]
    return {
        "files": f".{kind}",
        "mutants": len(found),
        "verbs done": counts["done"],
        "verbs refused": counts["refused"],
        "broke a rule": sum(bool(mutants.broken(verbs)) for verbs in found),
        "processor s": round(sum(used)),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tflite", type=int, default=10_000)
    parser.add_argument("--others", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--kinds", nargs="+", default=list(SEEDS), choices=list(SEEDS))
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fuzz_"))
    whole = arguments.tflite >= 10_000 and set(arguments.kinds) == set(SEEDS)
    settings = {name: getattr(arguments, name) for name in ("tflite", "others", "first", "kinds")}
    # A sample beside it does not touch the record of a whole run.
    options = {} if whole else {"folder": folder}
    record = Record("fuzz", {**settings, "versions": VERSIONS}, **options)
    make_good_files(folder)
    rows = []
    for kind in arguments.kinds:
        count = arguments.tflite if kind == "tflite" else arguments.others
        numbers = list(range(arguments.first, arguments.first + count))
        fuzz(kind, numbers, folder, arguments.workers, record)
        rows.append(row_of(kind, record.rows))
        print(rows[-1], flush=True)
    _keep(record.rows, folder)
    print(results.table(rows))
    if whole:
        _report(rows)
        record.end()
    if any(row["broke a rule"] for row in rows):
        sys.exit(f"The files are in {folder}")
    shutil.rmtree(folder)
    print("No file broke a rule.")


def _keep(rows, folder):
    """Write the files that broke a rule."""
    for row in rows:
        if mutants.broken(row.get("found", {})):
            kind, number = row["kind"], row["number"]
            source = (folder / SEEDS[kind][number % len(SEEDS[kind])]).read_bytes()
            (folder / f"broke_{number}.{kind}").write_bytes(mutants.mutant(kind, source, number))


def _report(rows):
    about = (
        "Each damaged file goes through the library and the command line. A verb that is done "
        "took the file as it is: much damage leaves a valid file."
    )
    results.write_section("Hostile files", about, results.table(rows), results.provenance(VERSIONS))


if __name__ == "__main__":
    main()
