"""Kill a search at many moments, start it again each time, and look at how it ends.

    python benchmarks/search_kills.py [--kills 50] [--saves 10] [--seed 0]

A search of two trials of a tiny network runs in a fork of this process, which has imported
TensorFlow and run nothing. It is killed (SIGKILL) at a moment chosen at random, or while it saves a
checkpoint or a model: before the n-th file operation of its saves. Then it is started again, and
killed again, until it ends before the next kill. Then it must have ended with the trials, the
figures and the file of an uninterrupted search, with each trial once in Optuna's storage, and with
nothing unfinished in its folder. Ends with status 1 if a rule was broken. Started again after a
kill of its own, it goes on with the kills that are left.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import kill_stages
import results
from kill_points import Run, preload
from record import Record

VERSIONS = results.package_versions("tensorflow", "keras", "ai-edge-litert", "optuna", "numpy")
# Which file operation of a save the search ends before; the search reads it from its folder.
_SAVE_TO_KILL = "kill_in_save"
_SAVES = "saves"
_MOMENT, _SAVE = "a random moment", "inside a save"
_SPACE = {
    "macs": [1.0, 0.6],
    "sparsity": [0.0, 0.5],
    "allocation": ["uniform"],
    "clusters": [0],
    "criterion": ["l2_norm"],
    "ranking": ["global"],
    "weight_quantizer": ["abs_max"],
}


def search(folder):
    """Search, and write down what came out and how many file operations the saves took."""
    import keras

    import keras_compress as kc

    class OneBatch(keras.utils.PyDataset):
        """One batch an epoch: `fit` would put more of them into another order after a restart."""

        def __len__(self):
            return 1

        def __getitem__(self, _):
            return kill_stages.data()

    operations = _watch_saves(folder)
    result = kc.search(
        kill_stages.network(),
        OneBatch(),
        kill_stages.data(),
        profile="cortex_m4",
        constraints=kc.Constraints(max_accuracy_drop=1.0),
        trials=2,
        generation=2,
        epochs=3,
        space=_SPACE,
        starts=[{"macs": 0.6, "sparsity": 0.5}, {"macs": 1.0, "sparsity": 0.5}],
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=lambda steps: keras.optimizers.SGD(0.05, momentum=0.9),
        folder=folder / "search",
    )
    outcome = {
        **_without_places(result.to_json()),
        "file": hashlib.sha256(result.file).hexdigest(),
        "in the storage": _in_the_storage(result.storage),
        _SAVES: operations[0],
    }
    (folder / "outcome.json").write_text(json.dumps(outcome))


def _watch_saves(folder):
    """Count the file operations of saves, and end the process before one of them."""
    order = folder / _SAVE_TO_KILL
    kill_at = int(order.read_text()) if order.exists() else None
    operations = [0]

    def watch(event, arguments):
        if event not in ("open", "os.rename", "os.mkdir") or not _is_save(str(arguments[0])):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        operations[0] += 1
        if operations[0] == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    return operations


def _is_save(path):
    return "/backup/unfinished_" in path or (".unfinished." in path and path.endswith(".keras"))


def _in_the_storage(url):
    import optuna

    study = optuna.load_study(study_name="keras_compress", storage=url)
    return sorted(trial.user_attrs["trial"] for trial in study.trials)


def _without_places(value):
    """Leave out times and paths, which differ in every run."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in ("seconds", "folder", "storage")}
        return {k: _without_places(v) for k, v in kept.items()}
    return [_without_places(v) for v in value] if isinstance(value, list) else value


