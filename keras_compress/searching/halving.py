"""The search itself: a baseline, probes, then generations of trials by successive halving."""

import dataclasses
import hashlib
import math
import time
from pathlib import Path

import keras
import numpy as np

from keras_compress.compression.recipe import Recipe
from keras_compress.converters.tflite import convert
from keras_compress.data.training_data import TrainingData
from keras_compress.edge_profiles import profile as edge_profile
from keras_compress.evaluation.comparison import evaluate
from keras_compress.graph.graph import trace
from keras_compress.searching.choice import best_of, cost, described, promoted
from keras_compress.searching.jobs import Context, Job
from keras_compress.searching.ledger import Ledger
from keras_compress.searching.objectives import Objectives, main_metric, measure
from keras_compress.searching.probes import Probes, probe
from keras_compress.searching.removals import Removal, probe_removals
from keras_compress.searching.result import SearchResult, Trial
from keras_compress.searching.space import Space, zeros_pay
from keras_compress.shrinking.blocks import find_blocks
from keras_compress.shrinking.dependency_graph import DependencyGraph

_PLAIN = -1
_REDUCTION = 3
# Accuracies before any training say less than those after some.
_UNTRAINED_REDUCTION = 2
_PROBED = 128
_SCORED = 512


class Halving:
    """One search. See `kc.search` for the arguments."""

    def __init__(
        self,
        build_or_model,
        train,
        validation,
        *,
        profile,
        constraints,
        budget,
        trials,
        generation,
        space,
        starts,
        folder,
        storage,
        executor,
        tuning,
        seed,
    ):
        is_model = isinstance(build_or_model, keras.Model)
        self.model = build_or_model if is_model else build_or_model()
        trace(self.model)
        self.profile, self.constraints = profile, constraints
        self.budget, self.most, self.size = budget, trials, generation
        self.given_space, self.given_starts = space, starts
        self.folder, self.storage, self.executor = Path(folder), storage, executor
        self.tuning = tuning
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = TrainingData(train, tuning.batch_size, max(_PROBED, _SCORED))
        self.ledger = Ledger(storage, self._fingerprint(), seed)
        self.context = Context(
            baseline=str(self.folder / "baseline.keras"),
            train=train,
            validation=tuple(validation),
            tuning=tuning,
        )
        self.found: dict[int, Trial] = {}

    def run(self, bar):
        """Search, and return a `SearchResult`.

        Args:
            bar: A `SearchBar`.
        """
        self.bar, self.begin = bar, time.perf_counter()
        self.before = float(self.ledger.known("seconds") or 0.0)
        self._save_baseline()
        self.baseline = self.ledger.remember("baseline", self._measure_baseline)
        plain = self._plain()
        self.limits = self.constraints.resolved(self.profile, plain.objectives.macs)
        probes = Probes.from_json(self.ledger.remember("probes", self._probe))
        blocks = bool(find_blocks(DependencyGraph(self.model)))
        self.space = Space.of(self.profile, probes, self.given_space, blocks)
        known = self.ledger.remember("removals", lambda: self._removals(plain.objectives))
        removals = tuple(Removal(**fields) for fields in known)
        self.space = dataclasses.replace(self.space, removals=removals)
        index, tried = 0, 0
        while (size := self._next_size(index, tried)) > 0:
            trials = self._ask(index, size, plain.objectives)
            if not trials:
                break
            self._generation(index, trials)
            index, tried = index + 1, tried + len(trials)
        return self._result()

    def _save_baseline(self):
        path = Path(self.context.baseline)
        if not path.exists():
            aside = path.with_name("unfinished.keras")
            self.model.save(aside)
            aside.replace(path)

    def _measure_baseline(self):
        x, y = self.context.validation
        file = convert(self.model, "float32", progress=False)
        result = evaluate(file, x, y, metrics=self.tuning.metric, latency_runs=0, progress=False)
        return {"accuracy": main_metric(result)[1], "bytes": len(file)}

    def _plain(self):
        """Measure plain quantization after training: what every search starts from."""
        job = self._job(_PLAIN, Recipe(profile=self.profile), 0)
        ((_, outcome),) = self._outcomes([job])
        if "error" in outcome:
            # Nothing else can be converted either.
            raise RuntimeError(f"Plain quantization for {self.profile} failed: {outcome['error']}")
        self._note(job, outcome, "complete")
        return self.found[_PLAIN]

    def _probe(self):
        target = edge_profile.get(self.profile)
        x, _ = self.data.samples(_PROBED)
        widths = [bits for bits in target.weight_bits if bits <= 8]
        return probe(self.model, x, widths, zeros_pay(target)).to_json()

    def _removals(self, plain):
        """Try ways of removing channels, where channels may be removed."""
        share = next((m for m in self.space.shares(self.limits, plain) if m < 1), None)
        if share is None:
            return []
        found = probe_removals(
            self.model,
            share,
            self.data.samples(_SCORED),
            self.tuning.loss,
            self.tuning.metric,
            self.space.choices["criterion"],
            self.space.choices["ranking"],
        )
        return [dataclasses.asdict(removal) for removal in found]

    def _ask(self, index, size, plain):
        starts = []
        if index == 0:
            given = self.given_starts
            limits = (self.limits, plain, size)
            starts = self.space.starts(*limits) if given is None else self.space.opened(given)
        known = [self.space.recipe(p) for p in self._parameters(index)]
        if not self.tuning.epochs:
            known.append(self.found[_PLAIN].recipe)

        def fresh(parameters):
            recipe = self.space.recipe(parameters)
            is_new = recipe not in known
            known.append(recipe)
            return is_new

        return self.ledger.generation(index, size, self.space.distributions(), starts, fresh)

    def _parameters(self, generations):
        """Return what the generations before one have tried."""
        found = (self.ledger.known(f"generation {index}") or {} for index in range(generations))
        return [parameters for generation in found for parameters in generation.values()]

    def _next_size(self, index, tried):
        """Return how many trials the next generation has, 0 at the end."""
        left = self.size if self.most is None else min(self.size, self.most - tried)
        if self.ledger.known(f"generation {index}") is not None:
            return max(left, 1)
        if index and self.budget is not None and self._left() < self._expected(self._rungs()[-1]):
            return 0
        return left if index == 0 or self._left() > 0 else 0

    def _generation(self, index, trials):
        """Measure all files, then train by halving."""
        jobs = [self._job(n, self.space.recipe(p), 0) for n, p in trials.items()]
        outcomes = self._outcomes(jobs)
        for job, outcome in outcomes:
            self._note(job, outcome, "stopped")
        alive = self._trainable(index, [job for job, outcome in outcomes if "error" not in outcome])
        for place, until in enumerate(self._rungs()):
            alive = self._rung(index, place, until, alive)
        for number in trials:
            self._tell(number)

    def _rung(self, index, place, until, alive):
        """Train the best of those alive up to an epoch; return who is alive after that.

        The first rung takes the better half of what was measured before training.
        """
        share = max(1, math.ceil(len(alive) / (_REDUCTION if place else _UNTRAINED_REDUCTION)))
        chosen = self.ledger.remember(
            f"generation {index} epoch {until}", lambda: self._go_on(alive, share, until)
        )
        state = "complete" if until == self.tuning.epochs else "stopped"
        jobs = [self._job(number, self.found[number].recipe, until) for number in chosen]
        outcomes = self._outcomes(jobs)
        for job, outcome in outcomes:
            self._note(job, outcome, state)
        return [job.number for job, outcome in outcomes if "error" not in outcome]

    def _trainable(self, index, jobs):
        """Leave out files that break a limit; where all do, keep the nearest one."""
        excess = {
            job.number: max(
                [0.0, *self.limits.size_excesses(self.found[job.number].objectives).values()]
            )
            for job in jobs
        }
        if not self.tuning.epochs:
            for number in excess:
                self._mark(number, "complete")
            return []
        fitting = [number for number, value in excess.items() if value <= 0]
        nobody = index == 0 or not any(t.is_complete for n, t in self.found.items() if n >= 0)
        if not fitting and nobody and excess:
            fitting = [min(excess, key=excess.__getitem__)]
        for number in excess:
            if number not in fitting:
                self._mark(number, "too large")
        return fitting

    def _go_on(self, alive, share, until):
        """Choose who is trained further: the best, and no more than there is time for."""
        chosen = promoted([self.found[number] for number in alive], share)
        if self.budget is not None and (expected := self._expected(until)):
            fitting = int(self._left() / expected * self.executor.workers)
            trained = any(t.is_complete and t.epochs for t in self.found.values())
            chosen = chosen[: max(fitting, 0 if trained else 1)]
        return [trial.number for trial in chosen]

    def _rungs(self):
        """Return the epochs after which trials are compared, the last one all of them."""
        epochs = self.tuning.epochs
        shares = {math.ceil(epochs / _REDUCTION**k) for k in range(3)} - {0}
        return sorted(shares)

    def _outcomes(self, jobs):
        """Run what is not known yet; return (job, outcome) in the order of the jobs."""
        keys = {job: f"trial {job.number} epoch {job.until}" for job in jobs}
        missing = [job for job in jobs if self.ledger.known(keys[job]) is None]
        if missing:
            for job, outcome in self.executor.run(missing, self.context):
                self.ledger.remember(keys[job], lambda found=outcome: found)
                self.ledger.study.set_user_attr("seconds", self._spent())
                self._show(job)
        return [(job, self.ledger.known(keys[job])) for job in jobs]

    def _note(self, job, outcome, state):
        """Keep what a job found."""
        before = self.found.get(job.number)
        if "error" in outcome:
            self.found[job.number] = Trial(
                number=job.number, recipe=job.recipe, state="failed", error=outcome["error"]
            )
            return
        measured = outcome.get("objectives")
        objectives = Objectives(**measured) if measured else before and before.objectives
        self.found[job.number] = Trial(
            number=job.number,
            recipe=job.recipe,
            state=state,
            epochs=outcome["epochs"],
            accuracy=outcome["accuracy"],
            objectives=objectives,
            seconds=outcome["seconds"] + (before.seconds if before else 0.0),
            folder=job.folder,
        )

    def _mark(self, number, state):
        trial = self.found[number]
        self.found[number] = Trial(**{**vars(trial), "state": state})

    def _tell(self, number):
        trial = self.found[number]
        if trial.objectives is None:
            self.ledger.tell(number, None, [])
            return
        # The file's bytes and time are those of the recipe, whatever training does.
        measured = Objectives(**{**vars(trial.objectives), "accuracy": trial.accuracy})
        excesses = self.limits.excesses(measured, self.baseline["accuracy"])
        self.ledger.tell(
            number, (measured.accuracy, measured.flash_bytes, cost(measured)), excesses.values()
        )

    def _result(self):
        trials = list(self.found.values())
        accuracy = self.baseline["accuracy"]
        best = best_of(trials, self.limits, accuracy, self.found[_PLAIN].objectives)
        verified = self.ledger.remember(f"verified {best.number}", lambda: self._verify(best))
        confirmed = Trial(
            **{
                **vars(best),
                "objectives": Objectives(**verified),
                "accuracy": verified["accuracy"],
            }
        )
        trials[trials.index(best)] = confirmed
        return SearchResult(
            best=confirmed,
            trials=tuple(trials),
            constraints=self.limits,
            baseline_accuracy=accuracy,
            profile=self.profile,
            unmet=self.limits.sentence(confirmed.objectives, accuracy),
            seconds=self._spent(),
            storage=self.storage,
        )

    def _verify(self, best):
        """Measure the winning file again, in the runtime that it is for."""
        name = "model.tflite" if best.epochs else "untrained.tflite"
        file = (Path(best.folder) / name).read_bytes()
        return measure(file, self.profile, *self.context.validation, self.tuning.metric).to_json()

    def _job(self, number, recipe, until):
        folder = self.folder / ("plain" if number == _PLAIN else f"trial_{number:04d}")
        return Job(number=number, recipe=recipe, until=until, folder=str(folder))

    def _expected(self, until):
        """Return the seconds that a trial takes up to an epoch, as far as is known; else 0."""
        trained = [t for t in self.found.values() if t.epochs]
        if not trained:
            return 0.0
        each = max(trial.seconds / trial.epochs for trial in trained)
        return each * until

    def _spent(self):
        return self.before + time.perf_counter() - self.begin

    def _left(self):
        return math.inf if self.budget is None else self.budget - self._spent()

    def _show(self, job):
        done = [trial for trial in self.found.values() if trial.is_complete]
        best = None
        if done and hasattr(self, "limits"):
            plain = self.found[_PLAIN].objectives
            best = best_of(done, self.limits, self.baseline["accuracy"], plain)
        self.bar.update(self._spent(), max(job.number + 1, 0), described(best))

    def _fingerprint(self):
        weights = hashlib.sha256()
        for variable in self.model.weights:
            weights.update(np.ascontiguousarray(variable).tobytes())
        limits = self.constraints
        tuning = {
            name: value if isinstance(value, int | float | str | None) else type(value).__name__
            for name, value in vars(self.tuning).items()
        }
        return {
            "model": weights.hexdigest(),
            "profile": self.profile,
            "constraints": {name: getattr(limits, name) for name in vars(limits)},
            "fine-tuning": tuning,
            "space": {n: list(v) for n, v in (self.given_space or {}).items()},
            "generation": self.size,
        }
