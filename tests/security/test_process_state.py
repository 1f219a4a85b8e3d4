"""Loading a hostile file changes no setting of the process, opens nothing else, starts nothing."""

import contextlib
import os
import sys
import tempfile

import pytest

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError
from tests.security import hostile_files as hostile

keras = pytest.importorskip("keras")


def settings():
    return (
        keras.config.floatx(),
        keras.config.epsilon(),
        keras.config.image_data_format(),
        keras.config.dtype_policy().name,
    )


@pytest.mark.parametrize("name", [name for name in hostile.GADGETS if "setting" in name])
@pytest.mark.parametrize("kind", hostile.WRITERS)
def test_no_setting_of_keras_changes(kind, name, tmp_path):
    before = settings()
    config = hostile.sequential(hostile.dense(), hostile.GADGETS[name])
    with pytest.raises(InvalidArgumentError):
        kc.load_model(hostile.write(kind, tmp_path, config))
    assert settings() == before


class Events:
    """What the process opens and starts, while it is recorded; an audit hook cannot be removed."""

    opening = ("open", "os.listdir", "os.scandir")
    starting = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork")
    calling = ("socket.connect", "socket.getaddrinfo", "urllib.Request")

    def __init__(self):
        self.events, self.recording = [], False
        sys.addaudithook(self._hook)

    def _hook(self, event, arguments):
        if not self.recording:
            return
        if event in self.opening and isinstance(arguments[0], str):
            self.events.append((event, os.path.abspath(arguments[0])))
        elif event in (*self.starting, *self.calling):
            self.events.append((event, str(arguments[0])))


@pytest.fixture(scope="module")
def events():
    return Events()


def hostile_files_of_all_kinds(folder):
    (folder / "secret").write_text("7\n8\n")
    secret = str(folder / "secret")
    vocabulary = hostile.layer("keras.layers", "StringLookup", vocabulary=secret)
    for number, gadget in enumerate([*hostile.GADGETS.values(), vocabulary]):
        config = hostile.sequential(hostile.dense(), gadget)
        for version in ("2.15.0", "3.15.1"):
            yield hostile.write_keras(folder / f"{number} {version}.keras", config, version)
        yield hostile.write_h5(folder / f"{number}.h5", config)


def test_nothing_else_is_opened_and_nothing_is_started(events, tmp_path):
    good = hostile.write_keras(tmp_path / "good.keras", hostile.sequential(hostile.dense()))
    kc.load_model(good)  # What a first load imports is not of interest.
    # The folder for temporary files also holds the secret.
    own = os.path.join(tempfile.gettempdir(), "keras_compress_")
    elsewhere = (own, "/proc/", sys.prefix, sys.base_prefix)
    for path in [good, *hostile_files_of_all_kinds(tmp_path)]:
        events.events.clear()
        events.recording = True
        try:
            with contextlib.nullcontext() if path == good else pytest.raises(InvalidArgumentError):
                kc.load_model(path)
        finally:
            events.recording = False
        assert events.events
        for event, what in events.events:
            assert event in Events.opening, (path, event, what)
            assert what.startswith((str(path), *elsewhere)), (path, what)
