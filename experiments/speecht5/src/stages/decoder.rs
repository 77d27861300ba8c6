//! Stage `decoder`: pre-trained weights with an initial decoder, for tasks to start from in place of all of pre-training.

use std::sync::Arc;

use vocable_lab::{Cost, Stage};
use vocable_speecht5::SpeechT5;
use vocable_train::save_model;

use super::data::vocabulary;
use super::{MODEL, initial, weights};
use crate::config::RunConfig;

/// The model that `pretrain` trained, its decoder as it was before.
pub fn stage(c: &RunConfig, prepare: &Arc<Stage>, pretrain: &Arc<Stage>) -> Arc<Stage> {
    let (model, seed) = (c.model.clone(), c.seed);
    Stage::new("decoder", 1, (&c.model, seed))
        .input("prepare", prepare)
        .input("pretrain", pretrain)
        .cost(Cost { steps: 0, parameters: 0, seconds: 1.0 })
        .run(move |run| {
            let vocabulary = vocabulary(&run.input("prepare"))?;
            let start = || initial(&model, &vocabulary, seed);
            let mut trained = weights(run, "pretrain", start())?;
            take_decoder(&mut trained, start());
            Ok(save_model(&trained, &run.outputs().join(MODEL))?)
        })
}

/// Gives a model the decoder of another, with the nets of mel frames around it. The token matrix stays: it is the
/// encoder's too.
fn take_decoder(model: &mut SpeechT5, other: SpeechT5) {
    model.decoder = other.decoder;
    model.speech_decoder_prenet = other.speech_decoder_prenet;
    model.speech_decoder_postnet = other.speech_decoder_postnet;
}

#[cfg(test)]
mod tests {
    use vocable_random::Key;
    use vocable_speecht5::checkpoint::visit;
    use vocable_speecht5::{ModelConfig, Preset, Regularisation};

    use super::super::device;
    use super::*;

    fn parameters(model: &SpeechT5) -> Vec<(String, Vec<f32>)> {
        let mut parameters = Vec::new();
        visit(model, |path, leaf| parameters.push((path.to_owned(), leaf.values())));
        parameters
    }

    #[test]
    fn the_decoder_is_the_others_and_nothing_else_is() {
        let config = ModelConfig::mini(Preset::Paper);
        let model = |seed| config.init(12, 1, &Regularisation::none(), Key::new(seed), &device().inner());
        let (mut mixed, trained, other) = (model(1), parameters(&model(1)), parameters(&model(2)));
        take_decoder(&mut mixed, model(2));
        for (((path, mixed), trained), other) in parameters(&mixed).into_iter().zip(trained).zip(other) {
            let of_decoder = path.starts_with("decoder") || path.starts_with("speech_decoder");
            assert_eq!(mixed, if of_decoder { other.1 } else { trained.1 }, "{path}");
        }
    }
}
