//! The tables, with the numbers the paper printed.

use std::rc::Rc;

use vocable_data::corpus::RATE;
use vocable_data::manifest::{Language, Split};
use vocable_lab::Table;
use vocable_metrics::BleuCounts;
use vocable_objectives::Margin;
use vocable_speecht5::se::{Noise, Noisy};
use vocable_speecht5::tts::Text;
use vocable_speecht5::vc::Speech;
use vocable_text::SubwordKind;
use vocable_train::Outcome;

use crate::changes::{from_hubert, pretraining, speech};
use crate::config::RunConfig;
use crate::pipeline::{Modality, Pipeline};
use crate::validate::validate;
use crate::{columns, scales, sweeps};

/// Every table of this program.
pub fn all() -> Vec<Table<RunConfig>> {
    let pipeline = Rc::new(Pipeline::new());
    let paper = vec![
        ablation(&pipeline),
        language_model(&pipeline),
        language_model_960(&pipeline),
        diagnostics(&pipeline),
        translation(&pipeline),
        synthesis(&pipeline),
        conversion(&pipeline),
        enhancement(&pipeline),
        identification(&pipeline),
    ];
    paper.into_iter().chain(sweeps::all(&pipeline)).collect()
}

/// The rows of the ablation (spec section 11).
fn rows(table: Table<RunConfig>) -> Table<RunConfig> {
    table
        .row("SpeechT5", |_| {})
        .row("w/o speech PT", |c| pretraining(c, |task| task.speech = None))
        .row("w/o text PT", |c| pretraining(c, |task| task.text = None))
        .row("w/o joint PT", |c| pretraining(c, |task| task.quantizer = None))
        .row("w/o L_mlm", |c| speech(c, |part| part.mlm = 0.0))
        .own_row("no pre-training", |c| c.pretrain = None)
}

/// Table 5 of the paper: what each part of the pre-training contributes (spec section 11).
fn ablation(pipeline: &Rc<Pipeline>) -> Table<RunConfig> {
    let data = Rc::clone(pipeline);
    let table = Table::new("ablation", "What each part of the pre-training contributes")
        .base(scales::base)
        .validate(validate)
        .caption(move |c| caption(c, data.data_hash(&c.data).as_deref()))
        .source("Ao et al. 2022, ablation study");
    rows(table)
        .column(columns::recognised(pipeline, "ASR clean", "wer", Split::TestClean))
        .column(columns::recognised(pipeline, "ASR other", "wer", Split::TestOther))
        .column(columns::sounds::<Speech>(pipeline, "VC", "mcd"))
        .column(columns::identified(pipeline, "SID", "accuracy"))
        .column(columns::identified(pipeline, "SID in noise", "noisy_accuracy"))
        .paper("SpeechT5", "ASR clean", 4.4)
        .paper("SpeechT5", "ASR other", 10.7)
        .paper("SpeechT5", "VC", 5.93)
        .paper("SpeechT5", "SID", 96.49)
        .paper("w/o speech PT", "ASR clean", "no convergence")
        .paper("w/o speech PT", "ASR other", "no convergence")
        .paper("w/o speech PT", "VC", 6.49)
        .paper("w/o speech PT", "SID", 38.61)
        .paper("w/o text PT", "ASR clean", 5.4)
        .paper("w/o text PT", "ASR other", 12.8)
        .paper("w/o text PT", "VC", 6.03)
        .paper("w/o text PT", "SID", 95.60)
        .paper("w/o joint PT", "ASR clean", 4.6)
        .paper("w/o joint PT", "ASR other", 11.3)
        .paper("w/o joint PT", "VC", 6.18)
        .paper("w/o joint PT", "SID", 95.54)
        .paper("w/o L_mlm", "ASR clean", 7.6)
        .paper("w/o L_mlm", "ASR other", 22.4)
        .paper("w/o L_mlm", "VC", 6.29)
        .paper("w/o L_mlm", "SID", 90.91)
}

