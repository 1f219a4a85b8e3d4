"""Small configurations of KerasHub's networks, with random weights; nothing is downloaded."""

import keras
import numpy as np
from keras_hub import models
from keras_hub.layers import AnchorGenerator

IMAGES, STEPS, WORDS = 32, 8, 30
CLASSES = 4


def _pixels(size):
    return {"image_shape": (size, size, 3)}


def efficientnet():
    """Blocks of convolutions, with SiLU."""
    backbone = models.EfficientNetBackbone(
        stackwise_kernel_sizes=[3, 3],
        stackwise_num_repeats=[1, 2],
        stackwise_input_filters=[8, 16],
        stackwise_output_filters=[16, 16],
        stackwise_expansion_ratios=[1, 4],
        stackwise_squeeze_and_excite_ratios=[0.0, 0.25],
        stackwise_strides=[1, 2],
        stackwise_block_types=["fused", "unfused"],
        stackwise_width_coefficients=[1.0, 1.0],
        stackwise_depth_coefficients=[1.0, 1.0],
        stackwise_force_input_filters=[0, 0],
        stackwise_nores_option=[False, False],
        num_features=32,
        input_shape=(32, 32, 3),
    )
    return models.EfficientNetImageClassifier(backbone=backbone, num_classes=CLASSES)


def mobilenet_v3():
    """Images of any size, hard swish, squeeze and excitation."""
    backbone = models.MobileNetBackbone(
        stackwise_expansion=[[16], [24, 24]],
        stackwise_num_blocks=[1, 2],
        stackwise_num_filters=[[8], [16, 16]],
        stackwise_kernel_size=[[3], [5, 5]],
        stackwise_num_strides=[[2], [2, 1]],
        stackwise_se_ratio=[[0.25], [0.25, None]],
        stackwise_activation=[["relu"], ["hard_swish", "hard_swish"]],
        stackwise_padding=[[1], [2, 2]],
        output_num_filters=32,
        input_activation="hard_swish",
        output_activation="hard_swish",
        input_num_filters=8,
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        last_layer_filter=24,
        squeeze_and_excite=0.5,
        image_shape=(None, None, 3),
    )
    return models.MobileNetImageClassifier(backbone=backbone, num_classes=CLASSES)


def mobilenet_v5():
    """Universal inverted residuals with RMS normalization of KerasHub's own."""
    none, off = [[0], [0, 0]], [[0.0], [0.0, 0.0]]
    backbone = models.MobileNetV5Backbone(
        stackwise_block_types=[["er"], ["uir", "uir"]],
        stackwise_num_blocks=[1, 2],
        stackwise_num_filters=[[8], [16, 16]],
        stackwise_strides=[[2], [2, 1]],
        stackwise_act_layers=[["relu"], ["relu", "relu"]],
        stackwise_exp_ratios=[[2.0], [2.0, 2.0]],
        stackwise_se_ratios=off,
        stackwise_dw_kernel_sizes=[[0], [3, 3]],
        stackwise_dw_start_kernel_sizes=none,
        stackwise_dw_end_kernel_sizes=none,
        stackwise_exp_kernel_sizes=[[3], [0, 0]],
        stackwise_pw_kernel_sizes=[[1], [0, 0]],
        stackwise_num_heads=none,
        stackwise_key_dims=none,
        stackwise_value_dims=none,
        stackwise_kv_strides=none,
        stackwise_use_cpe=[[False], [False, False]],
        use_msfa=False,
        stem_size=8,
        num_features=64,
        **_pixels(32),
    )
    return models.MobileNetV5ImageClassifier(backbone=backbone, num_classes=CLASSES)


def _resnet(filters, size):
    return models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=filters,
        stackwise_num_blocks=[1] * len(filters),
        stackwise_num_strides=[1, *[2] * (len(filters) - 1)],
        block_type="basic_block",
        **_pixels(size),
    )


def resnet():
    """Residual blocks as functions."""
    return models.ResNetImageClassifier(backbone=_resnet([64, 16, 16], 32), num_classes=CLASSES)


def vit():
    """A class token, layers of layers of layers."""
    backbone = models.ViTBackbone(
        patch_size=(8, 8), num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, **_pixels(32)
    )
    return models.ViTImageClassifier(backbone=backbone, num_classes=CLASSES)


def _mit(widths, size):
    count = len(widths)
    return models.MiTBackbone(
        num_layers=count,
        hidden_dims=widths,
        layerwise_depths=[1] * count,
        layerwise_num_heads=[1, *[2] * (count - 1)],
        layerwise_sr_ratios=[2, *[1] * (count - 1)],
        layerwise_patch_sizes=[7, *[3] * (count - 1)],
        layerwise_strides=[4, *[2] * (count - 1)],
        max_drop_path_rate=0.1,
        **_pixels(size),
    )


def mit():
    """Attention over maps, its reduction a convolution."""
    return models.MiTImageClassifier(backbone=_mit([8, 16], 32), num_classes=CLASSES)


def segformer():
    """A decoder of all levels of a MiT."""
    encoder = _mit([8, 12, 16, 24], 64)
    backbone = models.SegFormerBackbone(image_encoder=encoder, projection_filters=8)
    return models.SegFormerImageSegmenter(backbone=backbone, num_classes=3)


