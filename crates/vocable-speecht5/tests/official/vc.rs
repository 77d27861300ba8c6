//! Voice-conversion fine-tuning; its source waveforms are those of recognition.

use vocable_nets::SpeechMasks;
use vocable_nn::Mode;
use vocable_random::Key;
use vocable_speecht5::Preset;
use vocable_speecht5::batch::Waveforms;
use vocable_speecht5::vc::{VcBatch, VcConfig};

use super::folder::{Folder, device};
use super::report::Report;

pub fn check(folder: &Folder) -> Report {
    let case = folder.case("vc_finetune");
    let source = folder.case("asr_finetune").tensors;
    let recipe = VcConfig::base(Preset::Official);
    let mut report = Report::new(1e-5);
    for (prefix, mode) in [("", Mode::Eval), ("train.", Mode::Train(Key::new(0)))] {
        let core = folder.core(recipe.regularisation.extractor_gradient);
        let batch = VcBatch {
            input: Waveforms {
                samples: source.float("in.source", &device()),
                lengths: source.numbers("in.source_lengths"),
            },
            target: case.tensors.speech_target(folder.model().reduction, &device()),
        };
        let pass = recipe.pass(&core, &batch, None, mode);
        if prefix.is_empty() {
            let (samples, masks) = (batch.input.samples.clone(), SpeechMasks::default());
            let encoded = core.encode_speech(samples, &batch.input.lengths, None, &masks, mode);
            case.state(&mut report, prefix, "encoder_in", &encoded.input);
            case.state(&mut report, prefix, "encoder_out", &pass.memory);
        }
        case.speech(&mut report, prefix, "vc", &pass.losses, &pass.states, &pass.output);
        case.gradients(&mut report, prefix, &core, pass.losses.total);
    }
    // The second utterance alone.
    let core = folder.core(1.0);
    let length = source.numbers("in.source_lengths")[1];
    let samples = source.float::<2>("in.source", &device()).slice([1..2, 0..length]);
    let encoded = core.encode_speech(samples, &[length], None, &SpeechMasks::default(), Mode::Eval);
    let shift = case.numbers["gen"]["prob_out_bias_shift"].as_f64().expect("a number");
    case.generation(&mut report, "gen", core, &encoded.states, shift, &recipe.limits);
    report
}
