//! The three scales: the paper's configuration and what the smaller ones change of it. Sizes, lengths and switches differ,
//! the code does not.

use vocable_decode::BeamConfig;
use vocable_lab::Scale;
use vocable_lm::{LmConfig, LmTask};
use vocable_nn::Precision;
use vocable_speecht5::asr::AsrConfig;
use vocable_speecht5::pretrain::PretrainConfig;
use vocable_speecht5::se::{SeConfig, SpeakerFrom};
use vocable_speecht5::sid::SidConfig;
use vocable_speecht5::st::StConfig;
use vocable_speecht5::to_text::MaskConfig;
use vocable_speecht5::tts::TtsConfig;
use vocable_speecht5::vc::VcConfig;
use vocable_speecht5::{ModelConfig, Preset, Regularisation, recipe};
use vocable_text::SubwordKind;
use vocable_train::{Loading, Outcome, TrainConfig};

use crate::config::{DataConfig, EvaluationConfig, Limit, Recipe, RunConfig, SecondUnits, UnitsConfig};

/// The complete configuration of the full model at a scale.
pub fn base(scale: Scale) -> RunConfig {
    let full = paper();
    match scale {
        Scale::Base => full,
        Scale::Mini => mini(full),
        Scale::Smoke => smoke(mini(full)),
    }
}

/// The same, for recognition that learns from 960 hours: at scale `base` it takes the paper's longer training.
pub fn base_960(scale: Scale) -> RunConfig {
    let mut c = base(scale);
    if scale == Scale::Base {
        c.asr.train = recipe::recognition_960(Preset::Paper);
    }
    c
}

/// The paper's sizes and lengths (spec sections 2, 5 and 6).
fn paper() -> RunConfig {
    let preset = Preset::Paper;
    let pretrain = Recipe { train: recipe::pretraining(preset), task: PretrainConfig::base(preset) };
    RunConfig {
        seed: 1,
        data: DataConfig {
            manifest: "mini".into(),
            skip_bad: false,
            noise: None,
            text: "auto".into(),
            vocabulary: None,
            sentences: 1_000_000,
            limit: None,
            audio_cache: vocable_data::corpus::KEPT,
            mel_cache: vocable_speecht5::data::KEPT_MELS,
            mel_folder: None,
            loading: Loading::default(),
        },
        model: ModelConfig::base(preset),
        recompute: false,
        precision: Precision::F32,
        units: UnitsConfig {
            clusters: 100,
            max_iter: 100,
            n_init: 20,
            frames: 5_000_000,
            teacher: pretrain.clone(),
            second: Some(SecondUnits { layer: 6, clusters: 500 }),
            labels: None,
            hubert: None,
        },
        pretrain: Some(pretrain.clone()),
        checkpoint: None,
        hubert: None,
        from_hubert: false,
        initial_decoder: false,
        asr: Recipe { train: recipe::recognition(preset), task: AsrConfig::base(preset) },
        lm: Recipe { train: recipe::language_model(), task: LmTask::official() },
        st: Recipe { train: recipe::translation(preset), task: StConfig::base(preset) },
        tts: Recipe { train: recipe::synthesis(preset), task: TtsConfig::base(preset) },
        vc: Recipe { train: recipe::conversion(), task: VcConfig::base(preset) },
        se: Recipe { train: recipe::enhancement(), task: SeConfig::base(preset) },
        sid: Recipe { train: recipe::identification(preset), task: SidConfig::base(preset) },
        judge: None,
        evaluation: EvaluationConfig {
            validation: 2_000,
            batch: 16,
            search: BeamConfig { ctc_weight: 0.5, ..BeamConfig::attention(30) },
            translation: BeamConfig::attention(5),
            samples: 8,
            noisy_segment: 8_000,
            noisy_snr: 10.0,
        },
    }
}

