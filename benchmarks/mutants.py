"""Damaged and hostile files, made from good ones, and the verbs that they are driven through.

`fuzz.py` drives thousands of them, and the tests a sample.
"""

import contextlib
import dataclasses
import io
import json
import random
import re
import struct
import warnings
import zipfile
from pathlib import Path

import keras_compress as kc
from keras_compress.cli import main as cli

KINDS = ("tflite", "npz", "toml", "keras")
_NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE)
_TEXTS = ("[", "]", "{", "}", "=", '"', "'''", "\n", "\0", "é", "nan", "inf", "-1", "[" * 5000)
_WORDS = ("9" * 30, "9" * 5000, "0x" + "f" * 5000, "-1", "1e999", "true", '"x"', "[]", "{}")
_CONFIG_WORDS = ("1000000000", "-1", "0", "null", '"x"', "[]", "{}", "1e99", "[[[[]]]]")
_CONFIG_WORDS += ('"Lambda"', '"keras.layers"', '"os"', '"system"', "9" * 400)


def mutant(kind, content, seed):
    """Return a damaged copy of a file's bytes.

    Args:
        kind: One of `KINDS`.
        content: The good file.
        seed: The same seed makes the same mutant.
    """
    rng = random.Random(seed)
    if kind in ("npz", "keras") and rng.random() < 0.6:
        return _repacked(content, rng)
    if kind == "toml" and rng.random() < 0.7:
        return _rewritten(content.decode(), rng, _WORDS).encode()
    return _damaged(content, rng)


def _damaged(content, rng):
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        rng.choice(_DAMAGES)(data, rng)
    return bytes(data)


def _flip(data, rng):
    for _ in range(rng.choice((1, 4, 32)) if data else 0):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(data, rng):
    """Put a number where an offset, a length or an index may stand."""
    if len(data) < 10:
        return
    form = rng.choice(["<I", "<H", "<Q", "<i"])
    place = rng.randrange((len(data) - 8) // 2) * 2
    number = rng.choice((*_NUMBERS, rng.getrandbits(32), len(data) + rng.randrange(-64, 64)))
    size = struct.calcsize(form)
    data[place : place + size] = (number % (1 << 8 * size)).to_bytes(size, "little")


def _truncate(data, rng):
    if rng.random() < 0.4:
        del data[rng.randrange(len(data) + 1) :]


def _swap(data, rng):
    if len(data) < 64:
        return
    size = rng.choice((4, 8, 16, 64)) % (len(data) // 2)
    a, b = (rng.randrange(0, len(data) - size) // 4 * 4 for _ in range(2))
    if abs(a - b) >= size:
        data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]


def _repeat(data, rng):
    start = rng.randrange(len(data) + 1)
    data[start:start] = data[start : start + rng.choice((1, 4, 100))]


def _blank(data, rng):
    start = rng.randrange(len(data) + 1)
    size = min(rng.choice((4, 16, 256)), len(data) - start)
    data[start : start + size] = bytes([rng.choice((0, 255))]) * size


def _empty(data, rng):
    if rng.random() < 0.05:
        data.clear()


_DAMAGES = (_flip, _flip, _overwrite, _overwrite, _overwrite, _truncate, _swap, _repeat, _blank)
_DAMAGES += (_empty,)


def _rewritten(text, rng, words):
    """Change a text so that much of its grammar survives."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        values = list(re.finditer(r"\b\d+(\.\d+)?\b|\"[^\"\n]*\"|true|false|null", text))
        lines = text.split("\n")
        what = rng.randrange(5)
        if what < 2 and values:
            found = rng.choice(values)
            text = text[: found.start()] + rng.choice(words) + text[found.end() :]
        elif what == 2:
            place = rng.randrange(len(text) + 1)
            text = text[:place] + rng.choice(_TEXTS) + text[place + rng.randrange(3) :]
        elif what == 3 and len(values) > 1:
            one, two = sorted(rng.sample(values, 2), key=lambda found: found.start())
            text = text[: one.start()] + two[0] + text[one.end() :]
        else:
            lines.insert(rng.randrange(len(lines)), rng.choice(lines))
            text = "\n".join(lines)
    return text


def _repacked(content, rng):
    """Damage one member of an archive and pack it anew, with checksums that are right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(members))
    if name.endswith(".json") or rng.random() < 0.5 and "config.json" in members:
        name = "config.json"
        members[name] = _rewritten(members[name].decode(), rng, _CONFIG_WORDS).encode()
    elif rng.random() < 0.8:
        members[name] = _damaged(members[name], rng)
    else:
        odd = ("../outside.npy", "/outside.npy", "x", ".", "a/../../b.npy", "y.npy", "z.npy")
        members[rng.choice(odd)] = members.pop(name)
    made = io.BytesIO()
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name) if method else name, member, method)
    return made.getvalue()


