"""Reads a profile's TOML file; errors name the line, the key and the allowed values."""

import difflib
import re
import tomllib

from keras_compress.edge_profiles.limits.registry import LIMITS
from keras_compress.edge_profiles.operator_rule import OperatorRule
from keras_compress.errors import ProfileError
from keras_compress.support import regular_files

# Ten times the largest profile of the package.
_LARGEST = 100_000
# tomllib's time for a key grows with the square of the number of its parts, all on one line.
_MOST_DOTS = 200
# The package's own extend at most two. A larger number would be a recursion too deep for Python.
_MOST_BASES = 20
# TOML's integers have 64 bits; Python's reader accepts larger ones, but cannot print them.
_LARGEST_NUMBER = 2**63 - 1
_TYPES = ("int8", "uint8", "int16", "float32")


def _text(value):
    return value if isinstance(value, str) and value.strip() else None


def _flag(value):
    return value if isinstance(value, bool) else None


def _count(value):
    return value if type(value) is int and value > 0 else None


def _one_of(*allowed):
    return lambda value: value if isinstance(value, str) and value in allowed else None


def _some_of(*allowed):
    def check(value):
        valid = isinstance(value, list) and value and all(type(v) is int for v in value)
        return tuple(value) if valid and set(value) <= set(allowed) else None

    return check


def _texts(value):
    valid = isinstance(value, dict) and all(_text(v) for v in value.values())
    return dict(value) if valid else None


def _text_list(value):
    valid = isinstance(value, list) and all(_text(v) for v in value)
    return tuple(value) if valid else None


_BYTES = "a whole number of bytes above 0"
_FLAG = "true or false"

# key: (field of Profile, check that returns the field's value or None, what is allowed)
_KEYS = {
    "title": ("title", _text, "a text"),
    "engine": ("engine", _text, "a text"),
    "weight_bits": (
        "weight_bits",
        _some_of(4, 8, 16, 32),
        "a list of 4, 8, 16 (float16) and 32 (float32)",
    ),
    "activation_bits": (
        "activation_bits_supported",
        _some_of(8, 16, 32),
        "a list of 8, 16 and 32 (float)",
    ),
    "per_channel": ("per_channel", _flag, _FLAG),
    "per_channel_dense": ("per_channel_dense", _flag, _FLAG),
    "input_type": ("input_type", _one_of(*_TYPES), f"one of {', '.join(_TYPES)}"),
    "output_type": ("output_type", _one_of(*_TYPES), f"one of {', '.join(_TYPES)}"),
    "float_ops": ("float_ops", _flag, _FLAG),
    "unsupported": ("unsupported", _one_of("cpu", "error"), '"cpu" or "error"'),
    "fallback": ("fallback", _text, "the name of a profile"),
    "optimized_by": ("optimized_by", _text, "a text"),
    "one_subgraph": ("one_subgraph", _flag, _FLAG),
    "integer_only": ("integer_only", _flag, _FLAG),
    "static_shapes": ("static_shapes", _flag, _FLAG),
    "folds_constants": ("folds_constants", _flag, _FLAG),
    "flash_bytes": ("flash_bytes", _count, _BYTES),
    "sram_bytes": ("sram_bytes", _count, _BYTES),
    "parameter_cache_bytes": ("parameter_cache_bytes", _count, _BYTES),
    "channel_multiple": ("channel_multiple", _count, "a whole number above 0"),
    "sparsity": ("sparsity", _one_of("none", "size", "speed"), '"none", "size" or "speed"'),
    "vela": ("vela", _texts, "a table of texts"),
    "notes": ("notes", _text_list, "a list of texts"),
    "sources": ("sources", _texts, "a table of figure = text"),
}
_TABLES = ("operators", "optimized")
# Keys that an operator's entry may have besides limits.
_RULE_KEYS = {"note": _text, "source": _text, "fatal": _text_list}


def read(path, folder):
    """Read a profile's file and those that it extends.

    Args:
        path: `pathlib.Path` of the `.toml`.
        folder: Folder of the package's own profiles, where `extends` is looked up if the name is
            not a file in the folder of `path`.

    Returns:
        Dict from field of `Profile` to value; the fields `operators` and `optimized` map the
        names of operators to `OperatorRule`. The limits of `"*"` apply to every operator of
        its table; it is the only entry of a table that names no operator.

    Raises:
        ProfileError: A file is missing, is not TOML, or breaks a rule.
    """
    fields = _File(path, folder).fields()
    if "title" not in fields:
        raise ProfileError(f'{path}: a profile needs a title. Add: title = "What the target is"')
    for table in _TABLES:
        rules = dict(fields.get(table, {}))
        base = rules.pop("*", None)
        fields[table] = {n: rule.over(base) if base else rule for n, rule in rules.items() if rule}
        if base and not rules:
            fields[table] = {"*": base}
    return fields


