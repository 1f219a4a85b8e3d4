"""The table of Keras layers and operations: one row for each without its own file.

`roles` reads how an output is quantized, `post_training.channel_links` whether channels can be
scaled on both sides of an operation, and `shrinking.propagation` which rule follows channels
through it. Layers whose kernels are compressed have their own files in this package, which answer
the same questions (`layers.base.LayerType`).

The roles are those of TFLite's quantization specification ("8-bit quantization specification",
operator table): which operators share the scale of input and output, and which fix the scale of
their output.
"""

import dataclasses
import enum
from collections.abc import Callable
from typing import Any

import keras

from keras_compress.layers import base as layer_types


class Role(enum.Enum):
    """How an operation's output is quantized."""

    KERNEL = "kernel"  # its output is a new tensor; a ReLU after it is fused into it
    LOOKUP = "lookup"  # rows of a table of integers, with the table's scale
    FUSABLE = "fusable"  # the same without a kernel: BatchNormalization, Add, Multiply
    RELU = "relu"  # fused into the operator before it; elsewhere it stays on the input's grid
    PASS = "pass"  # selects values of its input: same grid, no rounding
    SAME_SCALE = "same_scale"  # rounds to its input's grid: average pooling, resizing
    JOIN = "join"  # all inputs and the output share one grid: concatenation
    FIXED = "fixed"  # the operator fixes the output's scale: softmax
    OWN = "own"  # a new tensor with its own range
    UNKNOWN = "unknown"  # not supported: left in float in training


@dataclasses.dataclass(frozen=True)
class Operation:
    """The row of a Keras layer or operation.

    Args:
        role: Its `Role`, or a function from the layer to it.
        propagation: Name of the rule in `shrinking.propagation` that follows channels through
            it; `None` if there is none, so that channels that reach it are kept.
        homogeneous: Whether f(x / s) = f(x) / s for s > 0, channel by channel.
        form: The member of its family, for code that distinguishes members: propagation rules
            (`"permute"`), rewrites (`"square"`), range placement (`"averages"`), inputs (`"cast"`).
        activation: Name of the activation function that it computes.
        applies_activation: Whether it applies the function in its attribute `activation`.
        inherited: Whether a user's subclass is treated like the Keras class.
        reason: Why its role is unknown.
        refusal: Why `kc.convert` refuses it in a file of 8-bit integers, `None` if it does not or
            only in some settings.
    """

    role: Role | Callable[[Any], Role] = Role.UNKNOWN
    propagation: str | None = None
    homogeneous: bool = False
    form: str | None = None
    activation: str | None = None
    applies_activation: bool = False
    inherited: bool = False
    reason: str | None = None
    refusal: str | None = None


def _rows(names: str, *arguments, **keywords) -> dict[str, Operation]:
    return dict.fromkeys(names.split(), Operation(*arguments, **keywords))


def _homogeneous(names: str, *arguments, **keywords) -> dict[str, Operation]:
    return _rows(names, *arguments, homogeneous=True, **keywords)


def _unknown(names: str, reason: str, propagation: str | None = None, **facts):
    return _rows(names, propagation=propagation, reason=reason, **facts)


# Refusals. What is computed in float may stay so: allow_float.
IN_FLOAT = "TFLite computes it in float"
NO_OPERATOR = "TFLite has no operator for it"


def _role_of_upsampling(layer) -> Role:
    return Role.PASS if layer.interpolation == "nearest" else Role.SAME_SCALE


def _role_of_merge(layer) -> Role:
    return Role.JOIN if layer.mode == "concat" else Role.FUSABLE


_GLOBAL = "global_pooling"
_FLOAT_KERNEL = "its weights stay in float in training: no layer type describes them"
_LOOP = "its steps run in a loop, whose tensors are not in the graph: convert kc.strip(model)"
_SEVERAL = "TFLite runs it as several operators, whose tensors are not in the graph"
_SAMPLES = "prepares samples, which is not part of a file"
_FOREIGN = "holds code that is not Keras"
_CONTAINER = "holds other layers, whose calls are not in the graph"
_VOLUMES = "works on volumes, which TFLite convolves in float"
_NO_INTEGERS = "no integer kernel of TFLite computes it"
_NOT_REAL = "its values are not real numbers"
_WHOLE = "its values are integers or booleans, which have no range"
_CONTROL = "lets Python functions decide what is computed"
_CONSTANT = "makes a constant from its arguments"
_LOSS = "is a loss, a metric or a test"
_IMAGES = "is an image filter that TFLite runs as several operators"
_BASE = "is a class for others to extend"

