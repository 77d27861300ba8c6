//! Reading files that PyTorch and safetensors wrote (fixtures/weights), and refusing what is none.

mod pickles;

use std::fs;
use std::path::{Path, PathBuf};

use pickles::{archive, dictionary, rebuilt, storage, wide_archive};
use vocable_weights::{Dtype, OwnedTensor, Weights, read_array, write_pytorch, write_safetensors};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn assert_same(found: &Weights, expected: &Weights) {
    assert_eq!(found.tensors().count(), expected.tensors().count());
    for expected in expected.tensors() {
        let name = expected.name();
        let found = found.get(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!((found.dtype(), found.shape()), (expected.dtype(), expected.shape()), "{name}");
        assert_eq!(found.bytes(), expected.bytes(), "{name}");
    }
}

fn message(path: &Path) -> String {
    Weights::open(path).unwrap_err().to_string()
}

#[test]
fn every_kind_of_tensor_is_read_from_torchs_files() {
    let expected = Weights::open(fixture("weights/tensors.safetensors")).unwrap();
    for name in ["tensors.pt", "protocol4.pt", "old.pt", "checkpoint.pt"] {
        assert_same(&Weights::open(fixture("weights").join(name)).unwrap(), &expected);
    }
    assert!(!Path::new("trapped").exists(), "reading a pickle ran a command");
}

#[test]
fn a_fairseq_checkpoint_holds_the_tensors_of_its_model() {
    let found = Weights::open(fixture("official/model.pt")).unwrap();
    assert_same(&found, &Weights::open(fixture("official/model.safetensors")).unwrap());
}

#[test]
fn a_file_may_be_one_tensor() {
    let expected = Weights::open(fixture("weights/tensors.safetensors")).unwrap();
    let expected = expected.get("transposed").unwrap();
    let (shape, values) = read_array(fixture("weights/single.pt")).unwrap();
    assert_eq!((shape.as_slice(), values), (expected.shape(), expected.to_f32().unwrap()));
    // [[1, 2, 3], [4, 5, 6]] in each.
    for name in ["single.npy", "fortran.npy", "double.npy"] {
        let (shape, values) = read_array(fixture("weights").join(name)).unwrap();
        assert_eq!((shape, values), (vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), "{name}");
    }
    let message = |name: &str| read_array(fixture("weights").join(name)).unwrap_err().to_string();
    assert!(message("tensors.pt").contains("tensors.pt: it holds 13 tensors, where one is expected"));
    assert!(message("whole.npy").contains("whole.npy: its values are <i8, expected floating-point numbers"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    let whole = fs::read(fixture("weights/single.npy")).unwrap();
    for length in 6..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(read_array(&path).unwrap_err().to_string().contains("a.npy: "), "{length}");
    }
    // A header that claims more than the file has.
    let claim = String::from_utf8_lossy(&whole[..128]).replace("(2, 3)", "(999999999, 999999999)");
    let header = claim.find('{').unwrap();
    let claim = [&whole[..header], claim[header..].trim_end().as_bytes(), b"\n", &whole[128..]].concat();
    fs::write(&path, claim).unwrap();
    assert!(read_array(&path).is_err());
}

#[test]
fn floats_become_single_precision_and_other_types_are_named() {
    let weights = Weights::open(fixture("weights/tensors.pt")).unwrap();
    let values = |name: &str| weights.get(name).unwrap().to_f32().unwrap();
    assert_eq!(values("scalar"), [1.25]);
    assert_eq!(values("half").len(), 5);
    assert!(values("brain").iter().all(|value| value.to_bits() & 0xffff == 0), "brain floats are upper halves");
    let double = weights.get("double").unwrap().bytes();
    let double: Vec<f32> = double.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes) as f32).collect();
    assert_eq!(values("double"), double);
    assert!(values("empty").is_empty());
    let error = weights.get("counter").unwrap().to_f32().unwrap_err().to_string();
    assert_eq!(error, "tensor counter holds I64, expected floating-point numbers");
}