/// Recognition without and with a language model, fine-tuned on 100 hours (table 1 of the paper); it shares all of the
/// ablation's training.
fn language_model(pipeline: &Rc<Pipeline>) -> Table<RunConfig> {
    let data = Rc::clone(pipeline);
    Table::new("lm", "What a language model adds to recognition")
        .base(scales::base)
        .validate(validate)
        .caption(move |c| {
            let fused = lm_caption(c, HUNDRED_HOURS, data.data_hash(&c.data).as_deref());
            format!(
                "{fused} The paper's numbers are on LibriSpeech, after fine-tuning on 100 hours, and are not comparable in level."
            )
        })
        .source("Ao et al. 2022, recognition after fine-tuning on 100 hours")
        .row("SpeechT5", |c| HUNDRED_HOURS.search(c, false))
        .row("SpeechT5 + LM", |c| HUNDRED_HOURS.search(c, true))
        .row("encoder from HuBERT", |c| {
            HUNDRED_HOURS.search(c, false);
            from_hubert(c);
        })
        .row("encoder from HuBERT + LM", |c| {
            HUNDRED_HOURS.search(c, true);
            from_hubert(c);
        })
        .others_row("wav2vec 2.0 BASE")
        .others_row("HuBERT BASE")
        .others_row("DiscreteBERT + 4-gram")
        .others_row("wav2vec 2.0 BASE + 4-gram")
        .others_row("HuBERT BASE + 4-gram")
        .others_row("wav2vec 2.0 BASE + LM")
        .column(columns::recognised(pipeline, "ASR clean", "wer", Split::TestClean))
        .column(columns::recognised(pipeline, "ASR other", "wer", Split::TestOther))
        .column(columns::guessed(pipeline, "LM"))
        .paper("SpeechT5", "ASR clean", 4.4)
        .paper("SpeechT5", "ASR other", 10.4)
        .paper("SpeechT5 + LM", "ASR clean", 2.4)
        .paper("SpeechT5 + LM", "ASR other", 5.8)
        .paper("encoder from HuBERT", "ASR clean", 5.0)
        .paper("encoder from HuBERT", "ASR other", 11.9)
        .paper("encoder from HuBERT + LM", "ASR clean", 2.5)
        .paper("encoder from HuBERT + LM", "ASR other", 6.3)
        .paper("wav2vec 2.0 BASE", "ASR clean", 6.1)
        .paper("wav2vec 2.0 BASE", "ASR other", 13.3)
        .paper("HuBERT BASE", "ASR clean", 5.8)
        .paper("HuBERT BASE", "ASR other", 13.3)
        .paper("DiscreteBERT + 4-gram", "ASR clean", 4.5)
        .paper("DiscreteBERT + 4-gram", "ASR other", 12.1)
        .paper("wav2vec 2.0 BASE + 4-gram", "ASR clean", 3.4)
        .paper("wav2vec 2.0 BASE + 4-gram", "ASR other", 8.0)
        .paper("HuBERT BASE + 4-gram", "ASR clean", 3.4)
        .paper("HuBERT BASE + 4-gram", "ASR other", 8.1)
        .paper("wav2vec 2.0 BASE + LM", "ASR clean", 2.6)
        .paper("wav2vec 2.0 BASE + LM", "ASR other", 6.3)
}

/// The same, fine-tuned on 960 hours (table 2 of the paper): the manifest decides how many there are, the table how long they
/// are learned from at scale `base` and how they are searched.
fn language_model_960(pipeline: &Rc<Pipeline>) -> Table<RunConfig> {
    let data = Rc::clone(pipeline);
    Table::new("lm-960", "What a language model adds to recognition that learnt from much speech")
        .base(scales::base_960)
        .validate(validate)
        .caption(move |c| lm_caption(c, ALL_HOURS, data.data_hash(&c.data).as_deref()))
        .row("SpeechT5", |c| ALL_HOURS.search(c, false))
        .row("SpeechT5 + LM", |c| ALL_HOURS.search(c, true))
        .column(columns::recognised(pipeline, "ASR clean", "wer", Split::TestClean))
        .column(columns::recognised(pipeline, "ASR other", "wer", Split::TestOther))
}

/// The weights of the paper's search (spec section 7.1).
#[derive(Clone, Copy)]
struct Weights {
    ctc: f64,
    lm: f64,
}