LAYERS = {
    # Activations. TFLite has no operator for a ReLU with a slope or a cap other than 6.
    **_rows("ReLU", Role.OWN, "elementwise", form="rectifier", inherited=True),
    **_rows("Activation", Role.OWN, "elementwise", applies_activation=True, inherited=True),
    **_rows("Softmax", Role.FIXED, activation="softmax", inherited=True),
    **_homogeneous("LeakyReLU", Role.OWN, "elementwise"),
    **_rows("ELU", Role.OWN, "elementwise", refusal=IN_FLOAT),
    **_homogeneous("PReLU", Role.OWN, "prelu"),
    # The same values, some of them or all, in another order.
    **_homogeneous("Identity Dropout GaussianDropout", Role.PASS, "elementwise"),
    **_homogeneous("SpatialDropout1D SpatialDropout2D", Role.PASS, "elementwise"),
    **_rows("GaussianNoise AlphaDropout ActivityRegularization", Role.PASS, "elementwise"),
    **_rows("Masking", Role.PASS, "elementwise", form="masking"),
    **_homogeneous("Flatten", Role.PASS, "reshape", form="flatten"),
    **_rows("Reshape", Role.PASS, "reshape"),
    **_rows("Permute", Role.PASS, "transpose", form="permute"),
    **_rows("RepeatVector", Role.PASS, "transpose", form="repeat_vector"),
    # Positions, channel by channel.
    **_homogeneous("MaxPooling1D MaxPooling2D", Role.PASS, "spatial"),
    **_homogeneous("Cropping1D Cropping2D UpSampling1D", Role.PASS, "spatial"),
    **_homogeneous("ZeroPadding1D ZeroPadding2D", Role.PASS, "spatial", form="zero_padding"),
    **_homogeneous("UpSampling2D", _role_of_upsampling, "spatial"),
    **_homogeneous("AveragePooling1D", Role.SAME_SCALE, "spatial", form="averages"),
    **_homogeneous("AveragePooling2D", Role.SAME_SCALE, "spatial", form="averages"),
    **_rows("Resizing", Role.SAME_SCALE, "spatial"),
    **_homogeneous("GlobalMaxPooling1D GlobalMaxPooling2D", Role.PASS, _GLOBAL),
    **_homogeneous("GlobalAveragePooling1D GlobalAveragePooling2D", Role.OWN, _GLOBAL),
    # Several inputs.
    **_rows("Concatenate", Role.JOIN, "concatenate"),
    **_rows("Maximum", Role.JOIN, "merge", form="maximum"),
    **_rows("Minimum", Role.JOIN, "merge"),
    **_rows("Add", Role.FUSABLE, "merge", form="sum"),
    **_rows("Subtract", Role.FUSABLE, "merge", form="difference"),
    **_rows("Multiply", Role.FUSABLE, "merge", form="product"),
    **_rows("Average", Role.OWN, "merge", form="mean"),
    **_rows("Dot", Role.OWN, form="matrix_product"),
    # Factors and shifts.
    **_rows("BatchNormalization", Role.FUSABLE, "batch_normalization"),
    **_rows("Rescaling", Role.FUSABLE, "elementwise", form="scaling"),
    **_rows("Normalization", Role.FUSABLE, form="normalization"),
    **_rows("UnitNormalization", Role.OWN),
    # Of keras.applications: a product with one factor a channel, a sum with a constant factor.
    **_rows("LayerScale", Role.FUSABLE, "layer_scale"),
    **_unknown("StochasticDepth", _SEVERAL, "elementwise"),
    **_unknown("CustomScaleLayer", _SEVERAL, "merge", form="scaled_sum"),
    # The parts into which `lowering` splits attentions and layer normalizations.
    **_rows("AttentionMask", Role.JOIN, form="masks_scores"),
    **_rows("AttentionScores AttentionContext", Role.OWN, form="matrix_product"),
    **_rows("NormalizationStep NormalizationAffine", Role.OWN),
    **_rows("SiluProduct", Role.FUSABLE, "merge", form="product"),
    # The parts into which it splits LSTMs; `LstmSteps` itself has kernels.
    **_rows("StepSelection", Role.PASS),
    **_rows("DirectionMerge", _role_of_merge),
    # Left in float in training.
    **_unknown("Conv1DTranspose", _FLOAT_KERNEL, "transposed_conv"),
    **_unknown("Conv3DTranspose", _FLOAT_KERNEL, "transposed_conv", refusal=IN_FLOAT),
    **_unknown("DepthwiseConv1D", _FLOAT_KERNEL, "depthwise_conv"),
    **_unknown("SeparableConv1D", _FLOAT_KERNEL, "separable_conv"),
    **_unknown("ReversibleEmbedding", _FLOAT_KERNEL),
    **_unknown("LSTM", _LOOP, "recurrent", form="lstm"),
    **_unknown("GRU", _LOOP, "recurrent", form="gru"),
    **_unknown("SimpleRNN", _LOOP, "recurrent", form="simple_rnn"),
    **_unknown("Bidirectional", _LOOP, "bidirectional"),
    **_unknown("ConvLSTM ConvLSTM1D ConvLSTM2D ConvLSTM3D ConvLSTMCell", _LOOP),
    **_unknown("RNN LSTMCell GRUCell SimpleRNNCell StackedRNNCells TimeDistributed", _LOOP),
    **_unknown("MultiHeadAttention", _SEVERAL, "multi_head_attention"),
    **_unknown("Attention AdditiveAttention GroupedQueryAttention", _SEVERAL),
    **_unknown("LayerNormalization", _SEVERAL, "layer_normalization"),
    **_unknown("RMSNormalization", _SEVERAL, "layer_normalization", refusal=IN_FLOAT),
    **_unknown("GroupNormalization", _SEVERAL, "group_normalization", refusal=IN_FLOAT),
    **_unknown("SpectralNormalization", _FLOAT_KERNEL),
    **_unknown(
        "MaxPooling3D AveragePooling3D",
        _VOLUMES,
        "spatial",
        homogeneous=True,
        refusal=NO_OPERATOR,
    ),
    **_unknown("Cropping3D UpSampling3D", _VOLUMES, "spatial", homogeneous=True),
    **_unknown("ZeroPadding3D", _VOLUMES, "spatial", homogeneous=True, form="zero_padding"),
    **_unknown("GlobalMaxPooling3D GlobalAveragePooling3D", _VOLUMES, _GLOBAL, homogeneous=True),
    **_unknown("SpatialDropout3D", _VOLUMES, "elementwise", homogeneous=True),
    **_unknown(
        "AdaptiveAveragePooling1D AdaptiveAveragePooling2D", _SEVERAL, form="adaptive_averages"
    ),
    **_unknown("AdaptiveAveragePooling3D AdaptiveMaxPooling1D", _SEVERAL),
    **_unknown("AdaptiveMaxPooling2D AdaptiveMaxPooling3D ThresholdedReLU", _SEVERAL),
    **_unknown("MelSpectrogram STFTSpectrogram", _NOT_REAL, refusal=IN_FLOAT),
    **_unknown("FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper Lambda", _FOREIGN),
    **_unknown("InputLayer", "is an input of the model, which has a range from the start"),
    **_unknown("Functional Sequential Model Wrapper Pipeline Distiller", _CONTAINER),
    **_unknown("Layer Merge BaseConv BaseConvTranspose BaseDepthwiseConv BaseSeparableConv", _BASE),
    **_unknown("BasePooling BaseGlobalPooling BaseAdaptivePooling BaseSpatialDropout", _BASE),
    **_unknown("BaseAdaptiveAveragePooling BaseAdaptiveMaxPooling DataLayer IndexLookup", _BASE),
    **_unknown("BaseImagePreprocessingLayer TFDataLayer", _BASE),
    **_unknown("CategoryEncoding Hashing", _SAMPLES, refusal=NO_OPERATOR),
    **_unknown("StringLookup TextVectorization", _SAMPLES, refusal=NO_OPERATOR),
    **_unknown("Discretization", _SAMPLES, refusal=IN_FLOAT),
    **_unknown("HashedCrossing IntegerLookup FeatureSpace TFDConcat TFDIdentity", _SAMPLES),
    **_unknown("AugMix AutoContrast ContrastLimitedAdaptiveHistogramEqualization CutMix", _SAMPLES),
    **_unknown(
        "CenterCrop Equalization MaxNumBoundingBoxes MixUp RandAugment Solarization", _SAMPLES
    ),
    **_unknown("RandomBrightness RandomColorDegeneration RandomColorJitter", _SAMPLES),
    **_unknown(
        "RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip", _SAMPLES
    ),
    **_unknown("RandomGaussianBlur RandomGrayscale RandomHeight RandomHue RandomInvert", _SAMPLES),
    **_unknown("RandomPerspective RandomPosterization RandomRotation RandomSaturation", _SAMPLES),
    **_unknown("RandomSharpness RandomShear RandomTranslation RandomWidth RandomZoom", _SAMPLES),
}

