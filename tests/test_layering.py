"""Packages import one way, and what a board imports leaves TensorFlow and Keras alone."""

import ast
import functools
import graphlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# From the ground up: a package imports itself and what stands on lines above its own.
LAYERS = """
    _version errors
    support spec graph
    tflite layers data pruning clustering
    edge_profiles evaluation lowering
    quantization exporting
    wrappers reporting
    shrinking post_training distilling
    callbacks serialization
    compression
    converters
    analysis
    searching
    cli
    __main__
"""
HEIGHT = {name: i for i, line in enumerate(LAYERS.splitlines()) for name in line.split()}
# Where modules stood that users were told of: each hands its names on, with a warning.
FORWARDERS = {"subclassed", "converters.micro"}
FORWARDERS |= {f"converters.{name}" for name in ("flatbuffer", "vela", "coral", "android")}
FORWARDERS |= {"converters.micro.firmware", "converters.micro.compressed_weights"}


def _sources():
    """Yield (module's name without `keras_compress.`, path) of all that is installed."""
    for folder in ("keras_compress", "converters", "edge_profiles"):
        for path in (ROOT / folder).rglob("*.py"):  # does not follow the two links
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts[1:] if folder == "keras_compress" else parts
            name = ".".join(part for part in parts if part != "__init__")
            if name and name not in FORWARDERS:
                yield name, path


@functools.cache
def _imports():
    """Map each module to the modules of the package that it imports."""
    sources = dict(_sources())
    return {name: set(_imported(path, sources)) for name, path in sources.items()}


def _imported(path, known):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide where they go"
            members = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if _short(name) in known else node.module for name in members]
        yield from (_short(name) for name in names if _short(name) in known)


def _short(name):
    return name.removeprefix("keras_compress.")


def _package(module):
    return module.split(".")[0]


def _between_packages():
    """Yield (package, package it imports, the import in words)."""
    for module, others in _imports().items():
        for other in others:
            if _package(module) != _package(other):
                yield _package(module), _package(other), f"{module} imports {other}"


def test_packages_import_only_what_stands_lower():
    assert not [words for one, other, words in _between_packages() if HEIGHT[other] >= HEIGHT[one]]


def test_no_circle_between_packages_or_modules():
    packages = {}
    for one, other, _ in _between_packages():
        packages.setdefault(one, set()).add(other)
    tuple(graphlib.TopologicalSorter(packages).static_order())
    tuple(graphlib.TopologicalSorter(_imports()).static_order())


def test_each_line_of_the_list_is_a_package_or_module_that_exists():
    assert set(HEIGHT) == {_package(name) for name, _ in _sources()}


def test_only_graph_reads_private_fields_of_keras():
    private = (
        "_inbound_nodes",
        "_nodes_by_depth",
        "_functional",
        "_keras_history",
        "_flatten_layers",
    )
    private += ("_inputs_struct", "_outputs_struct")
    readers = {
        name
        for name, path in _sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in private
    }
    assert {_package(reader) for reader in readers} <= {"graph"}


def test_no_module_carries_a_public_name():
    import keras_compress as kc

    top = {name for name, _ in _sources() if "." not in name} | {"converters", "edge_profiles"}
    assert not top & set(kc.__all__)


def test_a_board_imports_neither_tensorflow_nor_keras():
    code = (
        "import sys, keras_compress, keras_compress.evaluation, keras_compress.edge_profiles\n"
        "import keras_compress as kc\n"
        "kc.evaluate, kc.check, kc.inspect, kc.profiles(), kc.Pruning, kc.CompressionError\n"
        "import keras_compress.cli.main\n"
        "heavy = {name.split('.')[0] for name in sys.modules}\n"
        "print(sorted(heavy & {'tensorflow', 'keras', 'tf_keras', 'jax', 'torch', 'matplotlib'}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
