//! From the recordings of any layout to 16 kHz mono WAV files and the manifest's lines: what all readers share.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use vocable_audio::Audio;
use vocable_files::sha256;

use super::checks::{Names, check_names, duration, keep_sources, take_absent, targets};
use super::listing::{Listing, Piece, Source};
use super::origin::{Origin, Origins, State};
use super::{Prepared, Progress, claim, refuse, write_manifest};
use crate::DataError;
use crate::corpus::RATE;
use crate::files::place;
use crate::manifest::Utterance;
use crate::verify::{BadFile, TOLERANCE_SECONDS, check_duration};

/// Recordings that are decoded side by side before the next ones are asked for.
const CHUNK: usize = 256;

/// What a preparation puts up with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lenience {
    /// Leave out unusable recordings instead of refusing.
    pub skip_bad: bool,
    /// Take a corpus that is not of the published size.
    pub partial: bool,
}

/// Prepares the `listing` that the reader called `reader` made of `from` in the folder `to`: averaged to mono, resampled to 16 kHz,
/// 16 bits, each with its SHA-256.
///
/// A recording that an earlier run of the same reader on the same folder left is kept if it is whole and its source is what it
/// was.
///
/// # Errors
/// Unless [`Lenience`] allows them: a corpus of another than the published size, or all files that the listing tells to be
/// missing or odd, before anything is written; all recordings that turn out unusable, before the manifest is.
/// An id that cannot be a file's name or occurs twice; a recording that would take the place of a source, or a manifest in
/// `to` that no preparation made; a corpus of which nothing is left.
pub fn prepare(
    reader: &str,
    from: &Path,
    listing: Listing,
    to: &Path,
    lenience: Lenience,
    progress: &dyn Progress,
) -> Result<Prepared, DataError> {
    prepare_with(reader, from, listing, to, lenience, progress, |_| Ok(()))
}

/// The same with what `write` writes of the utterances that are left, before the manifest is.
pub(super) fn prepare_with(
    reader: &str,
    from: &Path,
    mut listing: Listing,
    to: &Path,
    lenience: Lenience,
    progress: &dyn Progress,
    write: impl FnOnce(&[Utterance]) -> Result<(), DataError>,
) -> Result<Prepared, DataError> {
    if !listing.missing.is_empty() && !lenience.partial {
        return Err(DataError::Incomplete(listing.missing));
    }
    listing.bad.extend(take_absent(&mut listing.sources));
    let skipped = refuse(listing.bad, lenience.skip_bad)?;
    check_names(&listing.sources)?;
    let own = targets(&listing.sources, to);
    keep_sources(&listing.sources, &own)?;
    let sources = listing.sources.into_iter().map(Ok);
    let prepared = prepare_stream(reader, from, sources, own.len(), &own, to, lenience, progress, write)?;
    let utterances = &prepared.manifest.utterances;
    listing.missing.extend(listing.hours.iter().filter_map(|(folder, hours)| duration(utterances, folder, *hours)));
    let skipped = skipped.into_iter().chain(prepared.skipped).collect();
    Ok(Prepared { skipped, missing: listing.missing, ..prepared })
}

/// The same of recordings that are not known before they come: `pieces` utterances in all, of which it is known that they make the
/// files `own`.
pub(super) fn prepare_stream(
    reader: &str,
    from: &Path,
    sources: impl Iterator<Item = Result<Source, DataError>>,
    pieces: usize,
    own: &[PathBuf],
    to: &Path,
    lenience: Lenience,
    progress: &dyn Progress,
    write: impl FnOnce(&[Utterance]) -> Result<(), DataError>,
) -> Result<Prepared, DataError> {
    let same = claim(to, &serde_json::json!({ "reader": reader, "from": place(from)?, "rate": RATE }), own)?;
    progress.step("converting", pieces);
    let target = Target { to, same, hash: true, progress };
    let Converted { mut utterances, bad, kept } = target.convert(sources)?;
    let skipped = refuse(bad, lenience.skip_bad)?;
    copy_vectors(&mut utterances, to, |vector| vector.to_owned())?;
    write(&utterances)?;
    let manifest = write_manifest(to, utterances)?;
    Ok(Prepared { manifest, skipped, kept, missing: Vec::new() })
}

