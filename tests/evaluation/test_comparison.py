import gzip
import json
import types
import warnings

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import EvaluationError, FlatbufferError, InvalidArgumentError

FAST = {"latency_runs": 3, "threads": 1}


@pytest.fixture(scope="module")
def result(classifier, files, images, labels):
    return kc.evaluate(files.int8, images, labels, baseline=classifier, baseline_file=files.float32)


@pytest.fixture(scope="module")
def by_tensorflow(classifier, files, images):
    """Outputs of the float model and of the int8 file, the latter in TensorFlow's interpreter."""
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(model_content=files.int8)
    interpreter.allocate_tensors()
    [start], [end] = interpreter.get_input_details(), interpreter.get_output_details()
    (scale, zero_point), (out_scale, out_zero) = start["quantization"], end["quantization"]
    outputs = []
    for image in images:
        quantized = np.clip(np.round(image / np.float32(scale)) + zero_point, -128, 127)
        interpreter.set_tensor(start["index"], quantized.astype(np.int8)[None])
        interpreter.invoke()
        outputs.append((interpreter.get_tensor(end["index"])[0] - float(out_zero)) * out_scale)
    return classifier.predict(images, verbose=0), np.array(outputs)


def test_figures_are_those_of_a_plain_calculation(result, by_tensorflow, labels, files):
    before, after = (outputs.astype(np.float64) for outputs in by_tensorflow)
    assert result.samples == 200
    assert result.baseline.accuracy == pytest.approx(0.9)
    assert result.model.accuracy == pytest.approx((after.argmax(-1) == labels).mean())
    assert result.label_agreement == pytest.approx((after.argmax(-1) == before.argmax(-1)).mean())
    noise = before - after
    assert result.output_error["mse"] == pytest.approx((noise**2).mean(), rel=1e-4)
    assert result.output_error["rmse"] == pytest.approx((noise**2).mean() ** 0.5, rel=1e-4)
    assert result.output_error["mae"] == pytest.approx(np.abs(noise).mean(), rel=1e-4)
    wanted = 10 * np.log10((before**2).sum() / (noise**2).sum())
    assert result.output_error["sqnr_db"] == pytest.approx(wanted, rel=1e-4)
    assert result.model.bytes == len(files.int8)
    assert result.baseline.bytes == len(files.float32)
    assert result.model.gzip_bytes == len(gzip.compress(files.int8, mtime=0))
    assert result.model.sparsity == pytest.approx(0.25)
    assert 0 < result.model.latency_ms.p50 <= result.model.latency_ms.p95
    assert (result.model.latency_ms.threads, result.model.latency_ms.runs) == (1, 100)


def test_json_has_the_fields_of_the_contract(result):
    content = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert content["samples"] == 200
    assert content["baseline"].keys() >= {"accuracy", "bytes"}
    assert content["model"].keys() >= {
        "accuracy",
        "bytes",
        "gzip_bytes",
        "sparsity",
        "latency_ms",
    }
    assert content["model"]["latency_ms"].keys() >= {"p50", "p95"}
    assert content["output_error"].keys() == {"mse", "rmse", "mae", "sqnr_db"}
    assert content["label_agreement"] == result.label_agreement
    assert content["runtime"]["name"] == "litert"
    assert {w["layer"] for w in content["model"]["weights"]} == {"stem", "probs"}


def test_json_has_the_same_fields_without_baseline_and_targets(files, images):
    content = kc.evaluate(files.int8, images[:4], latency_runs=0).to_json()
    assert content["baseline"]["accuracy"] is content["baseline"]["bytes"] is None
    assert content["model"]["accuracy"] is content["label_agreement"] is None
    assert content["model"]["latency_ms"] == {"p50": None, "p95": None}
    assert set(content["output_error"].values()) == {None}
    assert "nothing was scored" in content["metric_choice"]


def test_result_is_the_same_each_time_but_for_the_clock(files, images, labels):
    def run():
        content = kc.evaluate(files.int8, images, labels, baseline=files.float32).to_json()
        del content["model"]["latency_ms"]
        return json.dumps(content)

    assert run() == run()


def test_text_names_the_figures(result):
    text = str(result)
    for words in ("accuracy", "90.00%", "output SQNR", "bytes after gzip", "zero weights", "25.0%"):
        assert words in text
    assert "the targets are labels, so the metric is accuracy" in text.lower()
    assert not any(line.endswith(" ") for line in text.splitlines())


