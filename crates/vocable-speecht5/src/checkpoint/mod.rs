//! Published checkpoints: fairseq's files and transformers' folders, read, written and described (spec section 9).

mod fill;
mod layout;
mod names;
pub(crate) mod publish;
mod sizes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::module::Module;
use vocable_weights::{Dtype, Tensor, Weights};

use crate::ModelError;

pub use fill::{Leaf, visit};
pub use names::{Format, Layout};
pub use publish::write_extended;
pub use sizes::Sizes;

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

/// What a tensor of a checkpoint is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The parameter of this path, in every model that has such a part.
    Parameter(String),
    /// Something computed here: sinusoids, versions.
    Constant,
    /// Nothing that is known.
    Unknown,
}

/// What loading a checkpoint did not do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Parts of the model (first components of paths) of which the file holds nothing: they keep their values.
    pub absent: Vec<String>,
    /// Parameters that the file lacks though it holds others of their part: they keep their values.
    pub missing: Vec<String>,
    /// Parameters whose tensor has another shape: they keep their values.
    pub reshaped: Vec<String>,
    /// Tensors of the file that mean nothing here.
    pub unexpected: Vec<String>,
    /// Tensors of the file that are known, but that this model has no use for.
    pub left_out: Vec<String>,
}

impl LoadReport {
    /// Fails where a parameter of the parts `needed` kept its value or a tensor of the file means nothing; `path` is the
    /// file that was loaded.
    ///
    /// # Errors
    /// [`ModelError::Weights`] with the first of each kind, and how many there are.
    pub fn strict(&self, needed: &[&str], path: &Path) -> Result<(), ModelError> {
        let absent: Vec<String> = self.absent.iter().filter(|part| needed.contains(&part.as_str())).cloned().collect();
        let kinds = [
            ("lacks everything of", &absent),
            ("lacks", &self.missing),
            ("has another shape of", &self.reshaped),
            ("holds the unknown tensor", &self.unexpected),
        ];
        let count = |names: &[String]| match names.len() {
            1 => String::new(),
            all => format!(" and {} more", all - 1),
        };
        let faults: Vec<String> = kinds
            .iter()
            .filter_map(|(what, names)| Some(format!("{what} {}{}", names.first()?, count(names))))
            .collect();
        match faults.is_empty() {
            true => Ok(()),
            false => {
                Err(ModelError::Weights { path: path.into(), message: format!("the file {}", faults.join("; it ")) })
            }
        }
    }
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
        let (module, filled) = fill::fill(module, |path| match parts.contains(&part(path)) {
            true => Ok(None),
            false => self.unique(path),
        })?;
        let mut report = LoadReport { reshaped: filled.reshaped, ..LoadReport::default() };
        let begun: BTreeSet<&str> = filled.filled.iter().chain(&filled.misfits).map(|path| part(path)).collect();
        let mut absent = BTreeSet::new();
        for path in filled.lacking {
            match begun.contains(part(&path)) {
                true => report.missing.push(path),
                false => drop(absent.insert(part(&path).to_owned())),
            }
        }
        report.absent = absent.into_iter().collect();
        let own: BTreeSet<&str> = filled.filled.iter().chain(&filled.misfits).map(String::as_str).collect();
        for Described { name, meaning, .. } in self.describe() {
            match meaning {
                Meaning::Parameter(path) if own.contains(path.as_str()) => {}
                Meaning::Parameter(_) => report.left_out.push(name),
                Meaning::Constant => {}
                Meaning::Unknown => report.unexpected.push(name),
            }
        }
        Ok((module, report))
    }

    /// The tensor that holds a parameter, and a check that all of the file's copies are equal.
    fn unique(&self, path: &str) -> Result<Option<(Tensor<'_>, Layout)>, ModelError> {
        let mut found = self.format.names(path).filter_map(|(name, layout)| Some((self.weights.get(&name)?, layout)));
        let Some(first) = found.next() else { return Ok(None) };
        match found.find(|(copy, _)| copy.shape() != first.0.shape() || copy.bytes() != first.0.bytes()) {
            None => Ok(Some(first)),
            Some((copy, _)) => {
                let message = format!("{} and {} differ, but here they are one matrix", first.0.name(), copy.name());
                Err(ModelError::Weights { path: self.path().into(), message })
            }
        }
    }

    /// The tensors of a report that are known but have no place in its model, under the extended format's names.
    fn carried(&self, report: &LoadReport) -> BTreeMap<String, Tensor<'_>> {
        let tensors = report.left_out.iter().filter_map(|name| self.weights.get(name));
        let renamed = |tensor: Tensor<'_>| match self.meaning(tensor.name()) {
            Meaning::Parameter(path) => Format::HuggingFace.names(&path).next().map(|(name, _)| name),
            _ => None,
        };
        tensors.filter_map(|tensor| Some((renamed(tensor)?, tensor))).collect()
    }
}

/// The part of the model that a parameter belongs to: the first component of its path.
pub(crate) fn part(path: &str) -> &str {
    let path = path.strip_prefix("core.").unwrap_or(path);
    path.split('.').next().expect("a split has a first piece")
}
