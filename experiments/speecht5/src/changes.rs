//! What rows change: a part of a configuration, where it has that part.

use vocable_objectives::quantizer::QuantizerConfig;
use vocable_speecht5::pretrain::{PretrainConfig, SpeechPart, TextPart};

use crate::config::RunConfig;

/// Changes pre-training.
pub fn pretraining(config: &mut RunConfig, change: impl FnOnce(&mut PretrainConfig)) {
    if let Some(pretrain) = &mut config.pretrain {
        change(&mut pretrain.task);
    }
}

/// Changes the quantizer of pre-training.
pub fn quantizer(config: &mut RunConfig, change: impl FnOnce(&mut QuantizerConfig)) {
    pretraining(config, |task| {
        if let Some(quantizer) = &mut task.quantizer {
            change(quantizer);
        }
    });
}

/// Changes pre-training on speech.
pub fn speech(config: &mut RunConfig, change: impl FnOnce(&mut SpeechPart)) {
    pretraining(config, |task| {
        if let Some(part) = &mut task.speech {
            change(part);
        }
    });
}

/// Changes pre-training on text.
pub fn text(config: &mut RunConfig, change: impl FnOnce(&mut TextPart)) {
    pretraining(config, |task| {
        if let Some(part) = &mut task.text {
            change(part);
        }
    });
}

/// The paper's baseline: HuBERT's encoder, and nothing else that is pre-trained.
pub fn from_hubert(config: &mut RunConfig) {
    (config.pretrain, config.from_hubert) = (None, true);
}
