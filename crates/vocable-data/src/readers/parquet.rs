//! Parquet files with audio bytes, Hugging Face's form: a column `audio` of groups `{bytes, path}`, beside columns of plain
//! values.
//!
//! Rows are read as a stream, so that memory holds some hundred recordings. The bytes are those of a WAV, FLAC or Ogg
//! Vorbis file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::reader::RowIter;
use ::parquet::record::{Field, Row};
use ::parquet::schema::types::Type;

use super::convert::{Lenience, prepare_stream};
use super::listing::{Piece, Sound, Source};
use super::{Prepared, Progress};
use crate::files::entries;
use crate::manifest::{Split, Utterance};
use crate::{DataError, bounded};

/// The names of the columns that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Groups of `bytes` and `path`, or bytes.
    pub audio: String,
    /// The transcript; none leaves it out.
    pub text: Option<String>,
    /// The speaker; without it all are `unknown`.
    pub speaker: Option<String>,
    /// The utterance's name; without it the name of `path`, or where there is none, the file's and the row's number.
    pub id: Option<String>,
}

impl Default for Columns {
    /// Those of `librispeech_asr` and its like.
    fn default() -> Self {
        let column = |name: &str| Some(name.to_owned());
        Self { audio: "audio".into(), text: column("text"), speaker: column("speaker_id"), id: column("id") }
    }
}

/// Prepares the rows of some files, each for a split. A path is a file, a folder (all its `.parquet`), or the beginning of files' names
/// (`data/train` of `data/train-00000-of-00002.parquet`).
///
/// # Errors
/// A path that no file begins with, a file that is damaged or lacks a column; as [`super::prepare`].
pub fn prepare_all(
    parts: &[(Split, PathBuf)],
    columns: &Columns,
    to: &Path,
    lenience: Lenience,
    progress: &dyn Progress,
) -> Result<Prepared, DataError> {
    let mut tables = Vec::new();
    for (split, path) in parts {
        for file in files(path)? {
            tables.push(Table::open(file, *split, columns)?);
        }
    }
    let from = parts.first().map(|(_, path)| path.as_path()).unwrap_or(Path::new("."));
    let rows = tables.iter().fold(0, |sum: usize, table| sum.saturating_add(table.rows));
    let sources = tables.into_iter().flatten();
    // What rows are called is not known before they are read.
    let own = [to.join("wav")];
    prepare_stream("parquet", from, sources, rows, &own, to, lenience, progress, |_| Ok(()))
}

fn files(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let (folder, beginning) = if path.is_dir() {
        (path, String::new())
    } else {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (vocable_files::folder(path), name)
    };
    let mut files = entries(folder)?;
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&beginning) && name.ends_with(".parquet")
    });
    if files.is_empty() { Err(DataError::file(path, "no .parquet file is there or begins so")) } else { Ok(files) }
}

/// A file whose rows are sources.
struct Table {
    path: PathBuf,
    split: Split,
    columns: Columns,
    rows: usize,
    iterator: RowIter<'static>,
    row: usize,
}

impl Table {
    fn open(path: PathBuf, split: Split, columns: &Columns) -> Result<Self, DataError> {
        let unreadable = |error: ParquetError| DataError::file(&path, error);
        let file = bounded::open(&path)?;
        let reader = caught(&path, || SerializedFileReader::new(file))?.map_err(unreadable)?;
        let metadata = reader.metadata().file_metadata();
        let rows = usize::try_from(metadata.num_rows()).unwrap_or(0);
        let schema = metadata.schema();
        let known: Vec<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
        // A name of the default columns is a guess, not a demand.
        let guessed = Columns::default();
        let wanted = [
            (Some(&columns.audio), None),
            (columns.text.as_ref(), guessed.text.as_ref()),
            (columns.speaker.as_ref(), guessed.speaker.as_ref()),
            (columns.id.as_ref(), guessed.id.as_ref()),
        ];
        let demanded = wanted.iter().filter(|(name, guess)| name != guess).filter_map(|(name, _)| *name);
        if let Some(absent) = demanded.into_iter().find(|name| !known.contains(&name.as_str())) {
            let message = format!("has no column `{absent}`; there are {}", known.join(", "));
            return Err(DataError::file(&path, message));
        }
        let read = |field: &&Arc<Type>| wanted.iter().any(|(name, _)| name.is_some_and(|name| name == field.name()));
        let fields = schema.get_fields().iter().filter(read).cloned().collect();
        let projection = Type::group_type_builder(schema.name()).with_fields(fields).build().map_err(unreadable)?;
        let iterator = reader.into_iter().project(Some(projection)).map_err(unreadable)?;
        Ok(Self { path: path.clone(), split, columns: columns.clone(), rows, iterator, row: 0 })
    }

    fn source(&self, row: Row) -> Source {
        let (mut bytes, mut name, mut text, mut speaker, mut id) = (Vec::new(), None, None, None, None);
        let is = |column: &Option<String>, name: &str| column.as_deref() == Some(name);
        for (column, field) in row.into_columns() {
            if column == self.columns.audio {
                (bytes, name) = audio(field);
            } else if is(&self.columns.text, &column) {
                text = plain(&field);
            } else if is(&self.columns.speaker, &column) {
                speaker = plain(&field);
            } else if is(&self.columns.id, &column) {
                id = plain(&field);
            }
        }
        let own = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let id = id.map(|id| id.replace('/', "-")).or(name.map(|name| own(Path::new(&name))));
        let id = id.unwrap_or_else(|| format!("{}-{:06}", own(&self.path), self.row));
        let audio = format!("wav/{}/{id}.wav", self.split);
        let mut utterance = Utterance::new(id, audio, speaker.unwrap_or_else(|| "unknown".into()), self.split);
        utterance.text = text.unwrap_or_default();
        let place = format!("row {}", self.row);
        let sound = Sound::Inside { file: self.path.clone(), place, bytes };
        Source { sound, pieces: vec![Piece { span: None, utterance }] }
    }
}

impl Iterator for Table {
    type Item = Result<Source, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = match caught(&self.path, || self.iterator.next()) {
            Ok(row) => row?,
            Err(error) => return Some(Err(error)),
        };
        self.row += 1;
        let fault = |error| DataError::file(&self.path, format!("row {}: {error}", self.row));
        Some(row.map_err(fault).map(|row| self.source(row)))
    }
}

/// What the library answers: of some damage it panics, which here is an error like others.
fn caught<T>(path: &Path, read: impl FnOnce() -> T) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|_| DataError::file(path, "is damaged; copy or download it again"))
}

/// The bytes of an audio column and the name of the file they were; no bytes where it has none.
fn audio(field: Field) -> (Vec<u8>, Option<String>) {
    match field {
        Field::Bytes(bytes) => (bytes.data().to_vec(), None),
        Field::Group(group) => {
            let (mut content, mut name) = (Vec::new(), None);
            for (part, field) in group.into_columns() {
                match (part.as_str(), field) {
                    ("bytes", Field::Bytes(bytes)) => content = bytes.data().to_vec(),
                    ("path", field) => name = plain(&field),
                    _ => {}
                }
            }
            (content, name)
        }
        _ => (Vec::new(), None),
    }
}

/// A value as text; none where it is null, blank or no single value.
fn plain(field: &Field) -> Option<String> {
    let text = match field {
        Field::Null | Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_) => return None,
        Field::Str(text) => text.clone(),
        Field::Bytes(bytes) => String::from_utf8(bytes.data().to_vec()).ok()?,
        number => number.to_string(),
    };
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
