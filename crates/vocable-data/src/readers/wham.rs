//! WHAM!: WSJ0's sentences with noise recorded in public places (Wichern et al., Interspeech 2019).
//!
//! Its public layouts are what the official scripts make of WSJ0, `wav16k/max/SET/{mix_single,s1,noise}/NAME.wav`, and the noise alone as
//! it is published, `wham_noise/SET/NAME.wav`. `tr` becomes `train`, `cv` `valid`, and `tt`, whose voices are new, `test-other`.
//! Of the first, the sentences without noise, with it, and the noise are prepared as three folders `clean`, `noisy` and `noise` with the same ids
//! in the same order. There are no texts.

use std::path::{Path, PathBuf};

use super::convert::{Lenience, Listing, Source, prepare};
use super::text::difference;
use super::{Prepared, Progress};
use crate::DataError;
use crate::files::entries;
use crate::manifest::{Split, Utterance};
use crate::verify::BadFile;

/// The sets, the parts they play and their published sizes.
const SETS: [(&str, Split, usize); 3] =
    [("tr", Split::Train, 20_000), ("cv", Split::Valid, 5_000), ("tt", Split::TestOther, 3_000)];
/// The folders that are made, and those that they are made of.
const SIGNALS: [(&str, &str); 3] = [("clean", "s1"), ("noisy", "mix_single"), ("noise", "noise")];

/// What is in a folder: by the folders to make, what goes into each.
///
/// # Errors
/// A folder of neither layout.
pub fn list(from: &Path) -> Result<Vec<(&'static str, Listing)>, DataError> {
    let mixed = [from.join("wav16k/max"), from.to_owned()].into_iter().find(|folder| folder.join("tr/s1").is_dir());
    if let Some(root) = mixed {
        return SIGNALS.into_iter().map(|(name, signal)| Ok((name, list_signal(&root, signal)?))).collect();
    }
    let alone = [from.join("wham_noise"), from.to_owned()].into_iter().find(|folder| folder.join("tr").is_dir());
    let root = alone.ok_or_else(|| DataError::file(from, "holds neither wav16k/max/tr/s1 nor wham_noise/tr"))?;
    Ok(vec![("noise", list_signal(&root, "")?)])
}

/// Prepares what [`list`] finds, each in a folder of its own below `to`.
///
/// # Errors
/// As [`list`] and [`prepare`]; with `skip_bad`, folders that then differ in their ids.
pub fn prepare_all(
    from: &Path,
    to: &Path,
    lenience: Lenience,
    progress: &dyn Progress,
) -> Result<Vec<Prepared>, DataError> {
    let mut all: Vec<Prepared> = Vec::new();
    for (name, listing) in list(from)? {
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
        if !signal.is_empty() {
            for path in recordings(&root.join(set).join("mix_single"))? {
                let twin = folder.join(path.file_name().unwrap_or_default());
                if !names.contains(&twin) {
                    listing.bad.push(BadFile::new(&twin, "no such file"));
                }
            }
        }
        let part = if signal.is_empty() { set.to_owned() } else { format!("{set}/{signal}") };
        listing.missing.extend(difference(&part, names.len(), published, "recordings"));
        for path in names {
            let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            // A mixture is called after the sentences in it, a sentence begins with its speaker's three characters.
            let speaker = if signal.is_empty() || signal == "noise" { "noise" } else { id.get(..3).unwrap_or(&id) };
            let utterance = Utterance::new(&id, format!("wav/{set}/{id}.wav"), speaker, split);
            listing.sources.push(Source::whole(path, utterance));
        }
    }
    Ok(listing)
}

fn recordings(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut files = entries(folder)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "wav"));
    Ok(files)
}
