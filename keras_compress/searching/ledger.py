"""What a search remembers when it is killed, in an Optuna study."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from keras_compress.errors import InvalidArgumentError, MissingPackageError
from keras_compress.support import process_state

_STUDY = "keras_compress"
# More is better of the first; the last is time where it can be measured, else MACs.
DIRECTIONS: tuple[Literal["maximize", "minimize"], ...] = ("maximize", "minimize", "minimize")


class Ledger:
    """Trials and outcomes of a search, in Optuna's storage.

    Whatever a search decides or measures is written down before it goes on, so that a search
    that was killed replays what was recorded and continues from there.

    Args:
        storage: URL of an Optuna storage.
        fingerprint: Dict that says which search this is.
        seed: Seed of the sampler.

    Raises:
        MissingPackageError: Optuna is not installed.
        InvalidArgumentError: The storage holds another search.
    """

    def __init__(self, storage, fingerprint, seed):
        if importlib.util.find_spec("optuna") is None:
            raise MissingPackageError(
                "kc.search needs Optuna, which this installation lacks. "
                'Install it: pip install "keras-compress[search]"'
            )
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self._seed = optuna, seed
        self._study = optuna.create_study(
            storage=storage, study_name=_STUDY, directions=DIRECTIONS, load_if_exists=True
        )
        stored = self.remember("fingerprint", lambda: fingerprint)
        changed = [key for key in fingerprint if stored.get(key) != _as_json(fingerprint[key])]
        if changed:
            raise InvalidArgumentError(
                f"The storage holds a search with another {', '.join(changed)}. Pass another "
                f"folder=, or delete it to start over. Received: {storage}"
            )
        self._excesses: dict[int, list[float]] = {}

    def remember(self, key, make: Callable):
        """Return what is written under a key; make and write it where nothing is."""
        if key not in self._study.user_attrs:
            self.record(key, make())
        return self.recorded(key)

    def record(self, key, value):
        """Write a value that `json.dumps` takes under a key."""
        self._study.set_user_attr(key, _as_json(value))

    def recorded(self, key):
        """Return what is written under a key, or `None`."""
        return self._study.user_attrs.get(key)

    def generation(self, index, size, distributions, starts, is_new: Callable):
        """Return the trials of a generation, asked for once and then remembered.

        A generation is asked for as a whole, from what was told before it and from a seed of its
        own, so that neither the executor nor a restart changes what is tried.

        Args:
            index: The generation's number.
            size: How many trials.
            distributions: Optuna's distributions.
            starts: Parameter dicts that are tried before the sampler is asked.
            fresh: `is_new(parameters) -> bool`, false for recipes that were tried already.

        Returns:
            Dict from a trial's number to its parameters; fewer than `size` when the space is
            used up.
        """
        generation = self.remember(
            f"generation {index}",
            lambda: self._asked(index, size, distributions, starts, is_new),
        )
        return {int(number): parameters for number, parameters in generation.items()}

    def tell(self, number, values, excesses):
        """Close a trial.

        Args:
            number: The trial's number.
            values: Values of the objectives, or `None` where the trial failed.
            excesses: By how much each constraint is broken.
        """
        self._excesses[number] = [float(value) for value in excesses]
        failed = self._optuna.trial.TrialState.FAIL
        if values is None:
            self._study.tell(number, state=failed, skip_if_finished=True)
        else:
            self._study.tell(number, values, skip_if_finished=True)

    def _asked(self, index, size, distributions, starts, is_new):
        self._drop_unfinished()
        sampler = self._sampler(index)
        asked: dict[int, dict] = {}
        waiting = list(starts)
        for _ in range(len(waiting) + 4 * size):
            if len(asked) == size:
                break
            self._study.sampler = self._fixed(sampler, waiting.pop(0)) if waiting else sampler
            trial = self._study.ask(distributions)
            parameters = dict(trial.params)
            if is_new(parameters):
                asked[trial.number] = parameters
            else:
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        return asked

    def _drop_unfinished(self):
        """Close what a killed process asked for and did not record as a generation."""
        states = self._optuna.trial.TrialState
        for trial in self._study.get_trials(
            deepcopy=False, states=(states.RUNNING, states.WAITING)
        ):
            self._study.tell(trial.number, state=states.FAIL)

    def _fixed(self, sampler, parameters):
        """Return a sampler that always draws these parameters."""
        with process_state.without_warnings():
            return self._optuna.samplers.PartialFixedSampler(parameters, sampler)

    def _sampler(self, index):
        with process_state.without_warnings():
            return self._optuna.samplers.TPESampler(
                seed=1000 * self._seed + index,
                n_startup_trials=8,
                multivariate=True,
                constraints_func=lambda trial: self._excesses.get(trial.number, [0.0]),
            )


def sqlite(folder):
    """Return the URL of the SQLite file in a folder."""
    return f"sqlite:///{Path(folder).resolve() / 'search.db'}"


def _as_json(value):
    return json.loads(json.dumps(value))