class Searches:
    """Searches that are killed and started again, beside one that nothing interrupts.

    Args:
        root: Folder for the searches.
    """

    def __init__(self, root):
        self._root = root
        folder = self._fresh("whole")
        code, _, self.seconds = Run("search", folder).wait()
        if code:
            sys.exit(f"The search does not run: see {root / 'log.txt'}")
        outcome = json.loads((folder / "outcome.json").read_text())
        self.operations = outcome.pop(_SAVES)
        self._outcome = outcome

    def killed_again_and_again(self, kinds, rng):
        """Kill one search until it ends before a kill; return a row for each kill in time.

        Args:
            kinds: List of `_MOMENT` and `_SAVE`, in the order of the kills. At its end the search
                runs through.
            rng: Source of the moments.
        """
        folder, rows = self._fresh("killed"), []
        for kind in [*kinds, None]:
            code = self._run(folder, kind, rng)
            if code == -signal.SIGKILL:
                rows.append({"kind": kind, "problems": []})
                continue
            problems = [f"ended with {code}"] if code else self._problems(folder)
            if rows:
                rows[-1]["problems"] = problems
            elif problems:
                sys.exit(f"A search that was not killed broke a rule: {problems}")
            return rows
        return rows

    def _run(self, folder, kind, rng):
        order = folder / _SAVE_TO_KILL
        order.unlink(missing_ok=True)
        if kind == _SAVE:
            order.write_text(str(rng.randint(1, self.operations)))
        run = Run("search", folder)
        if kind == _MOMENT:
            run.kill(rng.uniform(0.0, self.seconds))
        return run.wait()[0]

    def _problems(self, folder):
        outcome = json.loads((folder / "outcome.json").read_text())
        names = [name for name in self._outcome if outcome[name] != self._outcome[name]]
        unfinished = [str(p.relative_to(folder)) for p in folder.rglob("*unfinished*")]
        return [f"{name} differs" for name in names] + [f"{p} is left over" for p in unfinished]

    def _fresh(self, name):
        folder = self._root / name
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "tmp").mkdir(parents=True)
        return folder


def kill_all(searches, arguments, record):
    """Kill searches until there are as many kills of each kind as asked for."""
    chain = len({row["chain"] for row in record.rows})
    while left := _left(arguments, record.rows):
        rng = random.Random(f"{arguments.seed} {chain}")
        rng.shuffle(left)
        for row in searches.killed_again_and_again(left, rng):
            record.add({"chain": chain, **row})
            print(row, flush=True)
        chain += 1


def _left(arguments, rows):
    done = [row["kind"] for row in rows]
    moments = arguments.kills - arguments.saves - done.count(_MOMENT)
    return [_MOMENT] * moments + [_SAVE] * (arguments.saves - done.count(_SAVE))


def rows_of(rows):
    """Return the table: one row for each kind of kill."""
    return [
        {
            "killed": kind,
            "kills": sum(row["kind"] == kind for row in rows),
            "searches": len({row["chain"] for row in rows if row["kind"] == kind}),
            "broke a rule": sum(bool(row["problems"]) for row in rows if row["kind"] == kind),
        }
        for kind in (_MOMENT, _SAVE)
    ]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--saves", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    preload()
    import optuna  # noqa: F401

    kill_stages.STAGES["search"] = search
    root = Path(tempfile.mkdtemp(prefix="search_kills_"))
    is_whole = arguments.kills >= parser.get_default("kills")
    # A sample beside it does not touch the record of a whole run.
    options = {} if is_whole else {"folder": root}
    record = Record("search_kills", {**vars(arguments), "versions": VERSIONS}, **options)
    kill_all(Searches(root), arguments, record)
    rows, table = record.rows, rows_of(record.rows)
    print(results.table(table))
    if is_whole:
        _report(table, arguments)
        record.end()
    if any(row["problems"] for row in rows):
        sys.exit(f"What is left is in {root}")
    shutil.rmtree(root)


def _report(table, arguments):
    about = (
        "A search of two trials, killed and started again until it ended. It ended with the "
        "trials, figures and file of an uninterrupted search, with each trial once in Optuna's "
        "storage and nothing unfinished, but for what broke a rule."
    )
    about_run = results.provenance(VERSIONS, seed=arguments.seed)
    results.write_section("Killed searches", about, results.table(table), about_run)


if __name__ == "__main__":
    main()
