//! Checks of a configuration that types cannot make: each names the key and what is expected.

use std::fmt::Display;

use vocable_decode::BeamConfig;
use vocable_lab::ConfigError;
use vocable_lm::LmTask;
use vocable_objectives::quantizer::QuantizerConfig;
use vocable_speecht5::pretrain::{PretrainConfig, SpeechPart, TextPart};
use vocable_speecht5::se::Noise;
use vocable_speecht5::sid::SidConfig;
use vocable_speecht5::to_speech::SpeechTaskConfig;
use vocable_speecht5::to_text::TextTaskConfig;
use vocable_speecht5::{ModelConfig, Regularisation, SpeechLoss};
use vocable_train::TrainConfig;

use crate::config::{EvaluationConfig, Recipe, RunConfig, UnitsConfig};
use crate::pipeline::check_data;

type Checked = Result<(), ConfigError>;

/// Samples that the extractor makes a frame of.
const RECEPTIVE_FIELD: usize = 400;
/// Samples that the extractor makes two frames of: a crop of one may miss every label.
const TWO_FRAMES: usize = 720;

/// Checks a whole configuration.
pub fn validate(c: &RunConfig) -> Checked {
    check_data(&c.data)?;
    if let Some(limit) = c.data.limit {
        positive("data.limit", &[("train", limit.train), ("test", limit.test)])?;
    }
    model(&c.model)?;
    units(&c.units, &c.model)?;
    if let Some(path) = c.checkpoint.as_ref().filter(|path| !path.exists()) {
        return wrong(format!("checkpoint: {} is not there", path.display()));
    }
    if c.from_hubert && c.pretrain.is_some() {
        return wrong("tasks start from pre-training or from a HuBERT model: with from_hubert=true set pretrain=none");
    }
    if let Some(recipe) = &c.pretrain {
        pretraining("pretrain", recipe, &c.model)?;
    }
    text_task("asr", &c.asr)?;
    language_model("lm", &c.lm)?;
    text_task("st", &c.st)?;
    speech_task("tts", &c.tts)?;
    speech_task("vc", &c.vc)?;
    speech_task("se", &c.se)?;
    let noisy = &c.se.task.input;
    if noisy.noise == Noise::Recordings && c.data.noise.is_none() {
        return wrong(
            "se.task.input.noise=recordings needs data.noise, a manifest of them (`vocable prepare noise` makes one)",
        );
    }
    let [lowest, highest] = noisy.snr;
    let ratios = format!("[{lowest}, {highest}]");
    range("se.task.input.snr", ratios, "must be the lowest and the highest ratio in dB", lowest <= highest)?;
    identification("sid", &c.sid)?;
    evaluation(&c.evaluation)
}

fn model(model: &ModelConfig) -> Checked {
    if !model.precision.is_f32() {
        return wrong("model.precision: what is computed with in training is said for a whole run; set `precision`");
    }
    let (width, heads, groups) = (model.width, model.heads, model.positional_groups);
    range("model.heads", heads, "must divide model.width", heads > 0 && width.is_multiple_of(heads))?;
    range("model.positional_groups", groups, "must divide model.width", groups > 0 && width.is_multiple_of(groups))?;
    let sizes = [
        ("encoder_layers", model.encoder_layers),
        ("decoder_layers", model.decoder_layers),
        ("reduction", model.reduction),
        ("extractor_channels", model.extractor_channels),
    ];
    positive("model", &sizes)?;
    range("model.mel", model.mel, "must be 80, the bins of the log-mel front end", model.mel == 80)?;
    let dropouts = [
        ("prenet_dropout", model.prenet_dropout),
        ("positional_dropout", model.positional_dropout),
        ("postnet_dropout", model.postnet_dropout),
    ];
    shares("model", &dropouts)?;
    // What has no message of its own above.
    part("model", model.check())
}

fn units(units: &UnitsConfig, model: &ModelConfig) -> Checked {
    clusters("units.clusters", units.clusters)?;
    if let Some(second) = units.second {
        let layers = model.encoder_layers;
        let allowed = format!("must be a layer of the encoder, 1 to {layers}");
        range("units.second.layer", second.layer, &allowed, (1..=layers).contains(&second.layer))?;
        clusters("units.second.clusters", second.clusters)?;
    }
    if let Some(labels) = &units.labels {
        if units.second.is_some() || units.hubert.is_some() {
            return wrong(
                "units are those of files or made here: with units.labels set units.second=none and units.hubert=none",
            );
        }
        clusters("units.labels.clusters", labels.clusters)?;
    }
    if let Some(hubert) = &units.hubert {
        if units.second.is_some() {
            return wrong("units are those of the second iteration or of a HuBERT model: set units.second=none");
        }
        positive("units.hubert", &[("layer", hubert.layer)])?;
        clusters("units.hubert.clusters", hubert.clusters)?;
    }
    let most = units.clusters.max(units.used());
    let allowed = format!("must be {most} or more, as many as there are clusters");
    range("units.frames", units.frames, &allowed, units.frames >= most)?;
    pretraining("units.teacher", &units.teacher, model)
}

