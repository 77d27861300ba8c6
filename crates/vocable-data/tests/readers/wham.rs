//! WHAM!

use std::fs::{self, File};
use std::io::Write;

use npyz::{Order, WriterBuilder};
use vocable_data::readers::wham::Mixing;
use vocable_data::readers::{Lenience, Prepared, wham};
use vocable_data::{DataError, verify};

use crate::miniature::{ANY, Folders, PARTIAL, STRICT, assert_absent, assert_tone, counts, find, tone};

const MIXTURES: [(&str, &str); 4] = [
    ("tr", "011a0101_1.2345_401c020a_-1.2345"),
    ("tr", "01to030v_0.76421_20ga010m_-0.76421"),
    ("cv", "01aa0101_2.10_209a010p_-2.10"),
    ("tt", "050a0501_1.7783_442o030z_-1.7783"),
];

/// What the official scripts make.
fn mixed() -> Folders {
    let folders = Folders::new();
    for (set, name) in MIXTURES {
        for (signal, hertz) in [("s1", 200.0), ("s2", 250.0), ("noise", 900.0), ("mix_single", 400.0)] {
            folders.wav(&format!("wav16k/max/{set}/{signal}/{name}.wav"), 16_000, 1, 0.5, hertz);
        }
    }
    folders
}

fn prepare(folders: &Folders, lenience: Lenience) -> Result<Vec<Prepared>, DataError> {
    wham::prepare_all(&folders.from(), None, &folders.to(), lenience, &())
}

fn message(refused: Result<Vec<Prepared>, DataError>) -> String {
    refused.expect_err("it is refused").to_string()
}

#[test]
fn speech_with_and_without_noise_and_noise_have_the_same_ids() {
    let folders = mixed();
    let prepared = prepare(&folders, PARTIAL).unwrap();
    let manifests: Vec<_> = prepared.iter().map(|prepared| &prepared.manifest).collect();
    for (manifest, (name, hertz)) in manifests.iter().zip([("clean", 200.0), ("noisy", 400.0), ("noise", 900.0)]) {
        assert_eq!(manifest.path, folders.to().join(name).join("manifest.jsonl"));
        assert_eq!(counts(manifest), [2, 1, 1, 0]);
        assert_eq!(verify::check(manifest, 16_000, &|| ()), []);
        let ids: Vec<&str> = manifest.utterances.iter().map(|utterance| utterance.id.as_str()).collect();
        assert_eq!(ids, MIXTURES.map(|(_, id)| id));
        assert_tone(manifest, MIXTURES[3].1, 0.5, hertz);
    }
    assert_eq!(manifests[1].utterances[1].speaker, "01t");
    assert_eq!(manifests[2].utterances[1].speaker, "noise");
    let written = folders.prepared_files();
    let again = prepare(&folders, PARTIAL).unwrap();
    assert!(again.iter().all(|prepared| prepared.kept == 4));
    let recordings = |path: &&std::path::PathBuf| path.extension().is_some_and(|extension| extension == "wav");
    let unchanged = folders.prepared_files();
    assert!(written.keys().filter(recordings).all(|path| written[path] == unchanged[path]));
}

#[test]
fn the_published_noise_alone_is_a_corpus() {
    let folders = Folders::new();
    for (set, name) in MIXTURES {
        folders.stereo(&format!("wham_noise/{set}/{name}.wav"), 16_000, 0.5, [700.0, 1_900.0]);
    }
    let prepared = prepare(&folders, PARTIAL).unwrap();
    assert_eq!(prepared.len(), 1);
    assert_eq!(prepared[0].manifest.path, folders.to().join("noise/manifest.jsonl"));
    assert_eq!(prepared[0].missing[0], "tr: 2 of 20000 recordings");
    assert_tone(&prepared[0].manifest, MIXTURES[0].1, 0.5, 700.0);
}