/// Where recordings are converted to.
pub(super) struct Target<'a> {
    /// The prepared folder.
    pub to: &'a Path,
    /// Whether an earlier run made what lies in it in the same way.
    pub same: bool,
    /// Whether the lines tell the files' SHA-256.
    pub hash: bool,
    pub progress: &'a dyn Progress,
}

/// What became of recordings.
#[derive(Default)]
pub(super) struct Converted {
    pub utterances: Vec<Utterance>,
    pub bad: Vec<BadFile>,
    /// Recordings of an earlier run.
    pub kept: usize,
}

/// What ends one recording, or all.
enum Failure {
    Bad(BadFile),
    Fatal(DataError),
}

impl Target<'_> {
    /// Converts recordings on all cores; utterances and bad files come in the sources' order.
    pub fn convert(
        &self,
        mut sources: impl Iterator<Item = Result<Source, DataError>>,
    ) -> Result<Converted, DataError> {
        let mut all = Converted::default();
        let mut names = Names::default();
        let origins = Origins::open(self.to, self.same)?;
        loop {
            let chunk: Vec<Source> = sources.by_ref().take(CHUNK).collect::<Result<_, _>>()?;
            if chunk.is_empty() {
                return Ok(all);
            }
            chunk.iter().try_for_each(|source| names.add(source))?;
            let converted: Vec<_> = chunk.into_par_iter().map(|source| self.source(source, &origins)).collect();
            for converted in converted {
                let Converted { utterances, bad, kept } = converted?;
                all.utterances.extend(utterances);
                all.bad.extend(bad);
                all.kept += kept;
            }
        }
    }

    /// Converts a recording, and notes the origin of what was not there before as soon as it is there.
    fn source(&self, mut source: Source, origins: &Origins) -> Result<Converted, DataError> {
        let (mut converted, mut audio) = (Converted::default(), None);
        // Before anything is read: what is written to meanwhile is made again the next time.
        let files = source.sound.files().into_iter().map(State::of).collect::<Result<Vec<_>, _>>()?;
        for piece in source.pieces {
            let origin = Origin::new(&source.sound, &piece, &files);
            let kept = if origins.know(&origin) { self.left_by_an_earlier_run(&piece) } else { None };
            let finished = match kept {
                Some(utterance) => {
                    converted.kept += 1;
                    Ok(utterance)
                }
                None => match audio.get_or_insert_with(|| source.sound.read_as_told(&piece.utterance)) {
                    Ok(audio) => self.piece(audio, piece).and_then(|utterance| {
                        origins.note(&origin).map_err(Failure::Fatal)?;
                        Ok(utterance)
                    }),
                    Err(bad) => Err(Failure::Bad(bad.clone())),
                },
            };
            match finished {
                Ok(utterance) => converted.utterances.push(utterance),
                // A long recording that cannot be read is one file, however many utterances it has.
                Err(Failure::Bad(bad)) if converted.bad.last() == Some(&bad) => {}
                Err(Failure::Bad(bad)) => converted.bad.push(bad),
                Err(Failure::Fatal(error)) => return Err(error),
            }
            self.progress.done();
        }
        Ok(converted)
    }

    fn piece(&self, audio: &Audio, piece: Piece) -> Result<Utterance, Failure> {
        let samples = match &piece.span {
            Some(span) => cut(audio, span, &piece.utterance.id).map_err(Failure::Bad)?,
            None => &audio.samples,
        };
        if piece.utterance.seconds > 0.0 {
            check_duration(&audio.path, audio, &piece.utterance).map_err(Failure::Bad)?;
        }
        let count = samples.len();
        let samples = vocable_audio::resample(samples, audio.rate, RATE);
        if samples.is_empty() {
            let reason = format!("{count} samples at {} Hz are too few for one at {RATE} Hz", audio.rate);
            return Err(Failure::Bad(BadFile { path: audio.path.clone(), reason }));
        }
        let target = self.to.join(&piece.utterance.audio);
        let folder = target.parent().expect("a file in a folder");
        fs::create_dir_all(folder).map_err(|error| Failure::Fatal(DataError::io(folder)(error)))?;
        vocable_audio::write_wav(&target, &samples, RATE).map_err(|error| Failure::Fatal(error.into()))?;
        let bytes = fs::read(&target).map_err(|error| Failure::Fatal(DataError::io(&target)(error)))?;
        Ok(self.line(piece, &bytes, samples.len()))
    }

    /// The line of a piece whose file is there already, and whole.
    fn left_by_an_earlier_run(&self, piece: &Piece) -> Option<Utterance> {
        let target = self.to.join(&piece.utterance.audio);
        let bytes = fs::read(&target).ok()?;
        let audio = vocable_audio::read_bytes(bytes.clone(), &target).ok()?.expect_rate(RATE).ok()?;
        let expected = piece.span.as_ref().map_or(piece.utterance.seconds, |span| span.end - span.start);
        let as_long = expected == 0.0 || (audio.seconds() - expected).abs() <= TOLERANCE_SECONDS;
        as_long
            .then(|| self.line(Piece { span: None, utterance: piece.utterance.clone() }, &bytes, audio.samples.len()))
    }

    fn line(&self, piece: Piece, bytes: &[u8], samples: usize) -> Utterance {
        let sha256 = self.hash.then(|| sha256(bytes));
        Utterance { seconds: samples as f64 / f64::from(RATE), sha256, ..piece.utterance }
    }
}

