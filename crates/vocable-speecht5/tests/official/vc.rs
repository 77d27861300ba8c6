//! Voice-conversion fine-tuning; its source waveforms are those of recognition.

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
    let mut report = Report::default();
    for (prefix, mode) in [("", Mode::Eval), ("train.", Mode::Train(Key::new(0)))] {
        let core = folder.core(recipe.regularisation.extractor_gradient);
        let batch = VcBatch {
            waveforms: Waveforms {
                samples: source.float("in.source", &device()),
                lengths: source.numbers("in.source_lengths"),
            },
            target: case.tensors.speech_target(folder.model().reduction, &device()),
        };
        let pass = recipe.pass(&core, &batch, None, mode);
        if prefix.is_empty() {
            case.state(&mut report, prefix, "encoder_in", &pass.encoded.input);
            case.state(&mut report, prefix, "encoder_out", &pass.encoded.states);
            case.state(&mut report, prefix, "decoder_out", &pass.states);
            case.state(&mut report, prefix, "mel_before", &pass.output.before);
            case.state(&mut report, prefix, "mel_after", &pass.output.after);
            case.state(&mut report, prefix, "stop_logits", &pass.output.stop);
        }
        for (ours, theirs) in [
            ("vc/spectrogram_before", "l1_before"),
            ("vc/spectrogram_after", "l1_after"),
            ("vc/stop", "log.bce_loss"),
            ("vc/guided_attention", "log.enc_dec_attn_loss"),
        ] {
            let value = pass.losses.get(ours).unwrap_or_else(|| panic!("{ours} is not reported"));
            report.number(&format!("{prefix}{theirs}"), value, case.number(&format!("{prefix}{theirs}")));
        }
        let loss = f64::from(pass.losses.total.clone().into_scalar::<f32>());
        report.number(&format!("{prefix}loss"), loss, case.number(&format!("{prefix}loss_per_sample_size")));
        case.gradients(&mut report, prefix, &core, pass.losses.total);
    }
    report
}
