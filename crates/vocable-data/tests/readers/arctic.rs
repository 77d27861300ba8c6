//! CMU Arctic.

use std::collections::HashMap;
use std::fs;

use vocable_data::readers::{self, Lenience, Prepared, arctic};
use vocable_data::{DataError, Split};

use crate::miniature::{ANY, Folders, PARTIAL, STRICT, assert_absent, assert_tone, counts, find};

/// Twenty sentences of two voices; the second writes one of them otherwise.
fn corpus() -> Folders {
    let folders = Folders::new();
    for (voice, hertz) in [("bdl", 120.0), ("slt", 220.0)] {
        let mut prompts = String::new();
        for number in 1..=20 {
            let name = format!("arctic_a{number:04}");
            folders.wav(&format!("cmu_us_{voice}_arctic/wav/{name}.wav"), 16_000, 1, 0.3, hertz + f64::from(number));
            let end = if voice == "slt" && number == 3 { "" } else { "." };
            prompts += &format!("( {name} \"Author of \\\"{number}\\\", etc{end}\" )\n");
        }
        folders.write(&format!("cmu_us_{voice}_arctic/etc/txt.done.data"), &prompts);
    }
    folders
}

fn prepare(folders: &Folders, voices: &[&str], lenience: Lenience) -> Result<Prepared, DataError> {
    let voices: Vec<String> = voices.iter().map(|&voice| voice.to_owned()).collect();
    let listing = arctic::list(&folders.from(), &voices)?;
    readers::prepare("arctic", &folders.from(), listing, &folders.to(), lenience, &())
}

#[test]
fn sentences_are_parallel_and_in_one_split_each() {
    let folders = corpus();
    let manifest = folders.assert_prepared(|| prepare(&folders, &["bdl", "slt"], PARTIAL));
    assert_eq!(counts(&manifest), [32, 4, 4, 0]);
    assert_eq!(find(&manifest, "slt_arctic_a0003").text, "Author of \"3\", etc.");
    assert_tone(&manifest, "slt_arctic_a0003", 0.3, 223.0);
    let mut spoken: HashMap<(&str, Split), Vec<&str>> = HashMap::new();
    for utterance in &manifest.utterances {
        spoken.entry((&utterance.text, utterance.split)).or_default().push(&utterance.speaker);
    }
    assert_eq!(spoken.len(), 20, "no sentence is in two splits");
    assert!(spoken.values().all(|voices| *voices == ["bdl", "slt"]), "every sentence is a pair");
}

#[test]
fn a_voice_that_lacks_sentences_is_named_with_them() {
    let folders = corpus();
    let path = folders.at("cmu_us_slt_arctic/etc/txt.done.data");
    let prompts = fs::read_to_string(&path).unwrap();
    fs::write(&path, prompts.lines().skip(2).collect::<Vec<_>>().join("\n")).unwrap();
    folders.assert_refused(
        prepare(&folders, &["bdl", "slt"], STRICT),
        &["bdl: 20 of 1131 utterances\n", "slt: 18 of 1132 utterances; without arctic_a0001, arctic_a0002"],
    );
    let words = ["2 unusable", "arctic_a0001.wav: has no line in etc/txt.done.data"];
    folders.assert_refused(prepare(&folders, &["bdl", "slt"], PARTIAL), &words);
    assert_absent(&folders.to());
    assert_eq!(counts(&prepare(&folders, &["bdl", "slt"], ANY).unwrap().manifest), [30, 4, 4, 0]);
    folders.assert_refused(prepare(&folders, &["bdl", "rms"], ANY), &["cmu_us_rms_arctic: no such folder"]);
    // A sentence that is listed and was not recorded is a missing one.
    fs::remove_file(folders.at("cmu_us_bdl_arctic/wav/arctic_a0005.wav")).unwrap();
    folders.assert_refused(prepare(&folders, &["bdl"], STRICT), &["bdl: 19 of 1131 utterances; without arctic_a0005"]);
    fs::rename(folders.at("cmu_us_bdl_arctic"), folders.at("cmu_us_jmk_arctic")).unwrap();
    folders.assert_refused(prepare(&folders, &["jmk"], STRICT), &["jmk: no recording of arctic_a0005"]);
    assert_eq!(counts(&prepare(&folders, &["jmk"], PARTIAL).unwrap().manifest), [15, 2, 2, 0]);
    for line in ["arctic_a0002 \"No brackets.\"", "( arctic_a0002 No quotes. )", "( ../a \"Text.\" )", "( a \" \" )"] {
        fs::write(&path, format!("( arctic_a0001 \"Good.\" )\n{line}\n")).unwrap();
        folders.assert_refused(prepare(&folders, &["slt"], ANY), &["txt.done.data:2: "]);
    }
}