/// A stretch of a recording; its end may lie [`TOLERANCE_SECONDS`] behind the recording's.
fn cut<'a>(audio: &'a Audio, span: &Range<f64>, id: &str) -> Result<&'a [f32], BadFile> {
    let place = |seconds: f64| (seconds * f64::from(audio.rate)).round();
    let length = audio.samples.len() as f64;
    let inside = 0.0 <= span.start && span.start < span.end && span.end <= audio.seconds() + TOLERANCE_SECONDS;
    let (start, end) = (place(span.start), place(span.end).min(length));
    if !inside || start >= end {
        let whole = audio.seconds();
        let reason = format!("`{id}` is to be {} s to {} s of the {whole:.3} s that it lasts", span.start, span.end);
        return Err(BadFile { path: audio.path.clone(), reason });
    }
    Ok(&audio.samples[start as usize..end as usize])
}

/// Copies each distinct speaker-vector file, which `resolve` finds, once, and points the utterances at the copies.
pub(super) fn copy_vectors(
    utterances: &mut [Utterance],
    to: &Path,
    resolve: impl Fn(&Path) -> PathBuf,
) -> Result<(), DataError> {
    let mut copies: HashMap<PathBuf, PathBuf> = HashMap::new();
    for utterance in utterances {
        let Some(vector) = &mut utterance.speaker_vector else {
            continue;
        };
        let number = copies.len();
        let name = vector.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let copy = match copies.entry(vector.clone()) {
            Entry::Occupied(copy) => copy.into_mut(),
            Entry::Vacant(place) => {
                let copy = place.insert(format!("vectors/{number}-{name}").into());
                let (bytes, target) = (crate::speaker::content(&resolve(vector))?, to.join(&*copy));
                // What an earlier run left under that number may be another voice's.
                if fs::read(&target).ok().as_ref() != Some(&bytes) {
                    crate::files::write_atomically(&target, |out| out.write_all(&bytes))?;
                }
                copy
            }
        };
        *vector = copy.clone();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_cut_to_the_sample_and_never_beyond_the_recording() {
        let samples: Vec<f32> = (0..8_000).map(|n| n as f32 / 8_000.0).collect();
        let audio = Audio { samples, rate: 8_000, path: "talk.wav".into() };
        let cut = |start, end| super::cut(&audio, &(start..end), "t1").map_err(|bad| bad.to_string());
        assert_eq!(cut(0.25, 0.5).unwrap(), &audio.samples[2_000..4_000]);
        assert_eq!(cut(0.9, 1.04).unwrap(), &audio.samples[7_200..]);
        for (start, end) in [(0.9, 1.06), (-0.1, 0.5), (0.5, 0.5), (0.5, 0.2), (1.0, 1.04), (f64::NAN, 0.5)] {
            let message = cut(start, end).unwrap_err();
            assert!(message.starts_with("talk.wav: `t1` is to be"), "{message}");
        }
    }
}
