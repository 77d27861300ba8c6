//! fairseq's manifests: `NAME.tsv`, beside which texts, units and their dictionary may lie.
//!
//! The first line of a `.tsv` is the folder that the others are relative to (absolute, or relative to the current one); they
//! are `path<TAB>samples`, in SpeechT5's manifests also `<TAB>speaker vector`. Line n of `NAME.wrd` (words), `NAME.ltr` (letters, `|`
//! between words) or `NAME.txt`, the first that is there, is the text, line n of `NAME.km` the units of the n-th recording. `dict.km.txt` lists the
//! units, `unit count` a line. The speaker is the folder of the folder that a recording is in (as in LibriSpeech, LibriTTS
//! and VoxCeleb), or the folder.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::convert::{Lenience, prepare_with};
use super::listing::{Listing, Source};
use super::text::{Lines, below};
use super::{Prepared, Progress, keep_apart, remove};
use crate::DataError;
use crate::corpus::RATE;
use crate::labels;
use crate::manifest::{Split, Utterance};

/// The units of the recordings of all manifests by the utterances' ids.
pub type Units = HashMap<String, Vec<u32>>;

/// Prepares the recordings of some manifests, each for a split. Units are written again beside the manifest, `SPLIT.km` line by
/// line for the utterances of the split.
///
/// # Errors
/// As [`list`] and [`prepare`](super::prepare); `to` being the folder of a manifest.
pub fn prepare_all(
    manifests: &[(Split, PathBuf)],
    to: &Path,
    lenience: Lenience,
    progress: &dyn Progress,
) -> Result<Prepared, DataError> {
    manifests.iter().try_for_each(|(_, path)| keep_apart(path, to))?;
    let (listing, units) = list(manifests)?;
    let from = manifests.first().map(|(_, path)| path.as_path()).unwrap_or(Path::new("."));
    prepare_with("fairseq", from, listing, to, lenience, progress, |utterances| write_units(&units, utterances, to))
}

/// Writes the units of every split that has any, and removes those that an earlier run left of one that has none.
fn write_units(units: &Units, utterances: &[Utterance], to: &Path) -> Result<(), DataError> {
    for split in Split::ALL {
        let path = to.join(format!("{split}.km"));
        let utterances = utterances.iter().filter(|utterance| utterance.split == split);
        let labels: Vec<Vec<u32>> = utterances.filter_map(|utterance| units.get(&utterance.id).cloned()).collect();
        if labels.is_empty() {
            remove(&path)?;
        } else {
            labels::write(&path, &labels)?;
        }
    }
    Ok(())
}

/// What the manifests list, each for a split, and its units.
///
/// # Errors
/// A line that is not of its file's form or leads out of the manifest's folder, a file beside a manifest that has another number of
/// lines, units that the dictionary does not have, by file and line; a manifest without units where another one of its split has them.
pub fn list(manifests: &[(Split, PathBuf)]) -> Result<(Listing, Units), DataError> {
    let (mut listing, mut units) = (Listing::default(), Units::new());
    let units_of = |path: &Path| path.with_extension("km");
    for (split, path) in manifests {
        let other = manifests.iter().find(|(other, path)| other == split && units_of(path).is_file());
        // Line n of a split's units would no longer be that of its n-th utterance.
        if let (false, Some((_, other))) = (units_of(path).is_file(), other) {
            let message = format!("no such file, but {} has units of {split}, too", other.display());
            return Err(DataError::file(&units_of(path), message));
        }
        let utterances = list_manifest(path, *split, &mut listing)?;
        units.extend(list_units(&units_of(path), path, utterances)?);
    }
    Ok((listing, units))
}

