//! Recognition fine-tuning.

use vocable_nets::SpeechMasks;
use vocable_nn::Mode;
use vocable_random::Key;
use vocable_speecht5::Preset;
use vocable_speecht5::asr::{AsrBatch, AsrConfig};
use vocable_speecht5::batch::Waveforms;

use super::folder::{Folder, device};
use super::report::Report;

pub fn check(folder: &Folder) -> Report {
    let case = folder.case("asr_finetune");
    let recipe = AsrConfig::base(Preset::Official);
    let (eos, blank) = (2, folder.size("blank_idx") as u32);
    let mut report = Report::new(1e-5);
    for (prefix, mode) in [("", Mode::Eval), ("train.", Mode::Train(Key::new(0)))] {
        let core = folder.core(recipe.regularisation.extractor_gradient);
        let tensors = &case.tensors;
        let masks = match mode.is_train() {
            true => SpeechMasks {
                time: Some(tensors.mask("train.in.time_mask", &device())),
                channel: Some(tensors.mask("train.in.channel_mask", &device())),
            },
            false => SpeechMasks::default(),
        };
        let batch = AsrBatch {
            waveforms: Waveforms {
                samples: tensors.float("in.source", &device()),
                lengths: tensors.numbers("in.source_lengths"),
            },
            masks,
            input: tensors.tokens("in.prev_output_tokens", &device()),
            target: tensors.unpadded("in.target"),
        };
        let pass = recipe.pass(&core, &batch, eos, blank, false, mode);
        case.state(&mut report, prefix, "encoder_in", &pass.encoded.input);
        case.state(&mut report, prefix, "encoder_out", &pass.encoded.states);
        case.state(&mut report, prefix, "ctc_logits", &pass.ctc_logits);
        case.state(&mut report, prefix, "logits", &pass.logits);
        let sentences = case.number(&format!("{prefix}log.nsentences"));
        for (ours, theirs) in [("asr/cross_entropy", "log.ce_loss"), ("asr/ctc", "log.ctc_loss")] {
            let value = pass.losses.get(ours).unwrap_or_else(|| panic!("{ours} is not reported"));
            let theirs = format!("{prefix}{theirs}");
            report.number(&theirs, value * sentences, case.number(&theirs));
        }
        let loss = f64::from(pass.losses.total.clone().into_scalar::<f32>());
        report.number(&format!("{prefix}loss"), loss, case.number(&format!("{prefix}loss_per_sample_size")));
        case.gradients(&mut report, prefix, &core, pass.losses.total);
    }
    report
}
