//! A write that fails halfway leaves the file as it was, and nothing beside it.

use std::fs;
use std::io::{self, Error};

use vocable_files::{read, sha256, write, write_with};

fn main() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("notes.txt");
    write(&path, "the first version\n")?;
    let failed = write_with(&path, |beside| {
        fs::write(beside, "half of the sec")?;
        Err(Error::other("the disk is full"))
    });
    println!("second version: {}", failed.expect_err("it does not end well"));
    let content = read(&path, 1 << 20)?;
    println!("what is there: {}", String::from_utf8_lossy(&content).trim_end());
    println!("{}  notes.txt", sha256(content));
    println!("files in the folder: {}", fs::read_dir(folder.path())?.count());
    Ok(())
}
