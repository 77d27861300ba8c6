//! What makes waveforms of log-mels, of whichever kind it is.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_distr::StandardNormal;
use vocable_audio::{Frames, GriffinLim, LogMel};
use vocable_random::Key;

use crate::chunks::in_chunks;
use crate::{HifiGan, ParallelWaveGan, VocoderError, folder};

/// Rounds of phase estimation without a neural vocoder.
const ROUNDS: usize = 64;

/// Makes waveforms of log-mels.
pub struct Vocoder {
    pub(crate) generator: Generator,
    pub(crate) normaliser: Option<Normaliser>,
    pub(crate) rate: u32,
    pub(crate) device: Device,
    /// Frames that are generated at once, the context on both sides not counted.
    pub(crate) chunk: usize,
}

pub(crate) enum Generator {
    HifiGan(Box<HifiGan>),
    ParallelWaveGan(Box<ParallelWaveGan>),
    /// No network: phases are estimated.
    GriffinLim(Box<GriffinLim>),
}

/// Brings log-mels to the mean 0 and deviation 1 that a generator was trained with.
pub(crate) struct Normaliser {
    /// Of each mel bin.
    pub mean: Vec<f32>,
    /// Of each mel bin.
    pub scale: Vec<f32>,
}

impl Normaliser {
    fn apply(&self, log_mel: &Frames) -> Frames {
        let normal = |(bin, &value): (usize, &f32)| (value - self.mean[bin]) / self.scale[bin];
        let data = log_mel.rows().flat_map(|row| row.iter().enumerate().map(normal)).collect();
        Frames::new(data, log_mel.width)
    }
}

impl Vocoder {
    /// Frames that are generated at once: 8 s at 16 kHz, some 100 MB of activations for HiFi-GAN of the published size.
    pub const CHUNK: usize = 500;

    /// Opens a folder of transformers' `SpeechT5HifiGan` (`config.json` and weights), or of ParallelWaveGAN (`config.yml`,
    /// or the same as `config.json`; `checkpoint-*.pkl`, of several the one of the most steps; `stats.npy`).
    ///
    /// # Errors
    /// Files that are missing, damaged, contradict each other or describe another generator.
    pub fn open(path: impl AsRef<Path>, device: &Device) -> Result<Self, VocoderError> {
        folder::open(path.as_ref(), device)
    }

    /// No network: Griffin-Lim for log-mels of this front end.
    pub fn griffin_lim(log_mel: LogMel) -> Self {
        let rate = log_mel.config().rate;
        let generator = Generator::GriffinLim(Box::new(GriffinLim::new(log_mel, ROUNDS)));
        Self { generator, normaliser: None, rate, device: Device::flex(), chunk: Self::CHUNK }
    }

    /// The same with another number of frames that are generated at once, at least one.
    #[must_use]
    pub fn with_chunk(self, chunk: usize) -> Self {
        assert!(chunk > 0, "a chunk has at least one frame");
        Self { chunk, ..self }
    }

    /// Which kind it is: `hifi_gan`, `parallel_wavegan` or `griffin_lim`.
    pub fn kind(&self) -> &'static str {
        match self.generator {
            Generator::HifiGan(_) => "hifi_gan",
            Generator::ParallelWaveGan(_) => "parallel_wavegan",
            Generator::GriffinLim(_) => "griffin_lim",
        }
    }

    /// Mel bins of the frames that its network takes; `None` without one.
    pub fn mel(&self) -> Option<usize> {
        match &self.generator {
            Generator::HifiGan(generator) => Some(generator.mel()),
            Generator::ParallelWaveGan(generator) => Some(generator.mel()),
            Generator::GriffinLim(_) => None,
        }
    }

    /// Samples per second of what it makes.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Samples that it makes of a frame.
    pub fn hop(&self) -> usize {
        match &self.generator {
            Generator::HifiGan(generator) => generator.hop(),
            Generator::ParallelWaveGan(generator) => generator.hop(),
            Generator::GriffinLim(generator) => generator.hop(),
        }
    }

    /// The waveform of a log10-mel spectrogram, `hop` samples a frame (Griffin-Lim: for all frames but one). `key` draws
    /// Parallel WaveGAN's noise and Griffin-Lim's first phases.
    ///
    /// Long spectrograms are generated in chunks that overlap by as many frames as a sample depends on; the result is
    /// that of the whole but for rounding.
    ///
    /// # Panics
    /// If the width is not the vocoder's number of mel bins.
    pub fn samples(&self, log_mel: &Frames, key: Key) -> Vec<f32> {
        let normal = self.normaliser.as_ref().map(|normaliser| normaliser.apply(log_mel));
        let log_mel = normal.as_ref().unwrap_or(log_mel);
        match &self.generator {
            Generator::GriffinLim(griffin_lim) => griffin_lim.samples(log_mel, key),
            Generator::HifiGan(generator) => {
                in_chunks(log_mel.len(), self.chunk, generator.reach(), generator.hop(), |frames| {
                    host(generator.forward(self.part(log_mel, frames)))
                })
            }
            Generator::ParallelWaveGan(generator) => {
                let (hop, mut rng) = (generator.hop(), key.rng());
                let noise: Vec<f32> = (0..log_mel.len() * hop).map(|_| rng.sample(StandardNormal)).collect();
                in_chunks(log_mel.len(), self.chunk, generator.reach(), hop, |frames| {
                    let noise = noise[frames.start * hop..frames.end * hop].to_vec();
                    let shape = [1, noise.len()];
                    let noise = Tensor::from_data(TensorData::new(noise, shape), &self.device);
                    host(generator.forward(self.part(log_mel, frames), noise))
                })
            }
        }
    }

    /// Some of the frames: `[1, frames, mel]`.
    fn part(&self, log_mel: &Frames, frames: std::ops::Range<usize>) -> Tensor<3> {
        let (count, width) = (frames.len(), log_mel.width);
        let values = log_mel.data[frames.start * width..frames.end * width].to_vec();
        Tensor::from_data(TensorData::new(values, [1, count, width]), &self.device)
    }
}

fn host(samples: Tensor<2>) -> Vec<f32> {
    samples.try_into_vec_as::<f32>().expect("samples are readable floats")
}
