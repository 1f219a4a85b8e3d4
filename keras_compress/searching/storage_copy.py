"""A copy of the trials in an Optuna storage, for Optuna's dashboard."""

import contextlib
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_compress.errors import InvalidArgumentError
from keras_compress.searching.records import as_json, refuse_another
from keras_compress.searching.sampler import DIRECTIONS

_STUDY = "keras_compress"
_FINGERPRINT = "fingerprint"
_NUMBER = "trial"
# What SQLite keeps beside a file.
_BESIDE = ("-journal", "-wal", "-shm")


class StorageCopy:
    """An Optuna study that trials are copied to. The search itself does not read it.

    A damaged file of the search's own is moved aside and made anew.

    Args:
        url: URL of the storage.
        search: Dict that says which search this is.
        file: Path of the storage if it is the search's own SQLite file, else `None`.

    Attributes:
        records: What a search of an earlier version recorded there: dict from key to value.

    Raises:
        InvalidArgumentError: The storage holds another search, or a given one cannot be opened.
    """

    def __init__(self, url: str, search: dict[str, Any], file: Path | None):
        import optuna

        self._optuna, self._url, self._search = optuna, url, as_json(search)
        self.records: dict[str, Any] = {}
        self._numbers: set[int] = set()
        self._study: Any = None
        try:
            self._open()
        except InvalidArgumentError:
            raise
        # SQLAlchemy, the database's driver and Optuna each have errors of their own.
        except Exception as error:
            if file is None:
                raise InvalidArgumentError(
                    "storage must be the URL of an Optuna storage that can be opened: mend it, or "
                    "leave it out for a file in the search's folder. "
                    f"Received: {url} ({_first_line(error)})"
                ) from error
            self._open_anew(file, error)

    def start_over(self) -> None:
        """Replace a study of an earlier version, whose records are written elsewhere by now."""
        if self.records:
            with self._or_without():
                self._optuna.delete_study(study_name=_STUDY, storage=self._url)
                self._numbers = set()
                self._open()

    def add(
        self,
        number: int,
        choices: Mapping[str, Any],
        distributions: Mapping[str, Any],
        values: Sequence[float] | None,
    ) -> None:
        """Copy a trial, unless it is there.

        Args:
            number: The trial's number.
            choices: Dict from name to value.
            distributions: Optuna's distributions.
            values: Values of the objectives, or `None` where the trial failed.
        """
        if self._study is None or number in self._numbers:
            return
        self._numbers.add(number)
        states = self._optuna.trial.TrialState
        with self._or_without():
            trial = self._optuna.trial.create_trial(
                state=states.FAIL if values is None else states.COMPLETE,
                values=None if values is None else list(values),
                params=dict(choices),
                distributions=dict(distributions),
                user_attrs={_NUMBER: number},
            )
            self._study.add_trial(trial)

    def _open(self):
        study = self._optuna.create_study(
            storage=self._url, study_name=_STUDY, directions=DIRECTIONS, load_if_exists=True
        )
        stored = study.user_attrs
        if _FINGERPRINT in stored:
            refuse_another(stored[_FINGERPRINT], self._search, self._url)
        else:
            study.set_user_attr(_FINGERPRINT, self._search)
        trials = study.get_trials(deepcopy=False)
        self._numbers = {trial.user_attrs.get(_NUMBER, -1) for trial in trials}
        self.records = {key: value for key, value in stored.items() if key != _FINGERPRINT}
        self._study = study

    def _open_anew(self, file, error):
        self.records, self._study = {}, None
        aside = Path(f"{file}.damaged")
        warnings.warn(
            f"{file} cannot be read ({_first_line(error)}). It is moved to {aside.name} and made "
            "anew: the search goes on, because it reads only the files in its folder records.",
            stacklevel=2,
        )
        with self._or_without():
            for ending in ("", *_BESIDE):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{file}{ending}", f"{aside}{ending}")
            self._open()

    @contextlib.contextmanager
    def _or_without(self):
        """Go on without the copy if it cannot be written."""
        try:
            yield
        except Exception as error:
            self._study = None
            warnings.warn(
                f"Trials are no longer copied to {self._url} for Optuna's dashboard "
                f"({_first_line(error)}). The search itself goes on.",
                stacklevel=2,
            )


def sqlite_file(folder: str | os.PathLike) -> Path:
    """Return the path of the SQLite file in a folder.

    Example:
        >>> sqlite_file("search").name
        'search.db'
    """
    return Path(folder).resolve() / "search.db"


def _first_line(error):
    lines = str(error).splitlines()
    return f"{type(error).__name__}{': ' if lines else ''}{lines[0][:120] if lines else ''}"