@dataclasses.dataclass(frozen=True)
class Good:
    """Good files, and limits for bad ones.

    Args:
        folder: Where `model.tflite`, `data.npz`, `profile.toml` and maybe `model.keras` lie.
        profiles: Targets to check for.
        seconds: Time limit of one evaluation.
        memory_bytes: Memory limit of one evaluation.
    """

    folder: Path
    profiles: tuple[str, ...] = ("cortex_m4", "coral_edgetpu", "android_gpu", "ethos_u55_128")
    seconds: float = 5.0
    memory_bytes: int = 4 << 30

    @property
    def limits(self):
        """The limits of one evaluation."""
        return kc.Isolation(seconds=self.seconds, memory_bytes=self.memory_bytes)

    def file(self, kind):
        """Return the path of the good file of a kind."""
        name = {"tflite": "model", "npz": "data", "toml": "profile", "keras": "model"}[kind]
        return self.folder / f"{name}.{kind}"


def drive(kind, path, good, data):
    """Drive a file through all verbs that take it.

    Args:
        kind: One of `KINDS`.
        path: The bad file.
        good: `Good` files that go with it.
        data: Pair (x, y) that the good model takes.

    Returns:
        Dict from verb to `"done"`, to `"refused"`, or to what is wrong with its error.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {verb: _outcome(run) for verb, run in _VERBS[kind](str(path), good, data)}


def broken(outcomes):
    """Return the entries of `drive`'s result that break the rule."""
    return {verb: text for verb, text in outcomes.items() if text not in ("done", "refused")}


def _outcome(run):
    try:
        said = run()
    except kc.CompressionError as error:
        lines = str(error).splitlines()
        return "refused" if len(lines) == 1 else f"{type(error).__name__} of {len(lines)} lines"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]
    return said or "done"


def _command(*words):
    """Return a function that runs a command line and looks at how it answers."""

    def run():
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main([str(word) for word in words])
        said = [line for line in err.getvalue().splitlines() if line.startswith("keras-compress: ")]
        if code == cli.DONE or not err.getvalue().strip():
            return "done"
        one_line = len(said) == 1 and err.getvalue().strip().endswith(said[0])
        return "refused" if one_line and code in (1, 2) else f"exit {code}: {err.getvalue()[:300]}"

    return run


def _show(result):
    for text in (str(result), result._repr_html_(), json.dumps(result.to_json())):
        text.encode("utf-8", "surrogatepass")


def _tflite(path, good, data):
    x, y = data
    yield "inspect", lambda: _show(kc.inspect(path))
    for profile in good.profiles:
        yield f"check {profile}", lambda profile=profile: _show(kc.check(path, profile))
    yield "evaluate", lambda: _show(_evaluated(path, x, y, good))
    yield "$ inspect", _command("inspect", "--model", path)
    yield "$ check", _command("check", "--model", path, "--profile", good.profiles[0])
    yield "$ evaluate", _evaluate_command(good, model=path)


def _evaluated(path, x, y, good):
    return kc.evaluate(path, x, y, untrusted=good.limits, latency_runs=2, threads=1)


def _evaluate_command(good, **files):
    words = {"model": good.file("tflite"), "data": good.file("npz"), **files}
    flags = [f"--{name}={path}" for name, path in words.items()]
    return _command("evaluate", *flags, f"--time_limit={good.seconds}")


def _npz(path, good, data):
    yield "$ evaluate", _evaluate_command(good, data=path)
    yield "inspect", lambda: _show(kc.inspect(path))
    yield "check", lambda: _show(kc.check(path, good.profiles[0]))
    yield "evaluate", lambda: _show(_evaluated(path, *data, good))


def _toml(path, good, data):
    model = good.file("tflite")
    yield "check", lambda: _show(kc.check(model, path))
    yield "$ check", _command("check", "--model", model, "--profile", path)
    yield "$ evaluate", _evaluate_command(good, profile=path)
    yield "inspect", lambda: _show(kc.inspect(path))


def _keras(path, good, data):
    yield "inspect", lambda: _show(kc.inspect(path))
    yield "check", lambda: _show(kc.check(path, good.profiles[0]))
    yield "$ evaluate", _evaluate_command(good, baseline=path)


_VERBS = {"tflite": _tflite, "npz": _npz, "toml": _toml, "keras": _keras}
