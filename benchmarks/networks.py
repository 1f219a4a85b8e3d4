"""The benchmarks' networks: small ones for 32x32 images, as functional Keras 3 models.

Each ends in a Dense layer named `logits` and, unless `softmax=False`, a layer named `softmax`.
Activations are layers of their own.
"""

import keras
from keras import layers


def resnet8(classes=10, softmax=True):
    """Return the ResNet8 of MLPerf Tiny's image classification: 78,666 parameters, 12.5 M MACs.

    Source: Banbury et al., "MLPerf Tiny Benchmark", 2021, and its reference `resnet_v1_eembc`
    (three stages of one block; convolutions with bias, no normalization on the shortcuts).
    """
    inputs = keras.Input((32, 32, 3), name="image")
    x = _conv_relu(inputs, 16, "stem", use_bias=True)
    for stage, filters in enumerate((16, 32, 64), start=1):
        stride = 1 if stage == 1 else 2
        shortcut = x
        if stride > 1:
            shortcut = _conv(x, filters, f"block{stage}_shortcut", 1, stride, use_bias=True)
        x = _residual_block(x, shortcut, filters, stride, f"block{stage}", use_bias=True)
    return _classifier(inputs, x, classes, softmax, "resnet8")


def resnet20(classes=10, softmax=True):
    """Return ResNet-20 for CIFAR with projection shortcuts: 0.27 M parameters, 41 M MACs.

    Source: He et al., "Deep Residual Learning for Image Recognition", 2016, section 4.2
    (n = 3, option B shortcuts).
    """
    inputs = keras.Input((32, 32, 3), name="image")
    x = _conv_relu(inputs, 16, "stem")
    for stage, filters in enumerate((16, 32, 64), start=1):
        for block in (1, 2, 3):
            name = f"stage{stage}_block{block}"
            stride = 2 if stage > 1 and block == 1 else 1
            shortcut = x
            if stride > 1:
                shortcut = _conv(x, filters, f"{name}_shortcut", 1, stride)
                shortcut = layers.BatchNormalization(name=f"{name}_shortcut_bn")(shortcut)
            x = _residual_block(x, shortcut, filters, stride, name)
    return _classifier(inputs, x, classes, softmax, "resnet20")


def mobilenet_v1_025(classes=10, softmax=True):
    """Return a MobileNetV1 of width 0.25 whose strides suit 32x32 images.

    The stem keeps the full resolution (a stride of 2 there leaves too little of 32x32 pixels);
    the thirteen depthwise-separable blocks have the paper's widths times 0.25 and its strides.

    Source: Howard et al., "MobileNets", 2017, table 1.
    """
    inputs = keras.Input((32, 32, 3), name="image")
    x = _conv_relu(inputs, 8, "stem")
    blocks = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)]
    blocks += [(128, 1)] * 5 + [(256, 2), (256, 1)]
    for number, (filters, stride) in enumerate(blocks, start=1):
        x = _separable_block(x, filters, stride, f"block{number}")
    return _classifier(inputs, x, classes, softmax, "mobilenet_v1_025")


NETWORKS = {
    "resnet8": resnet8,
    "resnet20": resnet20,
    "mobilenet_v1_025": mobilenet_v1_025,
}


def _conv(x, filters, name, size=3, stride=1, use_bias=False):
    return layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="same",
        use_bias=use_bias,
        kernel_initializer="he_normal",
        name=name,
    )(x)


def _bn_relu(x, name):
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _conv_relu(x, filters, name, size=3, stride=1, use_bias=False):
    return _bn_relu(_conv(x, filters, name, size, stride, use_bias), name)


def _residual_block(x, shortcut, filters, stride, name, use_bias=False):
    x = _conv_relu(x, filters, f"{name}_conv1", stride=stride, use_bias=use_bias)
    x = _conv(x, filters, f"{name}_conv2", use_bias=use_bias)
    x = layers.BatchNormalization(name=f"{name}_conv2_bn")(x)
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.ReLU(name=f"{name}_relu")(x)


def _separable_block(x, filters, stride, name):
    x = layers.DepthwiseConv2D(
        3,
        strides=stride,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_depthwise",
    )(x)
    x = _bn_relu(x, f"{name}_depthwise")
    return _conv_relu(x, filters, f"{name}_pointwise", size=1)


def _classifier(inputs, x, classes, softmax, name):
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(classes, name="logits")(x)
    if softmax:
        x = layers.Activation("softmax", name="softmax")(x)
    return keras.Model(inputs, x, name=name)
