use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Component, Path, PathBuf};

use memmap2::Mmap;
use safetensors::SafeTensors;

use crate::pytorch::{self, Place};
use crate::{Tensor, WeightsError};

/// The tensors of a checkpoint, of one file or of several shards.
///
/// The files stay mapped into memory and their bytes are read when a tensor's values are asked for; opening reads names,
/// types and shapes alone. Files must not be changed while they are open: programs replace them by renaming.
pub struct Weights {
    path: PathBuf,
    files: Vec<Mmap>,
    /// Each tensor with the number of its file.
    places: Vec<(usize, Place)>,
    by_name: HashMap<String, usize>,
}

/// Bytes that an index of shards may have: a hundred for each of 100,000 tensors, and more.
const LARGEST_INDEX: usize = 1 << 24;

/// What a folder's weights are called, in the order in which they are looked for.
const NAMES: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

impl Weights {
    /// Opens a safetensors file, a file that `torch.save` wrote, an index of shards (`*.index.json`), or the one of
    /// these that a folder holds under its usual name. The content decides on the format, not the file's name.
    ///
    /// # Errors
    /// A file that is missing, of another format or damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, WeightsError> {
        let path = path.as_ref();
        if path.is_dir() {
            let found = NAMES.iter().map(|name| path.join(name)).find(|path| path.exists());
            let reason = || format!("the folder holds none of {}", NAMES.join(", "));
            return Self::open(found.ok_or_else(|| WeightsError::NotWeights { path: path.into(), reason: reason() })?);
        }
        let mut weights = Self { path: path.into(), files: Vec::new(), places: Vec::new(), by_name: HashMap::new() };
        match path.to_string_lossy().ends_with(".index.json") {
            true => weights.add_shards(path)?,
            false => weights.add(path)?,
        }
        for (number, (_, place)) in weights.places.iter().enumerate() {
            weights.by_name.insert(place.name.clone(), number);
        }
        Ok(weights)
    }

    /// The file that was opened; of shards, the index.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a model of `wanted` weights can be what is in here: `times` as many as there are, and `always` more. Sizes that are
    /// written somewhere may be any numbers, memory is not.
    ///
    /// # Errors
    /// Both numbers, where it cannot.
    pub fn warrant(&self, wanted: f64, times: f64, always: f64) -> Result<(), String> {
        let held: usize = self.tensors().map(|tensor| tensor.count()).sum();
        match wanted <= times * held as f64 + always {
            true => Ok(()),
            false => Err(format!("a model of {wanted:.1e} weights is described, but the file holds {held}")),
        }
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<Tensor<'_>> {
        self.by_name.get(name).map(|&number| self.tensor(number))
    }

    /// All tensors in the order of the file.
    pub fn tensors(&self) -> impl Iterator<Item = Tensor<'_>> {
        // Of two tensors of one name the last counts, as in Python.
        (0..self.places.len())
            .filter(|number| self.by_name[&self.places[*number].1.name] == *number)
            .map(|number| self.tensor(number))
    }

    /// A setting that a file of `torch.save` (since PyTorch 1.6) keeps beside its tensors: the first number, switch or text
    /// under that key of any dictionary in it, however deep, such as a training program's arguments.
    pub fn setting(&self, key: &str) -> Option<serde_json::Value> {
        let zipped = self.files.iter().find(|file| matches!(Format::of(file), Format::Zip))?;
        pytorch::setting(zipped, key)
    }

    fn tensor(&self, number: usize) -> Tensor<'_> {
        let (file, Place { name, dtype, shape, strides, range }) = &self.places[number];
        let bytes = &self.files[*file][range.clone()];
        Tensor { name, dtype: *dtype, shape, strides: strides.as_deref(), bytes }
    }

    fn add(&mut self, path: &Path) -> Result<(), WeightsError> {
        let file = map(path)?;
        let damaged = |reason| WeightsError::Damaged { path: path.into(), reason };
        let places = match Format::of(&file) {
            Format::Zip => pytorch::places(&file).map_err(damaged)?,
            Format::Safetensors => safetensors_places(&file).map_err(damaged)?,
            Format::Old => pytorch::old_places(&file).map_err(damaged)?,
            Format::Unknown => {
                let reason = "neither safetensors nor a file of torch.save".into();
                return Err(WeightsError::NotWeights { path: path.into(), reason });
            }
        };
        let number = self.files.len();
        self.places.extend(places.into_iter().map(|place| (number, place)));
        self.files.push(file);
        Ok(())
    }

    fn add_shards(&mut self, index: &Path) -> Result<(), WeightsError> {
        let damaged = |reason: String| WeightsError::Damaged { path: index.into(), reason };
        let text = map(index)?;
        if text.len() > LARGEST_INDEX {
            return Err(damaged(format!("it has {} bytes, more than the {LARGEST_INDEX} of an index", text.len())));
        }
        let json: serde_json::Value = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        let map = json["weight_map"].as_object().ok_or_else(|| damaged("it has no `weight_map`".into()))?;
        let (mut shards, mut seen): (Vec<&str>, HashSet<&str>) = Default::default();
        for (tensor, shard) in map {
            let shard = shard.as_str().ok_or_else(|| damaged(format!("the file of {tensor} has no name")))?;
            // A name with a folder in it could reach any file.
            if !matches!(Path::new(shard).components().collect::<Vec<_>>()[..], [Component::Normal(_)]) {
                return Err(damaged(format!("`{shard}` is not the name of a file beside it")));
            }
            if seen.insert(shard) {
                shards.push(shard);
            }
        }
        for shard in shards {
            self.add(&index.with_file_name(shard))?;
        }
        let found: HashSet<&str> = self.places.iter().map(|(_, place)| place.name.as_str()).collect();
        match map.keys().find(|name| !found.contains(name.as_str())) {
            Some(missing) => Err(damaged(format!("no shard holds {missing}"))),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weights").field("path", &self.path).field("tensors", &self.by_name.len()).finish()
    }
}

/// The content of a file, read when it is looked at.
pub(crate) fn map(path: &Path) -> Result<Mmap, WeightsError> {
    let io = |source| WeightsError::Io { path: path.into(), source };
    let file = vocable_files::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.len() == 0 {
        return Err(WeightsError::Damaged { path: path.into(), reason: "it is empty".into() });
    }
    // SAFETY: the bytes are only read, and any bytes are valid. That nobody shortens the file meanwhile is what the
    // documentation of `Weights` asks for.
    unsafe { Mmap::map(&file) }.map_err(io)
}

/// What a file is, by its first bytes.
enum Format {
    Safetensors,
    Zip,
    /// PyTorch before 1.6.
    Old,
    Unknown,
}

impl Format {
    fn of(bytes: &[u8]) -> Self {
        match bytes {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Self::Zip,
            [_, _, _, _, _, _, _, _, b'{', ..] => Self::Safetensors,
            _ if bytes.starts_with(pytorch::OLD_MAGIC) => Self::Old,
            _ => Self::Unknown,
        }
    }
}

fn safetensors_places(bytes: &[u8]) -> Result<Vec<Place>, String> {
    const LENGTH: usize = 8;
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let start = LENGTH + header;
    let place = |name: String| {
        let info = metadata.info(&name).expect("the name is listed");
        let (from, to) = info.data_offsets;
        Place { name, dtype: info.dtype, shape: info.shape.clone(), strides: None, range: start + from..start + to }
    };
    Ok(metadata.offset_keys().into_iter().map(place).collect())
}