/// An hour and a quarter of one core for a row and seed: a model of 1.5 million parameters, higher rates for the shorter
/// runs, and the units also predicted where nothing is masked, without which so short a pre-training learns next to
/// nothing.
///
/// Beyond sizes and lengths it differs from the paper in: `mlm_unmasked`, the deviation of initial weights, a reduced
/// codebook, MFCC units only; smaller SpecAugment masks, seven speeds, label smoothing, the mean of the last checkpoints and no
/// frozen encoder in recognition (forty minutes of speech are learned by heart without them), less weight of CTC in its search;
/// the same masks and speeds, one micro-batch an update and byte pairs in translation; no frozen encoder in synthesis; a dropout
/// of 0.1 in synthesis, conversion and enhancement, the last two of which say at most four log-mel frames for a state of the
/// encoder; the clean voice's vector in enhancement; no layer drop in any task but identification, and clipping there.
fn mini(mut c: RunConfig) -> RunConfig {
    c.data.sentences = 20_000;
    c.model = ModelConfig::mini(Preset::Paper);
    c.units = UnitsConfig { clusters: 50, max_iter: 5, n_init: 3, frames: 60_000, second: None, ..c.units };
    let pretrain = c.pretrain.as_mut().expect("the full model is pre-trained");
    short(&mut pretrain.train, 10_000, 1e-3);
    let speech = pretrain.task.speech.as_mut().expect("the full model hears");
    speech.min_samples = 16_000;
    speech.max_samples = 64_000;
    speech.batch_samples = 12 * 16_000;
    speech.label_width = 64;
    speech.mlm_unmasked = 1.0;
    pretrain.task.text.as_mut().expect("the full model reads").batch_tokens = 400;
    pretrain.task.quantizer.as_mut().expect("the full model mixes").codes = 50;

    c.units.teacher = pretrain.clone();

    short(&mut c.asr.train, 16_000, 2e-3);
    c.asr.train.checkpoint_every = 100;
    c.asr.train.keep_last = 10;
    c.asr.train.outcome = Outcome::Mean { checkpoints: 10 };
    c.asr.task.batch_samples = 12 * 16_000;
    c.asr.task.freeze_encoder_updates = 0;
    c.asr.task.label_smoothing = 0.1;
    c.asr.task.speeds = vec![0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15];
    c.asr.task.time_mask = Some(MaskConfig { probability: 0.2, length: 6 });
    c.asr.task.channel_mask = Some(MaskConfig { probability: 0.15, length: 16 });
    c.asr.task.regularisation = Regularisation::new(0.1, 0.1, [0.0, 0.0], 1.0);

    short(&mut c.st.train, 4_000, 1e-3);
    c.st.train.checkpoint_every = 100;
    c.st.task.batch_samples = 12 * 16_000;
    c.st.task.micro_batches = 1;
    c.st.task.speeds = c.asr.task.speeds.clone();
    (c.st.task.time_mask, c.st.task.channel_mask) = (c.asr.task.time_mask, c.asr.task.channel_mask);
    c.st.task.regularisation = Regularisation::new(0.1, 0.1, [0.0, 0.0], 1.0);
    (c.st.task.output.pieces, c.st.task.output.subwords) = (Some(300), SubwordKind::Bpe);

    short(&mut c.lm.train, 1_500, 2e-3);
    c.lm.task.model = LmConfig::mini();
    c.lm.task.batch_tokens = 2_000;

    short(&mut c.vc.train, 500, 1e-3);
    c.vc.task.batch_samples = 12 * 16_000;
    c.vc.task.regularisation = Regularisation::new(0.1, 0.1, [0.0, 0.0], 1.0);
    c.vc.task.test_pairs = 96;
    c.vc.task.limits.max_ratio = 4.0;

    short(&mut c.tts.train, 12_000, 1e-3);
    c.tts.task.batch_samples = 12 * 16_000;
    c.tts.task.freeze_encoder_updates = 0;
    c.tts.task.regularisation = c.vc.task.regularisation.clone();
    c.tts.task.test_pairs = 96;

    short(&mut c.se.train, 6_000, 1e-3);
    c.se.task.batch_samples = 12 * 16_000;
    c.se.task.regularisation = c.vc.task.regularisation.clone();
    c.se.task.test_pairs = 96;
    c.se.task.limits.max_ratio = 4.0;
    // The clean voice tells the decoder more than a recording in noise does; the results that are kept were measured so.
    c.se.task.input.speaker = SpeakerFrom::Utterance;
    // Micro-batches are shorter.
    (c.vc.task.max_samples, c.tts.task.max_samples, c.se.task.max_samples) = (None, None, None);

    short(&mut c.sid.train, 100, 5e-4);
    c.sid.task.batch_items = 8;
    c.sid.task.segment = 32_000;
    c.sid.train.optimiser.clip = 5.0;
    c.evaluation.search.beam = 10;
    c.evaluation.search.ctc_weight = 0.3;
    c.evaluation = EvaluationConfig { validation: 48, batch: 16, samples: 4, ..c.evaluation };
    c
}

