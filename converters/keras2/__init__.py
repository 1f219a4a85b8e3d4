"""Load models of Keras 2, tf_keras and tensorflow-model-optimization (tfmot) as Keras 3 models."""

from keras_compress.converters.keras2.loading import load_model as load_model
