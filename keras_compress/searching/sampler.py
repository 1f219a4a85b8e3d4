"""Which choices to try next: Optuna's sampler, on what was told of the trials before."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from keras_compress.support import process_state

# More is better of the first; the last is time where it can be measured, else MACs.
DIRECTIONS: tuple[Literal["maximize", "minimize"], ...] = ("maximize", "minimize", "minimize")


class Sampler:
    """Asks Optuna for choices, in memory: it is told all trials anew whenever a search begins.

    Args:
        seed: Seed of the search.
    """

    def __init__(self, seed: int):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self._seed = optuna, seed
        self._study = optuna.create_study(directions=DIRECTIONS)
        self._excesses: dict[int, list[float]] = {}

    def ask(
        self,
        index: int,
        size: int,
        distributions: Mapping[str, Any],
        starts: Sequence[Mapping[str, Any]],
        is_new: Callable[[dict], bool],
    ) -> list[dict[str, Any]]:
        """Return choices for a generation, from what was told and from a seed of its own.

        Args:
            index: The generation's number.
            size: How many choices.
            distributions: Optuna's distributions.
            starts: Choices that come before those of the sampler.
            is_new: `is_new(choices) -> bool`, false for recipes that were tried already.

        Returns:
            List of dicts, shorter than `size` when the space is used up.
        """
        sampler, waiting = self._sampler(index), list(starts)
        asked: list[dict[str, Any]] = []
        for _ in range(len(waiting) + 4 * size):
            if len(asked) == size:
                break
            self._study.sampler = self._fixed(sampler, waiting.pop(0)) if waiting else sampler
            trial = self._study.ask(dict(distributions))
            # What came of it is told later, as a trial of its own.
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            if is_new(dict(trial.params)):
                asked.append(dict(trial.params))
        return asked

    def tell(
        self,
        choices: Mapping[str, Any],
        distributions: Mapping[str, Any],
        values: Sequence[float],
        excesses: Sequence[float],
    ) -> None:
        """Tell what came of choices.

        Args:
            choices: Dict from name to value.
            distributions: Optuna's distributions.
            values: Values of the objectives.
            excesses: By how much each constraint is broken.
        """
        if not all(math.isfinite(value) for value in values):
            return
        self._study.sampler = self._fixed(self._sampler(0), choices)
        trial = self._study.ask(dict(distributions))
        self._excesses[trial.number] = [float(excess) for excess in excesses]
        self._study.tell(trial, list(values))

    def _fixed(self, sampler, choices):
        """Return a sampler that always draws these choices."""
        with process_state.without_warnings():
            return self._optuna.samplers.PartialFixedSampler(choices, sampler)

    def _sampler(self, index):
        with process_state.without_warnings():
            return self._optuna.samplers.TPESampler(
                seed=1000 * self._seed + index,
                n_startup_trials=8,
                multivariate=True,
                constraints_func=lambda trial: self._excesses.get(trial.number, [0.0]),
            )