def csp_darknet():
    """Cross-stage blocks, leaky ReLU."""
    backbone = models.CSPNetBackbone(
        stem_filters=8,
        stem_kernel_size=3,
        stem_strides=1,
        stackwise_depth=[1, 1],
        stackwise_strides=[1, 2],
        stackwise_num_filters=[8, 16],
        block_type="dark_block",
        stage_type="dark",
        **_pixels(32),
    )
    return models.CSPNetImageClassifier(backbone=backbone, num_classes=CLASSES)


def densenet():
    """Concatenations."""
    backbone = models.DenseNetBackbone(stackwise_num_repeats=[1, 2], growth_rate=8, **_pixels(32))
    return models.DenseNetImageClassifier(backbone=backbone, num_classes=CLASSES)


def hgnet_v2():
    """Stages of layers of layers."""
    backbone = models.HGNetV2Backbone(
        depths=[1, 1],
        embedding_size=8,
        hidden_sizes=[8, 16],
        stem_channels=[3, 8, 8],
        hidden_act="relu",
        use_learnable_affine_block=False,
        stackwise_stage_filters=[(8, 8, 16, 1, 1, 3), (16, 8, 16, 1, 1, 3)],
        apply_downsample=[False, True],
        use_lightweight_conv_block=[False, False],
        **_pixels(32),
    )
    return models.HGNetV2ImageClassifier(backbone=backbone, preprocessor=None, num_classes=CLASSES)


def deeplab_v3():
    """A segmenter with dilated convolutions."""
    backbone = models.DeepLabV3Backbone(
        image_encoder=_resnet([64, 16, 16], 32),
        projection_filters=4,
        low_level_feature_key="P2",
        spatial_pyramid_pooling_key="P4",
        upsampling_size=4,
        dilation_rates=[1, 2],
        **_pixels(32),
    )
    return models.DeepLabV3ImageSegmenter(backbone=backbone, num_classes=3)


def retinanet():
    """A detector: a feature pyramid and heads that are called once a level."""
    backbone = models.RetinaNetBackbone(
        image_encoder=_resnet([64, 8, 16, 16], 64),
        min_level=3,
        max_level=5,
        use_p5=False,
        **_pixels(64),
    )
    anchors = AnchorGenerator(
        bounding_box_format="yxyx",
        min_level=3,
        max_level=5,
        num_scales=1,
        aspect_ratios=[1.0],
        anchor_size=4.0,
    )
    detector = models.RetinaNetObjectDetector(
        backbone=backbone,
        num_classes=3,
        bounding_box_format="yxyx",
        anchor_generator=anchors,
        pre_logits_num_conv_layers=1,
    )
    # The task's own losses and decoder of boxes need labels and are no part of the graph.
    return keras.Model(detector.input, detector.output)


def _encoder(kind):
    return kind(
        vocabulary_size=WORDS,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=16,
    )


def bert():
    """Three inputs of any length in a dict."""
    return models.BertTextClassifier(backbone=_encoder(models.BertBackbone), num_classes=CLASSES)


def distil_bert():
    """Embeddings of tokens and positions in one layer."""
    return models.DistilBertTextClassifier(
        backbone=_encoder(models.DistilBertBackbone), num_classes=CLASSES
    )


def gpt2():
    """A decoder with a causal mask."""
    return _encoder(models.GPT2Backbone)


def gemma():
    """A decoder with rotary embeddings and a gated feed-forward network."""
    return models.GemmaBackbone(
        vocabulary_size=WORDS,
        num_layers=1,
        num_query_heads=2,
        num_key_value_heads=1,
        hidden_dim=16,
        intermediate_dim=32,
        head_dim=8,
    )


def vit_det():
    """The image encoder of SAM: attention in windows, relative positions."""
    return models.ViTDetBackbone(
        patch_size=4,
        hidden_size=16,
        num_layers=2,
        global_attention_layer_indices=[1],
        intermediate_dim=32,
        num_heads=2,
        num_output_channels=8,
        window_size=2,
        **_pixels(32),
    )


NETWORKS = {
    "EfficientNet": efficientnet,
    "MobileNet V3": mobilenet_v3,
    "MobileNet V5": mobilenet_v5,
    "ResNet": resnet,
    "ViT": vit,
    "MiT": mit,
    "SegFormer": segformer,
    "CSPDarkNet": csp_darknet,
    "DenseNet": densenet,
    "HGNetV2": hgnet_v2,
    "DeepLabV3": deeplab_v3,
    "RetinaNet": retinanet,
    "BERT": bert,
    "DistilBERT": distil_bert,
    "GPT-2": gpt2,
    "Gemma": gemma,
    "ViTDet (SAM)": vit_det,
}


def samples(model):
    """Return random inputs of a network, in its structure."""
    rng = np.random.default_rng(0)
    if not isinstance(model.input, dict):
        size = model.input.shape[1] or 32
        return rng.uniform(0, 1, (IMAGES, size, size, 3)).astype("float32")
    largest = {"segment_ids": 2, "token_ids": WORDS}
    values = {
        name: rng.integers(0, largest.get(name, 1) or 1, (IMAGES, STEPS)).astype("int32")
        for name in model.input
    }
    lengths = rng.integers(STEPS // 2, STEPS + 1, (IMAGES, 1))
    return {**values, "padding_mask": (np.arange(STEPS) < lengths).astype("int32")}