const HUNDRED_HOURS: Weights = Weights { ctc: 0.5, lm: 1.0 };
const ALL_HOURS: Weights = Weights { ctc: 0.1, lm: 0.7 };

impl Weights {
    fn search(self, c: &mut RunConfig, lm: bool) {
        c.evaluation.search.ctc_weight = self.ctc;
        c.evaluation.search.lm_weight = if lm { self.lm } else { 0.0 };
    }
}

/// What the ablation's numbers rest on; it shares all of its training.
fn diagnostics(pipeline: &Rc<Pipeline>) -> Table<RunConfig> {
    let table = Table::new("diagnostics", "What the ablation's numbers rest on")
        .base(scales::base)
        .validate(validate)
        .caption(diagnostics_caption);
    rows(table)
        .column(columns::recognised(pipeline, "CTC clean", "ctc_wer", Split::TestClean))
        .column(columns::recognised(pipeline, "CTC other", "ctc_wer", Split::TestOther))
        .column(columns::recognised(pipeline, "attention clean", "attention_wer", Split::TestClean))
        .column(columns::recognised(pipeline, "attention other", "attention_wer", Split::TestOther))
        .column(columns::sounds::<Speech>(pipeline, "VC unconverted", "source_mcd"))
        .column(columns::ended::<Speech>(pipeline, "VC ended"))
        .column(columns::codes(pipeline, "codes speech", "speech", Modality::Speech))
        .column(columns::codes(pipeline, "codes text", "text", Modality::Text))
}

/// A table of one task: the full model beside one without pre-training and the paper's baseline, whose encoder is HuBERT's.
fn task(name: &'static str, title: &'static str, caption: fn(&RunConfig) -> String) -> Table<RunConfig> {
    Table::new(name, title)
        .base(scales::base)
        .validate(validate)
        .caption(caption)
        .row("SpeechT5", |_| {})
        .own_row("no pre-training", |c| c.pretrain = None)
        .row("encoder from HuBERT", from_hubert)
}

/// How to read what the tasks that end in speech are scored by.
const HOW_SCORED: &str = "WER: words that the recogniser of the ablation's full model makes of it, Griffin-Lim's sound for \
                     log-mels. MCD: mel-cepstral distance from the log-mel, not WORLD's. Ended: by the stop rule, not at \
                     the length limit. Judge: a program of others, named by the configuration (`judge`).";

/// Translation into German and French (spec section 6.3).
fn translation(pipeline: &Rc<Pipeline>) -> Table<RunConfig> {
    task("st", "Translation: English speech into German and French text", |c| {
        format!(
            "BLEU: {}. Beam search (beam {}), {}; the result is {}. The paper's numbers are on MuST-C.",
            BleuCounts::SIGNATURE,
            c.evaluation.translation.beam,
            match (c.st.task.output.pieces, c.st.task.output.subwords) {
                (Some(pieces), SubwordKind::Bpe) => format!("at most {pieces} byte pairs"),
                (Some(pieces), SubwordKind::Unigram) => format!("at most {pieces} pieces of a unigram model"),
                (None, _) => "characters".into(),
            },
            match c.st.train.outcome {
                Outcome::Mean { .. } => format!("the mean of the last {} checkpoints", c.st.train.averaged()),
                Outcome::Best(_) => "the best checkpoint".into(),
                Outcome::Last => "the last checkpoint".into(),
            }
        )
    })
    .source("Ao et al. 2022, speech translation")
    .column(columns::translated(pipeline, "en-de", "bleu", Language::German))
    .column(columns::translated(pipeline, "en-fr", "bleu", Language::French))
    .column(columns::translated(pipeline, "en-de greedy", "greedy_bleu", Language::German))
    .column(columns::translated(pipeline, "en-fr greedy", "greedy_bleu", Language::French))
    .row("w/o initializing decoder", |c| c.initial_decoder = true)
    .others_row("Fairseq ST")
    .others_row("ESPnet ST")
    .others_row("adapter tuning")
    .paper("SpeechT5", "en-de", 25.18)
    .paper("SpeechT5", "en-fr", 35.30)
    .paper("encoder from HuBERT", "en-de", 23.43)
    .paper("encoder from HuBERT", "en-fr", 33.76)
    .paper("w/o initializing decoder", "en-de", 24.44)
    .paper("w/o initializing decoder", "en-fr", 34.5)
    .paper("Fairseq ST", "en-de", 22.70)
    .paper("Fairseq ST", "en-fr", 32.90)
    .paper("ESPnet ST", "en-de", 22.91)
    .paper("ESPnet ST", "en-fr", 32.69)
    .paper("adapter tuning", "en-de", 24.63)
    .paper("adapter tuning", "en-fr", 34.98)
}

