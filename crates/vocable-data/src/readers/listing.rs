//! What a reader finds: recordings, and what is said in them.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use vocable_audio::{Audio, AudioError};

use crate::files::file_sha256;
use crate::manifest::Utterance;
use crate::verify::BadFile;

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
    pub(super) fn files(&self) -> Vec<&Path> {
        match self {
            Self::File(file) | Self::Inside { file, .. } => vec![file],
            Self::Made(made) => made.files(),
        }
    }

    /// What an [origin](super::origin) knows it by.
    pub(super) fn identity(&self) -> String {
        match self {
            Self::Made(made) => format!("{made:?}"),
            _ => self.name().to_string_lossy().into_owned(),
        }
    }

    /// What messages call it.
    pub(super) fn name(&self) -> PathBuf {
        match self {
            Self::File(file) => file.clone(),
            Self::Inside { file, place, .. } => format!("{}, {place}", file.display()).into(),
            Self::Made(made) => made.files()[0].to_owned(),
        }
    }

    /// Decodes it, where a file is the one that its line in a list tells.
    pub(super) fn read_as_told(&mut self, utterance: &Utterance) -> Result<Audio, BadFile> {
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
