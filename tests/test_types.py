"""What is public says its types, and type checkers see them, through the two links as well."""

import ast
import configparser
import functools
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys

import pytest

import keras_compress as kc
from tests.conftest import ROOT

pytest.importorskip("keras")

# Packages of plugins: their `base` modules hold the classes that a user may extend.
FAMILIES = {
    "analysis.causes",
    "clustering.initializers",
    "converters.checks",
    "converters.engines",
    "converters.rewrites",
    "edge_profiles.limits",
    "evaluation.metrics",
    "evaluation.runtimes",
    "layers",
    "post_training.rounding",
    "pruning.criteria",
    "pruning.patterns",
    "pruning.schedules",
    "quantization.calibrators",
    "quantization.quantizers",
    "searching.executors",
    "shrinking.criteria",
    "shrinking.propagation",
    "tflite.encodings",
}


def _base_classes():
    for family in sorted(FAMILIES):
        module = importlib.import_module(f"keras_compress.{family}.base")
        for value in vars(module).values():
            if inspect.isclass(value) and value.__module__ == module.__name__:
                yield value


def _public():
    return [getattr(kc, name) for name in kc.__all__ if name != "__version__"]


def _functions(value):
    """Yield the functions of a class that are its own and public, or the function itself."""
    if not inspect.isclass(value):
        yield value
        return
    for name, member in vars(value).items():
        if isinstance(member, property | functools.cached_property):
            member = getattr(member, "fget", None) or member.func
        member = getattr(member, "__func__", member)
        own = inspect.isfunction(member) and member.__module__ == value.__module__
        if own and (not name.startswith("_") or name in ("__init__", "__call__")):
            yield member


def _missing(function):
    """Name the parameters of a function that have no annotation, and a result that has none."""
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        if parameter.name not in ("self", "cls") and parameter.annotation is parameter.empty:
            yield parameter.name
    if function.__name__ != "__init__" and signature.return_annotation is signature.empty:
        yield "return"


class _Sample:
    def __init__(self, first, second: int): ...

    def method(self, *rest): ...

    @property
    def fact(self): ...

    @functools.cached_property
    def kept(self): ...

    @classmethod
    def made(cls, one: int) -> int: ...

    def _private(self, one): ...


def test_what_counts_as_missing():
    missing = {f.__name__: list(_missing(f)) for f in _functions(_Sample)}
    assert missing == {
        "__init__": ["first"],
        "method": ["rest", "return"],
        "fact": ["return"],
        "kept": ["return"],
        "made": [],
    }


def test_the_families_are_all_that_there_are():
    bases = {
        module.name.removeprefix("keras_compress.").removesuffix(".base")
        for module in pkgutil.walk_packages(kc.__path__, "keras_compress.")
        if module.name.endswith(".base") and not module.ispkg
    }
    assert bases == FAMILIES


def test_every_public_parameter_is_annotated():
    functions = [f for value in [*_public(), *_base_classes()] for f in _functions(value)]
    missing = [
        f"{f.__module__}.{f.__qualname__}: {name}" for f in functions for name in _missing(f)
    ]
    assert len(functions) > 200
    assert not missing, f"{len(missing)} without a type: {missing[:20]}"


def test_the_package_says_that_it_has_types():
    assert (ROOT / "keras_compress" / "py.typed").is_file()


def test_the_stub_gives_the_public_names_from_their_homes():
    tree = ast.parse((ROOT / "keras_compress" / "__init__.pyi").read_text())
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    names = {alias.asname: node.module for node in imports for alias in node.names}
    version = {"__version__": "keras_compress._version"}
    assert names == kc._HOMES | version
    assert set(names) == set(kc.__all__)


def test_imports_without_types_are_excused_for_third_parties_alone():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    excused = [name for name in config.sections() if name.startswith("mypy")]
    excused = [name for name in excused if "ignore_missing_imports" in config[name]]
    modules = [module for name in excused for module in name.removeprefix("mypy").split(",")]
    assert "mypy" not in excused
    assert not [name for name in modules if re.search(r"keras_compress|converters|profiles", name)]
    assert config["mypy"].getboolean("check_untyped_defs")


CODE = """
import keras_compress as kc
from keras_compress.converters.converted_model import ConvertedModel
from keras_compress.converters.options import ConversionOptions
from keras_compress.edge_profiles.profile import Profile

reveal_type(ConvertedModel.save)
reveal_type(ConversionOptions.from_profile)
reveal_type(Profile.is_float)
reveal_type(kc.convert)
"""


@pytest.mark.verify("type-checks the package")
def test_mypy_sees_types_through_converters_and_edge_profiles(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed (extra dev)")
    (tmp_path / "user.py").write_text(CODE)
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path), str(tmp_path / "user.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    revealed = re.findall(r'Revealed type is "(.*)"', run.stdout)
    assert run.returncode == 0, run.stdout
    results = [kind.split("->")[-1].strip() for kind in revealed]
    assert results == [
        "pathlib.Path",
        "keras_compress.converters.options.ConversionOptions",
        "bool",
        "keras_compress.converters.converted_model.ConvertedModel",
    ]
