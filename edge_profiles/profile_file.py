"""Reads a profile's TOML file and refuses a bad one with the line, the key and what is allowed."""

import difflib
import re
import tomllib

from keras_compress.errors import ProfileError

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
        good = isinstance(value, list) and value and all(type(v) is int for v in value)
        return tuple(value) if good and set(value) <= set(allowed) else None

    return check


def _texts(value):
    good = isinstance(value, dict) and all(_text(v) for v in value.values())
    return dict(value) if good else None


# key: (field of Profile, check that returns the field's value or None, what is allowed)
_KEYS = {
    "title": ("title", _text, "a text"),
    "weight_bits": ("weight_bits", _some_of(4, 8, 32), "a list of 4, 8 and 32 (float)"),
    "activation_bits": (
        "activation_bits_supported",
        _some_of(8, 16, 32),
        "a list of 8, 16 and 32 (float)",
    ),
    "per_channel": ("per_channel", _flag, "true or false"),
    "per_channel_dense": ("per_channel_dense", _flag, "true or false"),
    "input_type": ("input_type", _one_of(*_TYPES), f"one of {', '.join(_TYPES)}"),
    "output_type": ("output_type", _one_of(*_TYPES), f"one of {', '.join(_TYPES)}"),
    "float_ops": ("float_ops", _flag, "true or false"),
    "unsupported": ("unsupported", _one_of("cpu", "error"), '"cpu" or "error"'),
    "flash_bytes": ("flash_bytes", _count, "a whole number of bytes above 0"),
    "sram_bytes": ("sram_bytes", _count, "a whole number of bytes above 0"),
    "channel_multiple": ("channel_multiple", _count, "a whole number above 0"),
    "sparsity": (
        "sparsity",
        _one_of("none", "size", "speed"),
        '"none", "size" or "speed"',
    ),
    "sources": ("sources", _texts, "a table of figure = text"),
}


def read(path, folder):
    """Read a profile's file and those that it extends.

    Args:
        path: `pathlib.Path` of the `.toml`.
        folder: Folder of the package's own profiles, where `extends` is looked up if the name is
            not a file beside `path`.

    Returns:
        Dict from field of `Profile` to value.

    Raises:
        ProfileError: A file that is missing, is not TOML, or breaks a rule.
    """
    fields = _read(path, folder, seen=())
    if "title" not in fields:
        raise ProfileError(f'{path}: a profile needs a title. Add: title = "What the target is"')
    return fields


def _read(path, folder, seen):
    if path in seen:
        raise ProfileError(f"{path}: extends leads in a circle. Received: {[str(p) for p in seen]}")
    text = _load_text(path)
    table = _parse(path, text)
    base = table.pop("extends", None)
    fields = _read(_base_path(path, base, folder, text), folder, (*seen, path)) if base else {}
    for key, value in table.items():
        field, checked = _check(path, text, key, value)
        old = fields.get(field)
        fields[field] = {**old, **checked} if isinstance(old, dict) else checked
    return fields


def _load_text(path):
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(
            f"A profile must be a readable TOML file. Received: {path} ({error})"
        ) from None


def _parse(path, text):
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{path}: a profile must be TOML. Received: {error}") from None


def _base_path(path, base, folder, text):
    for candidate in (
        path.parent / f"{base}.toml",
        path.parent / str(base),
        folder / f"{base}.toml",
    ):
        if candidate.is_file():
            return candidate
    known = ", ".join(sorted(p.stem for p in folder.glob("*.toml")))
    raise ProfileError(
        f"{path}, line {line_of(text, 'extends')}: extends must name a profile or a .toml file. "
        f"Received: extends = {base!r}. Profiles: {known}"
    )


def _check(path, text, key, value):
    where = f"{path}, line {line_of(text, key)}"
    if key not in _KEYS:
        near = difflib.get_close_matches(key, _KEYS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ProfileError(f"{where}: unknown key {key!r}.{hint} Known: {', '.join(_KEYS)}")
    field, check, allowed = _KEYS[key]
    checked = check(value)
    if checked is None:
        raise ProfileError(f"{where}: {key} must be {allowed}. Received: {key} = {value!r}")
    return field, checked


def line_of(text, *keys):
    r"""Find the line in which a key of a TOML text is set.

    Args:
        text: The TOML text.
        *keys: The key, after the names of the tables that it lies in.

    Returns:
        Line number, from 1; that of the innermost table or key found.

    Example:
        >>> line_of("a = 1\n[b]\nc = 2\n", "b", "c")
        3
    """
    table, found = (), 1
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+([^\]]+)\]", line)
        assignment = re.match(r"\s*([\w\"'.+-]+)\s*=", line)
        if header:
            table = _parts(header[1])
            here = table
        elif assignment:
            here = (*table, *_parts(assignment[1]))
        else:
            continue
        if here == keys:
            return number
        if here == keys[: len(here)]:
            found = number
    return found


def _parts(dotted):
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
