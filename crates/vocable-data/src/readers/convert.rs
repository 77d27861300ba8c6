//! From the recordings of any layout to 16 kHz mono WAV files and the manifest's lines: what all readers share.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use std::time::UNIX_EPOCH;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use vocable_audio::{Audio, AudioError};
use vocable_files::sha256;

use super::{Prepared, Progress, claim, refuse, write_manifest};
use crate::DataError;
use crate::corpus::RATE;
use crate::files::{file_sha256, place};
use crate::manifest::Utterance;
use crate::verify::{BadFile, TOLERANCE_SECONDS, check_duration};

/// Recordings that are decoded side by side before the next ones are asked for.
const CHUNK: usize = 256;
/// The file that says what every recording of a prepared folder was made of.
pub(super) const ORIGINS: &str = "sources.jsonl";

/// Where a recording is: WAV, FLAC or Ogg Vorbis of any rate and number of channels.
#[derive(Debug)]
pub enum Sound {
    /// A file of its own.
    File(PathBuf),
    /// The content of an audio file that lies inside another file.
    Inside {
        /// The other file.
        file: PathBuf,
        /// Where in it, for messages.
        place: String,
        /// The audio file.
        bytes: Vec<u8>,
    },
    /// Something that is made of files.
    Made(Box<dyn Make>),
}

/// A recording that is computed. Its `Debug` form tells all that it depends on: if that changes, it is made again.
pub trait Make: fmt::Debug + Send + Sync {
    /// The files it is made of, at least one.
    fn files(&self) -> Vec<&Path>;

    /// Makes it.
    ///
    /// # Errors
    /// What reading the files gives.
    fn make(&self) -> Result<Audio, AudioError>;
}

impl Sound {
    fn files(&self) -> Vec<&Path> {
        match self {
            Self::File(file) | Self::Inside { file, .. } => vec![file],
            Self::Made(made) => made.files(),
        }
    }

    /// What [`Origin`] knows it by.
    fn identity(&self) -> String {
        match self {
            Self::Made(made) => format!("{made:?}"),
            _ => self.name().to_string_lossy().into_owned(),
        }
    }

    /// What messages call it.
    fn name(&self) -> PathBuf {
        match self {
            Self::File(file) => file.clone(),
            Self::Inside { file, place, .. } => format!("{}, {place}", file.display()).into(),
            Self::Made(made) => made.files()[0].to_owned(),
        }
    }

    /// Decodes it, where a file is the one that its line in a list tells.
    fn read_as_told(&mut self, utterance: &Utterance) -> Result<Audio, BadFile> {
        if let (Self::File(file), Some(told)) = (&*self, &utterance.sha256) {
            let found = file_sha256(file).map_err(|error| BadFile::new(file, error))?;
            if found != *told {
                return Err(BadFile::new(file, "its SHA-256 is not the one that its line tells"));
            }
        }
        self.read()
    }

    /// Decodes it, and gives up the bytes that it had in memory.
    fn read(&mut self) -> Result<Audio, BadFile> {
        let name = self.name();
        let audio = match self {
            Self::File(file) => vocable_audio::read(file),
            Self::Inside { bytes, .. } => vocable_audio::read_bytes(std::mem::take(bytes), &name),
            Self::Made(made) => made.make(),
        };
        audio.map_err(|error| BadFile::new(&name, error))
    }
}

/// An utterance of a recording.
#[derive(Debug)]
pub struct Piece {
    /// Seconds from its first to its last sample; none is the whole recording.
    pub span: Option<Range<f64>>,
    /// Its line in the manifest: `audio` is the file to make, `seconds` what the corpus says of a whole recording's
    /// duration, or 0 where it says nothing. Duration and hash become those of the file that is made.
    pub utterance: Utterance,
}

/// A recording as a corpus has it, and the utterances in it.
#[derive(Debug)]
pub struct Source {
    /// Where it is.
    pub sound: Sound,
    /// What is taken of it.
    pub pieces: Vec<Piece>,
}

impl Source {
    /// A file that holds one utterance.
    pub fn whole(file: impl Into<PathBuf>, utterance: Utterance) -> Self {
        Self { sound: Sound::File(file.into()), pieces: vec![Piece { span: None, utterance }] }
    }
}

