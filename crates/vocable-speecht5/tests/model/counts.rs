//! Parameter counts of the base model (spec section 10).

use burn::module::Module;
use burn::tensor::Device;
use vocable_objectives::MlmHead;
use vocable_objectives::quantizer::{Quantizer, QuantizerConfig};
use vocable_random::Key;
use vocable_speecht5::pretrain::PretrainConfig;
use vocable_speecht5::{ModelConfig, Preset, Regularisation, SpeakerClassifier};

#[test]
fn the_base_model_has_the_published_sizes() {
    let (device, key) = (Device::flex(), Key::new(1));
    let config = ModelConfig::base(Preset::Official);
    let init = config.initial(key, &device);
    let model = config.init(81, 1, &Regularisation::none(), key, &device);
    let speech_in = model.speech_encoder_prenet.num_params();
    let text = model.tokens.num_params();
    let alpha = model.text_encoder_prenet.num_params();
    let encoder = model.encoder.num_params();
    let decoder = model.decoder.num_params();
    let speech_prenet = model.speech_decoder_prenet.num_params();
    // Running statistics are buffers, which the published counts leave out: two per channel.
    let buffers = 2 * (4 * 256 + 80);
    let speech_out = model.speech_decoder_postnet.num_params() - buffers;
    let ctc = model.ctc.num_params();
    assert_eq!(speech_in, 9_315_712);
    assert_eq!((text, alpha), (62_208, 1));
    assert_eq!(encoder, 85_076_480);
    assert_eq!(decoder, 56_710_656);
    assert_eq!(speech_prenet, 1_267_713);
    assert_eq!(speech_out, 1_314_626);
    assert_eq!(ctc, 62_289);

    let mlm = MlmHead::new(768, 256, 500, &init).num_params();
    assert_eq!(mlm, 325_888);
    let quantizer = Quantizer::new(QuantizerConfig::official(), 768, &init).num_params();
    assert_eq!(quantizer, 230_600);

    // What transformers keeps of it for recognition, synthesis and conversion.
    assert_eq!(speech_in + text + encoder + decoder, 151_165_056);
    assert_eq!(speech_in + text + encoder + decoder + ctc, 151_227_345);
    assert_eq!(text + alpha + encoder + decoder + speech_prenet + speech_out, 144_431_684);
    assert_eq!(speech_in + encoder + decoder + speech_prenet + speech_out, 153_685_187);
    // fairseq's pre-training file also holds norms and a table that nothing uses.
    let unused = 22_784;
    let all = speech_in + text + alpha + encoder + decoder + speech_prenet + speech_out;
    assert_eq!(all + ctc + mlm + quantizer + unused, 154_388_957);

    let classifier = SpeakerClassifier::new(model, 768, 1257, &init);
    assert_eq!(speech_in + encoder + decoder + classifier.head.num_params(), 152_068_224);
}

#[test]
fn the_large_recipe_drops_nothing() {
    let large = PretrainConfig::large(Preset::Paper);
    assert_eq!(large.regularisation, Regularisation::none());
    assert_eq!(large.speech.unwrap().label_width, 768);
}

#[test]
fn frames_follow_the_convolutions() {
    let extractor = ModelConfig::base(Preset::Paper).extractor();
    for (samples, frames) in [
        (399, 0),
        (400, 1),
        (720, 2),
        (1_056, 3),
        (16_000, 49),
        (32_000, 99),
        (51_200, 159),
        (76_800, 239),
        (250_000, 781),
        (480_256, 1_500),
    ] {
        assert_eq!(extractor.frames(samples), frames, "{samples} samples");
    }
    assert_eq!(extractor.hop(), 320);
}
