//! Recognition fine-tuning.

use burn::tensor::activation::log_softmax;
use serde_json::Value;
use vocable_decode::{BeamConfig, Companions, CtcPrefixScorer, TextLimits, beam_search};
use vocable_nets::SpeechMasks;
use vocable_nn::Mode;
use vocable_random::Key;
use vocable_speecht5::Preset;
use vocable_speecht5::asr::{AsrBatch, AsrConfig};
use vocable_speecht5::batch::Waveforms;
use vocable_speecht5::decode::TextDecoding;

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
        case.state(&mut report, prefix, "ctc_logits", &pass.ctc_logits.expect("CTC has a weight"));
        case.state(&mut report, prefix, "logits", &pass.logits);
        let sentences = case.number(&format!("{prefix}log.nsentences"));
        for (ours, theirs) in [("asr/cross_entropy", "log.ce_loss"), ("asr/ctc", "log.ctc_loss")] {
            let value = pass.losses.get(ours).unwrap_or_else(|| panic!("{ours} is not reported"));
            let theirs = format!("{prefix}{theirs}");
            report.number(&theirs, value * sentences, case.number(&theirs));
        }
        if !mode.is_train() {
            let errors = pass.losses.get("asr/ctc_errors").expect("evaluation counts them");
            report.number("log.c_errors", errors * case.number("log.c_total"), case.number("log.c_errors"));
        }
        let loss = f64::from(pass.losses.total.clone().into_scalar::<f32>());
        report.number(&format!("{prefix}loss"), loss, case.number(&format!("{prefix}loss_per_sample_size")));
        case.gradients(&mut report, prefix, &core, pass.losses.total);
    }
    report
}

/// Beam search of each utterance alone.
///
/// With a small beam the official code leaves tokens beyond its CTC candidates their unscaled decoder score; where that
/// changed its result (it also lists the search with all tokens scored) there is nothing to agree with.
pub fn beam(folder: &Folder) -> Report {
    let case = folder.case("asr_finetune");
    let core = folder.core(1.0);
    let device = device().inner();
    let (end, blank, mask) = (2, folder.size("blank_idx") as u32, folder.size("mask_idx") as u32);
    let samples = case.tensors.float::<2>("in.source", &device);
    let lengths = case.tensors.numbers("in.source_lengths");
    let searches = case.numbers["beam"].as_array().expect("a list of searches");
    let mut report = Report::new(1e-5);
    for search in searches {
        let number = |name: &str| search[name].as_f64().unwrap_or_else(|| panic!("a search has no {name}"));
        let (utterance, beam, weight) = (number("utterance") as usize, number("beam") as usize, number("ctc_weight"));
        let same = |other: &&Value| ["utterance", "beam", "ctc_weight"].iter().all(|key| other[*key] == search[*key]);
        if searches
            .iter()
            .filter(same)
            .any(|other| other["hypotheses"] != search["hypotheses"] && search["official"] == true)
        {
            continue;
        }
        let length = lengths[utterance];
        let alone = samples.clone().narrow(0, utterance, 1).narrow(1, 0, length);
        let encoded = core.encode_speech(alone, &[length], None, &SpeechMasks::default(), Mode::Eval);
        let ctc = log_softmax(core.ctc_logits(encoded.states.clone(), Mode::Eval), 2);
        let classes = ctc.dims()[2];
        let scorer = CtcPrefixScorer::new(&ctc.try_into_vec_as::<f32>().unwrap(), classes, blank, end);
        let limits = TextLimits { start: end, end, min_length: 1, max_length: number("max_len_b") as usize };
        let candidates = (number("ctc_candidates") as usize).div_ceil(beam);
        let config = BeamConfig { ctc_weight: weight, candidates, ..BeamConfig::attention(beam) };
        let companions = Companions { ctc: &[scorer], language_model: None };
        let mut stepper = TextDecoding::new(&core, &encoded.states, &encoded.lengths);
        let found = beam_search(&mut stepper, companions, 1, &limits, &[1, blank, mask], &config).remove(0);
        let expected = search["hypotheses"].as_array().expect("a list of hypotheses");
        for (n, (found, expected)) in found.iter().zip(expected).enumerate() {
            let name = format!("utterance {utterance}, beam {beam}, CTC {weight}, hypothesis {n}");
            let tokens: Vec<u64> = found.tokens.iter().chain([&end]).map(|&token| token.into()).collect();
            let theirs = expected["tokens"].as_array().expect("tokens").iter();
            let theirs: Vec<u64> = theirs.map(|token| token.as_u64().expect("a token")).collect();
            report.equal(&format!("{name}: tokens"), tokens, theirs);
            report.number(&format!("{name}: score"), found.score, expected["score"].as_f64().expect("a score"));
        }
    }
    report
}
