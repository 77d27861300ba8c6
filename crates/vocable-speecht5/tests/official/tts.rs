//! Synthesis fine-tuning.

use vocable_decode::SpeechLimits;
use vocable_nn::Mode;
use vocable_random::Key;
use vocable_speecht5::Preset;
use vocable_speecht5::tts::{TtsBatch, TtsConfig};

use super::folder::{Folder, device};
use super::report::Report;

pub fn check(folder: &Folder) -> Report {
    let case = folder.case("tts_finetune");
    let recipe = TtsConfig::base(Preset::Official);
    let mut report = Report::new(1e-5);
    for (prefix, mode) in [("", Mode::Eval), ("train.", Mode::Train(Key::new(0)))] {
        let core = folder.core(recipe.regularisation.extractor_gradient);
        let batch = TtsBatch {
            input: case.tensors.tokens("in.src_tokens", &device()),
            target: case.tensors.speech_target(folder.model().reduction, &device()),
        };
        let pass = recipe.pass(&core, &batch, None, mode);
        if prefix.is_empty() {
            case.state(&mut report, prefix, "encoder_out", &pass.memory);
        }
        case.speech(&mut report, prefix, "tts", &pass.losses, &pass.states, &pass.output);
        case.gradients(&mut report, prefix, &core, pass.losses.total);
        if mode.is_train() {
            case.buffers(&mut report, &core);
        }
    }
    let core = folder.core(1.0);
    let tokens = case.tensors.tokens("gen.in.src_tokens", &device());
    let memory = core.encode_text(&tokens, Mode::Eval);
    // The official code takes a threshold for the two length ratios as well.
    let thrice = SpeechLimits { threshold: 0.9, min_ratio: 0.9, max_ratio: 0.9, ..recipe.limits };
    for (name, limits) in [("gen", recipe.limits), ("gen_max", recipe.limits), ("gen_thr09", thrice)] {
        let shift = case.numbers[name]["prob_out_bias_shift"].as_f64().expect("a number");
        case.generation(&mut report, name, core.clone(), &memory, shift, &limits);
    }
    report
}
