//! Speaker-identification fine-tuning; its waveforms are those of recognition, its head comes with the case.

use vocable_nets::SpeechMasks;
use vocable_nn::{Init, Mode};
use vocable_random::Key;
use vocable_speecht5::SpeakerClassifier;
use vocable_speecht5::batch::Waveforms;
use vocable_speecht5::checkpoint::Checkpoint;
use vocable_speecht5::sid;

use super::folder::{Folder, device};
use super::report::Report;

pub fn check(folder: &Folder) -> Report {
    let case = folder.case("sid_finetune");
    let source = folder.case("asr_finetune").tensors;
    let classes = case.numbers["dictionary"].as_array().expect("a list").len();
    let core = folder.core(1.0);
    let classifier = SpeakerClassifier::new(core, folder.size("d"), classes, &Init::new(Key::new(0), &device()));
    // The head alone, under the name that it has in a file.
    let head = tempfile::NamedTempFile::new().unwrap();
    let name = "speaker_decoder_postnet.output_projection.weight";
    case.tensors.save(&format!("weight.{name}"), name, head.path());
    let (classifier, report) = Checkpoint::open(head.path()).unwrap().load(classifier).unwrap();
    assert!(!report.absent.contains(&"head".into()) && report.reshaped.is_empty(), "{report:?}");

    let waveforms =
        Waveforms { samples: source.float("in.source", &device()), lengths: source.numbers("in.source_lengths") };
    let mut report = Report::new(1e-5);
    let core = &classifier.core;
    let encoded =
        core.encode_speech(waveforms.samples.clone(), &waveforms.lengths, None, &SpeechMasks::default(), Mode::Eval);
    case.state(&mut report, "", "encoder_in", &encoded.input);
    case.state(&mut report, "", "encoder_out", &encoded.states);
    let states = classifier.states(waveforms.samples.clone(), &waveforms.lengths, Mode::Eval);
    case.state(&mut report, "", "pooled", &states.clone().mean_dim(1));
    case.state(&mut report, "", "logits", &classifier.head.forward(states));
    let speakers: Vec<u32> = case.tensors.rows("in.target").into_iter().map(|row| row[0]).collect();
    let losses = sid::pass(&classifier, &waveforms, &speakers, None, Mode::Eval);
    let loss = f64::from(losses.total.clone().into_scalar::<f32>());
    report.number("loss", loss, case.number("loss_per_sample_size"));
    case.gradients(&mut report, "", &classifier, losses.total);
    report
}
