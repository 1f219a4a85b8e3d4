"""The C++ source: compiled, run, measured, and held against the file."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from keras_compress.errors import ConversionError, InvalidArgumentError
from keras_compress.evaluation.quantization import dequantize, quantize
from keras_compress.exporting.micro.firmware import build_firmware
from keras_compress.tflite import flatbuffer

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
ARM = ["-mcpu=cortex-m4", "-mthumb", "-Os", "-std=c++11", *WARNINGS]

DUMP = """
#include <cstdio>
#include "model.h"
int main() {
  if (reinterpret_cast<std::uintptr_t>(model::kData) % 16 != 0) return 1;
  std::fwrite(model::kData, 1, model::kDataSize, stdout);
}
"""
# Reads floats, writes each one's integer and that integer's value.
HELPERS = """
#include <cstdio>
#include "model.h"
int main() {
  float value;
  while (std::fread(&value, sizeof value, 1, stdin) == 1) {
    const model::input_0::Type integer = model::input_0::Quantize(value);
    const float back = model::input_0::Dequantize(integer);
    std::fwrite(&integer, sizeof integer, 1, stdout);
    std::fwrite(&back, sizeof back, 1, stdout);
  }
}
"""
# A resolver that accepts what it is told to, and what the code of docs/firmware.md asks of
# TFLite Micro, by the names that its headers have.
RESOLVER = """
#pragma once
#include <cstdint>
enum TfLiteStatus {{ kTfLiteOk = 0, kTfLiteError = 1 }};
namespace tflite {{
template <unsigned int tOpCount> struct MicroMutableOpResolver {{
  unsigned int count = 0;
  TfLiteStatus Take() {{ return ++count > tOpCount ? kTfLiteError : kTfLiteOk; }}
  {methods}
}};
}}
"""
INTERPRETER = """
#pragma once
#include <cstddef>
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
struct TfLiteTensor { union { std::int8_t* int8; } data; };
namespace tflite {
struct Model {};
inline const Model* GetModel(const void* data) { return static_cast<const Model*>(data); }
struct MicroInterpreter {
  template <typename Resolver>
  MicroInterpreter(const Model*, const Resolver&, std::uint8_t*, std::size_t) {}
  TfLiteStatus AllocateTensors() { return kTfLiteOk; }
  TfLiteStatus Invoke() { return kTfLiteOk; }
  TfLiteTensor* input(std::size_t) { return nullptr; }
  TfLiteTensor* output(std::size_t) { return nullptr; }
};
}
"""
COUNT = """
#include "model.h"
#include "model_operators.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
int main() {
  tflite::MicroMutableOpResolver<model::kOperatorCount> enough;
  tflite::MicroMutableOpResolver<model::kOperatorCount - 1> few;
  const bool added = model::AddOperators(enough) && enough.count == model::kOperatorCount;
  const bool refused = !model::AddOperators(few) && few.count == model::kOperatorCount;
  return added && refused ? 0 : 1;
}
"""


@pytest.fixture(scope="module", params=["int8", "int16x8"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def content(by_tensorflow, kind):
    return getattr(by_tensorflow, kind)


@pytest.fixture(scope="module")
def folder(content, tmp_path_factory):
    folder = tmp_path_factory.mktemp("firmware")
    paths = build_firmware(content).save(folder)
    assert [path.name for path in paths] == ["model.h", "model.cc", "model_operators.h"]
    return folder


def compile_(folder, *sources, compiler="g++", flags=("-std=c++11",), output="program"):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    command = [compiler, *flags, *WARNINGS, "-I", folder, *sources, "-o", folder / output]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / output


def run(program, given=b""):
    return subprocess.run([program], input=given, capture_output=True, check=True).stdout


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("standard", ["c++11", "c++17"])
def test_array_is_the_file(folder, content, standard):
    source = write(folder, "dump.cc", DUMP)
    assert run(compile_(folder, source, "model.cc", flags=[f"-std={standard}"])) == content


def test_helpers_compute_as_numpy(folder, content):
    [details] = build_firmware(content).inputs
    random = np.random.default_rng(0)
    steps = np.arange(-300, 300, 0.5) * details.scale
    values = np.concatenate([random.normal(0, 3, 2000), steps, [0.0, 1e30, -1e30]])
    values = values.astype(np.float32)
    got = run(compile_(folder, write(folder, "helpers.cc", HELPERS)), values.tobytes())
    pair = np.dtype([("integer", details.dtype), ("back", "<f4")])
    got = np.frombuffer(got, pair)
    wanted = quantize(values, details.scale, details.zero_point, details.dtype)
    np.testing.assert_array_equal(got["integer"], wanted)
    np.testing.assert_array_equal(
        got["back"], dequantize(wanted, details.scale, details.zero_point)
    )


def test_what_is_no_number_becomes_an_integer(folder, content):
    [details] = build_firmware(content).inputs
    values = np.float32([np.nan, np.inf, -np.inf])
    got = run(compile_(folder, write(folder, "helpers.cc", HELPERS)), values.tobytes())
    size = details.dtype.itemsize
    integers = [np.frombuffer(got[i : i + size], details.dtype)[0] for i in (0, size + 4)]
    limits = np.iinfo(details.dtype)
    assert integers == [limits.min, limits.max]


def test_resolver_lists_exactly_the_operators(folder, content):
    text = (folder / "model_operators.h").read_text()
    listed = re.findall(r"resolver\.Add(\w+)\(\)", text)
    used = {op.name for op in flatbuffer.read(content).operators}
    assert len(listed) == len(set(listed)) == len(used)
    assert {name.lower() for name in listed} == {name.replace("_", "").lower() for name in used}


def test_operators_are_registered_and_failures_are_told(folder):
    write_stubs(folder)
    assert run(compile_(folder, write(folder, "count.cc", COUNT))) == b""


def test_example_of_the_documentation_compiles(folder, kind, pytestconfig):
    if kind != "int8":
        pytest.skip("the example has int8 inputs")
    write_stubs(folder)
    page = (pytestconfig.rootpath / "docs" / "firmware.md").read_text()
    [example] = re.findall(r"```cpp\n(.*?)```", page, re.DOTALL)
    compile_(folder, write(folder, "example.cc", example), flags=["-c"], output="example.o")


def write_stubs(folder):
    text = (folder / "model_operators.h").read_text()
    methods = re.findall(r"resolver\.(\w+)\(\)", text)
    methods = "\n  ".join(f"TfLiteStatus {name}() {{ return Take(); }}" for name in methods)
    micro = "tensorflow/lite/micro"
    write(folder, f"{micro}/micro_mutable_op_resolver.h", RESOLVER.format(methods=methods))
    write(folder, f"{micro}/micro_interpreter.h", INTERPRETER)


def test_array_takes_flash_once_and_no_ram_on_a_cortex_m4(folder, content):
    options = {"compiler": "arm-none-eabi-g++", "output": "model.o"}
    compile_(folder, "model.cc", flags=["-c", *ARM], **options)
    command = ["arm-none-eabi-size", "-A", folder / "model.o"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    sizes = {name: int(size) for name, size in re.findall(r"^\.(\w+)\S* +(\d+)", said, re.M)}
    assert len(content) <= sizes["rodata"] + sizes["text"] < len(content) + 16
    assert sizes["data"] == sizes["bss"] == 0


def test_a_float_file_has_types_and_no_scales(by_tensorflow, tmp_path):
    build_firmware(by_tensorflow.float32).save(tmp_path)
    text = (tmp_path / "model.h").read_text()
    assert "using Type = float;" in text
    assert "kScale" not in text
    compile_(tmp_path, "model.cc", flags=["-c", "-std=c++11"], output="model.o")


def test_names_from_a_file_cannot_leave_their_comment(handmade, tmp_path):
    quantization = {"type": "INT8", "scale": [1.0], "zero_point": [0]}
    tensors = [{"name": n, "shape": (1, 2), **quantization} for n in ("x\nint y; \\", "y")]
    build_firmware(handmade(tensors, [("ABS", [0], [1], None)], [0], [1])).save(tmp_path)
    assert "\n// x?nint y; ?: 1 x 2 of int8.\n" in (tmp_path / "model.h").read_text()
    compile_(tmp_path, "model.cc", flags=["-c", "-std=c++11"], output="model.o")


def test_figures_for_people_and_programs(content):
    firmware = build_firmware(content, "digits")
    assert list(firmware.render()) == ["digits.h", "digits.cc", "digits_operators.h"]
    fields = firmware.to_json()
    assert fields["bytes"] == len(content)
    assert fields["arena_bytes"] == firmware.arena.total_bytes
    assert f"{len(content):,} bytes of flash" in str(firmware)


@pytest.mark.parametrize("name", ["2nd", "my-model", "class", "a__b", "", "std"])
def test_names_that_are_none_of_cpp(content, name):
    with pytest.raises(InvalidArgumentError, match="identifier"):
        build_firmware(content, name)


def test_operators_that_tflite_micro_lacks(handmade):
    tensors = [{"name": n, "shape": (1, 2), "type": "FLOAT32"} for n in ("x", "y")]
    content = handmade(tensors, [("GELU", [0], [1], None)], [0], [1])
    with pytest.raises(ConversionError, match="GELU"):
        build_firmware(content)