@pytest.mark.parametrize("form", ["path", "text", "object", "bytearray"])
def test_model_in_each_form(files, images, labels, tmp_path, form):
    path = tmp_path / "model.tflite"
    path.write_bytes(files.int8)
    model = {
        "path": path,
        "text": str(path),
        "object": types.SimpleNamespace(content=files.int8),
        "bytearray": bytearray(files.int8),
    }[form]
    assert kc.evaluate(model, images, labels, **FAST).model.bytes == len(files.int8)


def test_keras_and_float_file_are_the_same_baseline(classifier, files, images, labels):
    by_keras = kc.evaluate(files.int8, images, labels, classifier, **FAST)
    by_file = kc.evaluate(files.int8, images, labels, files.float32, **FAST)
    assert (by_keras.baseline.kind, by_file.baseline.kind) == ("keras", "tflite")
    assert by_keras.baseline.bytes is None
    assert by_file.baseline.bytes == len(files.float32)
    assert by_keras.label_agreement == by_file.label_agreement
    assert by_keras.output_error["mse"] == pytest.approx(by_file.output_error["mse"], rel=1e-3)


def test_a_file_against_itself_is_exact(files, images, labels):
    result = kc.evaluate(files.int8, images, labels, baseline=files.int8, **FAST)
    assert result.label_agreement == 1.0
    assert result.output_error["mse"] == 0.0
    assert result.output_error["sqnr_db"] is None
    assert "exact" in str(result)


def test_one_hot_targets_and_chosen_metrics(files, images, labels):
    metrics = ["accuracy", "top_3_accuracy", "mae"]
    one_hot = np.eye(10)[labels]
    result = kc.evaluate(files.int8, images, one_hot, metrics=metrics, **FAST)
    plain = kc.evaluate(files.int8, images, labels, **FAST)
    assert list(result.model.metrics) == metrics
    assert result.model.accuracy == plain.model.accuracy
    assert result.model.metrics["top_3_accuracy"] >= result.model.accuracy


def test_several_inputs_and_outputs(two_headed, two_headed_int8, two_inputs):
    outputs = two_headed.predict(two_inputs, verbose=0)
    y = {"size": outputs["size"] + 1.0, "kind": outputs["kind"].argmax(-1)}
    result = kc.evaluate(two_headed_int8, two_inputs, y, baseline=two_headed, **FAST)
    assert [output.name for output in result.outputs] == ["kind", "size"]
    assert result.main_output == "kind"
    kind, size = result.outputs
    assert kind.baseline_metrics == {"accuracy": 1.0}
    assert size.baseline_metrics["mse"] == pytest.approx(1.0)
    assert size.metrics["mse"] == pytest.approx(1.0, abs=0.2)
    assert kind.label_agreement > 0.8
    assert size.label_agreement is None
    assert result.label_agreement == kind.label_agreement
    assert kind.output_error["sqnr_db"] > 20
    assert size.output_error["sqnr_db"] > 20
    assert result.to_json()["outputs"].keys() == {"kind", "size"}
    as_list = kc.evaluate(
        two_headed_int8,
        [two_inputs["image"], two_inputs["meta"]],
        [y["kind"], y["size"]],
        baseline=two_headed,
        **FAST,
    )
    assert as_list.outputs == result.outputs


def test_targets_by_the_names_that_users_know(two_headed_int8, two_inputs):
    """A file whose outputs are `kind` and `size` by name, called by the names of its layers."""
    y = {"head_b": np.zeros(50)}
    model = types.SimpleNamespace(content=two_headed_int8, output_layers=("head_a", "head_b"))
    result = kc.evaluate(model, two_inputs, y, **FAST)
    assert [output.name for output in result.outputs] == ["head_a", "head_b"]
    assert list(result.outputs[1].metrics) == ["mse"]
    assert result.outputs[0].metrics == {}


def test_baseline_predictions_need_no_targets(classifier, files, images):
    result = kc.evaluate(files.int8, images, baseline=classifier, **FAST)
    assert result.label_agreement > 0.9
    assert result.model.accuracy is None


def test_in_micro_it_reports_the_arena(files, images, labels):
    result = kc.evaluate(files.int8, images[:8], labels[:8], runtime="tflite_micro", **FAST)
    assert result.runtime.name == "tflite_micro"
    assert result.model.arena.keys() == {"total_bytes", "head_bytes", "tail_bytes"}
    assert "64-bit host inflates" in str(result)


