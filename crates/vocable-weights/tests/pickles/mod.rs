//! Archives and pickles made byte by byte, also such as no program writes.

/// A zip archive of stored entries: data.pkl and the storages.
pub fn archive(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    zip(pickle, storages, false)
}

/// The same with every size and place in 64 bits, as in files above 4 GiB.
pub fn wide_archive(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    zip(pickle, storages, true)
}

fn zip(pickle: &[u8], storages: &[(&str, &[u8])], wide: bool) -> Vec<u8> {
    let mut entries = vec![("m/data.pkl".to_owned(), pickle)];
    entries.extend(storages.iter().map(|(key, bytes)| (format!("m/data/{key}"), *bytes)));
    let narrow = |number: u64| if wide { [0xff; 4] } else { (number as u32).to_le_bytes() };
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in &entries {
        let (offset, size) = (file.len() as u64, bytes.len() as u64);
        // Version, flags, method, time, date, checksum (unread); then packed size, size, length of the name.
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend([narrow(size), narrow(size)].concat());
        common.extend((name.len() as u16).to_le_bytes());
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        file.extend([0, 0]);
        file.extend(name.as_bytes());
        file.extend(*bytes);
        let extra: Vec<u8> = match wide {
            // An unrelated field comes first.
            true => [&[9, 0, 1, 0, 0, 1, 0, 24, 0][..], &[size, size, offset].map(u64::to_le_bytes).concat()].concat(),
            false => Vec::new(),
        };
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&common);
        directory.extend((extra.len() as u16).to_le_bytes());
        // Comment length, disk, attributes.
        directory.extend([0; 10]);
        directory.extend(narrow(offset));
        directory.extend(name.as_bytes());
        directory.extend(extra);
    }
    let (start, count, length) = (file.len() as u64, entries.len() as u64, directory.len() as u64);
    file.extend(&directory);
    if wide {
        let end = file.len() as u64;
        file.extend(b"PK\x06\x06");
        file.extend([0; 20]);
        file.extend([count, count, length, start].map(u64::to_le_bytes).concat());
        file.extend(b"PK\x06\x07\0\0\0\0");
        file.extend(end.to_le_bytes());
        file.extend([1, 0, 0, 0]);
    }
    let count = if wide { u16::MAX } else { count as u16 }.to_le_bytes();
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([count, count].concat());
    file.extend([narrow(length), narrow(start)].concat());
    file.extend([0, 0]);
    file
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn integer(number: i64) -> Vec<u8> {
    [b"\x8a\x08", &number.to_le_bytes()[..]].concat()
}

fn integers(numbers: &[i64]) -> Vec<u8> {
    [vec![b'('], numbers.iter().flat_map(|&n| integer(n)).collect(), vec![b't']].concat()
}

/// A storage of single-precision numbers.
pub fn storage(key: &str, length: i64) -> Vec<u8> {
    let (kind, device) = (b"ctorch\nFloatStorage\n".to_vec(), text("cpu"));
    [vec![b'('], text("storage"), kind, text(key), device, integer(length), b"tQ".to_vec()].concat()
}

/// A tensor on a storage.
pub fn rebuilt(storage: Vec<u8>, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let (function, rest) =
        (b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(), b"\x89ccollections\nOrderedDict\n)RtR".to_vec());
    [function, storage, integer(offset), integers(shape), integers(strides), rest].concat()
}

/// A whole pickle of a dictionary.
pub fn dictionary(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items = items.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [b"\x80\x02}(".to_vec(), items, b"u.".to_vec()].concat()
}
