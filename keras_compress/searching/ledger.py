"""What a search remembers when it is killed, and what its sampler was told."""

import contextlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_compress.errors import MissingPackageError
from keras_compress.searching.records import MALFORMED, Records, search_digest
from keras_compress.searching.sampler import Sampler
from keras_compress.searching.storage_copy import StorageCopy, sqlite_file
from keras_compress.searching.trial_folder import refuse_trials_of_another


class Ledger:
    """Trials and outcomes of a search.

    Whatever a search decides or measures is written down before it goes on, so that a search
    that was killed replays what was recorded and continues from there. The records in the folder
    are all that it reads; Optuna's storage is a copy for its dashboard.

    Args:
        folder: The search's folder.
        storage: URL of an Optuna storage.
        fingerprint: Dict that says which search this is.
        seed: Seed of the sampler.

    Raises:
        MissingPackageError: Optuna is not installed.
        InvalidArgumentError: The folder or the storage holds another search.
    """

    def __init__(self, folder: Path, storage: str, fingerprint: dict[str, Any], seed: int):
        if importlib.util.find_spec("optuna") is None:
            raise MissingPackageError(
                "kc.search needs Optuna, which this installation lacks. "
                'Install it: pip install "keras-compress[search]"'
            )
        self._records = Records(folder / "records", fingerprint)
        refuse_trials_of_another(folder, search_digest(fingerprint))
        self._sampler = Sampler(seed)
        file = sqlite_file(folder) if storage == sqlite(folder) else None
        self._copy = StorageCopy(storage, fingerprint, file)
        self._import_from_copy()
        self._choices: dict[int, dict[str, Any]] = {}
        self._distributions: dict[str, Any] = {}

    def remember(
        self, key: str, make: Callable[[], Any], decode: Callable[[Any], Any] = lambda value: value
    ) -> Any:
        """See `Records.remember`."""
        return self._records.remember(key, make, decode)

    def record(self, key: str, value: Any) -> None:
        """Write a value that `json.dumps` takes under a key."""
        self._records.write(key, value)

    def recorded(self, key: str) -> Any:
        """Return what is written under a key, or `None`."""
        return self._records.read(key)

    def forget(self, key: str) -> None:
        """Remove what is written under a key."""
        self._records.forget(key)

    def generation(
        self,
        index: int,
        size: int,
        distributions: Mapping[str, Any],
        starts: Sequence[Mapping[str, Any]],
        is_new: Callable[[dict], bool],
    ) -> dict[int, dict[str, Any]]:
        """Return the trials of a generation, asked for once and then remembered.

        A generation is asked for as a whole, from what was told before it and from a seed of its
        own, so that neither the executor nor a restart changes what is tried.

        Args:
            index: The generation's number.
            size: How many trials.
            distributions: Optuna's distributions.
            starts: Parameter dicts that are tried before the sampler is asked.
            is_new: `is_new(parameters) -> bool`, false for recipes that were tried already.

        Returns:
            Dict from a trial's number to its parameters; fewer than `size` when the space is
            used up.
        """
        self._distributions = dict(distributions)

        def make():
            asked = self._sampler.ask(index, size, distributions, starts, is_new)
            return dict(zip(self._free_numbers(index, len(asked)), asked, strict=True))

        generation = self.remember(_generation(index), make, _as_generation)
        self._choices.update(generation)
        return generation

    def generations_but(self, index: int) -> list[dict[int, dict[str, Any]]]:
        """Return the recorded generations other than one of them, those that can be read."""
        keys = [key for key in self._records.keys if _is_generation(key)]
        generations = []
        for key in sorted(set(keys) - {_generation(index)}):
            with contextlib.suppress(*MALFORMED):
                generations.append(_as_generation(self.recorded(key)))
        return generations

    def tell(self, number: int, values: Sequence[float] | None, excesses: Sequence[float]) -> None:
        """Close a trial.

        Args:
            number: The trial's number.
            values: Values of the objectives, or `None` where the trial failed.
            excesses: By how much each constraint is broken.
        """
        choices = self._choices[number]
        if values is not None:
            self._sampler.tell(choices, self._distributions, values, excesses)
        self._copy.add(number, choices, self._distributions, values)

    def _free_numbers(self, index, count):
        """Return the lowest numbers that no other generation has."""
        taken = {number for generation in self.generations_but(index) for number in generation}
        numbers = (number for number in range(len(taken) + count) if number not in taken)
        return [number for number, _ in zip(numbers, range(count), strict=False)]

    def _import_from_copy(self):
        """Take over what a search of an earlier version recorded in the storage alone."""
        for key, value in self._copy.records.items():
            if key not in self._records.keys:
                self.record(key, value)
        self._copy.start_over()


def sqlite(folder):
    """Return the URL of the SQLite file in a folder."""
    return f"sqlite:///{sqlite_file(folder)}"


def _generation(index):
    return f"generation {index}"


def _is_generation(key):
    return key.startswith("generation ") and "epoch" not in key


def _as_generation(recorded):
    return {int(number): dict(parameters) for number, parameters in recorded.items()}