/// Lists a manifest; the ids of its utterances.
fn list_manifest(path: &Path, split: Split, listing: &mut Listing) -> Result<Vec<String>, DataError> {
    let lines = Lines::read(path)?;
    let Some((root, recordings)) = lines.lines.split_first() else {
        return Err(DataError::file(path, "is empty; its first line is the recordings' folder"));
    };
    let root = Path::new(root.text.trim());
    let texts = texts(path, recordings.len())?;
    let mut ids = Vec::new();
    for (place, line) in recordings.iter().enumerate() {
        let fields: Vec<&str> = line.text.split('\t').map(str::trim).collect();
        let samples = fields.get(1).and_then(|samples| samples.parse::<u32>().ok()).filter(|&samples| samples > 0);
        let (Some(samples), true) = (samples, fields.len() <= 3) else {
            return Err(lines.fault(line, "expected `path`, a tab and its number of samples"));
        };
        let inside = |relative: &str| below(root, relative).map_err(|message| lines.fault(line, message));
        let relative = Path::new(fields[0]).with_extension("");
        let folders: Vec<String> = relative.iter().rev().map(|name| name.to_string_lossy().into_owned()).collect();
        let speaker = folders.get(2).or(folders.get(1)).map_or("unknown", String::as_str);
        let id = relative.to_string_lossy().replace('/', "-");
        let mut utterance = Utterance::new(&id, format!("wav/{}.wav", relative.display()), speaker, split);
        utterance.seconds = f64::from(samples) / f64::from(RATE);
        utterance.text = texts.as_ref().map_or(String::new(), |texts| texts[place].clone());
        utterance.speaker_vector = fields.get(2).map(|vector| inside(vector)).transpose()?;
        listing.sources.push(Source::whole(inside(fields[0])?, utterance));
        ids.push(id);
    }
    Ok(ids)
}

/// The texts beside a manifest, if there are any, as many as it has recordings.
fn texts(manifest: &Path, recordings: usize) -> Result<Option<Vec<String>>, DataError> {
    let Some(path) =
        ["wrd", "ltr", "txt"].map(|end| manifest.with_extension(end)).into_iter().find(|path| path.is_file())
    else {
        return Ok(None);
    };
    // A line of nothing is the text of a recording, too, but for those at the end.
    let mut lines = Lines::read_all(&path)?;
    while lines.lines.len() > recordings && lines.lines.last().is_some_and(|line| line.text.trim().is_empty()) {
        lines.lines.pop();
    }
    as_many(&path, lines.lines.len(), recordings, manifest)?;
    let letters = path.extension().is_some_and(|extension| extension == "ltr");
    let text = |text: &str| match letters {
        true => text.replace(' ', "").replace('|', " ").trim().to_owned(),
        false => text.trim().to_owned(),
    };
    Ok(Some(lines.lines.iter().map(|line| text(&line.text)).collect()))
}

/// The units beside a manifest, if there are any.
fn list_units(path: &Path, manifest: &Path, ids: Vec<String>) -> Result<Units, DataError> {
    if !path.is_file() {
        return Ok(Units::new());
    }
    let labels = labels::read(path)?;
    as_many(path, labels.len(), ids.len(), manifest)?;
    let dictionary = manifest.with_file_name("dict.km.txt");
    if dictionary.is_file() {
        let known = read_dictionary(&dictionary)?;
        let known: HashSet<&str> = known.iter().map(String::as_str).collect();
        for (index, line) in labels.iter().enumerate() {
            if let Some(unit) = line.iter().find(|unit| !known.contains(unit.to_string().as_str())) {
                let message = format!("the unit {unit} is not in {}", dictionary.display());
                return Err(DataError::Line { path: path.to_owned(), line: index + 1, message });
            }
        }
    }
    Ok(ids.into_iter().zip(labels).collect())
}

/// The symbols of a `dict.*.txt`, in order: the n-th has the index n after fairseq's four special ones.
///
/// # Errors
/// A line that is not `symbol count`, a symbol that occurs twice, by file and line.
pub fn read_dictionary(path: &Path) -> Result<Vec<String>, DataError> {
    let lines = Lines::read(path)?;
    let mut seen = HashSet::new();
    let mut symbols = Vec::new();
    for line in &lines.lines {
        let entry = line.text.trim_end().rsplit_once(' ').filter(|(_, count)| count.parse::<u64>().is_ok());
        let Some((symbol, _)) = entry else {
            return Err(lines.fault(line, "expected a symbol, a space and its count"));
        };
        if !seen.insert(symbol) {
            return Err(lines.fault(line, format!("`{symbol}` has a line above")));
        }
        symbols.push(symbol.to_owned());
    }
    Ok(symbols)
}

fn as_many(path: &Path, lines: usize, recordings: usize, manifest: &Path) -> Result<(), DataError> {
    if lines == recordings {
        return Ok(());
    }
    Err(DataError::file(path, format!("has {lines} lines for the {recordings} recordings of {}", manifest.display())))
}
