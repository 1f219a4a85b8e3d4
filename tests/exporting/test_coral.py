"""Reading edgetpu_compiler, on a stand-in that prints logs of the documented form."""

import json

import pytest

from keras_compress.errors import ConversionError, InvalidArgumentError
from keras_compress.exporting import coral

LOG = """Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 131 ms.

Input model: model.tflite
Input size: 3.89MiB
Output model: model_edgetpu.tflite
Output size: 4.10MiB
On-chip memory used for caching model parameters: 3.31MiB
On-chip memory remaining for caching model parameters: 604.00KiB
Off-chip memory used for streaming uncached model parameters: 16.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 14
Operation log: model_edgetpu.log

Model successfully compiled but not all operations are supported by the Edge TPU.
Number of operations that will run on Edge TPU: 12
Number of operations that will run on CPU: 2

Operator                       Count      Status

ADD                            2          Mapped to Edge TPU
CONV_2D                        10         Mapped to Edge TPU
SOFTMAX                        1          More than one subgraph is not supported
HARD_SWISH                     1          Operation not supported
Compilation child process completed within timeout period.
Compilation succeeded!
"""


@pytest.fixture
def content(handmade):
    one = {"type": "INT8", "scale": [1.0], "zero_point": [0]}
    tensors = [{"name": name, "shape": (1, 2), **one} for name in "xy"]
    return handmade(tensors, [("ABS", [0], [1], None)], [0], [1])


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A function that puts a stand-in on the PATH; it notes how it was called."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def install(log=LOG, code=0, writes=True, before=""):
        (tmp_path / "log.txt").write_text(log)
        copy = 'while [ "$1" != "-o" ]; do shift; done\ncp "$3" "$2/model_edgetpu.tflite"'
        program = tmp_path / coral.COMPILER
        program.write_text(
            f'#!/bin/sh\necho "$@" > {tmp_path}/called.txt\n{before}\ncat {tmp_path}/log.txt\n'
            f"{copy if writes else ''}\nexit {code}\n"
        )
        program.chmod(0o755)
        return tmp_path / "called.txt"

    return install


def test_figures_are_those_of_the_log(compiler, content):
    called = compiler()
    result = coral.compile_model(content)
    assert result.content == content
    assert (result.version, result.subgraphs) == ("16.0.384591198", 1)
    assert result.cached_bytes == round(3.31 * 2**20)
    assert (result.free_cache_bytes, result.streamed_bytes) == (604 * 1024, 16)
    assert result.accelerated_operators == 12
    assert [row["operator"] for row in result.cpu_operators] == ["SOFTMAX", "HARD_SWISH"]
    assert result.cpu_operators[1]["status"] == "Operation not supported"
    assert called.read_text().startswith("-s -o ")


def test_options_reach_the_compiler(compiler, content):
    called = compiler()
    coral.compile_model(content, multiple_subgraphs=True, runtime_version=13)
    assert called.read_text().startswith("-s -a -m 13 -o ")


def test_figures_for_people_and_programs(compiler, content, tmp_path):
    compiler()
    result = coral.compile_model(content)
    assert json.loads(json.dumps(result.to_json()))["accelerated_operators"] == 12
    assert "1 HARD_SWISH (Operation not supported)" in str(result)
    assert result.save(tmp_path / "out.tflite").read_bytes() == content


@pytest.mark.parametrize(
    ("stand_in", "words"),
    [
        ({"log": "ERROR: Model not quantized\n", "code": 1}, "Model not quantized"),
        ({"writes": False}, "could not compile"),
        ({"log": "Edge TPU Compiler version 17\n"}, "differs from its documentation"),
        ({"log": LOG.replace("Mapped to Edge TPU", "Operation not supported")}, "No operator"),
    ],
)
def test_failures_are_told(compiler, content, stand_in, words):
    compiler(**stand_in)
    with pytest.raises(ConversionError, match=words):
        coral.compile_model(content)


def test_a_compiler_that_hangs_is_stopped(compiler, content):
    compiler(before="sleep 600")
    with pytest.raises(ConversionError, match=r"longer than 0\.5 s"):
        coral.compile_model(content, timeout_s=0.5)


def test_without_the_compiler(content, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not coral.is_installed()
    with pytest.raises(InvalidArgumentError, match="on the PATH"):
        coral.compile_model(content)


def test_runtimes_that_there_are(compiler, content):
    compiler()
    with pytest.raises(InvalidArgumentError, match="10 to 14"):
        coral.compile_model(content, runtime_version=9)
