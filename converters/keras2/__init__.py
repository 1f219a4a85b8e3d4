"""Models of other times and makers, as Keras 3 models: Keras 2 files, tf_keras, tfmot."""

from keras_compress.converters.keras2.loading import load_model as load_model