/// Synthesis (spec section 6.2).
fn synthesis(pipeline: &Rc<Pipeline>) -> Table<RunConfig> {
    task("tts", "Synthesis: texts read aloud", |_| {
        format!(
            "Test texts in the voices of their recordings. The paper's numbers are opinions of listeners (MOS: SpeechT5 3.65, \
             encoder from HuBERT 3.56, recordings 3.87). {HOW_SCORED}"
        )
    })
    .column(columns::words::<Text>(pipeline, "TTS", "wer"))
    .column(columns::words::<Text>(pipeline, "recordings", "target_wer"))
    .column(columns::sounds::<Text>(pipeline, "distance", "mcd"))
    .column(columns::focused::<Text>(pipeline, "attention focus"))
    .column(columns::ended::<Text>(pipeline, "ended"))
    .column(columns::judged::<Text>(pipeline))
}

/// Voice conversion (spec section 6.4).
fn conversion(pipeline: &Rc<Pipeline>) -> Table<RunConfig> {
    task("vc", "Voice conversion: the same sentence in another voice", |_| {
        format!(
            "All pairs of voices; the paper's numbers are bdl to slt of CMU Arctic, in WORLD's distance. {HOW_SCORED}"
        )
    })
    .source("Ao et al. 2022, voice conversion")
    .column(columns::sounds::<Speech>(pipeline, "VC", "mcd"))
    .column(columns::sounds::<Speech>(pipeline, "unconverted", "source_mcd"))
    .column(columns::words::<Speech>(pipeline, "VC words", "wer"))
    .column(columns::words::<Speech>(pipeline, "source words", "source_wer"))
    .column(columns::ended::<Speech>(pipeline, "ended"))
    .column(columns::judged::<Speech>(pipeline))
    .others_row("VTN with ASR")
    .others_row("VTN with TTS")
    .others_row("many-to-many VTN")
    .paper("SpeechT5", "VC", 5.93)
    .paper("SpeechT5", "VC words", 7.8)
    .paper("encoder from HuBERT", "VC", 6.26)
    .paper("encoder from HuBERT", "VC words", 21.5)
    .paper("VTN with ASR", "VC", 6.50)
    .paper("VTN with ASR", "VC words", 11.1)
    .paper("VTN with TTS", "VC", 6.33)
    .paper("VTN with TTS", "VC words", 7.6)
    .paper("many-to-many VTN", "VC", 6.13)
}

/// Enhancement (spec section 6.5).
fn enhancement(pipeline: &Rc<Pipeline>) -> Table<RunConfig> {
    task("se", "Enhancement: speech in noise becomes the speech alone", |c| {
        let Noisy { noise, snr: [lowest, highest], predict, .. } = c.se.task.input;
        format!(
            "Noise: {}, {lowest} to {highest} dB below the speech; prediction: {predict:?}. The paper's number is on WHAM!. \
             {HOW_SCORED}",
            match noise {
                Noise::White => "white",
                Noise::Babble => "four other utterances",
                Noise::Recordings => "recordings of places and things",
            }
        )
    })
    .source("Ao et al. 2022, enhancement")
    .column(columns::words::<Noisy>(pipeline, "SE", "wer"))
    .column(columns::words::<Noisy>(pipeline, "in noise", "source_wer"))
    .column(columns::words::<Noisy>(pipeline, "recordings", "target_wer"))
    .column(columns::sounds::<Noisy>(pipeline, "distance", "mcd"))
    .column(columns::sounds::<Noisy>(pipeline, "distance in noise", "source_mcd"))
    .column(columns::ended::<Noisy>(pipeline, "ended"))
    .column(columns::judged::<Noisy>(pipeline))
    .paper("SpeechT5", "SE", 8.9)
    .paper("SpeechT5", "in noise", 76.1)
    .paper("SpeechT5", "recordings", 3.2)
    .paper("encoder from HuBERT", "SE", 10.9)
}

