"""Kill the road at many moments, and look at what is left and at how it goes on.

    python benchmarks/kill_points.py [--points 200] [--stages fit calibrate ...] [--seed 0]
                                     [--workers 2]

Each stage (fit, calibrate, convert, evaluate and report, export, shrink) runs in a fork of this
process, which has imported TensorFlow and run nothing. Half of the kills hit a moment chosen at
random, the others a file operation: before the n-th file is opened for writing, renamed or
removed, or a folder is made or removed. After each kill every file under a final name must be
whole; then the stage is run again and must end with what an uninterrupted run ends with, and with
no file or folder besides. Ends with status 1 if a rule was broken. Started again after a kill of
its own, it goes on with the points that are left.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from pathlib import Path

import numpy as np
import results
from idle_processes import end_idle_processes
from kill_stages import STAGES, data, network
from record import Record

# Of what the stages run on.
VERSIONS = results.package_versions("tensorflow", "keras", "ai-edge-litert", "numpy")
SHARES = {"fit": 60, "calibrate": 20, "convert": 30, "evaluate": 30, "export": 30, "shrink": 30}
_EVENTS = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.chmod", "os.truncate"}


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
        _, status, used = os.wait4(self.pid, 0)
        self.cpu = used.ru_utime + used.ru_stime
        seconds = time.monotonic() - self._began
        return os.waitstatus_to_exitcode(status), int(operations or b"0"), seconds


def _in_the_fork(stage, folder, kill_at, writer):
    count = 0

    def watch(event, arguments):
        nonlocal count
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if not writes and event not in _EVENTS:
            return
        if not str(arguments[0]).startswith(f"{folder}{os.sep}"):
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
        end_idle_processes()
        os.write(writer, str(count).encode())
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def tree(folder):
    """Return the names of all files and folders but those that TensorFlow and Keras leave."""
    return sorted(str(path.relative_to(folder)) for path in _paths(folder))


def _paths(folder):
    return [p for p in sorted(folder.rglob("*")) if not _foreign(p.relative_to(folder))]


def _foreign(path):
    """Whether a path is TensorFlow's or Keras' own temporary one.

    TensorFlow removes what it traces from when a process ends by itself, which no fork does; Keras
    loads a file through a folder without a name of its own, which it removes if it comes to that.
    """
    return "__autograph" in path.name or re.fullmatch(r"tmp/tmp\w{8}(/assets)?", str(path))


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
            return {name: _numbered(archive.read(name)) for name in names}
    if path.suffix == ".json":
        return _without_times(json.loads(path.read_text()))
    if path.suffix == ".html":
        text = path.read_text()
        if "</html>" not in text[-20:]:
            raise ValueError("a page without an end")
        return len(text) > 0
    return path.read_bytes()


def _numbered(member):
    """Number the objects that layers share: Keras names them by their addresses."""
    found = re.findall(rb'"shared_object_id": (\d+)', member)
    for number, address in enumerate(dict.fromkeys(found)):
        member = member.replace(b'"shared_object_id": ' + address, b"shared %d" % number)
    return member


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

    def kill(self, kill_at=None, after=None, worker=0):
        """Kill a run, and run again.

        Args:
            kill_at: Number of a file operation.
            after: Seconds.
            worker: Workers have folders of their own.

        Returns:
            Tuple: what broke a rule, whether the kill came in time, processor seconds.
        """
        folder = self._fresh(f"killed_{worker}")
        run = Run(self.name, folder, kill_at)
        if after is not None:
            run.kill(after)
        code, _, _ = run.wait()
        if code not in (0, -signal.SIGKILL):
            return [f"ended with {code}"], True, run.cpu
        problems = [*self._half_written(folder)]
        second = Run(self.name, folder)
        again, _, _ = second.wait()
        cpu = run.cpu + second.cpu
        if again:
            return [*problems, "cannot be run again"], True, cpu
        differing = same(content(folder), self.content)
        problems += [f"{name} differs from an uninterrupted run's" for name in differing]
        extra = set(tree(folder)) - set(self.tree)
        return [*problems, *(f"{name} is left over" for name in extra)], code != 0, cpu

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


def kill_all(stage, todo, record, workers):
    """Go through kills of a stage in forks of this process; each appends to the record.

    Args:
        stage: A `Stage`.
        todo: List of pairs (number, moment).
        record: `Record` of the outcomes.
        workers: How many forks work side by side.
    """
    pids = []
    for worker in range(min(workers, len(todo))):
        pid = os.fork()
        if not pid:
            try:
                _kill_some(stage, todo[worker::workers], record, worker)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
        pids.append(pid)
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    if any(statuses):
        sys.exit("A worker ended before its kills were done. Start again to go on.")


def _kill_some(stage, todo, record, worker):
    for number, moment in todo:
        problems, in_time, cpu = stage.kill(**moment, worker=worker)
        outcome = {"in time": bool(in_time), "problems": problems, "cpu": round(cpu, 2)}
        record.add({"stage": stage.name, "number": number, **outcome})
        print(f"{stage.name} {number}: {moment} {problems or 'holds'}, {cpu:.1f} s", flush=True)


def row_of(name, operations, outcomes):
    """Return a stage's row of the table."""
    return {
        "stage": name,
        "file operations": operations,
        "kills": len(outcomes),
        "in time": sum(outcome["in time"] for outcome in outcomes),
        "broke a rule": sum(bool(outcome["problems"]) for outcome in outcomes),
        "processor s": round(sum(outcome["cpu"] for outcome in outcomes)),
    }


def go(arguments, root, record):
    """Kill all stages; return the rows of the table."""
    given = root / "given"
    given.mkdir()
    make_given(given)
    total, rows = sum(SHARES[name] for name in arguments.stages), []
    for name in arguments.stages:
        stage = Stage(name, root, given)
        count = max(1, round(arguments.points * SHARES[name] / total))
        kills = moments(stage, count, random.Random(f"{arguments.seed} {name}"))
        done = {row["number"] for row in record.rows if row["stage"] == name}
        todo = [(n, kill) for n, kill in enumerate(kills) if n not in done]
        kill_all(stage, todo, record, arguments.workers)
        outcomes = [row for row in record.rows if row["stage"] == name]
        rows.append(row_of(name, stage.operations, outcomes))
        print(rows[-1], flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=int, default=sum(SHARES.values()))
    parser.add_argument("--stages", nargs="+", default=list(SHARES), choices=list(SHARES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    preload()
    settings = {name: getattr(arguments, name) for name in ("points", "stages", "seed")}
    root = Path(tempfile.mkdtemp(prefix="kill_points_"))
    whole = arguments.points >= sum(SHARES.values()) and len(arguments.stages) == len(SHARES)
    # A sample beside it does not touch the record of a whole run.
    options = {} if whole else {"folder": root}
    record = Record("kill_points", {**settings, "versions": VERSIONS}, **options)
    rows = go(arguments, root, record)
    print(results.table(rows))
    if whole:
        _report(rows, arguments)
        record.end()
    if any(row["broke a rule"] for row in rows):
        sys.exit(f"What is left is in {root}")
    shutil.rmtree(root)


def _report(rows, arguments):
    about = (
        "A kill is in time where the stage had not ended. After each one the files under final "
        "names were whole, and the stage run again ended as an uninterrupted run, but for what "
        "broke a rule."
    )
    about_run = results.provenance(VERSIONS, seed=arguments.seed)
    results.write_section("Killed processes", about, results.table(rows), about_run)


if __name__ == "__main__":
    main()