#[test]
fn signals_that_do_not_belong_together_are_refused() {
    let folders = mixed();
    let refused = message(prepare(&folders, STRICT));
    assert!(refused.contains("tr/s1: 2 of 20000 recordings\n"), "{refused}");
    assert_absent(&folders.to());
    let lost = folders.at(&format!("wav16k/max/tr/noise/{}.wav", MIXTURES[0].1));
    fs::remove_file(&lost).unwrap();
    let refused = message(prepare(&folders, PARTIAL));
    assert!(refused.contains(&format!("{}: no such file", lost.display())), "{refused}");
    let refused = message(prepare(&folders, ANY));
    assert!(refused.contains("noise/manifest.jsonl: has other ids than"), "{refused}");
    let refused = message(prepare(&Folders::new(), ANY));
    assert!(refused.contains("holds neither wav16k/max/tr/s1 nor wham_noise/tr"), "{refused}");
}

/// The published noise with its metadata, WSJ0 and the lists of the scripts: in `tr` two mixtures, in the others one.
fn parts() -> (Folders, Mixing) {
    let folders = Folders::new();
    let mixing = Mixing { wsj0: folders.from().join("corpus"), lists: folders.from().join("scripts/data") };
    for set in ["tr", "cv", "tt"] {
        let names: Vec<&str> = MIXTURES.iter().filter(|mixture| mixture.0 == set).map(|mixture| mixture.1).collect();
        let mut meta = "utterance_id,noise_samples_beginning_16k,noise_samples_end_16k,target_snr_db\n".to_owned();
        let mut sentences = ",output_filename,s1_path,s2_path\n".to_owned();
        for (number, name) in names.iter().enumerate() {
            folders.stereo(&format!("wham_noise/{set}/{name}.wav"), 16_000, 0.75, [900.0, 1_900.0]);
            folders.wav(&format!("corpus/wsj0/{set}/{name}.wav"), 16_000, 1, 0.25, 250.0 + 50.0 * number as f64);
            meta += &format!("{name}.wav,{},12000,1.5\n", 4_000 + 100 * number);
            // The lists have another order.
            sentences.insert_str(33, &format!("{number},{name}.wav,wsj0/{set}/{name}.wav,wsj0/{set}/other.wav\n"));
        }
        folders.write(&format!("wham_noise/metadata/mix_param_meta_{set}.csv"), &meta);
        folders.write(&format!("scripts/data/mix_2_spk_filenames_{set}.csv"), &sentences);
        let n = names.len() as u64;
        let pairs: Vec<f64> =
            [[0.5, 0.75], [9.0, 9.0]].iter().flat_map(|column| column[..names.len()].to_vec()).collect();
        let arrays = [
            // In columns, as MATLAB's files are read.
            ("scaling_wsjmix_16k_max", vec![n, 2], pairs),
            ("scaling_wham_speech_16k_max", vec![n], [0.8, 0.6][..names.len()].to_vec()),
            ("scaling_wham_noise_16k_max", vec![n], [0.25, 0.5][..names.len()].to_vec()),
        ];
        write_npz(&folders.at(&format!("wham_noise/metadata/scaling_{set}.npz")), &arrays);
    }
    (folders, mixing)
}

/// Writes arrays as NumPy's `savez` does.
fn write_npz(path: &std::path::Path, arrays: &[(&str, Vec<u64>, Vec<f64>)]) {
    let mut archive = zip::ZipWriter::new(File::create(path).unwrap());
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, shape, values) in arrays {
        let mut file = Vec::new();
        let options = npyz::WriteOptions::new().default_dtype().shape(shape).order(Order::Fortran);
        let mut writer = options.writer(&mut file).begin_nd().unwrap();
        writer.extend(values.iter().copied()).unwrap();
        writer.finish().unwrap();
        archive.start_file(format!("{name}.npy"), stored).unwrap();
        archive.write_all(&file).unwrap();
    }
    archive.finish().unwrap();
}

