"""What a search writes down: one small file for each figure and each decision."""

import hashlib
import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_compress.errors import InvalidArgumentError
from keras_compress.support.files import write_atomically

# Of searches that an earlier version began: they continue without it.
_OPTIONAL = ("architecture",)
# What reading a value raises that has other fields than it should.
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError)
_SHOWN = 5


class Records:
    """Values under keys, each in a JSON file of its own, which also says whose search it is.

    A file carries a checksum of all that it says. One that is damaged or belongs to another key
    counts as missing, so that what it said is found out again; one of another search is an error.

    Args:
        folder: Folder of the files; made when the first one is written.
        search: Dict that says which search this is.

    Raises:
        InvalidArgumentError: The folder holds another search, or is no folder.

    Example:
        >>> records = Records("records", {"model": "5f3a"})
        >>> records.write("baseline", {"accuracy": 0.9})
        >>> Records("records", {"model": "5f3a"}).read("baseline")
        {'accuracy': 0.9}
    """

    def __init__(self, folder: str | Path, search: dict[str, Any]):
        self._folder, self._search = Path(folder), as_json(search)
        self._values: dict[str, Any] = {}
        damaged = [path.name for path in self._paths() if not self._load(path)]
        if damaged:
            self._warn(damaged)

    @property
    def keys(self) -> set[str]:
        """The keys that have a value."""
        return set(self._values)

    def read(self, key: str) -> Any:
        """Return the value of a key, `None` where there is none."""
        return self._values.get(key)

    def write(self, key: str, value: Any) -> None:
        """Write a value that `json.dumps` takes.

        Raises:
            InvalidArgumentError: The file cannot be written.
        """
        value = as_json(value)
        content = {"key": key, "search": self._search, "value": value}
        content["sha256"] = _checksum(content)
        try:
            write_atomically(self._folder / _file_name(key), json.dumps(content))
        except OSError as error:
            raise InvalidArgumentError(
                "The search ends because its folder cannot be written to. Free some space and call "
                f"it again: it goes on from here. Received: {self._folder} ({error.strerror})"
            ) from error
        self._values[key] = value

    def forget(self, key: str) -> None:
        """Remove the value of a key."""
        self._values.pop(key, None)
        (self._folder / _file_name(key)).unlink(missing_ok=True)

    def remember(
        self, key: str, make: Callable[[], Any], decode: Callable[[Any], Any] = lambda value: value
    ) -> Any:
        """Return the decoded value of a key; make and write it where there is none.

        Args:
            key: The key.
            make: Called without arguments for the value.
            decode: Function of the value; where it cannot decode what is written, the value is
                made again.

        Returns:
            What `decode` returns.
        """
        if key in self._values:
            try:
                return decode(self._values[key])
            except MALFORMED:
                self._warn([_file_name(key)])
        self.write(key, make())
        return decode(self._values[key])

    def _paths(self):
        if self._folder.exists() and not self._folder.is_dir():
            raise InvalidArgumentError(
                f"folder must be that of a search. Received: {self._folder} is a file"
            )
        return sorted(self._folder.glob("*.json"))

    def _load(self, path):
        """Read one file; return whether it is whole."""
        try:
            content = json.loads(path.read_bytes())
            checksum, key, search = content.pop("sha256"), content["key"], content["search"]
            if checksum != _checksum(content) or path.name != _file_name(key):
                return False
            value = content["value"]
        except (OSError, RecursionError, *MALFORMED):
            return False
        refuse_another(search, self._search, self._folder.parent)
        self._values[key] = value
        return True

    def _warn(self, names):
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        warnings.warn(
            f"{len(names)} of the records in {self._folder} cannot be read ({shown}). The search "
            "goes on, and finds out again what they said.",
            stacklevel=3,
        )


def refuse_another(stored: Any, search: dict[str, Any], place: str | Path) -> None:
    """Raise an error if what is stored belongs to another search.

    Args:
        stored: What the storage says of its search, a dict.
        search: The same of this search.
        place: Where it is stored, for the message.

    Raises:
        InvalidArgumentError: It is another search.

    Example:
        >>> refuse_another({"model": "5f3a"}, {"model": "5f3a"}, "folder")
    """
    stored = stored if isinstance(stored, dict) else {}
    search = as_json(search)
    changed = [
        key
        for key, value in search.items()
        if stored.get(key) != value and not (key in _OPTIONAL and key not in stored)
    ]
    if changed:
        raise InvalidArgumentError(
            f"The folder or storage holds a search with another {', '.join(changed)}. Pass another "
            f"folder= (and storage=), or delete all of it to start over. Received: {place}"
        )


def search_digest(search: dict[str, Any]) -> str:
    """Return a short text that differs between searches.

    Args:
        search: Dict that says which search it is.

    Example:
        >>> len(search_digest({"model": "5f3a"}))
        16
    """
    return _checksum(search)[:16]


def as_json(value: Any) -> Any:
    """Return a value as it is when it has been written as JSON and read again.

    Example:
        >>> as_json({1: (2, 3)})
        {'1': [2, 3]}
    """
    return json.loads(json.dumps(value))


def _checksum(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _file_name(key):
    return re.sub(r"[^\w-]", "_", key) + ".json"
