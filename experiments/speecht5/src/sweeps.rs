//! Tables of what nobody has published: how much single choices matter, most of them inside the pre-training.

use std::rc::Rc;

use vocable_data::manifest::Split;
use vocable_lab::Table;
use vocable_objectives::quantizer::{Diversity, Selection};
use vocable_speecht5::pretrain::Modalities;

use crate::changes::{pretraining, quantizer, speech, text};
use crate::config::{RunConfig, SecondUnits};
use crate::pipeline::{Modality, Pipeline};
use crate::tables::{data_caption, speeds_caption};
use crate::validate::validate;
use crate::{columns, scales};

/// Every sweep. The first row of each is the full model.
pub fn all(pipeline: &Rc<Pipeline>) -> Vec<Table<RunConfig>> {
    let sweep = |name, title| sweep(pipeline, name, title);
    vec![
        [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]
            .into_iter()
            .zip(["weight 0", "weight 0.1", "weight 0.3", "weight 0.5", "weight 0.7", "weight 0.9", "weight 1"])
            .fold(
                searched(pipeline, "ctc", "How much CTC counts in the search of recognition"),
                |table, (weight, name)| table.own_row(name, move |c| c.evaluation.search.ctc_weight = weight),
            ),
        sweep("quantizer", "How a state chooses its code")
            .own_row("nearest, pulled", |c| quantizer(c, |q| q.codebook_loss = true))
            .own_row("Gumbel", |c| quantizer(c, |q| q.kind = Selection::Gumbel))
            .own_row("Gumbel, pulled", |c| {
                quantizer(c, |q| (q.kind, q.codebook_loss) = (Selection::Gumbel, true));
            })
            // The rows above differ in how a code is chosen alone; the official code asks otherwise for the use of all codes, too.
            .own_row("Gumbel, official diversity", |c| {
                quantizer(c, |q| (q.kind, q.diversity) = (Selection::Gumbel, Diversity::Perplexity));
            }),
        sweep("codebook", "How many codes, in how many groups")
            .own_row("a quarter of the codes", |c| quantizer(c, |q| q.codes = (q.codes / 4).max(1)))
            .own_row("half the codes", |c| quantizer(c, |q| q.codes = (q.codes / 2).max(1)))
            .own_row("twice the codes", |c| quantizer(c, |q| q.codes *= 2))
            .own_row("one group", |c| quantizer(c, |q| q.groups = 1))
            .own_row("four groups", |c| quantizer(c, |q| q.groups = 4)),
        [("0 %", 0.0), ("5 %", 0.05), ("20 %", 0.2), ("30 %", 0.3), ("40 %", 0.4), ("50 %", 0.5)]
            .into_iter()
            .fold(sweep("mixing", "How many states are replaced by their codes"), |table, (name, share)| {
                table.own_row(name, move |c| quantizer(c, |q| q.mixing.share = share))
            }),
        [("γ = 0", 0.0), ("γ = 0.01", 0.01), ("γ = 0.5", 0.5), ("γ = 1", 1.0)]
            .into_iter()
            .fold(sweep("diversity", "How much the use of all codes is asked for"), |table, (name, weight)| {
                table.own_row(name, move |c| pretraining(c, |task| task.diversity = weight))
            }),
        sweep("masking", "How much of the speech is hidden, in how long spans")
            .own_row("40 % hidden", |c| speech(c, |part| part.mask_probability = 0.4))
            .own_row("65 % hidden", |c| speech(c, |part| part.mask_probability = 0.65))
            .own_row("spans of 5 frames", |c| speech(c, |part| part.mask_length = 5))
            .own_row("spans of 20 frames", |c| speech(c, |part| part.mask_length = 20)),
        sweep("infilling", "How much of the text is hidden, in how long spans")
            .own_row("15 % hidden", |c| text(c, |part| part.mask_ratio = 0.15))
            .own_row("50 % hidden", |c| text(c, |part| part.mask_ratio = 0.5))
            .own_row("λ = 1", |c| text(c, |part| part.poisson_lambda = 1.0))
            .own_row("λ = 7", |c| text(c, |part| part.poisson_lambda = 7.0)),
        sweep("reduction", "How many frames a decoder step says")
            .own_row("one frame", |c| c.model.reduction = 1)
            .own_row("four frames", |c| c.model.reduction = 4),
        sweep("units", "What the masked prediction predicts")
            .own_row("units of MFCCs", |c| c.units.second = None)
            .own_row("units of a first model's states", |c| {
                // Where the scale has none: the middle layer, as many as of MFCCs.
                let middle = SecondUnits { layer: c.model.encoder_layers / 2, clusters: c.units.clusters };
                c.units.second = c.units.second.or(Some(middle));
            }),
        sweep("positions", "Whether the decoder knows relative positions").own_row("relative in the decoder", |c| {
            c.model.decoder_relative_position = c.model.encoder_relative_position;
        }),
        // A round of the first row is a micro-batch of each: two rounds of one hear and read as much.
        sweep("modalities", "How speech and text follow each other").own_row("shuffled", |c| {
            pretraining(c, |task| (task.modalities, task.accumulate) = (Modalities::Shuffled, 2 * task.accumulate));
        }),
    ]
}

/// A table of the full model, scored by recognition.
fn searched(pipeline: &Rc<Pipeline>, name: &'static str, title: &'static str) -> Table<RunConfig> {
    let data = Rc::clone(pipeline);
    Table::new(name, title)
        .base(scales::base)
        .validate(validate)
        .caption(move |c| {
            format!(
                "{} ASR: beam search (beam {}) by decoder and CTC (weight {}) together. Codes, where they \
                 are counted: arg-max perplexity over all groups on the validation batch.{}",
                data_caption(c, data.data_hash(&c.data).as_deref()),
                c.evaluation.search.beam,
                c.evaluation.search.ctc_weight,
                speeds_caption(c)
            )
        })
        .row("SpeechT5", |_| {})
        .column(columns::recognised(pipeline, "ASR clean", "wer", Split::TestClean))
        .column(columns::recognised(pipeline, "ASR other", "wer", Split::TestOther))
}

/// The same, scored by the use of the codes as well.
fn sweep(pipeline: &Rc<Pipeline>, name: &'static str, title: &'static str) -> Table<RunConfig> {
    searched(pipeline, name, title)
        .column(columns::codes(pipeline, "codes speech", "speech", Modality::Speech))
        .column(columns::codes(pipeline, "codes text", "text", Modality::Text))
}
