//! Where the entries of a zip archive lie. Nothing is unpacked: PyTorch stores its entries as they are.

use std::collections::HashMap;
use std::ops::Range;

/// The entries of an archive by name; none for those that are compressed or encrypted.
pub(crate) type Entries = HashMap<String, Option<Range<usize>>>;

const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const END_64_LOCATOR: u32 = 0x0706_4b50;
const DIRECTORY_ENTRY: u32 = 0x0201_4b50;
const LOCAL_HEADER: u32 = 0x0403_4b50;
const STORED: u16 = 0;
/// Length of an end record without its comment, and the longest comment.
const END_LENGTH: usize = 22;
const LONGEST_COMMENT: usize = 0xffff;

/// Reads the directory of an archive.
pub(crate) fn entries(bytes: &[u8]) -> Result<Entries, String> {
    let end = find_end(bytes).ok_or("the end of the zip archive is missing")?;
    let (count, start) = directory(bytes, end).ok_or("the zip archive's directory cannot be found")?;
    let mut entries = Entries::new();
    let mut at = start;
    for number in 0..count {
        let (name, range, next) =
            entry(bytes, at).ok_or_else(|| format!("entry {number} of the zip archive's directory is broken"))?;
        entries.insert(name, range);
        at = next;
    }
    Ok(entries)
}

fn find_end(bytes: &[u8]) -> Option<usize> {
    let last = bytes.len().checked_sub(END_LENGTH)?;
    (last.saturating_sub(LONGEST_COMMENT)..=last).rev().find(|&at| u32_at(bytes, at) == Some(END))
}

/// The number of entries, and where the first begins.
fn directory(bytes: &[u8], end: usize) -> Option<(u64, usize)> {
    let count = u16_at(bytes, end + 10)?;
    let start = u32_at(bytes, end + 16)?;
    if count != u16::MAX && start != u32::MAX {
        return Some((count.into(), start as usize));
    }
    let locator = end.checked_sub(20).filter(|&at| u32_at(bytes, at) == Some(END_64_LOCATOR))?;
    let end = usize::try_from(u64_at(bytes, locator + 8)?).ok()?;
    (u32_at(bytes, end)? == END_64).then_some(())?;
    Some((u64_at(bytes, end + 32)?, usize::try_from(u64_at(bytes, end + 48)?).ok()?))
}

/// The entry that the directory describes at `at`: its name, its bytes if they are stored, and where the next begins.
fn entry(bytes: &[u8], at: usize) -> Option<(String, Option<Range<usize>>, usize)> {
    (u32_at(bytes, at)? == DIRECTORY_ENTRY).then_some(())?;
    let (flags, method) = (u16_at(bytes, at + 8)?, u16_at(bytes, at + 10)?);
    let name_end = at + 46 + usize::from(u16_at(bytes, at + 28)?);
    let extra_end = name_end + usize::from(u16_at(bytes, at + 30)?);
    let next = extra_end + usize::from(u16_at(bytes, at + 32)?);
    let name = String::from_utf8_lossy(bytes.get(at + 46..name_end)?).into_owned();
    let mut wide = wide_fields(bytes.get(name_end..extra_end)?);
    let mut field = |narrow: u32| if narrow == u32::MAX { wide.next() } else { Some(u64::from(narrow)) };
    let size = field(u32_at(bytes, at + 24)?)?;
    let packed = field(u32_at(bytes, at + 20)?)?;
    let header = usize::try_from(field(u32_at(bytes, at + 42)?)?).ok()?;
    let encrypted = flags & 1 == 1;
    if method != STORED || encrypted {
        return Some((name, None, next));
    }
    (size == packed && u32_at(bytes, header)? == LOCAL_HEADER).then_some(())?;
    let names = usize::from(u16_at(bytes, header + 26)?) + usize::from(u16_at(bytes, header + 28)?);
    let start = header + 30 + names;
    let range = start..start.checked_add(usize::try_from(size).ok()?)?;
    bytes.get(range.clone())?;
    Some((name, Some(range), next))
}

/// The 64-bit fields of an entry whose narrow fields are full, in the order size, packed size, header offset.
fn wide_fields(extra: &[u8]) -> impl Iterator<Item = u64> {
    const WIDE: u16 = 1;
    let mut at = 0;
    let mut found: &[u8] = &[];
    while let (Some(id), Some(length)) = (u16_at(extra, at), u16_at(extra, at + 2)) {
        let end = at + 4 + usize::from(length);
        if id == WIDE {
            found = extra.get(at + 4..end).unwrap_or_default();
            break;
        }
        at = end;
    }
    found.as_chunks().0.iter().map(|&field| u64::from_le_bytes(field))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    field(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    field(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    field(bytes, at).map(u64::from_le_bytes)
}
