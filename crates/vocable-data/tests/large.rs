//! A manifest of 100,000 utterances, as long as those of large corpora.

use std::time::{Duration, Instant};

use vocable_data::{Manifest, Split, Utterance};

/// Opening takes a quarter of a second; tests run on busy machines.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn a_hundred_thousand_utterances_open_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let utterance = |n: usize| {
        let mut utterance = Utterance::new(format!("u{n:06}"), format!("wav/{n:06}.wav"), "anna", Split::Train);
        utterance.text = "he hoped there would be stew for dinner turnips and carrots and bruised potatoes".into();
        utterance.seconds = 7.25;
        utterance.sha256 = Some(format!("{n:064x}"));
        utterance
    };
    let file = Manifest { path: dir.path().join("m.jsonl"), utterances: (0..100_000).map(utterance).collect() };
    file.write().unwrap();
    let shards = Manifest { path: dir.path().join("m"), ..file.clone() };
    shards.write_shards(10_000).unwrap();
    for manifest in [file, shards] {
        let started = Instant::now();
        let read = Manifest::read(&manifest.path).unwrap();
        assert!(started.elapsed() < PATIENCE, "{} took {:?}", manifest.path.display(), started.elapsed());
        assert_eq!(read, manifest);
    }
}