#[test]
fn the_published_noise_is_mixed_with_wsj0_as_the_scripts_do() {
    let (folders, mixing) = parts();
    let prepare = |lenience| wham::prepare_all(&folders.from(), Some(&mixing), &folders.to(), lenience, &());
    let prepared = prepare(PARTIAL).unwrap();
    let read = |part: usize, id: &str| -> Vec<i32> {
        let manifest = &prepared[part].manifest;
        let audio = vocable_audio::read(manifest.resolve(&find(manifest, id).audio)).unwrap();
        audio.samples.iter().map(|sample| (sample * 32_768.0) as i32).collect()
    };
    for manifest in prepared.iter().map(|prepared| &prepared.manifest) {
        assert_eq!(counts(manifest), [2, 1, 1, 0]);
        assert_eq!(verify::check(manifest, 16_000, &|| ()), []);
    }
    // The second mixture of `tr`, by hand.
    let (name, start) = (MIXTURES[1].1, 4_100);
    let noise: Vec<f64> = tone(16_000, 0.75, 900.0).into_iter().map(|value| 0.5 * f64::from(value)).collect();
    let spoken = tone(16_000, 0.25, 300.0).into_iter().map(|value| 0.6 * (0.75 * f64::from(value)).round_ties_even());
    let mut clean = vec![0.0; noise.len()];
    clean[start..start + 4_000].copy_from_slice(&spoken.collect::<Vec<f64>>());
    let noisy: Vec<f64> = noise.iter().zip(&clean).map(|(noise, clean)| noise + clean).collect();
    for (part, expected) in [clean, noisy, noise].iter().enumerate() {
        let found = read(part, name);
        assert_eq!(found.len(), 12_000);
        let worst = found.iter().zip(expected).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
        // Rounded to 16 bits.
        assert!(worst <= 0.51, "signal {part} is off by {worst}");
    }
    assert!(prepare(PARTIAL).unwrap().iter().all(|prepared| prepared.kept == 4), "a second run keeps everything");
    let message = message(prepare(STRICT));
    assert!(message.contains("tr: 2 of 20000 mixtures"), "{message}");

    // Other gains make other mixtures, which are not taken for the old ones.
    let gains = folders.at("wham_noise/metadata/scaling_tt.npz");
    let arrays = [
        ("scaling_wsjmix_16k_max", vec![1, 2], vec![0.5, 9.0]),
        ("scaling_wham_speech_16k_max", vec![1], vec![0.1]),
        ("scaling_wham_noise_16k_max", vec![1], vec![0.25]),
    ];
    write_npz(&gains, &arrays);
    assert!(prepare(PARTIAL).unwrap().iter().all(|prepared| prepared.kept == 3));
}

#[test]
fn lists_of_mixtures_that_do_not_fit_are_refused() {
    let cases = [
        ("wham_noise/metadata/mix_param_meta_tr.csv", "a,b\n", "has no columns `utterance_id` and `noise_samples"),
        ("wham_noise/metadata/scaling_tr.npz", "no archive", "scaling_tr.npz: "),
        ("scripts/data/mix_2_spk_filenames_tt.csv", "output_filename,s1_path\n", "mix_param_meta_tt.csv:2: `050a0501"),
    ];
    for (file, content, expected) in cases {
        let (folders, mixing) = parts();
        folders.write(file, content);
        let message = message(wham::prepare_all(&folders.from(), Some(&mixing), &folders.to(), ANY, &()));
        assert!(message.contains(expected), "{message} lacks {expected}");
        assert_absent(&folders.to());
    }
    let (folders, mixing) = parts();
    let edit = |file: &str, from: &str, to: &str| {
        let content = fs::read_to_string(folders.at(file)).unwrap();
        fs::write(folders.at(file), content.replacen(from, to, 1)).unwrap();
    };
    let refused = || message(wham::prepare_all(&folders.from(), Some(&mixing), &folders.to(), PARTIAL, &()));
    fs::remove_file(folders.at(&format!("corpus/wsj0/cv/{}.wav", MIXTURES[2].1))).unwrap();
    assert!(refused().contains(&format!("corpus/wsj0/cv/{}.wav: no such file", MIXTURES[2].1)), "{}", refused());
    edit("wham_noise/metadata/mix_param_meta_tt.csv", ",4000,", ",11000,");
    edit("wham_noise/metadata/mix_param_meta_cv.csv", "01aa0101", "../01aa0101");
    assert!(refused().contains("mix_param_meta_cv.csv:2: `../01aa0101"), "{}", refused());
    edit("wham_noise/metadata/mix_param_meta_cv.csv", "../01aa0101", "01aa0101");
    let skipped = wham::prepare_all(&folders.from(), Some(&mixing), &folders.to(), ANY, &()).map(|_| ());
    assert!(skipped.unwrap_err().to_string().contains("has other ids than"), "the noise alone needs no sentence");
}
