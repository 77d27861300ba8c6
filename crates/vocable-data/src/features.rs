//! Features of recordings that stay on disk from one run to the next.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use vocable_audio::Frames;
use vocable_files::sha256;

use crate::files::write_atomically;
use crate::{DataError, bounded};

const TENSOR: &str = "features";
const CHECK: &str = "sha256";
/// Bytes of the largest file that is read: three days of log-mels.
const LARGEST: u64 = 1 << 32;

/// A folder of features, each in a file that is called after what they are of: the content of a recording, and how they are computed.
#[derive(Clone, Debug)]
pub struct FeatureFolder(PathBuf);

impl FeatureFolder {
    /// A folder, which is made when the first features are kept.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// The features called `name` of the recording with the SHA-256 `content` (in hex), `[frames, width]`: those that are kept, or what
    /// `make` makes, which is then kept. `name` tells all settings that the features depend on.
    ///
    /// No result depends on the folder: a damaged file is made again, and one that cannot be written is done without.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn get<E>(&self, content: &str, name: &str, make: impl FnOnce() -> Result<Frames, E>) -> Result<Frames, E> {
        let (shelf, rest) = content.split_at_checked(2).unwrap_or(("", content));
        let path = self.0.join(shelf).join(format!("{rest}-{name}.safetensors"));
        if let Some(kept) = read(&path) {
            return Ok(kept);
        }
        let made = make()?;
        let _ = write(&path, &made);
        Ok(made)
    }
}

fn write(path: &Path, frames: &Frames) -> Result<(), DataError> {
    let bytes: Vec<u8> = frames.data.iter().flat_map(|value| value.to_le_bytes()).collect();
    let check = HashMap::from([(CHECK.to_owned(), sha256(&bytes))]);
    let shape = vec![frames.len(), frames.width];
    let tensor = TensorView::new(Dtype::F32, shape, &bytes).expect("the shape fits");
    let file = safetensors::serialize([(TENSOR, tensor)], Some(check)).expect("one tensor is always serialisable");
    write_atomically(path, |out| out.write_all(&file))
}

/// What [`write`] wrote; none if it is missing or damaged.
fn read(path: &Path) -> Option<Frames> {
    let bytes = bounded::read(path, LARGEST).ok()?;
    let (_, header) = SafeTensors::read_metadata(&bytes).ok()?;
    let file = SafeTensors::deserialize(&bytes).ok()?;
    let tensor = file.tensor(TENSOR).ok()?;
    let (Dtype::F32, &[_, width]) = (tensor.dtype(), tensor.shape()) else { return None };
    let whole = header.metadata().as_ref()?.get(CHECK)? == &sha256(tensor.data());
    let values = tensor.data().as_chunks().0.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect();
    whole.then(|| Frames::new(values, width))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use super::*;

    #[test]
    fn features_are_made_once_and_again_where_their_file_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let folder = FeatureFolder::new(dir.path().join("features"));
        let made = Cell::new(0);
        let get = |content: &str, name: &str| {
            let make = || {
                made.set(made.get() + 1);
                Ok::<_, DataError>(Frames::new(vec![0.5, -1.0, f32::MIN_POSITIVE, 4.0], 2))
            };
            let frames = folder.get(content, name, make).unwrap();
            assert_eq!((frames.data, frames.width), (vec![0.5, -1.0, f32::MIN_POSITIVE, 4.0], 2));
            made.get()
        };
        assert_eq!((get("abcd", "mel"), get("abcd", "mel")), (1, 1));
        assert_eq!((get("abce", "mel"), get("abcd", "mfcc"), get("abcd", "mel")), (2, 3, 3));

        let path = dir.path().join("features/ab/cd-mel.safetensors");
        let whole = fs::read(&path).unwrap();
        let flipped = |place: usize| {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            bytes
        };
        for damaged in [whole[..whole.len() - 3].to_vec(), flipped(whole.len() - 1), flipped(3), Vec::new()] {
            let before = made.get();
            fs::write(&path, damaged).unwrap();
            assert_eq!((get("abcd", "mel"), get("abcd", "mel")), (before + 1, before + 1));
        }
        // Where nothing can be kept, features are made all the same.
        fs::write(dir.path().join("file"), "").unwrap();
        let nowhere = FeatureFolder::new(dir.path().join("file"));
        let frames = nowhere.get("abcd", "mel", || Ok::<_, DataError>(Frames::new(vec![1.0], 1))).unwrap();
        assert_eq!(frames.data, [1.0]);
    }
}
