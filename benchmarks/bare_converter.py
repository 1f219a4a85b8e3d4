"""TensorFlow's converter without us, for what is measured beside it."""

import tensorflow as tf


def full_int8(model, samples):
    """Convert as TensorFlow's guide says: one sample at a time, int8 in and out.

    Args:
        model: A Keras model of one input, of Keras 3 or `tf_keras`.
        samples: Array of representative inputs, (samples, ...).

    Returns:
        The `.tflite` as bytes.
    """
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample[None]] for sample in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()
