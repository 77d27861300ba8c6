//! Modal pre- and post-nets: they turn waveforms, mel frames and tokens into the states of a shared Transformer and back.
//!
//! | modality | into the encoder | into the decoder | out of the decoder |
//! |---|---|---|---|
//! | speech | [`SpeechEncoderPrenet`] (waveform) | [`SpeechDecoderPrenet`] (mel) | [`SpeechDecoderPostnet`] (mel) |
//! | text | [`TextEncoderPrenet`] | [`TextDecoderPrenet`] | the token matrix itself, [`TokenMatrix::logits`] |
//! | classes | – | – | [`ClassPostnet`] |

mod class_postnet;
mod speech_decoder_postnet;
mod speech_decoder_prenet;
mod speech_encoder_prenet;
mod text;

pub use class_postnet::ClassPostnet;
pub use speech_decoder_postnet::{PostnetBlock, SpeechDecoderPostnet, SpeechDecoderPostnetConfig, SpeechOutput};
pub use speech_decoder_prenet::{PrenetNoise, SpeechDecoderPrenet, SpeechDecoderPrenetConfig};
pub use speech_encoder_prenet::{
    PaddingRule, SpeechEncoderPrenet, SpeechEncoderPrenetConfig, SpeechFeatures, SpeechMasks,
};
pub use text::{TextDecoderPrenet, TextEncoderPrenet, TokenMatrix, Tokens};
