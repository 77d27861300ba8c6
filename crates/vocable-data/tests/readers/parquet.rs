//! Parquet files in Hugging Face's form.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use ::parquet::basic::Compression;
use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use vocable_data::readers::parquet::{Columns, prepare_all};
use vocable_data::readers::{Lenience, Prepared};
use vocable_data::{DataError, Split};

use crate::miniature::{ANY, Folders, STRICT, assert_absent, assert_tone, counts, find};

/// A row: the file's name, its bytes, the text, the speaker.
type Row<'a> = (Option<&'a str>, Option<Vec<u8>>, Option<&'a str>, i64);

/// Writes rows as Hugging Face's `datasets` does: every value optional, two rows a group.
fn write(path: &Path, compression: Compression, rows: &[Row]) {
    let schema = "message schema {
        optional group audio { optional binary bytes; optional binary path (UTF8); }
        optional binary text (UTF8);
        optional int64 speaker_id;
        optional int64 chapter_id;
    }";
    let properties = WriterProperties::builder().set_compression(compression).build();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    for rows in rows.chunks(2) {
        let mut group = writer.next_row_group().unwrap();
        let mut bytes_of = |values: Vec<Option<Vec<u8>>>, depth: i16| {
            let levels: Vec<i16> = values.iter().map(|value| depth - i16::from(value.is_none())).collect();
            let values: Vec<ByteArray> = values.into_iter().flatten().map(ByteArray::from).collect();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
            column.close().unwrap();
        };
        bytes_of(rows.iter().map(|row| row.1.clone()).collect(), 2);
        bytes_of(rows.iter().map(|row| row.0.map(|name| name.as_bytes().to_vec())).collect(), 2);
        bytes_of(rows.iter().map(|row| row.2.map(|text| text.as_bytes().to_vec())).collect(), 1);
        for _ in ["speaker_id", "chapter_id"] {
            let mut column = group.next_column().unwrap().unwrap();
            let values: Vec<i64> = rows.iter().map(|row| row.3).collect();
            column.typed::<Int64Type>().write_batch(&values, Some(&vec![1; rows.len()]), None).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

/// Three rows to train on in two files, one to validate.
fn corpus() -> Folders {
    let folders = Folders::new();
    let sound = |hertz: f64, rate| {
        folders.wav("sound.wav", rate, 1, 0.5, hertz);
        fs::read(folders.at("sound.wav")).ok()
    };
    folders.flac("sound.flac", 16_000, 0.5, 240.0);
    let flac = fs::read(folders.at("sound.flac")).ok();
    let snappy = Compression::SNAPPY;
    let one = (Some("103-1240-0000.flac"), flac, Some("CHAPTER ONE"), 103);
    let two = (Some("103-1240-0001.flac"), sound(200.0, 16_000), Some("THAT HAD"), 103);
    let three = (Some("26-495-0000.flac"), sound(220.0, 8_000), None, 26);
    write(&folders.at("data/train-00000-of-00002.parquet"), snappy, &[one, two]);
    write(&folders.at("data/train-00001-of-00002.parquet"), Compression::ZSTD(Default::default()), &[three]);
    let four = (None, sound(260.0, 16_000), Some("IN NO FILE"), 7);
    write(&folders.at("data/validation-00000-of-00001.parquet"), snappy, &[four]);
    folders
}

fn prepare(folders: &Folders, columns: &Columns, lenience: Lenience) -> Result<Prepared, DataError> {
    let data = folders.from().join("data");
    let parts = [(Split::Train, data.join("train")), (Split::Valid, data.join("validation"))];
    prepare_all(&parts, columns, &folders.to(), lenience, &())
}

#[test]
fn rows_become_utterances_in_order() {
    let folders = corpus();
    let manifest = folders.assert_prepared(|| prepare(&folders, &Columns::default(), STRICT));
    assert_eq!(counts(&manifest), [3, 1, 0, 0]);
    let ids: Vec<&str> = manifest.utterances.iter().map(|utterance| utterance.id.as_str()).collect();
    let row = "validation-00000-of-00001-000001";
    assert_eq!(ids, ["103-1240-0000", "103-1240-0001", "26-495-0000", row]);
    assert_eq!((find(&manifest, "26-495-0000").text.as_str(), find(&manifest, row).text.as_str()), ("", "IN NO FILE"));
    assert_eq!(find(&manifest, row).speaker, "7");
    for (id, hertz) in ids.iter().zip([240.0, 200.0, 220.0, 260.0]) {
        assert_tone(&manifest, id, 0.5, hertz);
    }
    let columns = Columns { text: None, speaker: Some("chapter_id".into()), ..Columns::default() };
    let other = Folders::new();
    fs::create_dir(other.from().join("data")).unwrap();
    let two = folders.from().join("data/validation-00000-of-00001.parquet");
    let manifest = prepare_all(&[(Split::Train, two)], &columns, &other.to(), STRICT, &()).unwrap().manifest;
    assert_eq!((manifest.utterances[0].text.as_str(), manifest.utterances[0].speaker.as_str()), ("", "7"));
}

#[test]
fn damaged_files_missing_columns_and_bad_rows_are_named() {
    let folders = corpus();
    let path = folders.at("data/validation-00000-of-00001.parquet");
    let rows = [
        (Some("a.mp3"), Some(b"ID3 no sound that is read here".to_vec()), Some("A"), 1),
        (Some("b.wav"), None, Some("B"), 1),
        (Some("c.wav"), fs::read(folders.at("sound.wav")).ok(), Some("C"), 1),
    ];
    write(&path, Compression::UNCOMPRESSED, &rows);
    let words = ["2 unusable files", "00001.parquet, row 1: not readable as audio", "row 2: holds no samples"];
    folders.assert_refused(prepare(&folders, &Columns::default(), STRICT), &words);
    assert_absent(&folders.to().join("manifest.jsonl"));
    assert_eq!(counts(&prepare(&folders, &Columns::default(), ANY).unwrap().manifest), [3, 1, 0, 0]);

    let columns = Columns { text: Some("sentence".into()), ..Columns::default() };
    let words = ["has no column `sentence`; there are audio, text, speaker_id, chapter_id"];
    folders.assert_refused(prepare(&folders, &columns, ANY), &words);
    let rows = [(Some("../../../a.wav"), fs::read(folders.at("sound.wav")).ok(), None, 1)];
    write(&path, Compression::UNCOMPRESSED, &rows);
    assert_eq!(find(&prepare(&folders, &Columns::default(), STRICT).unwrap().manifest, "a").speaker, "1");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    folders.assert_refused(prepare(&folders, &Columns::default(), ANY), &["validation-00000-of-00001.parquet: "]);
    fs::remove_file(&path).unwrap();
    folders
        .assert_refused(prepare(&folders, &Columns::default(), ANY), &["data/validation: no .parquet file is there"]);
}

#[test]
fn no_damage_brings_the_reader_down() {
    let folders = corpus();
    let path = folders.at("data/damaged.parquet");
    let parts = [(Split::Train, path.clone())];
    // Of some damage the library panics.
    let (mut refused, mut caught, mut read) = (0, 0, 0);
    for name in ["validation-00000-of-00001", "train-00001-of-00002"] {
        let whole = fs::read(folders.at(&format!("data/{name}.parquet"))).unwrap();
        // Damage of sound is another matter: here it is pages' headers and lengths, texts, and the footer.
        let ends = (0..40).chain((whole.len() - 1500..whole.len()).step_by(12));
        for (at, value) in ends.flat_map(|at| [0, 0xff].map(|value| (at, value))) {
            let mut bytes = whole.clone();
            bytes[at] = value;
            fs::write(&path, &bytes).unwrap();
            match prepare_all(&parts, &Columns::default(), &folders.to(), STRICT, &()) {
                Ok(_) => read += 1,
                Err(error) => {
                    refused += 1;
                    caught += usize::from(error.to_string().ends_with("is damaged; copy or download it again"));
                    // A name of a row that is none for a file is told by itself.
                    let named = ["damaged.parquet", "the id `"].iter().any(|name| error.to_string().contains(name));
                    assert!(named, "byte {at} of {name}: {error}");
                }
            }
        }
    }
    assert!(refused > 100 && caught > 0 && read > 100, "{refused} refused, {caught} caught, {read} read");
}