/// Less than a minute for most tables: everything runs, nothing is learned.
fn smoke(mut c: RunConfig) -> RunConfig {
    c.data.sentences = 200;
    c.data.limit = Some(Limit { train: 8, valid: 2, test: 3 });
    c.model = ModelConfig {
        width: 64,
        feed_forward: 128,
        heads: 2,
        encoder_layers: 2,
        decoder_layers: 1,
        extractor_channels: 32,
        positional_kernel: 32,
        positional_groups: 4,
        prenet_units: 32,
        postnet_channels: 32,
        ..c.model
    };
    c.units = UnitsConfig { clusters: 20, max_iter: 10, n_init: 1, frames: 2_000, second: None, ..c.units };
    let pretrain = c.pretrain.as_mut().expect("the full model is pre-trained");
    short(&mut pretrain.train, 12, 1e-3);
    pretrain.task.speech.as_mut().expect("the full model hears").batch_samples = 8 * 16_000;
    pretrain.task.text.as_mut().expect("the full model reads").batch_tokens = 400;
    c.units.teacher = pretrain.clone();
    c.lm.task.model = LmConfig { layers: 1, width: 32, feed_forward: 64, heads: 2, ..c.lm.task.model };
    (c.st.task.batch_samples, c.st.task.output.pieces) = (8 * 16_000, Some(60));
    c.st.task.output.subwords = SubwordKind::Unigram;
    let (st, tts, vc, se, sid) =
        (&mut c.st.train, &mut c.tts.train, &mut c.vc.train, &mut c.se.train, &mut c.sid.train);
    for train in [&mut c.asr.train, &mut c.lm.train, st, tts, vc, se, sid] {
        short(train, 12, 1e-3);
    }
    c.asr.task.batch_samples = 8 * 16_000;
    c.tts.task.batch_samples = 8 * 16_000;
    c.tts.task.test_pairs = 8;
    c.tts.task.limits.max_ratio = 4.0;
    c.vc.task.batch_samples = 8 * 16_000;
    c.vc.task.test_pairs = 8;
    c.vc.task.limits.max_ratio = 2.0;
    c.se.task.batch_samples = 8 * 16_000;
    c.se.task.test_pairs = 8;
    c.se.task.limits.max_ratio = 2.0;
    c.sid.task.batch_items = 4;
    c.evaluation.search.beam = 2;
    c.evaluation = EvaluationConfig { validation: 4, batch: 8, samples: 1, ..c.evaluation };
    c
}

/// A shorter run at a higher rate, validated and saved four times.
fn short(train: &mut TrainConfig, updates: usize, rate: f64) {
    train.updates = updates;
    train.learning_rate = rate;
    train.validate_every = updates.div_ceil(4);
    train.checkpoint_every = updates.div_ceil(4);
}