fn clusters(path: &str, clusters: usize) -> Checked {
    range(path, clusters, "must be 2 or more", clusters > 1)
}

fn pretraining(name: &str, recipe: &Recipe<PretrainConfig>, model: &ModelConfig) -> Checked {
    let (task, at) = (&recipe.task, format!("{name}.task"));
    if task.speech.is_none() && task.text.is_none() {
        return wrong(format!("{at} has neither speech nor text; to start from initial weights set pretrain=none"));
    }
    positive(&at, &[("accumulate", task.accumulate)])?;
    weights(&at, &[("diversity", task.diversity), ("codebook", task.codebook)])?;
    if let Some(found) = &task.quantizer {
        quantizer(&format!("{at}.quantizer"), found, model)?;
    }
    if let Some(part) = &task.speech {
        masked_prediction(&format!("{at}.speech"), part)?;
    }
    if let Some(part) = &task.text {
        infilling(&format!("{at}.text"), part)?;
    }
    regularisation(name, &task.regularisation)?;
    step_loop(name, &recipe.train)
}

fn quantizer(at: &str, quantizer: &QuantizerConfig, model: &ModelConfig) -> Checked {
    let groups = quantizer.groups;
    let divides = groups > 0 && model.width.is_multiple_of(groups);
    range(&format!("{at}.groups"), groups, "must divide model.width", divides)?;
    positive(at, &[("codes", quantizer.codes)])?;
    shares(at, &[("mixing.share", quantizer.mixing.share)])?;
    let floor = quantizer.temperature.floor;
    range(&format!("{at}.temperature.floor"), floor, "must be above 0", floor > 0.0 && floor.is_finite())
}

fn masked_prediction(at: &str, part: &SpeechPart) -> Checked {
    let sizes =
        [("min_samples", part.min_samples), ("max_samples", part.max_samples), ("batch_samples", part.batch_samples)];
    let allowed = format!("must be {TWO_FRAMES} or more, two frames of the extractor");
    for (key, samples) in sizes {
        range(&format!("{at}.{key}"), samples, &allowed, samples >= TWO_FRAMES)?;
    }
    positive(at, &[("mask_length", part.mask_length)])?;
    let terms = [
        ("mlm", part.mlm),
        ("mlm_unmasked", part.mlm_unmasked),
        ("feature_penalty", part.feature_penalty),
        ("spectrogram", part.spectrogram),
        ("stop", part.stop),
        ("stop_positive", part.stop_positive),
    ];
    weights(at, &terms)
}

fn infilling(at: &str, part: &TextPart) -> Checked {
    shares(at, &[("mask_ratio", part.mask_ratio.into()), ("mask_random", part.mask_random)])?;
    let lambda = part.poisson_lambda;
    range(&format!("{at}.poisson_lambda"), lambda, "must be from 0.1 to below 100", (0.1..100.0).contains(&lambda))
}

/// A task that ends in text.
fn text_task<O>(name: &str, recipe: &Recipe<TextTaskConfig<O>>) -> Checked {
    let (task, at) = (&recipe.task, format!("{name}.task"));
    heard(&at, &[("batch_samples", task.batch_samples)])?;
    positive(&at, &[("batch_items", task.batch_items), ("micro_batches", task.micro_batches)])?;
    shares(&at, &[("token_dropout", task.token_dropout), ("label_smoothing", task.label_smoothing)])?;
    weights(&at, &[("cross_entropy", task.cross_entropy), ("ctc", task.ctc)])?;
    for (key, mask) in [("time_mask", task.time_mask), ("channel_mask", task.channel_mask)] {
        positive(&format!("{at}.{key}"), mask.map(|mask| ("length", mask.length)).as_slice())?;
    }
    if let Some(speed) = task.speeds.iter().find(|speed| !(0.5..=2.0).contains(*speed)) {
        return Err(ConfigError::range(&format!("{at}.speeds"), speed, "must be from 0.5 to 2"));
    }
    regularisation(name, &task.regularisation)?;
    step_loop(name, &recipe.train)
}

