//! Folders of reference numbers that were tampered with.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            // Not `fs::copy`, which would copy a write protection too.
            false => fs::write(&to, fs::read(entry.path()).unwrap()).unwrap(),
        }
    }
}

/// Adds `error` to the first value of a tensor of a file.
pub fn alter(path: &Path, name: &str, error: f32) {
    let mut bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let data = file.tensor(name).unwrap().data();
    let offset = data.as_ptr() as usize - bytes.as_ptr() as usize;
    let old = f32::from_le_bytes(data[..4].try_into().unwrap());
    bytes[offset..offset + 4].copy_from_slice(&(old + error).to_le_bytes());
    fs::write(path, bytes).unwrap();
}
