//! How fast data comes: a long manifest opened, its batches ordered, recordings decoded and turned into log-mels.
//! `cargo run --release -p vocable-data --example loading [UTTERANCES]`

use std::hint::black_box;
use std::time::Instant;

use vocable_audio::{LogMel, write_wav};
use vocable_data::sampler::{BatchSampler, Limits};
use vocable_data::{Corpus, Manifest, Split, Utterance};
use vocable_random::Key;

/// Recordings of ten seconds that stand for those of a corpus.
const RECORDINGS: usize = 20;
const SECONDS: usize = 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args().nth(1).map_or(Ok(100_000), |count| count.parse())?;
    let dir = tempfile::tempdir()?;
    let utterance = |n: usize| {
        let audio = format!("wav/{}.wav", n % RECORDINGS);
        let mut utterance = Utterance::new(format!("1089-134686-{n:07}"), audio, format!("{}", n % 250), Split::Train);
        utterance.text = "he hoped there would be stew for dinner turnips and carrots and bruised potatoes".into();
        utterance.seconds = SECONDS as f64;
        utterance.sha256 = Some(format!("{n:064x}"));
        utterance
    };
    let manifest =
        Manifest { path: dir.path().join("manifest.jsonl"), utterances: (0..count).map(utterance).collect() };
    manifest.write()?;
    let bytes = std::fs::metadata(&manifest.path)?.len() as f64 / 1e6;
    let shards = Manifest { path: dir.path().join("manifest"), ..manifest };
    shards.write_shards(10_000)?;
    for (what, path) in [("one file", dir.path().join("manifest.jsonl")), ("shards of 10,000", shards.path)] {
        let started = Instant::now();
        black_box(Manifest::read(path)?);
        println!("{count} utterances, {bytes:.1} MB, {what}: opened in {:.3} s", started.elapsed().as_secs_f64());
    }
    let started = Instant::now();
    // 2 to 17 seconds, as in LibriSpeech.
    let lengths: Vec<[usize; 1]> = (0..count).map(|n| [32_000 + n * 7919 % 240_000]).collect();
    let sampler = BatchSampler::new(&lengths, Limits { max_tokens: 1_400_000, max_items: 64 }, Key::new(1))?;
    black_box(sampler.at(0));
    println!("{} batches: the first in {:.3} s", sampler.batches_per_epoch(), started.elapsed().as_secs_f64());

    std::fs::create_dir(dir.path().join("wav"))?;
    for n in 0..RECORDINGS {
        let noise = (0..16_000 * SECONDS).map(|t| ((t * (n + 7919)) % 2003) as f32 / 2003.0 - 0.5);
        write_wav(dir.path().join(format!("wav/{n}.wav")), &noise.collect::<Vec<_>>(), 16_000)?;
    }
    let utterances = (0..RECORDINGS).map(utterance).collect();
    let corpus = Corpus::new(Manifest { path: dir.path().join("manifest.jsonl"), utterances }).keep(0);
    let (log_mel, started) = (LogMel::default(), Instant::now());
    for n in 0..RECORDINGS {
        black_box(log_mel.log_mel(&corpus.audio(n)?));
    }
    let rate = (RECORDINGS * SECONDS) as f64 / started.elapsed().as_secs_f64();
    println!("decoded, with log-mel: {rate:.0} s of speech in a second, on one thread");
    Ok(())
}
