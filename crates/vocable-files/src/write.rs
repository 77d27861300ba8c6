//! Files of ours: under its final name a file is whole, also after a power cut.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::io::ErrorKind::{self, InvalidInput, PermissionDenied, Unsupported};
use std::path::{Path, PathBuf};

/// How names of files end that are being written; they begin with a dot.
const PARTIAL: &str = ".partial";

/// Writes a file whole or not at all; see [`write_with`].
///
/// # Errors
/// Those of [`destination`], and what the operating system says.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    write_with(path, |beside| fs::write(beside, bytes))
}

/// Has `write` make a file under a name beside that of `path`, syncs and renames it, so that nothing partial ever has the final
/// name, and an older file of that name is there until the new one is. The name beside is no other call's: of several that write
/// one path at a time, the last to end wins.
/// A symbolic link stays what it is: the file that it leads to is replaced.
///
/// # Errors
/// Those of [`destination`], those of `write`, and what the operating system says; nothing is left beside the path then. Where the
/// disk fails as the new name is made durable, the file is in its place already.
pub fn write_with(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let place = destination(path)?;
    let beside = beside(&place);
    let write = || {
        write(&beside)?;
        // Some systems sync what is open for writing alone.
        OpenOptions::new().write(true).open(&beside)?.sync_all()?;
        fs::rename(&beside, &place)
    };
    write().inspect_err(|_| {
        // What is half done is worthless; that it may not exist either is no second error.
        let _ = fs::remove_file(&beside);
    })?;
    sync_directory(folder(&place))
}

/// A name in the folder of `path` for what is to be renamed to it once it is whole; no other call gives it.
pub fn beside(path: &Path) -> PathBuf {
    // Processes may have the same number, in containers that share a folder; and a file's name may leave no room for more.
    let process = std::process::id();
    path.with_file_name(format!(".{process}-{:016x}{PARTIAL}", RandomState::new().hash_one(process)))
}

/// Removes what writers that were killed left half-written in a folder, in which nobody may be writing now. A folder that is not
/// there has nothing to remove.
///
/// # Errors
/// What the operating system says.
pub fn remove_partial(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(b".") && name.ends_with(PARTIAL.as_bytes()) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The folder that a file lies in, `.` of a name alone.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes what was created, renamed and removed in a folder as durable as the files in it. Only Unix can and needs to. Where the
/// folder may be written to but not read, or its file system syncs no folders, it stays as durable as it is.
///
/// # Errors
/// What else the operating system says.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(path).and_then(|folder| folder.sync_all()) {
        Err(error) if matches!(error.kind(), PermissionDenied | InvalidInput | Unsupported) => Ok(()),
        synced => synced,
    }
}

/// The file that writing to a path is to replace or make: the path itself, or what it leads to as a symbolic link.
///
/// # Errors
/// A path that names no file, or where a folder, a pipe or a device is; a link to nothing; a path that cannot be looked up.
pub fn destination(path: &Path) -> io::Result<PathBuf> {
    let wrong = |kind: ErrorKind, reason: &'static str| Err(io::Error::new(kind, reason));
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            wrong(ErrorKind::IsADirectory, "it is a folder, where the name of a file is expected")
        }
        Ok(found) if !found.is_file() => {
            wrong(ErrorKind::InvalidInput, "it is no regular file, and would be replaced; name another")
        }
        Ok(_) if path.is_symlink() => path.canonicalize(),
        Ok(_) => Ok(path.to_owned()),
        Err(_) if path.file_name().is_none() => wrong(ErrorKind::InvalidInput, "the path names no file"),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Err(_) if path.is_symlink() => wrong(ErrorKind::NotFound, "it is a link to nothing; remove it or name another"),
        Err(_) => Ok(path.to_owned()),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_link_is_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("elsewhere")).unwrap();
        fs::write(at("elsewhere/file"), "old").unwrap();
        symlink("elsewhere/file", at("link")).unwrap();
        write(&at("link"), "new").unwrap();
        assert!(at("link").is_symlink());
        assert_eq!(fs::read_to_string(at("elsewhere/file")).unwrap(), "new");
        symlink("nowhere", at("lost")).unwrap();
        assert!(write(&at("lost"), "new").unwrap_err().to_string().contains("a link to nothing"));
        assert!(!at("nowhere").exists());
    }

    #[test]
    fn what_is_no_regular_file_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for (path, reason) in [
            (pipe.as_path(), "no regular file"),
            (Path::new("/dev/null"), "no regular file"),
            (dir.path(), "it is a folder"),
            (Path::new("/"), "it is a folder"),
            (Path::new("."), "it is a folder"),
            (Path::new("nowhere/.."), "names no file"),
        ] {
            let error = write(path, "new").unwrap_err().to_string();
            assert!(error.contains(reason), "{}: {error}", path.display());
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_a_killed_writer_left_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["file", ".hidden", "file.partial"] {
            fs::write(dir.path().join(name), "kept").unwrap();
        }
        let mut left = PathBuf::new();
        let failed = write_with(&dir.path().join("file"), |beside| {
            left = beside.to_owned();
            Err(io::Error::other("killed"))
        });
        assert!(failed.is_err());
        // As a process that is killed meanwhile leaves it.
        fs::write(&left, "half of it").unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
        remove_partial(dir.path()).unwrap();
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [".hidden", "file", "file.partial"]);
        remove_partial(&dir.path().join("nowhere")).unwrap();
    }

    #[test]
    fn two_writers_of_one_file_do_not_mix() {
        let dir = tempfile::tempdir().unwrap();
        let (path, contents) = (&dir.path().join("file"), &["a".repeat(10_000), "b".repeat(20_000)]);
        std::thread::scope(|scope| {
            for content in contents {
                scope.spawn(move || {
                    for _ in 0..100 {
                        write(path, content).unwrap();
                        let found = fs::read_to_string(path).unwrap();
                        assert!(contents.contains(&found), "{} bytes", found.len());
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_name_may_be_as_long_as_file_systems_take() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n".repeat(250));
        write(&path, "whole").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn folders_that_cannot_be_synced_are_left_as_they_are() {
        // Linux says EINVAL of those of /proc.
        assert!(File::open("/proc").unwrap().sync_all().is_err());
        sync_directory(Path::new("/proc")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(sync_directory(&dir.path().join("nowhere")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write(&path, "first").unwrap();
        let failed = write_with(&path, |beside| {
            fs::write(beside, "second, half of it")?;
            Err(io::Error::other("disk on fire"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "disk on fire");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