#[test]
fn folders_and_shards_are_found() {
    let folder = tempfile::tempdir().unwrap();
    assert!(message(folder.path()).contains("the folder holds none of model.safetensors"));
    let expected = Weights::open(fixture("weights/tensors.safetensors")).unwrap();
    fs::copy(fixture("weights/tensors.pt"), folder.path().join("pytorch_model.bin")).unwrap();
    assert_same(&Weights::open(folder.path()).unwrap(), &expected);

    // Shards come before a pickle.
    let mut shards = [Vec::new(), Vec::new()];
    let mut map = serde_json::Map::new();
    for (n, tensor) in expected.tensors().enumerate() {
        let file = format!("model-0000{}-of-00002.safetensors", n % 2 + 1);
        map.insert(tensor.name().into(), file.into());
        shards[n % 2].push((tensor.name().to_owned(), OwnedTensor::from(tensor)));
    }
    for (n, shard) in shards.into_iter().enumerate() {
        let path = folder.path().join(format!("model-0000{}-of-00002.safetensors", n + 1));
        write_safetensors(&path, shard, Some(("format", "pt"))).unwrap();
    }
    let index = folder.path().join("model.safetensors.index.json");
    let write = |map: &serde_json::Map<String, serde_json::Value>| {
        fs::write(&index, serde_json::json!({ "metadata": {}, "weight_map": map }).to_string()).unwrap();
    };
    write(&map);
    let sharded = Weights::open(folder.path()).unwrap();
    assert_eq!(sharded.path(), index);
    assert_same(&sharded, &expected);

    map.insert("lost".into(), map["plain"].clone());
    write(&map);
    assert!(message(&index).contains("no shard holds lost"));
    map.insert("lost".into(), "../elsewhere.safetensors".into());
    write(&map);
    assert!(message(&index).contains("`../elsewhere.safetensors` is not the name of a file beside it"));
    map.insert("lost".into(), "model-00003-of-00002.safetensors".into());
    write(&map);
    assert!(message(&index).contains("model-00003-of-00002.safetensors"));
    fs::write(&index, "{}").unwrap();
    assert!(message(&index).contains("has no `weight_map`"));
}

#[test]
fn what_is_written_is_read_and_replaces_the_old_file_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.safetensors");
    fs::write(&path, "old").unwrap();
    let source = Weights::open(fixture("weights/tensors.pt")).unwrap();
    let tensors = || source.tensors().map(|tensor| (tensor.name().to_owned(), OwnedTensor::from(tensor))).collect();
    write_safetensors(&path, tensors(), Some(("format", "pt"))).unwrap();
    let first = fs::read(&path).unwrap();
    assert_same(&Weights::open(&path).unwrap(), &source);
    write_safetensors(&path, tensors(), Some(("format", "pt"))).unwrap();
    assert_eq!(fs::read(&path).unwrap(), first, "equal tensors give equal bytes");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    assert!(write_safetensors(&folder.path().join("none/x"), tensors(), None).is_err());
}

#[test]
fn what_is_written_as_torch_writes_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.pt");
    fs::write(&path, "old").unwrap();
    let source = Weights::open(fixture("weights/tensors.pt")).unwrap();
    let mut tensors: Vec<(String, OwnedTensor)> =
        source.tensors().map(|tensor| (tensor.name().to_owned(), OwnedTensor::from(tensor))).collect();
    write_pytorch(&path, None, &tensors).unwrap();
    let first = fs::read(&path).unwrap();
    assert_same(&Weights::open(&path).unwrap(), &source);
    write_pytorch(&path, None, &tensors).unwrap();
    assert_eq!(fs::read(&path).unwrap(), first, "equal tensors give equal bytes");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    // Beside a trainer's state.
    write_pytorch(&path, Some("model"), &tensors).unwrap();
    assert!(fs::read(&path).unwrap() != first);
    assert_same(&Weights::open(&path).unwrap(), &source);
    tensors[0].1.dtype = Dtype::U64;
    let wrong = write_pytorch(&path, None, &tensors).unwrap_err().to_string();
    assert!(wrong.contains(&tensors[0].0) && wrong.contains("U64"), "{wrong}");
}

#[test]
fn files_of_other_kinds_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let check = |bytes: &[u8], expected: &str| {
        fs::write(&path, bytes).unwrap();
        let message = message(&path);
        assert!(message.contains("model: ") && message.contains(expected), "{message}");
    };
    check(b"", "it is empty");
    check(b"text", "neither safetensors nor a file of torch.save");
    check(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "damaged: the pickle is broken at byte 0");
    check(b"\x80\x02}q\0.", "neither safetensors");
    check(&40_u64.to_le_bytes(), "neither safetensors");
    // A header whose length begins like the mark of a zip archive.
    check(b"PK\x03\0\0\0\0\0{", "damaged: invalid header length");
    check(b"\x08\0\0\0\0\0\0\0{\"a\":1}}", "damaged: ");
    assert!(message(&folder.path().join("none")).contains("none: No such file"));

    let whole = fs::read(fixture("weights/tensors.pt")).unwrap();
    for length in [4, 100, whole.len() / 2, whole.len() - 1] {
        check(&whole[..length], "damaged: the end of the zip archive is missing");
    }
    let whole = fs::read(fixture("weights/old.pt")).unwrap();
    for length in [100, whole.len() / 2, whole.len() - 1] {
        check(&whole[..length], "damaged: ");
    }
    let whole = fs::read(fixture("weights/tensors.safetensors")).unwrap();
    for length in [9, 100, whole.len() - 1] {
        check(&whole[..length], "damaged: ");
    }
}

