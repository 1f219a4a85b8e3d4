"""setup.cfg tells the truth: packages and data as in the tree, extras as users are told."""

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOMES = {
    "keras_compress": ROOT / "keras_compress",
    "keras_compress.converters": ROOT / "converters",
    "keras_compress.edge_profiles": ROOT / "edge_profiles",
}


@pytest.fixture(scope="module")
def config():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def _lines(text):
    return [line for line in map(str.strip, text.splitlines()) if line]


def _pairs(text):
    return dict(re.split(r"\s*=\s*", line, maxsplit=1) for line in _lines(text))


def _names(requirements):
    return [re.match(r"[\w.-]+", line).group().lower() for line in _lines(requirements)]


def _folders():
    """Yield (package, folder) for each folder of the source tree with files in it."""
    for package, home in HOMES.items():
        for folder in sorted({path.parent for path in home.rglob("*") if path.is_file()}):
            if "__pycache__" not in folder.parts:
                yield ".".join((package, *folder.relative_to(home).parts)), folder


def test_every_python_folder_is_a_package_and_is_listed(config):
    found = {package for package, folder in _folders() if any(folder.glob("*.py"))}
    assert set(_lines(config["options"]["packages"])) == found
    for package, folder in _folders():
        assert package not in found or (folder / "__init__.py").is_file(), folder


def test_package_folders_are_where_the_map_says(config):
    assert _pairs(config["options"]["package_dir"]) == {
        package: home.name for package, home in HOMES.items()
    }


def test_every_data_file_is_installed_and_every_pattern_matches_one(config):
    patterns = {
        package: re.split(r"\s*,\s*", text)
        for package, text in config["options.package_data"].items()
    }
    for package, folder in _folders():
        data = {path.name for path in folder.iterdir() if path.is_file()}
        data = {name for name in data if not name.endswith((".py", ".pyc"))}
        listed = {
            pattern: {path.name for path in folder.glob(pattern)}
            for pattern in patterns.pop(package, ())
        }
        assert data == set().union(*listed.values()), package
        assert all(listed.values()), (package, listed)
    assert not patterns


def test_the_base_is_light_enough_for_a_board(config):
    assert set(_names(config["options"]["install_requires"])) == {
        "numpy",
        "absl-py",
        "ai-edge-litert",
        "tqdm",
    }


def test_the_extras_that_users_are_told_of_exist(config):
    extras = config["options.extras_require"]
    assert {"tensorflow", "micro", "report", "tflite-runtime", "dev", "all"} <= set(extras)
    assert {"tensorflow", "tensorflow-model-optimization", "tf_keras"} <= set(
        _names(extras["tensorflow"])
    )
    assert "numpy<2" in _lines(extras["tflite-runtime"])
    named = {
        extra
        for text in extras.values()
        for group in re.findall(r"keras-compress\[(.*?)\]", text)
        for extra in group.split(",")
    }
    assert named <= set(extras)


def test_python_versions(config):
    assert config["options"]["python_requires"] == ">=3.11"


def test_the_command_exists(config):
    from keras_compress.cli import main

    command = _pairs(config["options.entry_points"]["console_scripts"])
    assert command == {"keras-compress": "keras_compress.cli.main:run"}
    assert callable(main.run)
