//! WHAM!: WSJ0's sentences with noise recorded in public places (Wichern et al., Interspeech 2019).
//!
//! Three layouts are read: what the official scripts make of WSJ0, `wav16k/max/SET/{mix_single,s1,noise}/NAME.wav`; the noise as it is
//! published, `wham_noise/SET/NAME.wav`, with WSJ0 and the scripts' lists, which is mixed here in the same way ([`Mixing`]); and the noise alone. `tr`
//! becomes `train`, `cv` `valid`, and `tt`, whose voices are new, `test-clean`, on which enhancement is scored. Sentences
//! without noise, with it, and the noise are prepared as three folders `clean`, `noisy` and `noise` with the same ids in the
//! same order. There are no texts.

use std::path::{Path, PathBuf};

use self::mixing::{Noise, Signal};
use super::convert::{Lenience, prepare};
use super::listing::{Listing, Piece, Sound, Source};
use super::text::difference;
use super::{Prepared, Progress};
use crate::DataError;
use crate::files::entries;
use crate::manifest::{Split, Utterance};
use crate::verify::BadFile;

mod mixing;

pub use mixing::Mixing;

/// The sets, the parts they play and their published sizes.
const SETS: [(&str, Split, usize); 3] =
    [("tr", Split::Train, 20_000), ("cv", Split::Valid, 5_000), ("tt", Split::TestClean, 3_000)];
/// The folders that are made, and those that they are made of.
const SIGNALS: [(&str, Signal, &str); 3] =
    [("clean", Signal::Clean, "s1"), ("noisy", Signal::Noisy, "mix_single"), ("noise", Signal::Noise, "noise")];

/// What is in a folder: by the folders to make, what goes into each.
///
/// # Errors
/// A folder of no layout; with `mixing`, a list that is missing, damaged or does not fit the others.
pub fn list(from: &Path, mixing: Option<&Mixing>) -> Result<Vec<(&'static str, Listing)>, DataError> {
    let mixed = [from.join("wav16k/max"), from.to_owned()].into_iter().find(|folder| folder.join("tr/s1").is_dir());
    if let (Some(root), None) = (mixed, mixing) {
        return SIGNALS.into_iter().map(|(name, _, folder)| Ok((name, list_signal(&root, folder)?))).collect();
    }
    let alone = [from.join("wham_noise"), from.to_owned()].into_iter().find(|folder| folder.join("tr").is_dir());
    let root = alone.ok_or_else(|| DataError::file(from, "holds neither wav16k/max/tr/s1 nor wham_noise/tr"))?;
    match mixing {
        Some(mixing) => {
            let mixtures = mixing.mixtures(&root)?;
            Ok(SIGNALS.into_iter().map(|(name, signal, _)| (name, mixtures.list(signal))).collect())
        }
        None => Ok(vec![("noise", list_noise(&root)?)]),
    }
}

/// Prepares what [`list`] finds, each in a folder of its own below `to`.
///
/// # Errors
/// As [`list`] and [`prepare`]; with `skip_bad`, folders that then differ in their ids.
pub fn prepare_all(
    from: &Path,
    mixing: Option<&Mixing>,
    to: &Path,
    lenience: Lenience,
    progress: &dyn Progress,
) -> Result<Vec<Prepared>, DataError> {
    let mut all: Vec<Prepared> = Vec::new();
    for (name, listing) in list(from, mixing)? {
        all.push(prepare("wham", from, listing, &to.join(name), lenience, progress)?);
    }
    let ids =
        |prepared: &Prepared| -> Vec<String> { prepared.manifest.utterances.iter().map(|u| u.id.clone()).collect() };
    if let Some(other) = all.iter().find(|prepared| ids(prepared) != ids(&all[0])) {
        let message = format!("has other ids than {}; repair the recordings", all[0].manifest.path.display());
        return Err(DataError::file(&other.manifest.path, message));
    }
    Ok(all)
}

/// A signal of all sets; files of `mix_single` that a signal lacks are bad.
fn list_signal(root: &Path, signal: &str) -> Result<Listing, DataError> {
    let mut listing = Listing::default();
    for (set, split, published) in SETS {
        let folder = root.join(set).join(signal);
        if !folder.is_dir() {
            listing.missing.push(format!("{}: no such folder", folder.display()));
            continue;
        }
        let names = recordings(&folder)?;
        for path in recordings(&root.join(set).join("mix_single"))? {
            let twin = folder.join(path.file_name().unwrap_or_default());
            // They are in order.
            if names.binary_search(&twin).is_err() {
                listing.bad.push(BadFile::new(&twin, "no such file"));
            }
        }
        listing.missing.extend(difference(&format!("{set}/{signal}"), names.len(), published, "recordings"));
        for path in names {
            let utterance = utterance(&path, set, split, signal == "noise");
            listing.sources.push(Source::whole(path, utterance));
        }
    }
    Ok(listing)
}

/// The noise of all sets.
fn list_noise(root: &Path) -> Result<Listing, DataError> {
    let mut listing = Listing::default();
    for (set, split, published) in SETS {
        let folder = root.join(set);
        let names = if folder.is_dir() { recordings(&folder)? } else { Vec::new() };
        listing.missing.extend(difference(set, names.len(), published, "recordings"));
        for path in names {
            let utterance = utterance(&path, set, split, true);
            let sound = Sound::Made(Box::new(Noise(path)));
            listing.sources.push(Source { sound, pieces: vec![Piece { span: None, utterance }] });
        }
    }
    Ok(listing)
}

/// The utterance of a recording. A mixture is called after the sentences in it, and a sentence begins with its speaker's
/// three characters.
fn utterance(path: &Path, set: &str, split: Split, noise: bool) -> Utterance {
    let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let speaker = if noise { "noise".to_owned() } else { id.get(..3).unwrap_or(&id).to_owned() };
    Utterance::new(&id, format!("wav/{set}/{id}.wav"), speaker, split)
}

fn recordings(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut files = entries(folder)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "wav"));
    Ok(files)
}
