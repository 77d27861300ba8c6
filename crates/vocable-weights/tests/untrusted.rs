//! Files of weights that claim more than they hold, or would have more made of them than they are: refused at once.

use std::fs::{self, File};
use std::time::Duration;

use vocable_weights::{Weights, WeightsError, read_array, read_json, read_settings};

#[path = "../../vocable-audio/tests/memory/mod.rs"]
mod memory;
mod pickles;

use pickles::{archive, dictionary, rebuilt, storage};

/// Bytes that refusing a small file may take.
const BUFFERS: usize = 1 << 20;
/// Refusing takes milliseconds; machines are busy.
const PATIENCE: Duration = Duration::from_secs(1);

/// One test, for what is held is counted for the whole program.
#[test]
fn claims_beyond_the_content_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let cost = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        memory::cost(|| Weights::open(&path).map(drop).unwrap_err().to_string())
    };
    let refused = |bytes: &[u8], expected: &str| {
        let (message, held, took) = cost(bytes);
        assert!(held < BUFFERS && took < PATIENCE, "{message}: {held} bytes were held, for {took:?}");
        assert!(message.starts_with(&format!("{}: ", path.display())), "{message} does not name the file");
        assert!(message.contains(expected), "{message}\nlacks {expected}");
    };

    // Headers: longer than the file, than any header, than any file.
    let safetensors =
        |length: u64, header: &str, data: &[u8]| [&length.to_le_bytes()[..], header.as_bytes(), data].concat();
    for length in [1_000, 99_999_999, 1 << 30, 1 << 62, u64::MAX] {
        refused(&safetensors(length, "{\"a\":1}", b""), "damaged: ");
    }
    let tensors = |rows: &[(&str, [u64; 2])]| {
        let row = |(shape, [from, to]): &(&str, [u64; 2])| {
            format!("\"t{from}-{to}\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[{from},{to}]}}")
        };
        let header = format!("{{{}}}", rows.iter().map(row).collect::<Vec<_>>().join(","));
        safetensors(header.len() as u64, &header, &[0; 16])
    };
    assert!(fs::write(&path, tensors(&[("[2]", [0, 8]), ("[2]", [8, 16])])).is_ok() && Weights::open(&path).is_ok());
    // Tensors that overlap, leave a hole, end behind the file or before they begin, or are larger than any file.
    refused(&tensors(&[("[2]", [0, 8]), ("[3]", [4, 16])]), "damaged: ");
    refused(&tensors(&[("[1]", [0, 4]), ("[2]", [8, 16])]), "damaged: ");
    refused(&tensors(&[("[4]", [0, 16]), ("[1024]", [16, 4112])]), "damaged: ");
    refused(&tensors(&[("[2]", [8, 0]), ("[2]", [8, 16])]), "damaged: ");
    refused(&tensors(&[("[4611686018427387904]", [0, 16])]), "damaged: ");
    refused(&tensors(&[("[4611686018427387905,4]", [0, 16])]), "damaged: ");
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    refused(&safetensors(deep.len() as u64, &deep, b""), "damaged: ");

    // Pickles: a million values of a byte, which would each take fifty in memory; lists in lists.
    let pickle = |program: &[u8]| archive(program, &[("0", &[0; 16])]);
    let (message, held, took) = cost(&pickle(&vec![b'N'; 20_000_000]));
    assert!(
        message.ends_with(
            "damaged: the pickle has more than the 8388608 instructions that are read; copy or download it again"
        ),
        "{message}"
    );
    assert!(held < 300 << 20 && took < PATIENCE, "{held} bytes were held, for {took:?}");
    let (_, held, took) = cost(&pickle(&[&[b']'; 200_000][..], &[b'a'; 199_999], b"."].concat()));
    assert!(held < 40 << 20 && took < PATIENCE, "{held} bytes were held, for {took:?}");
    // A call of what must not be called is recorded, not made.
    let marker = folder.path().join("called");
    let call = format!("cposix\nsystem\n(Vtouch {}\ntR.", marker.display());
    refused(&pickle(call.as_bytes()), "holds no dictionary of tensors");
    assert!(!marker.exists());
    // No elements in a shape whose other lengths overflow.
    let none = rebuilt(storage("0", 4), 0, &[0, i64::MAX, i64::MAX], &[1, i64::MAX, 1]);
    fs::write(&path, pickle(&dictionary(&[("w", none)]))).unwrap();
    assert_eq!(Weights::open(&path).unwrap().get("w").unwrap().to_f32().unwrap(), [0.0; 0]);

    // A shape of which no array is, and one tensor under one name as often as the file has room for it.
    for (shape, strides) in [(&[1; 65][..], &[1; 65][..]), (&[4], &[1; 65])] {
        let many = rebuilt(storage("0", 4), 0, shape, strides);
        refused(&pickle(&dictionary(&[("w", many)])), "tensor w: it has 65 dimensions, more than the 64 that are read");
    }
    let wide = [rebuilt(storage("0", 4), 0, &[1; 64], &[1; 64]), b"q\0".to_vec()].concat();
    let first = dictionary(&[("w", wide)]);
    let body = first.strip_suffix(b"u.").unwrap();
    let again = [body, &b"X\x01\0\0\0wh\0".repeat(200_000), b"u."].concat();
    fs::write(&path, pickle(&again)).unwrap();
    let (count, held, took) = memory::cost(|| Weights::open(&path).unwrap().tensors().count());
    assert!(count == 1 && held < 64 << 20 && took < PATIENCE, "{count} tensors, {held} bytes were held, for {took:?}");

    // An archive whose directory claims 2^64 entries, or one at the end of all memory.
    let mut wide = pickles::wide_archive(&dictionary(&[]), &[]);
    let end = wide.windows(4).rposition(|bytes| bytes == b"PK\x06\x06").unwrap();
    wide[end + 24..end + 40].fill(0xff);
    refused(&wide, "zip archive's directory is broken");
    wide[end + 48..end + 56].fill(0xff);
    refused(&wide, "entry 0 of the zip archive's directory is broken");

    // An index that is none, and one that leads out.
    let index = folder.path().join("model.safetensors.index.json");
    File::create(&index).unwrap().set_len(200_000_000).unwrap();
    let (message, held, _) = memory::cost(|| Weights::open(&index).unwrap_err().to_string());
    assert!(
        message.contains("it has 200000000 bytes, more than the 16777216 of an index") && held < BUFFERS,
        "{message}"
    );
    for shard in ["../model.safetensors", "/etc/passwd", "a/b", ".."] {
        fs::write(&index, format!("{{\"weight_map\":{{\"w\":\"{shard}\"}}}}")).unwrap();
        let message = Weights::open(&index).unwrap_err().to_string();
        assert!(message.contains(&format!("`{shard}` is not the name of a file beside it")), "{message}");
    }

    // Settings that are larger than any, no text, and of something else.
    let settings = folder.path().join("config.json");
    File::create(&settings).unwrap().set_len(200_000_000).unwrap();
    let (message, held, _) = memory::cost(|| read_settings(&settings).unwrap_err().to_string());
    assert!(
        message.ends_with("config.json: it has 200000000 bytes, more than the 16777216 that settings may have")
            && held < BUFFERS,
        "{message}"
    );
    fs::write(&settings, b"\xff").unwrap();
    assert!(read_settings(&settings).unwrap_err().to_string().ends_with("config.json: it is not UTF-8"));
    fs::write(&settings, "[1, 2]").unwrap();
    assert_eq!(read_json::<[u8; 2]>(&settings).unwrap(), [1, 2]);
    assert!(read_json::<String>(&settings).unwrap_err().to_string().contains("config.json: invalid type"));

    // An array of a shape that no file could hold.
    let array = folder.path().join("a.npy");
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }";
    fs::write(&array, [&b"\x93NUMPY\x01\0\x76\0"[..], format!("{header:<117}\n").as_bytes(), &[0; 16]].concat())
        .unwrap();
    let (message, held, _) = memory::cost(|| read_array(&array).unwrap_err().to_string());
    assert!(message.contains("a.npy: it claims the shape [4611686018427387904, 4]") && held < BUFFERS, "{message}");

    // Headers that would be read for hours, as nested as a short one can be, and one that is long.
    let long = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", "1, ".repeat(9_000));
    let sets = format!("{{'shape': {}{}}}", "{".repeat(18), "}".repeat(18));
    let lists = format!("{{'shape': {}{}}}", "[".repeat(60), "]".repeat(60));
    for header in [sets, lists, long] {
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        fs::write(&array, [&b"\x93NUMPY\x01\0"[..], &length, header.as_bytes()].concat()).unwrap();
        let (message, held, took) = memory::cost(|| read_array(&array).unwrap_err().to_string());
        assert!(
            message.ends_with("a.npy: not a NumPy file: its header is not that of an array of numbers"),
            "{message}"
        );
        assert!(held < BUFFERS && took < PATIENCE, "{held} bytes were held, for {took:?}");
    }
    // What the library says of a header may be as long as that is.
    fs::write(&array, [&b"\x93NUMPY\x01\0\xa0\x0f"[..], &[b'~'; 4_000]].concat()).unwrap();
    let message = read_array(&array).unwrap_err().to_string();
    assert!(message.contains("not a NumPy file: ") && message.len() < 300 + array.as_os_str().len(), "{message}");

    #[cfg(unix)]
    for device in ["/dev/zero", "/dev/null"] {
        let error = Weights::open(device).unwrap_err();
        assert!(matches!(error, WeightsError::Io { .. }), "{error}");
        assert_eq!(error.to_string(), format!("{device}: is no regular file"));
    }
}
