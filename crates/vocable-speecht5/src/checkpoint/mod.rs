//! Published checkpoints: fairseq's files and transformers' folders, read, written and described (spec section 9).

mod names;
pub(crate) mod publish;
mod sizes;

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use vocable_weights::{Dtype, Tensor, Weights};

use crate::ModelError;

pub use names::Format;
pub use publish::{write_extended, write_fairseq};
pub use sizes::Sizes;
pub use vocable_published::{Layout, Leaf, LoadReport, Meaning};

/// Parts whose parameters depend on the vocabulary; they start anew where it changes (spec section 9.4).
pub const TEXT_PARTS: [&str; 3] = ["tokens", "text_encoder_prenet", "ctc"];

/// The tensors of a published model under the names of their format.
#[derive(Debug)]
pub struct Checkpoint {
    weights: Weights,
    format: Format,
}

/// A tensor of a checkpoint and what it is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its name in the file.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its shape in the file.
    pub shape: Vec<usize>,
    /// What it is here.
    pub meaning: Meaning,
}

impl Checkpoint {
    /// Opens a file or folder of weights; see [`Weights::open`]. Its names tell the format.
    ///
    /// # Errors
    /// A file that is missing, damaged or of another format, or whose names are none of SpeechT5's.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        let weights = Weights::open(path)?;
        let known =
            |format: Format| weights.tensors().filter(|tensor| format.paths(tensor.name()).next().is_some()).count();
        // Some of the post-net's names are the same in both formats.
        let format =
            if known(Format::HuggingFace) >= known(Format::Fairseq) { Format::HuggingFace } else { Format::Fairseq };
        if known(format) == 0 {
            let message = "none of its tensors has a name of SpeechT5's".into();
            return Err(ModelError::Weights { path: weights.path().into(), message });
        }
        Ok(Self { weights, format })
    }

    /// The format of its names.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        self.weights.path()
    }

    /// Whether its speech-decoder pre-net is known to have been trained without a ReLU behind the third layer (table D5): it is
    /// in a file with the official trainer's arguments beside the weights, or with names of transformers alone. What is written
    /// here in the official names ([`write_fairseq`]) or with names behind `extra.` ([`write_extended`]) may be of either kind, and
    /// does not tell.
    pub fn lacks_last_relu(&self) -> bool {
        let of_others = match self.format {
            Format::Fairseq => self.weights.setting("arch").is_some(),
            Format::HuggingFace => !self.weights.tensors().any(|tensor| tensor.name().starts_with("extra.")),
        };
        of_others && self.find("speech_decoder_prenet.third.weight").is_some()
    }

    /// All tensors in the order of the file.
    pub fn describe(&self) -> Vec<Described> {
        let describe = |tensor: Tensor| Described {
            name: tensor.name().into(),
            dtype: tensor.dtype(),
            shape: tensor.shape().into(),
            meaning: self.meaning(tensor.name()),
        };
        self.weights.tensors().map(describe).collect()
    }

    fn meaning(&self, name: &str) -> Meaning {
        let mut paths = self.format.paths(name).map(|(path, _)| path);
        match (paths.next(), paths.next()) {
            // Of transformers' norms of the first block: its extractor has one in the second block in one mode only.
            (Some(channel), Some(layer)) => {
                let every_block = self.find("speech_encoder_prenet.extractor.blocks.1.layer_norm.weight").is_some();
                Meaning::Parameter(if every_block { layer } else { channel })
            }
            (Some(path), None) => Meaning::Parameter(path),
            _ if self.format.is_constant(name) => Meaning::Constant,
            _ => Meaning::Unknown,
        }
    }

    /// The tensor that holds a parameter, under the first of its names that the file has.
    fn find(&self, path: &str) -> Option<(Tensor<'_>, Layout)> {
        self.format.names(path).find_map(|(name, layout)| Some((self.weights.get(&name)?, layout)))
    }

    /// Fills a model with the tensors that the file has for it, part by part; the others keep their values.
    ///
    /// # Errors
    /// A tensor that holds no floating-point numbers; copies of the text matrix that differ.
    pub fn load<M: Module>(&self, module: M) -> Result<(M, LoadReport), ModelError> {
        self.load_without(module, &[])
    }

    /// The same without some parts, which are reported as absent; for a new vocabulary, without [`TEXT_PARTS`].
    ///
    /// # Errors
    /// See [`Self::load`].
    pub fn load_without<M: Module>(&self, module: M, parts: &[&str]) -> Result<(M, LoadReport), ModelError> {
        let meaning = |name: &str| self.meaning(name);
        Ok(vocable_published::load(&self.weights, self.format.table(), module, parts, meaning)?)
    }

    /// The tensors of a report that are known but have no place in its model, under the names of a format.
    fn carried(&self, report: &LoadReport, format: Format) -> BTreeMap<String, Tensor<'_>> {
        let tensors = report.left_out.iter().filter_map(|name| self.weights.get(name));
        let renamed = |tensor: Tensor<'_>| match self.meaning(tensor.name()) {
            Meaning::Parameter(path) => format.names(&path).next().map(|(name, _)| name),
            _ => None,
        };
        tensors.filter_map(|tensor| Some((renamed(tensor)?, tensor))).collect()
    }
}

/// The part of the model that a parameter belongs to: the first component of its path.
pub(crate) fn part(path: &str) -> &str {
    Format::HuggingFace.table().part(path)
}

/// Visits every float parameter with its path, which comes without a leading `core.`.
pub fn visit<M: Module>(module: &M, mut visit: impl FnMut(&str, &dyn Leaf)) {
    vocable_published::visit(module, |path, leaf| visit(Format::HuggingFace.table().path(path), leaf));
}
