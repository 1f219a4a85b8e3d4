import json

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import ConversionError, EvaluationError, InvalidArgumentError
from keras_compress.exporting.micro import compressed_weights
from keras_compress.exporting.micro.compressed_weights import compress_weights
from keras_compress.tflite import flatbuffer
from keras_compress.tflite.decoding import decode_weights
from tests.fixtures.tables import quickly

OPERATORS = ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"]
KINDS = {"pruned": {"zeros": 0.8}, "clustered": {"clusters": 4}}

pytest.importorskip("tflite_micro", reason="compressed files run in TFLite Micro alone")


@pytest.fixture(scope="module")
def pruned(one_operator, weights_of):
    return one_operator("CONV_2D", weights_of("CONV_2D", zeros=0.8))


@pytest.fixture(scope="module")
def compressed(pruned):
    return compress_weights(pruned)


def weights_in(content):
    """The weights of the one operator, decoded where they are encoded."""
    graph = flatbuffer.read(content).subgraphs[0]
    operator = graph.operators[-1]
    return decode_weights(operator.inputs[1], graph).data


verify = pytest.mark.verify("starts the runtime for each operator and each kind of weights")
CASES = [
    pytest.param(name, kind, marks=verify if (i + j) % 2 else ())
    for i, name in enumerate(OPERATORS)
    for j, kind in enumerate(KINDS)
]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_every_operator_answers_as_before(monkeypatch, one_operator, weights_of, name, kind):
    # The smallest tensors are worth encoding too, where only the answers matter.
    monkeypatch.setattr(compressed_weights, "_NAMED_GRAPH_BYTES", 0)
    weights = weights_of(name, **KINDS[kind])
    content = one_operator(name, weights)
    result = compress_weights(content)
    (tensor,) = result.tensors
    assert tensor.chosen == {"pruned": "bitmap", "clustered": "look_up_table"}[kind]
    assert result.samples == 16
    np.testing.assert_array_equal(weights_in(result.content), weights)


@pytest.mark.parametrize("kind", quickly(list(KINDS), "starts the runtime for each kind", first=1))
def test_one_scale_for_the_whole_tensor(one_operator, weights_of, kind):
    content = one_operator(
        "FULLY_CONNECTED", weights_of("FULLY_CONNECTED", **KINDS[kind]), per_channel=False
    )
    result = compress_weights(content)
    assert result.tensors[0].chosen != "dense"
    assert result.bytes < result.dense_bytes


def test_weights_that_do_not_compress_stay_dense(one_operator, weights_of):
    content = one_operator("CONV_2D", weights_of("CONV_2D"))
    result = compress_weights(content)
    assert [tensor.chosen for tensor in result.tensors] == ["dense"]
    assert kc.inspect(result.content).operators == {"CONV_2D": 1}
    assert result.arena == result.dense_arena


def test_figures_are_those_of_the_file(pruned, compressed):
    (tensor,) = compressed.tensors
    values = flatbuffer.read(pruned).operators[0].inputs[1].data
    zeros = int((values == 0).sum())
    assert tensor.sparsity == zeros / values.size
    assert tensor.bytes == 16 + -(-values.size // 8) + values.size - zeros
    stored = flatbuffer.read(compressed.content).operators[0].inputs
    assert sum(t.stored.size for t in stored) == tensor.bytes == compressed.weight_bytes
    assert compressed.bytes == len(compressed.content)
    assert compressed.dense_bytes == len(pruned)
    assert compressed.weight_bytes + compressed.other_bytes == compressed.bytes
    counts = np.unique(values, return_counts=True)[1] / values.size
    entropy = -(counts * np.log2(counts)).sum() * values.size / 8
    assert tensor.entropy_bytes == pytest.approx(entropy)
    assert compressed.arena["total_bytes"] > compressed.dense_arena["total_bytes"]


def test_result_shows_itself(compressed, tmp_path):
    text, fields = str(compressed), json.loads(json.dumps(compressed.to_json()))
    assert "bitmap" in text and f"{compressed.bytes:,} bytes" in text
    assert fields["tensors"][0]["encoded_bytes"]["bitmap"] == compressed.tensors[0].bytes
    assert "<table>" in compressed._repr_html_()
    path = compressed.save(tmp_path / "model.tflite")
    assert path.read_bytes() == compressed.content


def test_names_go_only_on_request(pruned, compressed):
    assert [tensor.name for tensor in flatbuffer.read(compressed.content).inputs] == ["x"]
    stripped = compress_weights(pruned, strip=True)
    file = flatbuffer.read(stripped.content)
    assert {tensor.name for tensor in file.tensors} == {""}
    assert (file.description, file.metadata, file.signatures) == ("", {}, ())
    assert stripped.bytes < compressed.bytes


def test_data_lie_where_kernels_may_read_words(compressed):
    start = np.frombuffer(compressed.content, np.uint8).__array_interface__["data"][0]
    for tensor in flatbuffer.read(compressed.content).tensors:
        if tensor.is_constant:
            place = tensor.stored.__array_interface__["data"][0] - start
            assert place % 16 == 0, tensor.name


def test_one_buffer_read_by_two_operators_is_decoded_twice(one_operator, weights_of):
    from keras_compress.tflite.editor import pack, unpack

    model = unpack(one_operator("FULLY_CONNECTED", weights_of("FULLY_CONNECTED", zeros=0.8)))
    graph = model.subgraphs[0]
    second = type(graph.operators[0])()
    vars(second).update(vars(graph.operators[0]))
    graph.tensors.append(graph.tensors[3])
    second.outputs = np.int32([4])
    graph.operators.append(second)
    graph.outputs = np.int32([3, 4])
    result = compress_weights(pack(model))
    assert [op.name for op in flatbuffer.read(result.content).operators] == [
        "TFLM_DECODE",
        "FULLY_CONNECTED",
    ] * 2


def test_another_answer_is_refused(monkeypatch, pruned):
    from keras_compress.tflite.encodings.bitmap import Bitmap

    honest = Bitmap.encode

    def lose_a_weight(self, values, *others):
        values = values.copy()
        values.reshape(-1)[np.flatnonzero(values)[0]] = 0
        return honest(self, values, *others)

    monkeypatch.setattr(Bitmap, "encode", lose_a_weight)
    with pytest.raises(ConversionError, match="same outputs as the dense one"):
        compress_weights(pruned)


def test_compressing_twice_is_refused(compressed):
    with pytest.raises(InvalidArgumentError, match="already compressed"):
        compress_weights(compressed.content)


def test_other_runtimes_say_why_they_cannot(compressed):
    x = np.zeros((2, 6, 6, 5), np.float32)
    with pytest.raises(EvaluationError, match="compressed for TFLite Micro"):
        kc.evaluate(compressed.content, x, runtime="litert")
    result = kc.evaluate(compressed.content, x, latency_runs=0)
    assert result.runtime.name == "tflite_micro"
    assert result.model.sparsity == compressed.tensors[0].sparsity


def test_check_knows_who_decodes(compressed):
    assert kc.check(compressed.content, "cortex_m4").verdict == "runs"
    for profile in ("raspberry_pi", "coral_edgetpu", "ethos_u55_128"):
        verdict = kc.check(compressed.content, profile)
        assert verdict.verdict == "does_not_run"
        assert verdict.findings[0].code == "encoded_weights"
