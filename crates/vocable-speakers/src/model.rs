use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::ops::PadMode;
use vocable_kernels::{Window, conv1d, leaky_relu};
use vocable_nn::{BatchNorm, Init, Linear, Mode};

/// PyTorch's slope of a leaky rectifier below zero.
const SLOPE: f64 = 0.01;
/// Added to the pooled deviations.
const EPSILON: f64 = 1e-5;
/// Keeps the root of a variance differentiable where a channel is constant.
const LEAST_VARIANCE: f64 = 1e-12;

/// The x-vector network (Snyder et al. 2018) as SpeechBrain has it: time-delay layers, mean and deviation over time, a
/// linear layer.
///
/// SpeechBrain adds noise between 1e-5 and 9e-5 to the pooled means, in use too; here there is none.
#[derive(Module, Debug)]
pub struct XVector {
    /// The layers over time (`blocks.0` to `blocks.14`).
    pub blocks: Vec<TdnnBlock>,
    /// From the pooled statistics to the vector (`blocks.16`).
    pub output: Linear,
}

/// Convolution over mirrored ends → leaky rectifier → batch norm.
#[derive(Module, Debug)]
pub struct TdnnBlock {
    /// `[kernel · input, output]`, row `tap · input + channel`, and its bias.
    pub conv: Linear,
    /// Batch norm of the output channels.
    pub norm: BatchNorm,
    pub(crate) kernel: usize,
    pub(crate) dilation: usize,
}

impl TdnnBlock {
    /// `[batch, time, input]` → `[batch, time, output]`.
    fn forward(&self, x: Tensor<3>, mode: Mode) -> Tensor<3> {
        let margin = self.dilation * (self.kernel - 1) / 2;
        let x = if margin > 0 { x.pad([(0, 0), (margin, margin), (0, 0)], PadMode::Reflect) } else { x };
        let window = Window { dilation: self.dilation, ..Window::new(self.kernel) };
        let bias = self.conv.bias.as_ref().map(|bias| bias.val());
        self.norm.forward(leaky_relu(conv1d(x, self.conv.weight.val(), bias, window), SLOPE), mode)
    }
}

impl XVector {
    /// Features `[batch, time, bands]`, all of one length, → vectors `[batch, width]`.
    ///
    /// # Panics
    /// Fewer frames than [`XVectorConfig::least_frames`](crate::XVectorConfig::least_frames).
    pub fn forward(&self, features: Tensor<3>, mode: Mode) -> Tensor<2> {
        let x = self.blocks.iter().fold(features, |x, block| block.forward(x, mode));
        let time = x.dims()[1] as f64;
        let mean = x.clone().mean_dim(1);
        let variance = (x - mean.clone()).square().sum_dim(1).div_scalar(time - 1.0);
        let deviation = variance.clamp_min(LEAST_VARIANCE).sqrt().add_scalar(EPSILON);
        self.output.forward(Tensor::cat(vec![mean, deviation], 2).squeeze_dim::<2>(1))
    }
}

/// Classifies vectors, in training alone (SpeechBrain's `Classifier`): rectifier, norm, linear, rectifier, norm, linear.
#[derive(Module, Debug)]
pub struct SpeakerHead {
    /// `norm`.
    pub input_norm: BatchNorm,
    /// `DNN.block_0.linear`.
    pub inner: Linear,
    /// `DNN.block_0.norm`.
    pub inner_norm: BatchNorm,
    /// `out`, `[width, speakers]`.
    pub output: Linear,
}

impl SpeakerHead {
    /// For vectors of `width` values of so many speakers.
    pub fn new(width: usize, speakers: usize, init: &Init) -> Self {
        let deviation = 1.0 / (3.0 * width as f64).sqrt();
        let linear = |name: &str, output| Linear::new(width, output, &init.fold(name).with_deviation(deviation));
        Self {
            input_norm: BatchNorm::new(width, init.device()),
            inner: linear("inner", width),
            inner_norm: BatchNorm::new(width, init.device()),
            output: linear("output", speakers),
        }
    }

    /// Vectors `[batch, width]` → logits `[batch, speakers]`.
    pub fn forward(&self, vectors: Tensor<2>, mode: Mode) -> Tensor<2> {
        let x = self.input_norm.forward(leaky_relu(vectors.unsqueeze_dim::<3>(1), SLOPE), mode);
        let x = self.inner_norm.forward(leaky_relu(self.inner.forward(x), SLOPE), mode);
        self.output.forward(x).squeeze_dim(1)
    }
}

/// What is trained: the network and a head that tells the speakers of the training data apart.
#[derive(Module, Debug)]
pub struct XVectorClassifier {
    /// The network that is kept.
    pub encoder: XVector,
    /// The head that is not.
    pub head: SpeakerHead,
}

impl XVectorClassifier {
    /// Features `[batch, time, bands]` → logits `[batch, speakers]`.
    pub fn forward(&self, features: Tensor<3>, mode: Mode) -> Tensor<2> {
        self.head.forward(self.encoder.forward(features, mode), mode)
    }
}
