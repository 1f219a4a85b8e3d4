"""Generations of trials by successive halving."""

import math

from keras_compress.searching.trial import PLAIN
from keras_compress.searching.trial_order import best_of, promote

_REDUCTION = 3
# Accuracies before any training say less than those after some.
_UNTRAINED_REDUCTION = 2


class Halving:
    """Asks for generations of recipes, measures their files, and trains the better ones further.

    Args:
        plan: A `SearchPlan`.
        prepared: The `Preparation`.
        ledger: The `Ledger`.
        runner: The `TrialRunner`; its `trials` are the result.
        clock: The `SearchClock`.
        bar: The `SearchBar`.
    """

    def __init__(self, plan, prepared, ledger, runner, clock, bar):
        self._plan, self._prepared, self._ledger = plan, prepared, ledger
        self._runner, self._clock, self._bar = runner, clock, bar
        self._epochs = plan.tuning.epochs
        self._rungs = rungs(self._epochs)

    def run(self):
        """Try generations until trials, time or recipes are used up."""
        self._show_best()
        index, tried = 0, 0
        while (size := self._next_size(index, tried)) > 0:
            recipes = self._ask(index, size)
            if not recipes:
                return
            self._try(index, recipes)
            index, tried = index + 1, tried + len(recipes)

    def _next_size(self, index, tried):
        """Return how many trials the next generation has, 0 at the end."""
        size, most = self._plan.generation_size, self._plan.max_trials
        size = size if most is None else min(size, most - tried)
        if self._ledger.recorded(_generation(index)) is not None:
            return max(size, 1)
        if index == 0:
            return size
        needed = self._runner.expected_seconds(self._rungs[-1]) if self._rungs else 0.0
        left = self._clock.left()
        return size if left > 0 and left >= needed else 0

    def _ask(self, index, size):
        """Return the recipes of a generation: dict from a trial's number to a `Recipe`."""
        space = self._prepared.space
        tried = [space.recipe(parameters) for parameters in self._parameters_of_others(index)]
        if not self._epochs:
            tried.append(self._runner.trials[PLAIN].recipe)

        def is_new(parameters):
            recipe = space.recipe(parameters)
            if recipe in tried:
                return False
            tried.append(recipe)
            return True

        starts = self._starts(size) if index == 0 else []
        asked = self._ledger.generation(index, size, space.distributions(), starts, is_new)
        return {number: space.recipe(parameters) for number, parameters in asked.items()}

    def _starts(self, size):
        space, given = self._prepared.space, self._plan.starts
        if given is not None:
            return space.opened(given)
        return space.starts(self._prepared.limits, self._prepared.plain, size)

    def _parameters_of_others(self, index):
        """Return what other generations have tried; of a damaged one later ones are known."""
        generations = self._ledger.generations_but(index)
        return [parameters for generation in generations for parameters in generation.values()]

    def _try(self, index, recipes):
        """Measure all files, then train by halving, then tell the sampler."""
        measured = self._runner.run(recipes, until=0, state="stopped")
        if not self._epochs:
            self._mark(measured, "complete")
            self._show_best()
        alive = self._within_limits(index, measured) if self._epochs else []
        for until in self._rungs:
            alive = self._train(index, alive, until)
            self._show_best()
        for number in recipes:
            self._tell(self._runner.trials[number])

    def _within_limits(self, index, numbers):
        """Return the trials whose files keep to the limits; where none does, the nearest one."""
        limits, trials = self._prepared.limits, self._runner.trials
        excess = {
            number: max([0.0, *limits.size_excesses(trials[number].objectives).values()])
            for number in numbers
        }
        fitting = [number for number in numbers if excess[number] <= 0]
        complete = any(t.is_complete and not t.is_plain for t in trials.values())
        if not fitting and excess and (index == 0 or not complete):
            fitting = [min(excess, key=excess.__getitem__)]
        self._mark([number for number in numbers if number not in fitting], "too large")
        return fitting

    def _train(self, index, alive, until):
        """Train the best of those alive up to an epoch; return the numbers that did not fail."""

        def decode(recorded):
            if not set(recorded) <= set(alive):
                raise ValueError("chosen among other trials")
            return recorded

        chosen = self._ledger.remember(
            f"generation {index} epoch {until}", lambda: self._promoted(alive, until), decode
        )
        recipes = {number: self._runner.trials[number].recipe for number in chosen}
        state = "complete" if until == self._epochs else "stopped"
        return self._runner.run(recipes, until, state)

    def _promoted(self, alive, until):
        """Choose the trials to train further: the best, and no more than there is time for."""
        trials = self._runner.trials
        reduction = _UNTRAINED_REDUCTION if until == self._rungs[0] else _REDUCTION
        share = max(1, math.ceil(len(alive) / reduction))
        chosen = [t.number for t in promote([trials[number] for number in alive], share)]
        expected = self._runner.expected_seconds(until)
        if self._plan.budget is None or not expected:
            return chosen
        in_time = int(self._clock.left() / expected * self._plan.executor.workers)
        is_any_trained = any(t.is_complete and t.epochs for t in trials.values())
        return chosen[: max(in_time, 0 if is_any_trained else 1)]

    def _mark(self, numbers, state):
        for number in numbers:
            self._runner.mark(number, state)

    def _tell(self, trial):
        """Tell the sampler what came of a trial."""
        if trial.objectives is None:
            self._ledger.tell(trial.number, None, [])
            return
        figures = trial.latest_objectives
        excesses = self._prepared.limits.excesses(figures, self._prepared.baseline_accuracy)
        values = figures.accuracy, figures.flash_bytes, figures.inference_cost
        self._ledger.tell(trial.number, values, excesses.values())

    def _show_best(self):
        prepared = self._prepared
        trials = list(self._runner.trials.values())
        best = best_of(trials, prepared.limits, prepared.baseline_accuracy, prepared.plain)
        self._bar.show_best(best.objectives)


def rungs(epochs):
    """Return the epochs after which trials are compared, the last one all of them.

    Args:
        epochs: Epochs of a trial that is not stopped; 0 has no rungs.

    Example:
        >>> rungs(9)
        [1, 3, 9]
    """
    return sorted({math.ceil(epochs / _REDUCTION**k) for k in range(3)} - {0})


def _generation(index):
    return f"generation {index}"
