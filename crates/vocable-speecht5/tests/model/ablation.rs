//! Each switch of the ablation removes exactly its terms from the loss report (spec sections 11 and 13.11).

use vocable_nn::Mode;
use vocable_random::Key;
use vocable_speecht5::pretrain::PretrainConfig;

use super::tiny::{pretrainer, pretraining, speech_batch, text_batch};

fn terms(config: &PretrainConfig) -> Vec<String> {
    let model = pretrainer(config);
    let mode = Mode::Train(Key::new(5));
    let mut names = Vec::new();
    if let Some(part) = &config.speech {
        let (losses, _) = model.speech(config, part, &speech_batch(), 0, mode, None);
        names.extend(losses.terms.into_iter().map(|(name, _)| name));
    }
    if config.text.is_some() {
        let (losses, _) = model.text(config, &text_batch(), 0, mode, None);
        names.extend(losses.terms.into_iter().map(|(name, _)| name));
    }
    names
}

#[test]
fn every_row_loses_its_terms_and_no_others() {
    let full = pretraining();
    let all = terms(&full);
    assert_eq!(
        all,
        [
            "speech/mlm",
            "speech/mlm_accuracy",
            "speech/mlm_unmasked",
            "speech/mlm_unmasked_accuracy",
            "speech/feature_penalty",
            "speech/diversity",
            "speech/code_perplexity",
            "speech/soft_perplexity",
            "speech/spectrogram_before",
            "speech/spectrogram_after",
            "speech/stop",
            "text/diversity",
            "text/code_perplexity",
            "text/soft_perplexity",
            "text/cross_entropy",
            "text/accuracy",
        ]
    );
    let without = |gone: fn(&str) -> bool| all.iter().filter(|name| !gone(name)).cloned().collect::<Vec<_>>();
    let no_speech = PretrainConfig { speech: None, ..full.clone() };
    assert_eq!(terms(&no_speech), without(|name| name.starts_with("speech/")));
    let no_text = PretrainConfig { text: None, ..full.clone() };
    assert_eq!(terms(&no_text), without(|name| name.starts_with("text/")));
    let no_joint = PretrainConfig { quantizer: None, ..full.clone() };
    assert_eq!(terms(&no_joint), without(|name| name.contains("diversity") || name.contains("perplexity")));
    let mut no_mlm = full.clone();
    no_mlm.speech.as_mut().unwrap().mlm = 0.0;
    assert_eq!(terms(&no_mlm), without(|name| name.contains("/mlm")));
}