def test_data_on_another_scale_are_warned_of(files, images):
    with pytest.warns(UserWarning, match=r"lie outside .* Is x scaled as it was in training\?"):
        result = kc.evaluate(files.int8, images * 255, **FAST)
    assert len(result.warnings) == 1
    assert result.warnings[0] in str(result)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (b"", "an empty file"),
        (b"PK\x03\x04 not a model", "zip"),
        ("nowhere.tflite", "nowhere.tflite"),
        (3, "type int"),
    ],
)
def test_what_is_no_file_is_refused(images, model, says):
    with pytest.raises(FlatbufferError, match=says):
        kc.evaluate(model, images)


def test_truncated_files_never_end_the_process(files, images):
    for size in range(0, len(files.int8), 97):
        with pytest.raises((FlatbufferError, EvaluationError), match="Received"):
            kc.evaluate(files.int8[:size], images[:1], **FAST)


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        (lambda x: x[0], lambda y: y, r"pass x\[None\]"),
        (lambda x: x[..., 0], lambda y: y, r"pass x\[..., None\]"),
        (lambda x: x[:, :7], lambda y: y, r"\(200, 7, 8, 1\)"),
        (lambda x: x[:0], lambda y: y[:0], "at least one sample"),
        (lambda x: x, lambda y: y[:-1], r"\(199,\) for 200 samples"),
        (lambda x: x, lambda y: y + 5, "Labels must be from 0 to 9"),
        (lambda x: np.where(x > 0.9, np.nan, x), lambda y: y, "nan in sample"),
    ],
)
def test_data_that_do_not_fit_are_said(files, images, labels, x, y, says):
    with pytest.raises(InvalidArgumentError, match=says):
        kc.evaluate(files.int8, x(images), y(labels), **FAST)


def test_baselines_that_do_not_fit_are_said(two_headed, classifier, files, images):
    with pytest.raises(EvaluationError, match="Is it the model that the file was converted from"):
        kc.evaluate(files.int8, images, baseline=two_headed, **FAST)
    with pytest.raises(FlatbufferError, match="an empty file"):
        kc.evaluate(files.int8, images, baseline=b"", **FAST)
    with pytest.raises(InvalidArgumentError, match="baseline that is a Keras model"):
        kc.evaluate(files.int8, images, baseline=files.float32, baseline_file=files.float32)


def test_whatever_a_baseline_raises_is_said_in_one_line(files, images):
    def predict(*_, **__):
        raise AttributeError("Exception encountered when calling Dense.call().\n\nno shape")

    baseline = types.SimpleNamespace(predict=predict)
    with pytest.raises(EvaluationError, match="AttributeError: Exception encountered") as caught:
        kc.evaluate(files.int8, images, baseline=baseline, **FAST)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("runs", [-1, 1.5, True])
def test_latency_runs_must_be_a_count(files, images, runs):
    with pytest.raises(InvalidArgumentError, match="latency_runs="):
        kc.evaluate(files.int8, images[:2], latency_runs=runs)


def test_outputs_of_a_dict_have_its_keys_in_the_file():
    """Keys with numbers sort differently in Keras (`out10`, `out2`) and for people."""
    import keras

    inputs = keras.Input((4,))
    outputs = {f"out{i}": keras.layers.Dense(1, name=f"layer{i}")(inputs) for i in (2, 10)}
    model = keras.Model(inputs, outputs)
    x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    file = kc.convert(model, representative_dataset=x)
    expected = {name: keras.ops.convert_to_numpy(y) for name, y in model(x).items()}
    by_layer = {f"layer{i}": expected[f"out{i}"] for i in (2, 10)}
    for targets in (expected, by_layer):
        result = kc.evaluate(file, x, targets, baseline=model, **FAST)
        assert {output.name for output in result.outputs} == set(targets)
        for output in result.outputs:
            spread = np.var(targets[output.name])
            assert output.metrics["mse"] < 0.01 * spread and output.output_error["sqnr_db"] > 20


def test_labels_of_a_table_are_scored_as_labels_and_said_to_be(files, images, labels, classifier):
    targets = [labels, labels.astype("float32")[:, None]]
    options = {"baseline": classifier, "latency_runs": 0}
    expected, result = (kc.evaluate(files.int8, images, y, **options) for y in targets)
    assert result.model.accuracy == expected.model.accuracy
    assert "targets are labels" in result.metric_choice