/// What a reader found in a corpus's folder.
#[derive(Debug, Default)]
pub struct Listing {
    /// The recordings, in the order of the manifest.
    pub sources: Vec<Source>,
    /// Files that do not fit the layout: a recording without its text, a text without its recording.
    pub bad: Vec<BadFile>,
    /// How the parts differ from the published corpus, a line each.
    pub missing: Vec<String>,
    /// Published hours of the parts that are complete, by the folder that their files are prepared in.
    pub hours: Vec<(PathBuf, f64)>,
}

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

/// Takes out the sources of which a file is missing.
pub(super) fn take_absent(sources: &mut Vec<Source>) -> Vec<BadFile> {
    let absent = |source: &Source| -> Option<PathBuf> {
        source.sound.files().into_iter().find(|file| !file.is_file()).map(Path::to_owned)
    };
    let absent: Vec<Option<PathBuf>> = sources.par_iter().map(absent).collect();
    let mut missing = absent.iter().map(Option::is_some);
    sources.retain(|_| !missing.next().expect("one answer per source"));
    absent.into_iter().flatten().map(|file| BadFile::new(&file, "no such file")).collect()
}

/// Refuses ids that cannot be files' names or occur twice.
pub(super) fn check_names(sources: &[Source]) -> Result<(), DataError> {
    let mut names = Names::default();
    sources.iter().try_for_each(|source| names.add(source))
}

/// The ids of utterances, and whose they are.
#[derive(Default)]
struct Names(HashMap<String, PathBuf>);

impl Names {
    fn add(&mut self, source: &Source) -> Result<(), DataError> {
        for Utterance { id, audio, .. } in source.pieces.iter().map(|piece| &piece.utterance) {
            let name = source.sound.name();
            if !stays_inside(audio) {
                let message = "cannot be a file's name: leave out `..`, `\\`, `:` and leading dots and slashes";
                return Err(DataError::file(&name, format!("its id `{id}` {message}")));
            }
            if let Some(other) = self.0.insert(id.clone(), name.clone()) {
                return Err(DataError::file(&name, format!("its id `{id}` is that of {}, too", other.display())));
            }
        }
        Ok(())
    }
}

/// The files that are made of sources.
pub(super) fn targets(sources: &[Source], to: &Path) -> Vec<PathBuf> {
    sources.iter().flat_map(|source| &source.pieces).map(|piece| to.join(&piece.utterance.audio)).collect()
}

/// Refuses to write a recording in the place of a source.
pub(super) fn keep_sources(sources: &[Source], targets: &[PathBuf]) -> Result<(), DataError> {
    let files = sources.par_iter().flat_map_iter(|source| source.sound.files());
    let files: HashSet<PathBuf> = files.filter_map(|file| file.canonicalize().ok()).collect();
    let taken = |target: &&PathBuf| target.canonicalize().is_ok_and(|target| files.contains(&target));
    match targets.par_iter().find_first(taken) {
        Some(target) => {
            Err(DataError::file(target, "is a recording to prepare, and would be replaced; choose another folder"))
        }
        None => Ok(()),
    }
}

/// Share by which hours may differ from the published ones: those are rounded, and not always of the final
/// recordings.
const HOURS_TOLERANCE: f64 = 0.05;

/// What differs between the hours of the utterances in a folder and the published ones.
fn duration(utterances: &[Utterance], folder: &Path, published: f64) -> Option<String> {
    let inside = utterances.iter().filter(|utterance| utterance.audio.starts_with(folder));
    let hours = inside.fold(0.0, |hours, utterance| hours + utterance.seconds / 3600.0);
    let part = folder.display();
    ((hours - published).abs() > HOURS_TOLERANCE * published)
        .then(|| format!("{part}: {hours:.2} of {published} hours"))
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

/// What a recording was made of: a run after a change of the corpus's lists or files keeps only what is still right.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Origin {
    audio: String,
    source: String,
    span: Option<(f64, f64)>,
    files: Vec<State>,
}

impl Origin {
    fn new(sound: &Sound, piece: &Piece, files: &[State]) -> Self {
        let span = piece.span.as_ref().map(|span| (span.start, span.end));
        let audio = piece.utterance.audio.to_string_lossy().into_owned();
        Self { audio, source: sound.identity(), span, files: files.to_vec() }
    }
}

