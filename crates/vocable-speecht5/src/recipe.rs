//! The step loop's part of every task's recipe (spec sections 5.4 and 6) under a preset's switches: updates, rates,
//! schedules, optimisers. transformers trains nothing, so that preset `hf` is the paper's.

use vocable_train::{Best, Decay, Direction, OptimiserConfig, Outcome, Schedule, TrainConfig};

use crate::Preset;

/// Joint pre-training, which the official code does for longer (table D22).
pub fn pretraining(preset: Preset) -> TrainConfig {
    let updates = if preset == Preset::Official { 800_000 } else { 500_000 };
    train(updates, 2e-4, Schedule::Linear { warmup: 0.08 }, 1e-6, 0.01, 5.0)
}

/// Recognition after 100 hours; the decay after the hold is the paper's line or fairseq's curve (table D40).
pub fn recognition(preset: Preset) -> TrainConfig {
    recognising(preset, 80_000, 6e-5)
}

/// Recognition after all 960 hours of LibriSpeech.
pub fn recognition_960(preset: Preset) -> TrainConfig {
    recognising(preset, 320_000, 1.3e-4)
}

/// The language model that recognition is decoded with; how the official one was trained is not published.
pub fn language_model() -> TrainConfig {
    let train = train(100_000, 5e-4, Schedule::InverseSqrt { warmup: 0.04 }, 1e-8, 0.01, 1.0);
    let least = Best { metric: "lm/cross_entropy".into(), direction: Direction::Lower };
    TrainConfig { outcome: Outcome::Best(least), ..train }
}

/// Synthesis (table D35).
pub fn synthesis(preset: Preset) -> TrainConfig {
    let rate = if preset == Preset::Official { 1e-4 } else { 4e-4 };
    train(120_000, rate, Schedule::InverseSqrt { warmup: 1.0 / 12.0 }, 1e-8, 0.0, 25.0)
}

/// Translation, whose result is the mean of the last ten checkpoints (table D36).
pub fn translation(preset: Preset) -> TrainConfig {
    let warmup = if preset == Preset::Official { 25.0 / 80.0 } else { 10.0 / 80.0 };
    let train = train(80_000, 2e-4, Schedule::InverseSqrt { warmup }, 1e-8, 0.0, 10.0);
    TrainConfig { keep_last: 10, outcome: Outcome::Mean { checkpoints: 10 }, ..train }
}

/// Voice conversion, the same under all presets.
pub fn conversion() -> TrainConfig {
    train(60_000, 1e-4, Schedule::InverseSqrt { warmup: 0.1 }, 1e-8, 0.0, 1.0)
}

/// Enhancement, of which the paper alone says anything.
pub fn enhancement() -> TrainConfig {
    train(100_000, 1e-4, Schedule::InverseSqrt { warmup: 0.1 }, 1e-8, 0.0, 1.0)
}

/// Speaker identification (table D37).
pub fn identification(preset: Preset) -> TrainConfig {
    let rate = if preset == Preset::Official { 2e-4 } else { 5e-4 };
    best("sid/accuracy", train(60_000, rate, Schedule::Triangular { minimum: 1e-8, period: 1.0 }, 1e-8, 0.1, 0.0))
}

fn recognising(preset: Preset, updates: usize, rate: f64) -> TrainConfig {
    let decay = if preset == Preset::Official { Decay::Exponential } else { Decay::Linear };
    let schedule = Schedule::TriStage { warmup: 0.1, hold: 0.4, initial: 0.01, last: 0.05, decay };
    best("asr/accuracy", train(updates, rate, schedule, 1e-8, 0.1, 25.0))
}

fn train(updates: usize, rate: f64, schedule: Schedule, eps: f64, weight_decay: f64, clip: f64) -> TrainConfig {
    let optimiser = OptimiserConfig { beta1: 0.9, beta2: 0.98, eps, weight_decay, clip };
    TrainConfig {
        validate_every: (updates / 20).max(1),
        checkpoint_every: (updates / 20).max(1),
        ..TrainConfig::new(updates, rate, schedule, optimiser)
    }
}

/// The checkpoint with the highest `metric` in validation is the result.
fn best(metric: &str, train: TrainConfig) -> TrainConfig {
    TrainConfig { outcome: Outcome::Best(Best { metric: metric.into(), direction: Direction::Higher }), ..train }
}