/// Speaker identification (spec section 6.6), with the linear head and with margins.
fn identification(pipeline: &Rc<Pipeline>) -> Table<RunConfig> {
    task("sid", "Speaker identification: which of the training voices speaks", |c| {
        format!(
            "In noise: {}. EER: equal-error rate over every two of the test utterances, whose decoder states are compared by \
             their cosine. The paper's number is on VoxCeleb1.",
            in_noise(c)
        )
    })
    .source("Ao et al. 2022, speaker identification")
    .own_row("AM-softmax", |c| c.sid.task.margin = Some(Margin::usual()))
    .column(columns::identified(pipeline, "SID", "accuracy"))
    .column(columns::identified(pipeline, "SID in noise", "noisy_accuracy"))
    .column(columns::verified(pipeline, "EER"))
    .others_row("wav2vec 2.0 BASE (SUPERB)")
    .others_row("HuBERT BASE (SUPERB)")
    .others_row("HuBERT LARGE (SUPERB)")
    .others_row("SpeechNet, this task alone")
    .others_row("SpeechNet, with TTS")
    .others_row("thin ResNet-34")
    .paper("SpeechT5", "SID", 96.49)
    .paper("encoder from HuBERT", "SID", 91.92)
    .paper("wav2vec 2.0 BASE (SUPERB)", "SID", 75.18)
    .paper("HuBERT BASE (SUPERB)", "SID", 81.42)
    .paper("HuBERT LARGE (SUPERB)", "SID", 90.33)
    .paper("SpeechNet, this task alone", "SID", 86.00)
    .paper("SpeechNet, with TTS", "SID", 87.90)
    .paper("thin ResNet-34", "SID", 89.00)
}

/// What identification hears in the harder of its tests.
fn in_noise(c: &RunConfig) -> String {
    let seconds = c.evaluation.noisy_segment as f64 / f64::from(RATE);
    format!("crops of {seconds} s in white noise at {} dB", c.evaluation.noisy_snr)
}

/// How to read the diagnostics.
fn diagnostics_caption(config: &RunConfig) -> String {
    let codes = config.pretrain.as_ref().and_then(|pretrain| pretrain.task.quantizer);
    let codes = codes.map_or(0, |quantizer| quantizer.groups * quantizer.codes);
    format!(
        "CTC, attention: greedy decoding by that head alone. VC unconverted: distance of the source itself to the target, which \
         a conversion must undercut. VC ended: conversions that the stop rule ended. Codes: arg-max perplexity of the \
         codes over all groups on the validation batch at the end of pre-training, {codes} at most; a few mean that \
         the codes have collapsed."
    )
}

/// The data of a configuration; `hash` of it, if it is there.
pub fn data_caption(config: &RunConfig, hash: Option<&str>) -> String {
    let data = match config.data.manifest.as_str() {
        "mini" => {
            "Vocable mini: synthetic speech (five diphone and clustergen voices of flite and festival), sentences \
                   of a grammar; ASR other is a voice heard nowhere else"
                .to_owned()
        }
        other => format!("the recordings of {other}; ASR other is voices heard nowhere else"),
    };
    let hash = hash.map_or(String::new(), |hash| format!(" (SHA-256 {hash})"));
    format!("Data{hash}: {data}.")
}

/// What else than the paper's recognition hears.
pub fn speeds_caption(config: &RunConfig) -> String {
    match config.asr.task.speeds.as_slice() {
        [] => String::new(),
        speeds => format!(" Nor the paper's: recognition trains on its recordings at speeds {speeds:?}."),
    }
}

/// How to read what a language model adds.
fn lm_caption(config: &RunConfig, weights: Weights, hash: Option<&str>) -> String {
    let (search, lm) = (&config.evaluation.search, &config.lm.task.model);
    format!(
        "{} Beam search (beam {}) by decoder and CTC (weight {}) together; with LM its log-probability is added (weight {}). The \
         weights are the paper's. The language model ({} layers of width {}) reads the text of text pre-training, in which no sentence of a test \
         is. LM: perplexity of the transcripts of ASR clean, ends included.{}",
        data_caption(config, hash),
        search.beam,
        weights.ctc,
        weights.lm,
        lm.layers,
        lm.width,
        speeds_caption(config)
    )
}