/// Which file it was, and in which state: one that was moved to the place of another has an older time, but not the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Whatever way led there.
    pub path: PathBuf,
    pub bytes: u64,
    /// When it was last written to, in nanoseconds since 1970.
    pub modified: u64,
}

impl State {
    pub fn of(file: &Path) -> Result<Self, DataError> {
        let (path, data) = (place(file)?, fs::metadata(file).map_err(DataError::io(file))?);
        let modified = data.modified().map_err(DataError::io(file))?;
        let modified = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        Ok(Self { path, bytes: data.len(), modified })
    }
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
        let origins = self.to.join(ORIGINS);
        let before: HashMap<String, Origin> = if self.same {
            // An interrupted run may have left a part of a line.
            let text = fs::read_to_string(&origins).unwrap_or_default();
            let known = text.lines().filter_map(|line| serde_json::from_str(line).ok());
            known.map(|origin: Origin| (origin.audio.clone(), origin)).collect()
        } else {
            HashMap::new()
        };
        let opened = OpenOptions::new().create(true).append(true).open(&origins);
        let log = Mutex::new(opened.map_err(DataError::io(&origins))?);
        let note = |origin: &Origin| {
            // A line of its own, whatever part of one an interrupted run has left.
            let line = format!("\n{}\n", serde_json::to_string(origin).expect("names and numbers are JSON"));
            log.lock().expect("nothing panics in here").write_all(line.as_bytes()).map_err(DataError::io(&origins))
        };
        loop {
            let chunk: Vec<Source> = sources.by_ref().take(CHUNK).collect::<Result<_, _>>()?;
            if chunk.is_empty() {
                return Ok(all);
            }
            chunk.iter().try_for_each(|source| names.add(source))?;
            let converted: Vec<_> = chunk.into_par_iter().map(|source| self.source(source, &before, &note)).collect();
            for converted in converted {
                let Converted { utterances, bad, kept } = converted?;
                all.utterances.extend(utterances);
                all.bad.extend(bad);
                all.kept += kept;
            }
        }
    }

    /// Converts a recording, and has the origin of what was not there `before` noted as soon as it is there.
    fn source(
        &self,
        mut source: Source,
        before: &HashMap<String, Origin>,
        note: &(dyn Fn(&Origin) -> Result<(), DataError> + Sync),
    ) -> Result<Converted, DataError> {
        let (mut converted, mut audio) = (Converted::default(), None);
        // Before anything is read: what is written to meanwhile is made again the next time.
        let files = source.sound.files().into_iter().map(State::of).collect::<Result<Vec<_>, _>>()?;
        for piece in source.pieces {
            let origin = Origin::new(&source.sound, &piece, &files);
            let same = before.get(&origin.audio) == Some(&origin);
            let kept = if same { self.left_by_an_earlier_run(&piece) } else { None };
            let finished = match kept {
                Some(utterance) => {
                    converted.kept += 1;
                    Ok(utterance)
                }
                None => match audio.get_or_insert_with(|| source.sound.read_as_told(&piece.utterance)) {
                    Ok(audio) => self.piece(audio, piece).and_then(|utterance| {
                        note(&origin).map_err(Failure::Fatal)?;
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

/// Whether a relative path names a file below the folder it is relative to, on any system, that is not hidden.
fn stays_inside(path: &Path) -> bool {
    let plain = |component| matches!(component, Component::Normal(name) if !name.as_encoded_bytes().starts_with(b"."));
    // Components leave out what does not change a path; joined again they show it.
    let joined: PathBuf = path.components().collect();
    let text = path.as_os_str().to_string_lossy();
    path.components().all(plain) && !text.contains(['\\', ':', '\0']) && joined.as_os_str() == path.as_os_str()
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

    #[test]
    fn only_names_below_the_folder_are_written_to() {
        for good in ["wav/a.wav", "wav/train-clean-100/103/été b.wav", "a.wav"] {
            assert!(stays_inside(Path::new(good)), "{good}");
        }
        for bad in ["wav/../../a", "/etc/a", "wav/.a", "wav\\a", "wav//a", "./a", "wav/a/", "c:a", "wav/./a"] {
            assert!(!stays_inside(Path::new(bad)), "{bad}");
        }
    }
}