#[test]
fn hostile_pickles_are_refused_and_odd_ones_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt");
    let four = [0_u8; 16];
    let open = |pickle: &[u8]| {
        fs::write(&path, archive(pickle, &[("0", &four)])).unwrap();
        Weights::open(&path)
    };
    let refused = |pickle: &[u8], expected: &str| {
        let message = open(pickle).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    let one = |tensor: Vec<u8>| dictionary(&[("w", tensor)]);
    // A view that repeats its storage, one that leaves it, one whose size overflows.
    refused(&one(rebuilt(storage("0", 4), 0, &[1 << 40], &[0])), "tensor w: a shape [1099511627776]");
    refused(&one(rebuilt(storage("0", 4), 1, &[2, 2], &[2, 1])), "exceeds its storage");
    refused(&one(rebuilt(storage("0", 4), 0, &[2, 2], &[i64::MAX, 1])), "exceeds its storage");
    refused(&one(rebuilt(storage("0", 4), 0, &[i64::MAX, i64::MAX], &[1, 1])), "exceeds its storage");
    refused(&one(rebuilt(storage("0", 4), 0, &[-1], &[1])), "its shape is no list of lengths");
    refused(&one(rebuilt(storage("0", 4), 0, &[2, 2], &[1])), "have different lengths");
    // A storage that claims more than the file has, or is not there.
    refused(&one(rebuilt(storage("0", 1 << 40), 0, &[4], &[1])), "has only 16 bytes");
    refused(&one(rebuilt(storage("9", 4), 0, &[4], &[1])), "its storage 9 is missing");
    refused(&one(rebuilt(storage("../data/0", 4), 0, &[4], &[1])), "is missing");
    // Lengths beyond the end, an unknown instruction, an empty stack, no end.
    refused(b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc", "the pickle is broken at byte 2: it ends too early");
    refused(b"\x80\x02\xff.", "instruction 0xff is not known");
    refused(b"\x80\x020.", "a value is missing on its stack");
    refused(b"\x80\x02(N", "it ends too early");
    refused(b"\x80\x09.", "protocol 9 is not known");
    refused(b"\x80\x02h\x05.", "nothing was remembered as 5");
    refused(b"\x80\x02N.", "holds no dictionary of tensors");
    // A list inside itself, and one a million levels deep.
    refused(b"\x80\x02]q\0h\0a.", "holds no dictionary of tensors");
    refused(&[b"\x80\x02)".to_vec(), vec![0x85; 1_000_000], b".".to_vec()].concat(), "holds no dictionary of tensors");

    let four = |weights: Weights| weights.get("w").unwrap().to_f32().unwrap();
    let tensor = rebuilt(storage("0", 4), 0, &[4], &[1]);
    assert_eq!(four(open(&one(tensor.clone())).unwrap()), [0.0; 4]);
    // A dictionary that is filled under one name and found under another; its own key leads to itself.
    let mut aliased = b"\x80\x02}(X\x05\0\0\0other}q\x05X\x01\0\0\0w".to_vec();
    aliased.extend(&tensor);
    aliased.extend(b"sX\x05\0\0\0modelh\x05u.");
    assert_eq!(four(open(&aliased).unwrap()), [0.0; 4]);
    refused(b"\x80\x02}q\0X\x05\0\0\0modelh\0s.", "holds no dictionary of tensors");
    // A tensor beside a model of two is none of the model's.
    let beside = [
        b"\x80\x02}(X\x04\0\0\0step".to_vec(),
        tensor.clone(),
        b"X\x05\0\0\0model}(X\x01\0\0\0w".to_vec(),
        tensor.clone(),
        b"X\x01\0\0\0v".to_vec(),
        tensor,
        b"uu.".to_vec(),
    ];
    let weights = open(&beside.concat()).unwrap();
    assert!(weights.get("w").is_some() && weights.get("v").is_some() && weights.get("step").is_none());
}

#[test]
fn archives_beyond_four_gigabytes_have_wide_fields() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt");
    let pickle = dictionary(&[("w", rebuilt(storage("0", 2), 1, &[1], &[1]))]);
    let whole = wide_archive(&pickle, &[("0", &[0, 0, 0, 0, 0, 0, 128, 63])]);
    fs::write(&path, &whole).unwrap();
    assert_eq!(Weights::open(&path).unwrap().get("w").unwrap().to_f32().unwrap(), [1.0]);
    // Without the record that the locator names, and without the locator.
    for signature in [b"PK\x06\x06", b"PK\x06\x07"] {
        let mut bytes = whole.clone();
        let at = bytes.windows(4).position(|window| window == signature).unwrap();
        bytes[at] = 0;
        fs::write(&path, bytes).unwrap();
        assert!(message(&path).contains("the zip archive's directory cannot be found"));
    }
}

#[test]
fn compressed_and_encrypted_entries_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt");
    let whole = archive(&dictionary(&[("w", rebuilt(storage("0", 1), 0, &[1], &[1]))]), &[("0", &[0; 4])]);
    // Method and flags of both headers of the first entry, data.pkl.
    for (offset, value) in [(10, 8), (8, 1)] {
        let mut bytes = whole.clone();
        let directory = bytes.windows(4).position(|window| window == [b'P', b'K', 1, 2]).unwrap();
        bytes[directory + offset] = value;
        fs::write(&path, bytes).unwrap();
        assert!(message(&path).contains("data.pkl is compressed or encrypted"), "{}", message(&path));
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(Weights::open(&path).unwrap().get("w").unwrap().dtype(), Dtype::F32);
}