# What `keras.ops` and `keras.activations` leave in a graph, by the names of the classes there.
FUNCTIONS = {
    # Activations.
    **_rows("ReLU", Role.OWN, "elementwise", form="rectifier"),
    **_rows("Relu", Role.RELU, "elementwise", activation="relu"),
    **_rows("Relu6", Role.RELU, "elementwise", activation="relu6"),
    **_rows("Sigmoid", Role.FIXED, "elementwise", activation="sigmoid"),
    **_rows("Tanh", Role.FIXED, "elementwise", activation="tanh"),
    **_rows("Softmax", Role.FIXED, activation="softmax"),
    **_homogeneous("LeakyRelu", Role.OWN, "elementwise", activation="leaky_relu"),
    **_rows("Elu", Role.OWN, "elementwise", refusal=IN_FLOAT),
    **_rows("Gelu Silu Softplus Softsign HardSigmoid", Role.OWN, "elementwise"),
    **_unknown("HardSilu", _SEVERAL, "elementwise", activation="hard_silu"),
    **_unknown("Selu Celu", _SEVERAL, "elementwise"),
    **_unknown("LogSigmoid Squareplus", _SEVERAL, "elementwise", refusal=IN_FLOAT),
    **_unknown("SparseSigmoid SparsePlus SoftShrink", _SEVERAL, "elementwise"),
    **_unknown("TanhShrink HardTanh HardShrink Threshold", _SEVERAL, "elementwise"),
    **_rows("LogSoftmax", Role.FIXED, activation="log_softmax"),
    **_unknown("Mish Glu Sparsemax", _SEVERAL),
    # The same values, some of them or all, in another order.
    **_homogeneous("StopGradient", Role.PASS, "elementwise"),
    **_rows("Reshape Ravel", Role.PASS, "reshape"),
    **_rows("Transpose", Role.PASS, "transpose", form="transpose"),
    **_rows("Swapaxes", Role.PASS, "transpose", form="swap_axes"),
    **_rows("ExpandDims", Role.PASS, "transpose", form="expand"),
    **_rows("Squeeze", Role.PASS, "transpose", form="squeeze"),
    **_rows("Moveaxis BroadcastTo GetItem Split Unstack Take Tile Repeat Pad", Role.PASS),
    **_unknown("Flip Fliplr Flipud Roll Rot90 Rearrange Slice Append Diag Diagonal", _SEVERAL),
    **_unknown("Diagflat Tril Triu TakeAlongAxis SliceUpdate Scatter ScatterUpdate", _SEVERAL),
    **_unknown("ArraySplit Dsplit Hsplit Vsplit Dstack Hstack Vstack Meshgrid", _SEVERAL),
    **_unknown("DepthToSpace SpaceToDepth Fold Unfold ExtractPatches ExtractSequences", _SEVERAL),
    **_unknown("CropImages PadImages Sort TopK View Unique", _SEVERAL),
    **_unknown("Copy", _SEVERAL, "elementwise"),
    # Positions, channel by channel.
    **_homogeneous("MaxPool", Role.PASS),
    **_homogeneous("AveragePool", Role.SAME_SCALE, form="averages"),
    **_rows("Resize", Role.SAME_SCALE),
    **_unknown("AdaptiveAveragePool AdaptiveMaxPool", _SEVERAL),
    # Several inputs.
    **_rows("Concatenate", Role.JOIN, "concatenate"),
    **_rows("Stack", Role.JOIN),
    **_rows("Maximum", Role.JOIN, "merge", form="maximum"),
    **_rows("Minimum", Role.JOIN, "merge"),
    **_rows("Add", Role.FUSABLE, "merge", form="sum"),
    **_rows("Subtract", Role.FUSABLE, "merge", form="difference"),
    **_rows("Multiply", Role.FUSABLE, "merge", form="product"),
    **_rows("Divide TrueDivide", Role.OWN, "merge"),
    **_rows("Power", Role.OWN, "merge", form="power"),
    **_rows("Dot Matmul", Role.OWN, form="matrix_product"),
    **_rows("Einsum", Role.OWN),
    **_unknown("DivideNoNan Mod FloorDivide Logaddexp Arctan2 Where", _SEVERAL, "merge"),
    **_unknown("Fmod Fmax Fmin Hypot Ldexp Logaddexp2 Nextafter Heaviside Select", _SEVERAL),
    **_unknown("Cross Inner Kron Outer Tensordot Vdot CDist DotProductAttention", _SEVERAL),
    **_unknown("Conv ConvTranspose DepthwiseConv SeparableConv", _FLOAT_KERNEL),
    **_unknown("BatchNorm LayerNorm RMSNorm", _SEVERAL),
    # Element by element.
    **_homogeneous("Absolute", Role.OWN, "elementwise"),
    **_rows("Exp Log Sin Cos Sqrt Rsqrt", Role.OWN, "elementwise"),
    **_rows("Negative", Role.OWN, "elementwise", form="negative"),
    **_rows("Square", Role.OWN, "elementwise", form="square"),
    **_rows("Clip", Role.OWN, "elementwise", form="clipping"),
    **_unknown("Abs Expm1 Log1p Sign Reciprocal Floor", _SEVERAL, "elementwise"),
    **_unknown("Erf", _SEVERAL, "elementwise", refusal=NO_OPERATOR),
    **_unknown("Ceil Round", _SEVERAL, "elementwise"),
    **_unknown("Cast", _SEVERAL, "elementwise", form="cast"),
    **_unknown("Arccos Arccosh Arcsin Arcsinh Arctan Arctanh Cbrt Cosh Deg2rad", _NO_INTEGERS),
    **_unknown("Erfc Erfinv Exp2 Fabs I0 Log10 Log2 NanToNum Rad2deg", _NO_INTEGERS),
    **_unknown("SaturateCast Sinc Sinh Tan Trunc", _NO_INTEGERS),
    # Reductions.
    **_rows("Mean Sum", Role.OWN, "reduction"),
    **_rows("Max", Role.PASS, "reduction"),
    **_unknown("Min Amax Amin Var Std Prod", _SEVERAL, "reduction"),
    **_rows("Average", Role.OWN),
    **_rows("Normalize", Role.OWN, form="normalize"),
    **_unknown("Cumsum", _SEVERAL, refusal=IN_FLOAT),
    **_unknown("Cumprod Diff Logsumexp Median Moments Norm Percentile Ptp", _SEVERAL),
    **_unknown("Quantile Trace Trapezoid SegmentMax SegmentMin SegmentProd", _SEVERAL),
    **_unknown("SegmentReduction SegmentSum Correlate Corrcoef Vander", _SEVERAL),
    **_unknown("Nancumprod Nancumsum Nanmax Nanmean Nanmedian Nanmin Nanpercentile", _NO_INTEGERS),
    **_unknown("Nanprod Nanquantile Nanstd Nansum Nanvar", _NO_INTEGERS),
    # Left in float in training.
    **_unknown("Argmax", _WHOLE, form="argmax"),
    **_unknown("Argmin", _WHOLE, form="argmin"),
    **_unknown("All AllClose Any Argpartition Argsort Bincount CountNonzero", _WHOLE),
    **_unknown("BitwiseAnd BitwiseInvert BitwiseLeftShift BitwiseNot BitwiseOr", _WHOLE),
    **_unknown("BitwiseRightShift BitwiseXor LeftShift RightShift Gcd Lcm Digitize", _WHOLE),
    **_unknown("Equal NotEqual Greater GreaterEqual Less LessEqual Isclose Isfinite", _WHOLE),
    **_unknown("Isinf Isnan Isneginf Isposinf Isreal IsIn LogicalAnd LogicalNot", _WHOLE),
    **_unknown("LogicalOr LogicalXor Signbit Nanargmax Nanargmin Ndim Nonzero Size", _WHOLE),
    **_unknown("SearchSorted UnravelIndex Histogram OneHot MultiHot", _WHOLE),
    **_unknown("Angle Conj Conjugate FFT FFT2 IFFT2 IRFFT ISTFT Imag Polar RFFT Real", _NOT_REAL),
    **_unknown("STFT ViewAsComplex ViewAsReal", _NOT_REAL),
    **_unknown("Cholesky CholeskyInverse Det Eig Eigh Inv JVP Logdet Lstsq LuFactor", _NO_INTEGERS),
    **_unknown("MatrixRank Pinv Qr Slogdet Solve SolveTriangular SVD", _NO_INTEGERS),
    **_unknown("AffineTransform ElasticTransform GaussianBlur HSVToRGB MapCoordinates", _IMAGES),
    **_unknown("PerspectiveTransform RGBToGrayscale RGBToHSV ScaleAndTranslate", _IMAGES),
    **_unknown("SobelEdges", _IMAGES),
    **_unknown("AssociativeScan Cond ForiLoop Function Map Scan Switch VectorizedMap", _CONTROL),
    **_unknown("WhileLoop", _CONTROL),
    **_unknown("Arange Array ConvertToTensor EmptyLike Full FullLike Geomspace", _CONSTANT),
    **_unknown("Linspace Logspace OnesLike ZerosLike", _CONSTANT),
    # Operations of Keras 3.9 alone.
    **_unknown("Empty Eye Identity Ones Tri Zeros", _CONSTANT),
    **_unknown("BinaryCrossentropy CategoricalCrossentropy CTCDecode CTCLoss InTopK PSNR", _LOSS),
    **_unknown("SparseCategoricalCrossentropy SSIM", _LOSS),
    **_unknown("FakeQuantWithMinMaxVars", "rounds by a range that another tool chose"),
}
_NO_ROW = Operation(reason="not a class of Keras")