class _File:
    """One TOML file, whose errors name the line."""

    def __init__(self, path, folder, seen=()):
        if path in seen:
            circle = ", ".join(str(file) for file in seen)
            raise ProfileError(f"{path}: extends is circular. Received: {circle}")
        if len(seen) > _MOST_BASES:
            raise ProfileError(
                f"{path}: at most {_MOST_BASES} profiles may extend one another. Received: "
                f"{seen[0]}, which extends more"
            )
        self._path, self._folder, self._seen = path, folder, (*seen, path)
        self._text = self._load()

    def fields(self):
        """Return the fields that the file and those that it extends set."""
        table = self._parse()
        base = table.pop("extends", None)
        fields = _File(self._base(base), self._folder, self._seen).fields() if base else {}
        for key, value in table.items():
            field, checked = self._check(key, value)
            old = fields.get(field)
            fields[field] = {**old, **checked} if isinstance(old, dict) else checked
        return fields

    def _load(self):
        regular_files.check(self._path, ProfileError)
        try:
            with open(self._path, encoding="utf-8") as file:
                text = file.read(_LARGEST + 1)
        except (OSError, ValueError) as error:
            raise ProfileError(
                f"A profile must be a readable TOML file. Received: {self._path} ({error})"
            ) from None
        if len(text) > _LARGEST:
            raise ProfileError(
                f"A profile has at most {_LARGEST:,} characters. Received: {self._path}, with more"
            )
        if any(line.count(".") > _MOST_DOTS for line in text.splitlines()):
            raise ProfileError(
                f"A line of a profile has at most {_MOST_DOTS} dots. Received: {self._path}"
            )
        return text

    def _parse(self):
        try:
            table = tomllib.loads(self._text)
            if _largest_number(table) > _LARGEST_NUMBER:
                raise ValueError("a whole number of more than 64 bits")
            return table
        except (ValueError, RecursionError) as error:
            # tomllib raises other errors for numbers with too many digits and for deep nesting.
            raise ProfileError(f"{self._path}: a profile must be TOML. Received: {error}") from None

    def _fail(self, keys, message):
        raise ProfileError(f"{self._path}, line {line_of(self._text, *keys)}: {message}")

    def _unknown(self, keys, kind, name, allowed):
        near = difflib.get_close_matches(str(name), allowed, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        self._fail(
            keys, f"unknown {kind} {_shown(name)}.{hint} Known: {', '.join(sorted(allowed))}"
        )

    def _base(self, name):
        folder = self._path.parent
        for candidate in (
            folder / f"{name}.toml",
            folder / str(name),
            self._folder / f"{name}.toml",
        ):
            if candidate.is_file():
                return candidate
        profiles = [path.stem for path in self._folder.glob("*.toml")]
        return self._unknown(["extends"], "profile", name, profiles)

    def _check(self, key, value):
        if key in _TABLES:
            return key, self._rules(key, value)
        if key not in _KEYS:
            self._unknown([key], "key", key, [*_KEYS, *_TABLES, "extends"])
        field, check, allowed = _KEYS[key]
        checked = check(value)
        if checked is None:
            self._fail([key], f"{key} must be {allowed}. Received: {key} = {_shown(value)}")
        if key == "fallback":
            profiles = [path.stem for path in self._folder.glob("*.toml")]
            if value not in profiles:
                self._unknown([key], "profile", value, profiles)
        return field, checked

    def _rules(self, table, operators):
        if not isinstance(operators, dict):
            self._fail([table], f"{table} must be a table. Received: {_shown(operators)}")
        return {name: self._rule(table, name, entry) for name, entry in operators.items()}

    def _rule(self, table, name, entry):
        """Return the rule of an operator; `None` if the file removes the operator."""
        if entry is False:
            return None
        if not isinstance(entry, dict):
            self._fail(
                [table, name],
                f"{name} must be a table of limits, or false if the target lacks it. "
                f"Received: {_shown(entry)}",
            )
        if name != "*" and self._path.parent != self._folder and name not in _builtin_names(name):
            self._unknown([table, name], "operator", name, _builtin_names(name))
        plain = {key: entry[key] for key in _RULE_KEYS if key in entry}
        for key, value in plain.items():
            if _RULE_KEYS[key](value) is None:
                self._fail([table, name, key], f"{key} of {name} must not be {_shown(value)}.")
        limits = {k: self._limit(table, name, k, v) for k, v in entry.items() if k not in plain}
        plain["fatal"] = tuple(plain.get("fatal", ()))
        return OperatorRule(limits=limits, **plain)

    def _limit(self, table, operator, name, value):
        if name not in LIMITS:
            self._unknown([table, operator, name], "limit", name, [*LIMITS, *_RULE_KEYS])
        try:
            return LIMITS[name](value)
        except ValueError as error:
            return self._fail(
                [table, operator, name],
                f"{name} of {operator} must be {error}. Received: {name} = {_shown(value)}",
            )


def _largest_number(value):
    if isinstance(value, dict | list):
        entries = value.values() if isinstance(value, dict) else value
        return max(map(_largest_number, entries), default=0)
    return abs(value) if isinstance(value, int) else 0


def _shown(value, longest=200):
    """Return the `repr` of a value, shortened to fit on a line."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return f"a value of type {type(value).__name__} too large to show"
    return text if len(text) <= longest else f"{text[:longest]} …"


def _builtin_names(name):
    """Return the operators of TFLite's schema; only `name` if no schema is installed."""
    try:
        from ai_edge_litert.schema_py_generated import BuiltinOperator
    except ImportError:
        return (name,)
    return tuple(key for key in vars(BuiltinOperator) if key.isupper())


def line_of(text, *keys):
    r"""Return the line in which a key of a TOML text is set.

    Args:
        text: The TOML text.
        *keys: The key, after the names of the tables that contain it.

    Returns:
        Line number, from 1; that of the innermost table or key that is set.

    Example:
        >>> line_of("a = 1\n[b]\nc = 2\n", "b", "c")
        3
    """
    table, nearest = (), 1
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+([^\]]+)\]", line)
        assignment = re.match(r"\s*([\w\"'*.+-]+)\s*=", line)
        if header:
            table = _parts(header[1])
            path = table
        elif assignment:
            path = (*table, *_parts(assignment[1]))
        else:
            continue
        if path == keys:
            return number
        if path == keys[: len(path)]:
            nearest = number
    return nearest


def _parts(dotted):
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
