//! From a folder of recordings to the batches and masks of a training run: `cargo run -p vocable-data --example batches`.

use vocable_audio::{LogMel, LogMelConfig, write_wav};
use vocable_data::mask::{SpanMask, compute_mask_indices};
use vocable_data::sampler::{BatchSampler, Limits};
use vocable_data::speaker::{Origin, SpeakerVectors};
use vocable_data::{Corpus, Manifest, Split, Utterance, verify};
use vocable_random::Key;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Twelve tones of 1 to 2 s stand for recordings of two voices.
    let dir = tempfile::tempdir()?;
    let mut utterances = Vec::new();
    for n in 0..12 {
        let (id, samples) = (format!("tone{n}"), 16_000 + n * 1_400);
        let hertz = if n % 2 == 0 { 220.0 } else { 440.0 };
        let tone: Vec<f32> =
            (0..samples).map(|t| 0.3 * (t as f32 * hertz * std::f32::consts::TAU / 16_000.0).sin()).collect();
        write_wav(dir.path().join(format!("{id}.wav")), &tone, 16_000)?;
        utterances.push(Utterance {
            audio: format!("{id}.wav").into(),
            id,
            speaker: ["low", "high"][n % 2].into(),
            text: "la".into(),
            text_de: None,
            text_fr: None,
            seconds: samples as f64 / 16_000.0,
            split: Split::Train,
            speaker_vector: None,
            sha256: None,
        });
    }
    Manifest { path: dir.path().join("manifest.jsonl"), utterances }.write()?;

    let manifest = Manifest::read(dir.path().join("manifest.jsonl"))?;
    println!("{} utterances, {} bad files", manifest.utterances.len(), verify::check(&manifest, 16_000, &|| ()).len());
    println!("data hash {}", manifest.hash());

    let corpus = Corpus::new(manifest);
    let train = corpus.manifest().split(Split::Train);
    corpus.preload(&train)?;
    let vectors = SpeakerVectors::statistics(&corpus, &LogMel::new(LogMelConfig::default()), 160, Origin::MeanVoice)?;
    println!("the vector of `low` has {} values", vectors.of("low").map_or(0, <[f32]>::len));

    let lengths =
        train.iter().map(|&index| corpus.audio(index).map(|audio| [audio.len()])).collect::<Result<Vec<_>, _>>()?;
    let key = Key::new(1337);
    let sampler = BatchSampler::new(&lengths, Limits { max_tokens: 100_000, max_items: 8 }, key)?;
    for update in 0..sampler.batches_per_epoch() {
        let batch = sampler.at(update);
        let frames: Vec<usize> = batch.iter().map(|&index| lengths[index][0] / 320).collect();
        let size = frames.iter().copied().max().unwrap_or(0);
        let spans = SpanMask { probability: 0.8, length: 10, minimum: 2 };
        let masked = compute_mask_indices(&frames, size, spans, key.fold(update));
        let hidden = masked[0].iter().filter(|&&hidden| hidden).count();
        println!("update {update}: utterances {batch:?}, {hidden} of up to {size} frames hidden in each");
    }
    Ok(())
}