/// What a reader must know to compare the two columns.
fn caption(config: &RunConfig, hash: Option<&str>) -> String {
    let unmasked = config.pretrain.as_ref().and_then(|pretrain| pretrain.task.speech.as_ref());
    let unmasked = unmasked.map_or(0.0, |speech| speech.mlm_unmasked);
    let unmasked = match unmasked {
        0.0 => String::new(),
        weight => format!(
            " Not the paper's: the units are also predicted at unmasked frames (weight {weight}), and \"w/o L_mlm\" \
             drops both."
        ),
    };
    let lm = match config.evaluation.search.lm_weight {
        0.0 => "no language model".to_owned(),
        weight => format!("with a language model at weight {weight}"),
    };
    let (data, speeds) = (data_caption(config, hash), speeds_caption(config));
    format!(
        "{data} The paper's numbers are on LibriSpeech (ASR), CMU Arctic (VC) and VoxCeleb1 (SID) with a model \
         of 154 M parameters and are not comparable in level. ASR: beam search (beam {}) by decoder \
         and CTC (weight {}) together, {lm}. VC: \
         mel-cepstral distance from the log-mel, not WORLD's. SID in noise: {}; SID and that column are among the training \
         voices.{unmasked}{speeds}",
        config.evaluation.search.beam,
        config.evaluation.search.ctc_weight,
        in_noise(config)
    )
}

#[cfg(test)]
mod tests {
    use vocable_lab::Scale;

    use super::*;

    /// Every table and figure of results in the paper: our table of it, or why there is none.
    const PAPER: [(&str, Result<&str, &str>); 9] = [
        ("recognition after 100 hours", Ok("lm")),
        ("recognition after 960 hours", Ok("lm-960")),
        ("synthesis", Ok("tts")),
        ("translation", Ok("st")),
        ("voice conversion", Ok("vc")),
        ("enhancement", Ok("se")),
        ("speaker identification", Ok("sid")),
        ("ablation", Ok("ablation")),
        ("opinions of listeners (MOS, CMOS)", Err("people are asked; `tts` has measures that need none")),
    ];

    #[test]
    fn every_table_of_the_paper_has_a_recipe_or_a_reason() {
        let tables = all();
        for (what, ours) in PAPER {
            match ours {
                Ok(name) => {
                    assert!(tables.iter().any(|table| table.name() == name), "{what}: there is no table {name}")
                }
                Err(reason) => assert!(!reason.is_empty(), "{what}: neither a table nor a reason"),
            }
        }
    }

    #[test]
    fn much_speech_is_learned_from_longer_at_scale_base_alone() {
        let trained = |name: &str, scale| {
            let table = all().into_iter().find(|table| table.name() == name).unwrap();
            table.resolve(scale, &vocable_lab::Patch::new()).unwrap().rows[0].asr.train.clone()
        };
        let base = trained("lm-960", Scale::Base);
        assert_eq!((base.updates, base.learning_rate), (320_000, 1.3e-4));
        assert_eq!((base.validate_every, base.checkpoint_every), (16_000, 16_000));
        for scale in [Scale::Smoke, Scale::Mini] {
            assert_eq!(trained("lm-960", scale), trained("lm", scale));
        }
    }

    #[test]
    fn every_table_resolves_at_every_scale_and_no_row_is_another_one() {
        for table in all() {
            for scale in Scale::ALL {
                let resolved = table.resolve(scale, &vocable_lab::Patch::new());
                let resolved = resolved.unwrap_or_else(|error| panic!("{} at {scale}: {error}", table.name()));
                // Rows after the first are there to differ from it, but for what a scale has or lacks in its base.
                let same = resolved.rows[1..].iter().filter(|row| **row == resolved.rows[0]).count();
                assert!(same <= usize::from(["units", "ctc"].contains(&table.name())), "{} at {scale}", table.name());
            }
        }
    }
}
