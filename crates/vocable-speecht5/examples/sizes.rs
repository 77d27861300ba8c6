//! What the base model is made of, in parameters.

use burn::module::Module;
use burn::tensor::Device;
use vocable_random::Key;
use vocable_speecht5::{ModelConfig, Preset, Regularisation};

fn main() {
    let model = ModelConfig::base(Preset::Official).init(81, 1, &Regularisation::none(), Key::new(1), &Device::flex());
    for (name, count) in [
        ("speech-encoder pre-net", model.speech_encoder_prenet.num_params()),
        ("text matrix", model.tokens.num_params()),
        ("encoder", model.encoder.num_params()),
        ("decoder", model.decoder.num_params()),
        ("speech-decoder pre-net", model.speech_decoder_prenet.num_params()),
        ("speech-decoder post-net", model.speech_decoder_postnet.num_params()),
        ("CTC head", model.ctc.num_params()),
        ("all", model.num_params()),
    ] {
        println!("{name:24} {count:>11}");
    }
}
