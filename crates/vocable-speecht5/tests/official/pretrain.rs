//! Joint pre-training: the speech and the text micro-batch.

use vocable_nn::Mode;
use vocable_objectives::quantizer::{Choices, Mixed};
use vocable_random::Key;
use vocable_speecht5::Pretrainer;
use vocable_speecht5::batch::Waveforms;
use vocable_speecht5::pretrain::{Forced, PretrainConfig, SpeechBatch, SpeechPart, TextBatch};
use vocable_speecht5::{ModelConfig, Preset, Regularisation};

use super::folder::{Case, Folder, device};
use super::report::Report;

fn config(folder: &Folder) -> PretrainConfig {
    let extractor_gradient = folder.argument("feature_grad_mult").as_f64().expect("a number");
    PretrainConfig {
        speech: Some(SpeechPart { label_width: folder.size("final"), ..SpeechPart::base() }),
        quantizer: Some(folder.quantizer()),
        regularisation: Regularisation { extractor_gradient, ..Regularisation::none() },
        ..PretrainConfig::base(Preset::Official)
    }
}

fn pretrainer(folder: &Folder, model: &ModelConfig, config: &PretrainConfig) -> Pretrainer {
    let clusters = folder.config["hubert_dictionary"].as_array().expect("a list").len() - 4;
    folder.fill(Pretrainer::new(model, config, folder.size("V"), 1, clusters, Key::new(0), &device()))
}

/// The reference's random choices; noise in training only.
fn forced(case: &Case, training: bool) -> Forced {
    let noise = training.then(|| case.tensors.values("in.gumbel_noise").data.clone());
    Forced {
        choices: Choices { mixed: Mixed::Shared(case.tensors.numbers("in.mix_indices")), noise },
        temperature: if training { case.number("temp") } else { 1.0 },
        quiet: true,
    }
}

/// Evaluation, and training where the case holds it.
fn modes(case: &Case) -> Vec<(&'static str, Mode)> {
    let mut modes = vec![("", Mode::Eval)];
    if case.numbers.get("train.loss").is_some() {
        modes.push(("train.", Mode::Train(Key::new(0))));
    }
    modes
}

pub fn speech(folder: &Folder, name: &str) -> Report {
    let case = folder.case(name);
    let (model, config) = (folder.model(), config(folder));
    let part = config.speech.clone().expect("the speech part");
    let mut report = Report::new(1e-5);
    for (prefix, mode) in modes(&case) {
        let module = pretrainer(folder, &model, &config);
        let tensors = &case.tensors;
        let batch = SpeechBatch {
            waveforms: Waveforms {
                samples: tensors.float("in.source", &device()),
                lengths: tensors.numbers("in.source_lengths"),
            },
            masked: tensors.mask_rows("in.time_mask"),
            classes: tensors.rows("in.target_list.0"),
            target: tensors.speech_target(model.reduction, &device()),
        };
        let forced = forced(&case, mode.is_train());
        let (losses, trace) = module.speech(&config, &part, &batch, 0, mode, Some(&forced));
        for (name, state) in &trace.states {
            case.state(&mut report, prefix, name, state);
        }
        if tensors.get("out.conv_features").is_some() && prefix.is_empty() {
            let features = module.core.speech_encoder_prenet.features(batch.waveforms.samples.clone(), None);
            case.state(&mut report, "", "conv_features", &features.0.swap_dims(1, 2));
        }
        for (ours, theirs) in [
            ("speech/mlm", "mlm_mean"),
            ("speech/feature_penalty", "features_pen"),
            ("speech/diversity", "diversity_loss"),
            ("speech/code_perplexity", "code_perplexity"),
            ("speech/soft_perplexity", "prob_perplexity"),
            ("speech/spectrogram_before", "l1_before"),
            ("speech/spectrogram_after", "l1_after"),
            ("speech/stop", "log.bce_loss"),
        ] {
            let value = losses.get(ours).unwrap_or_else(|| panic!("{ours} is not reported"));
            report.number(&format!("{prefix}{theirs}"), value, case.number(&format!("{prefix}{theirs}")));
        }
        let loss = f64::from(losses.total.clone().into_scalar::<f32>());
        report.number(&format!("{prefix}loss"), loss, case.number(&format!("{prefix}loss_per_sample_size")));
        case.gradients(&mut report, prefix, &module, losses.total);
        if mode.is_train() {
            case.buffers(&mut report, &module);
        }
    }
    report
}

pub fn text(folder: &Folder) -> Report {
    let case = folder.case("text_pretrain");
    let (model, config) = (folder.model(), config(folder));
    let mut report = Report::new(1e-5);
    for (prefix, mode) in modes(&case) {
        let module = pretrainer(folder, &model, &config);
        let tensors = &case.tensors;
        let batch = TextBatch {
            noised: tensors.tokens("in.src_tokens", &device()),
            input: tensors.tokens("in.prev_output_tokens", &device()),
            target: tensors.unpadded("in.target"),
        };
        let forced = forced(&case, mode.is_train());
        let (losses, trace) = module.text(&config, &batch, 0, mode, Some(&forced));
        for (name, state) in &trace.states {
            case.state(&mut report, prefix, name, state);
        }
        for (ours, theirs) in [
            ("text/cross_entropy", "nll_mean"),
            ("text/diversity", "diversity_loss"),
            ("text/code_perplexity", "code_perplexity"),
            ("text/soft_perplexity", "prob_perplexity"),
        ] {
            let value = losses.get(ours).unwrap_or_else(|| panic!("{ours} is not reported"));
            report.number(&format!("{prefix}{theirs}"), value, case.number(&format!("{prefix}{theirs}")));
        }
        let loss = f64::from(losses.total.clone().into_scalar::<f32>());
        report.number(&format!("{prefix}loss"), loss, case.number(&format!("{prefix}loss_per_sample_size")));
        case.gradients(&mut report, prefix, &module, losses.total);
    }
    report
}