/// A task that ends in speech.
fn speech_task<I>(name: &str, recipe: &Recipe<SpeechTaskConfig<I>>) -> Checked {
    let (task, at) = (&recipe.task, format!("{name}.task"));
    heard(&at, &[("batch_samples", task.batch_samples)])?;
    positive(&at, &[("batch_items", task.batch_items), ("micro_batches", task.micro_batches)])?;
    let SpeechLoss { stop, stop_positive, guided_attention, .. } = task.loss;
    let terms = [("stop", stop), ("stop_positive", stop_positive), ("guided_attention", guided_attention)];
    weights(&format!("{at}.loss"), &terms)?;
    regularisation(name, &task.regularisation)?;
    step_loop(name, &recipe.train)
}

fn identification(name: &str, recipe: &Recipe<SidConfig>) -> Checked {
    let (task, at) = (&recipe.task, format!("{name}.task"));
    let validated = task.validation_segment.unwrap_or(task.segment);
    heard(&at, &[("segment", task.segment), ("validation_segment", validated)])?;
    positive(&at, &[("batch_items", task.batch_items), ("micro_batches", task.micro_batches)])?;
    if let Some(margin) = task.margin {
        part(&format!("{at}.margin"), margin.check())?;
    }
    regularisation(name, &task.regularisation)?;
    step_loop(name, &recipe.train)
}

fn language_model(name: &str, recipe: &Recipe<LmTask>) -> Checked {
    let (task, at) = (&recipe.task, format!("{name}.task"));
    let sizes =
        [("batch_tokens", task.batch_tokens), ("batch_items", task.batch_items), ("micro_batches", task.micro_batches)];
    positive(&at, &sizes)?;
    part(&format!("{at}.model"), task.model.check())?;
    step_loop(name, &recipe.train)
}

fn evaluation(evaluation: &EvaluationConfig) -> Checked {
    positive("evaluation", &[("batch", evaluation.batch)])?;
    heard("evaluation", &[("noisy_segment", evaluation.noisy_segment)])?;
    search("evaluation.search", &evaluation.search)?;
    let translation = &evaluation.translation;
    search("evaluation.translation", translation)?;
    if translation.ctc_weight != 0.0 || translation.lm_weight != 0.0 {
        return wrong("evaluation.translation: translation has neither CTC nor a language model; their weights are 0");
    }
    Ok(())
}

fn search(at: &str, search: &BeamConfig) -> Checked {
    positive(at, &[("beam", search.beam), ("candidates", search.candidates)])?;
    let ctc = search.ctc_weight;
    range(&format!("{at}.ctc_weight"), ctc, "must be from 0 to 1", (0.0..=1.0).contains(&ctc))?;
    weights(at, &[("lm_weight", search.lm_weight)])
}

fn regularisation(name: &str, r: &Regularisation) -> Checked {
    let dropouts = [
        ("dropout", r.dropout),
        ("attention", r.attention),
        ("activation", r.activation),
        ("projection", r.projection),
        ("encoder_layer_drop", r.encoder_layer_drop),
        ("decoder_layer_drop", r.decoder_layer_drop),
    ];
    shares(&format!("{name}.task.regularisation"), &dropouts)
}

fn step_loop(name: &str, train: &TrainConfig) -> Checked {
    part(&format!("{name}.train"), train.check())
}

/// Keys below `at` that are 1 or more.
fn positive(at: &str, values: &[(&str, usize)]) -> Checked {
    values.iter().try_for_each(|(key, value)| range(&format!("{at}.{key}"), value, "must be 1 or more", *value > 0))
}

/// Keys below `at` that are probabilities which leave something over.
fn shares(at: &str, values: &[(&str, f64)]) -> Checked {
    values.iter().try_for_each(|(key, value)| {
        range(&format!("{at}.{key}"), value, "must be from 0 to below 1", (0.0..1.0).contains(value))
    })
}

/// Keys below `at` that weigh a part of a sum.
fn weights(at: &str, values: &[(&str, f64)]) -> Checked {
    values.iter().try_for_each(|(key, value)| {
        range(&format!("{at}.{key}"), value, "must be 0 or more", value.is_finite() && *value >= 0.0)
    })
}

/// Keys below `at` that are samples of speech, enough for the extractor.
fn heard(at: &str, values: &[(&str, usize)]) -> Checked {
    let allowed = format!("must be {RECEPTIVE_FIELD} samples or more, the receptive field");
    values.iter().try_for_each(|(key, value)| range(&format!("{at}.{key}"), value, &allowed, *value >= RECEPTIVE_FIELD))
}

fn range(path: &str, value: impl Display, allowed: &str, good: bool) -> Checked {
    if good { Ok(()) } else { Err(ConfigError::range(path, value, allowed)) }
}

/// What a part says of itself.
fn part(at: &str, checked: Result<(), impl Display>) -> Checked {
    checked.map_err(|message| ConfigError::Other(format!("{at}: {message}")))
}

fn wrong(message: impl Into<String>) -> Checked {
    Err(ConfigError::Other(message.into()))
}
