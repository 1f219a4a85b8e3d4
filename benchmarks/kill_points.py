"""Kill the road at many moments, and look at what is left and at how it goes on.

    python benchmarks/kill_points.py [--points 200] [--stages fit calibrate ...] [--seed 0]

Each stage (fit, calibrate, convert, evaluate and report, export, shrink) runs in a fork of this
process, which has imported TensorFlow and run nothing. Half of the kills hit a moment chosen at
random, the others a file operation: before the n-th file is opened for writing, renamed or
removed, or a folder is made or removed. After each kill every file under a final name must be
whole; then the stage is run again and must end with what an uninterrupted run ends with, and with
no file or folder besides. Ends with status 1 if a rule was broken.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from pathlib import Path

import numpy as np

SHARES = {"fit": 60, "calibrate": 20, "convert": 30, "evaluate": 30, "export": 30, "shrink": 30}
EPOCHS, STEPS, BATCH = 3, 4, 8
_EVENTS = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.chmod", "os.truncate"}


def data():
    rng = np.random.default_rng(0)
    x = rng.random((STEPS * BATCH, 6, 6, 2), np.float32)
    return x, rng.integers(0, 3, len(x))


def network():
    import keras

    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 2), name="image"),
            keras.layers.Conv2D(8, 3, activation="relu", name="conv"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dropout(0.1, seed=3, name="drop"),
            keras.layers.Dense(3, name="head"),
        ]
    )


def compressed():
    import keras_compress as kc

    return kc.compress(network(), pruning=kc.Pruning(), quantization=kc.Quantization())


def save(model, path):
    from keras_compress.files import whole_file

    with whole_file(path) as aside:
        model.save(aside)


def save_weights(model, path):
    """Write all weights (masks, ranges and steps are among them) as an .npz."""
    from keras_compress.files import whole_file

    arrays = {
        f"{n:03} {w.path}".replace("/", "."): np.asarray(w) for n, w in enumerate(model.weights)
    }
    with whole_file(path) as aside:
        np.savez(aside, **arrays)


def fit(folder):
    import keras_compress as kc

    model, (x, y) = compressed(), data()
    model.compile("adam", _loss())
    schedule = kc.PolynomialDecay(final_sparsity=0.75, end_step=9, frequency=2)
    callbacks = [
        kc.PruningCallback(schedule),
        kc.QuantizationCallback(begin_step=3, freeze_step=10),
        kc.BackupAndRestore(folder / "backup"),
    ]
    options = {"batch_size": BATCH, "epochs": EPOCHS, "shuffle": False, "verbose": 0}
    model.fit(x, y, callbacks=callbacks, **options)
    save_weights(model, folder / "weights.npz")


def _loss():
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def calibrate(folder):
    import keras_compress as kc

    model = compressed()
    kc.calibrate(model, data()[0])
    save_weights(model, folder / "weights.npz")
    save(model, folder / "calibrated.keras")


def convert(folder):
    import keras_compress as kc

    kc.convert(network(), representative_dataset=np.tile(data()[0], (4, 1, 1, 1))).save(
        folder / "model.tflite"
    )


def evaluate(folder):
    import keras_compress as kc

    result = kc.evaluate(folder / "given.tflite", *data(), latency_runs=5)
    report = kc.report(result, model=folder / "given.tflite", targets=["cortex_m4"])
    report.save(folder / "report.html")
    report.save(folder / "report.json")


def export(folder):
    from keras_compress.cli import main as cli

    given = f"--model={folder / 'given.tflite'}"
    for form in ("c", "micro"):
        words = ["export", given, f"--format={form}", "--profile=cortex_m4"]
        words += [f"--out={folder / form}", f"--json={folder / form}.json"]
        if cli.main(words):
            raise RuntimeError(f"export {form} failed")


def shrink(folder):
    from keras_compress.cli import main as cli

    words = ["shrink", f"--model={folder / 'given.keras'}", f"--output={folder / 'small.keras'}"]
    if cli.main([*words, "--channels=0.5", f"--json={folder / 'shrink.json'}"]):
        raise RuntimeError("shrink failed")


STAGES = {f.__name__: f for f in (fit, calibrate, convert, evaluate, export, shrink)}


class Run:
    """A stage in a fork of this process.

    Args:
        stage: A name of `STAGES`.
        folder: Where it works; its temporary files go to `tmp` in it.
        kill_at: Number of the file operation before which it kills itself, `None` for none.
    """

    def __init__(self, stage, folder, kill_at=None):
        self._began = time.monotonic()
        reader, writer = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(reader)
            _in_the_fork(stage, folder, kill_at, writer)
        os.close(writer)
        self._reader = reader

    def kill(self, after):
        """Kill it when so many seconds have passed, if it still runs."""
        while time.monotonic() - self._began < after:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
            time.sleep(0.002)
        os.kill(self.pid, signal.SIGKILL)

    def wait(self):
        """Return (exit code, file operations, seconds)."""
        with os.fdopen(self._reader, "rb") as told:
            operations = told.read()
        _, status = os.waitpid(self.pid, 0)
        seconds = time.monotonic() - self._began
        return os.waitstatus_to_exitcode(status), int(operations or b"0"), seconds


def _in_the_fork(stage, folder, kill_at, writer):
    count = 0

    def watch(event, arguments):
        nonlocal count
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if not writes and event not in _EVENTS:
            return
        if not str(arguments[0]).startswith(str(folder)):
            return
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        tempfile.tempdir = str(folder / "tmp")
        os.environ["TMPDIR"] = tempfile.tempdir
        with open(folder.parent / "log.txt", "ab") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        sys.addaudithook(watch)
        STAGES[stage](folder)
        os.write(writer, str(count).encode())
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def tree(folder):
    """Return the names of all files and folders but those that TensorFlow leaves in `tmp`."""
    return sorted(str(path.relative_to(folder)) for path in _paths(folder))


def _paths(folder):
    # TensorFlow removes what it traces from when a process ends by itself, which no fork does.
    return [path for path in sorted(folder.rglob("*")) if "__autograph" not in path.name]


def content(folder):
    """Return what each file holds, in a form that leaves times and compression out."""
    return {
        str(path.relative_to(folder)): _content(path) for path in _paths(folder) if path.is_file()
    }


def _content(path):
    """Read one file; raises where it is not whole."""
    if path.suffix in (".npz", ".keras"):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name != "metadata.json"]
            return {name: archive.read(name) for name in names}
    if path.suffix == ".json":
        return _without_times(json.loads(path.read_text()))
    if path.suffix == ".html":
        text = path.read_text()
        if "</html>" not in text[-20:]:
            raise ValueError("a page without an end")
        return len(text) > 0
    return path.read_bytes()


def _without_times(value):
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items() if "latency" not in k}
    return [_without_times(v) for v in value] if isinstance(value, list) else value


def same(found, wanted):
    """Return the names of files that differ."""
    return [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]


class Stage:
    """One stage, its uninterrupted run, and kills."""

    def __init__(self, name, root, given):
        self.name, self._root, self._given = name, root, given
        folder = self._fresh("whole")
        code, self.operations, self.seconds = Run(name, folder).wait()
        if code:
            sys.exit(f"{name} does not run: see {root / 'log.txt'}")
        self.tree, self.content = tree(folder), content(folder)

    def _fresh(self, name):
        folder = self._root / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._given, folder)
        (folder / "tmp").mkdir()
        return folder

    def kill(self, kill_at=None, after=None):
        """Kill a run, run again; return what broke a rule, and whether the kill came in time."""
        folder = self._fresh("killed")
        run = Run(self.name, folder, kill_at)
        if after is not None:
            run.kill(after)
        code, _, _ = run.wait()
        if code not in (0, -signal.SIGKILL):
            return [f"ended with {code}"], True
        problems = [*self._half_written(folder)]
        again, _, _ = Run(self.name, folder).wait()
        if again:
            return [*problems, "cannot be run again"], True
        differing = same(content(folder), self.content)
        problems += [f"{name} differs from an uninterrupted run's" for name in differing]
        extra = set(tree(folder)) - set(self.tree)
        return [*problems, *(f"{name} is left over" for name in extra)], code != 0

    def _half_written(self, folder):
        """Yield the files under a final name that are not whole."""
        for path in folder.rglob("*"):
            name = str(path.relative_to(folder))
            if not path.is_file() or name not in self.content:
                continue
            try:
                whole = _content(path) == self.content[name]
            except Exception as error:
                whole = False
                name += f" ({type(error).__name__}: {error})"
            if not whole:
                yield f"{name} is half-written"


def moments(stage, count, rng):
    """Return the kills of a stage: file operations evenly spread, and random times."""
    by_operation = min(count // 2, stage.operations)
    numbers = np.linspace(1, stage.operations, by_operation).round().astype(int)
    times = [rng.uniform(0.0, stage.seconds) for _ in range(count - by_operation)]
    return [{"kill_at": int(n)} for n in numbers] + [{"after": t} for t in times]


def make_given(folder):
    """Write the model files that stages begin with, in a fork."""
    pid = os.fork()
    if not pid:
        try:
            import keras_compress as kc

            model = network()
            model.save(folder / "given.keras")
            kc.convert(model, representative_dataset=np.tile(data()[0], (4, 1, 1, 1))).save(
                folder / "given.tflite"
            )
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if os.waitpid(pid, 0)[1]:
        sys.exit("The files to begin with could not be made.")


def preload():
    """Import all that stages need, and run nothing: what has threads must not fork."""
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    import keras_compress as kc

    for name in kc.__all__:
        getattr(kc, name)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=int, default=sum(SHARES.values()))
    parser.add_argument("--stages", nargs="+", default=list(SHARES), choices=list(SHARES))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    preload()
    root = Path(tempfile.mkdtemp(prefix="kill_points_"))
    given = root / "given"
    given.mkdir()
    make_given(given)
    total, rows, broken = sum(SHARES[name] for name in arguments.stages), [], 0
    for name in arguments.stages:
        stage = Stage(name, root, given)
        count = max(1, round(arguments.points * SHARES[name] / total))
        row = {
            "stage": name,
            "file operations": stage.operations,
            "seconds": round(stage.seconds, 1),
        }
        row.update({"kills": 0, "in time": 0, "broke a rule": 0})
        for moment in moments(stage, count, rng):
            problems, in_time = stage.kill(**moment)
            row["kills"] += 1
            row["in time"] += in_time
            row["broke a rule"] += bool(problems)
            if problems:
                print(name, moment, problems, flush=True)
        broken += row["broke a rule"]
        rows.append(row)
        print(row, flush=True)
    _report(rows, arguments)
    if not broken:
        shutil.rmtree(root)
    sys.exit(bool(broken))


def _report(rows, arguments):
    import importlib.metadata

    import results

    print(results.table(rows))
    if arguments.points >= sum(SHARES.values()) and len(rows) == len(SHARES):
        names = ("tensorflow", "keras", "ai-edge-litert", "numpy")
        versions = {name: importlib.metadata.version(name) for name in names}
        about = (
            "A kill is in time where the stage had not ended. After each one the files under final "
            "names were whole, and the stage run again ended as an uninterrupted run, but for what "
            "broke a rule."
        )
        about_run = results.provenance(versions, seed=arguments.seed)
        results.write_section("Killed processes", about, results.table(rows), about_run)


if __name__ == "__main__":
    main()