# Names of the element-wise activation functions.
ELEMENTWISE_ACTIVATIONS = frozenset(
    (
        *("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu"),
        *("swish", "hard_silu", "hard_swish", "mish", "sigmoid", "hard_sigmoid"),
        *("log_sigmoid", "tanh", "hard_tanh", "tanh_shrink", "hard_shrink", "soft_shrink"),
        *("softplus", "softsign", "exponential", "squareplus", "sparse_plus"),
        *("sparse_sigmoid", "threshold"),
    )
)


def of(operation: Any) -> Operation:
    """Return the row of a layer or operation.

    Args:
        operation: A layer, or an operation of `keras.ops`.

    Returns:
        Its row, or that of its layer type. A user's subclass may compute something different from
        its Keras parent, so it gets a row without facts, unless the parent's row is inherited or
        it has kernels.

    Example:
        >>> of(keras.layers.MaxPooling2D()).role
        <Role.PASS: 'pass'>
        >>> of(keras.layers.Dense(2)).propagation
        'dense'
    """
    layer_type = layer_types.find(operation)
    if layer_type is not None and not layer_type.has_row:
        return Operation(
            _role_of_type(layer_type),
            layer_type.propagation,
            applies_activation=layer_type.applies_activation,
            reason=None if layer_type.is_quantized else "its kernel is in float in every file",
            refusal=None if layer_type.is_quantized else IN_FLOAT,
        )
    table = LAYERS if isinstance(operation, keras.layers.Layer) else FUNCTIONS
    for parent in type(operation).__mro__:
        row = table.get(parent.__name__) if _is_known(parent) else None
        if row is not None and (row.inherited or parent is type(operation)):
            return row
    return _NO_ROW


def _role_of_type(layer_type):
    if not layer_type.is_quantized:
        return Role.UNKNOWN
    return Role.LOOKUP if layer_type.is_lookup else Role.KERNEL


def _is_known(kind):
    return kind.__module__.split(".")[0] in ("keras", "keras_compress")
