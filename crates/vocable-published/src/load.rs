//! Loading, with a report of what it did not do.

use std::collections::BTreeSet;
use std::path::Path;

use burn::module::Module;
use vocable_weights::{Tensor, Weights, WeightsError};

use crate::fill::fill;
use crate::{Layout, Names};

/// What a tensor of a file is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The parameter of this path, in every module that has such a part.
    Parameter(String),
    /// Something computed here: sinusoids, versions.
    Constant,
    /// Nothing that is known.
    Unknown,
}

/// What loading a file did not do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Parts of the module (first components of paths) of which the file holds nothing: they keep their values.
    pub absent: Vec<String>,
    /// Parameters that the file lacks though it holds others of their part: they keep their values.
    pub missing: Vec<String>,
    /// Parameters whose tensor has another shape: they keep their values.
    pub reshaped: Vec<String>,
    /// Tensors of the file that mean nothing here.
    pub unexpected: Vec<String>,
    /// Tensors of the file that are known, but that this module has no use for.
    pub left_out: Vec<String>,
}

impl LoadReport {
    /// Fails where a parameter of the parts `needed` kept its value or a tensor of the file means nothing; `path` is the
    /// file that was loaded.
    ///
    /// # Errors
    /// [`WeightsError::NotWeights`] with the first of each kind, and how many there are.
    pub fn strict(&self, needed: &[&str], path: &Path) -> Result<(), WeightsError> {
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
                let reason = format!("the file {}", faults.join("; it "));
                Err(WeightsError::NotWeights { path: path.into(), reason })
            }
        }
    }
}

/// Fills a module with the tensors that a file has for it, part by part; the others keep their values, and so do the
/// parts `without`, which are reported as absent. `meaning` tells what a name stands for, usually by
/// [`Names::meaning`].
///
/// # Errors
/// A tensor that holds no floating-point numbers, or one that is not finite; copies of one parameter that differ.
pub fn load<M: Module>(
    weights: &Weights,
    names: &Names,
    module: M,
    without: &[&str],
    meaning: impl Fn(&str) -> Meaning,
) -> Result<(M, LoadReport), WeightsError> {
    let (module, filled) = fill(module, weights.path(), |path| match without.contains(&names.part(path)) {
        true => Ok(None),
        false => unique(weights, names, path),
    })?;
    let own: BTreeSet<&str> = filled.filled.iter().chain(&filled.misfits).map(|path| names.path(path)).collect();
    let begun: BTreeSet<&str> = own.iter().map(|path| names.part(path)).collect();
    let (missing, lacking): (Vec<&str>, Vec<&str>) =
        filled.lacking.iter().map(|path| names.path(path)).partition(|path| begun.contains(names.part(path)));
    let absent: BTreeSet<&str> = lacking.into_iter().map(|path| names.part(path)).collect();
    let owned = |paths: Vec<&str>| paths.into_iter().map(str::to_owned).collect();
    let mut report = LoadReport {
        absent: owned(absent.into_iter().collect()),
        missing: owned(missing),
        reshaped: filled.reshaped.clone(),
        ..LoadReport::default()
    };
    for name in weights.tensors().map(|tensor| tensor.name()) {
        match meaning(name) {
            Meaning::Parameter(path) if own.contains(path.as_str()) => {}
            Meaning::Parameter(_) => report.left_out.push(name.to_owned()),
            Meaning::Constant => {}
            Meaning::Unknown => report.unexpected.push(name.to_owned()),
        }
    }
    Ok((module, report))
}

/// The tensor that holds a parameter, and a check that all of the file's copies are equal.
fn unique<'w>(weights: &'w Weights, names: &Names, path: &str) -> Result<Option<(Tensor<'w>, Layout)>, WeightsError> {
    let mut found = names.names(path).filter_map(|(name, layout)| Some((weights.get(&name)?, layout)));
    let Some(first) = found.next() else { return Ok(None) };
    match found.find(|(copy, _)| copy.shape() != first.0.shape() || copy.bytes() != first.0.bytes()) {
        None => Ok(Some(first)),
        Some((copy, _)) => {
            let reason = format!("{} and {} differ, but here they are one matrix", first.0.name(), copy.name());
            Err(WeightsError::NotWeights { path: weights.path().into(), reason })
        }
    }
}
