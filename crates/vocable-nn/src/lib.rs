//! Core tensor modules for speech and text models on Burn.
//!
//! Activations are `[batch, time, channel]` everywhere. Utterances of a batch are padded at the end, so validity is
//! carried as one length per utterance (`&[usize]` on the host); [`padding_mask`] turns lengths into a tensor where
//! one is needed. A forward pass is told by [`Mode`] whether it trains and with which random key.

mod attention;
mod cache;
mod compressed;
mod constant;
mod dropout;
mod extractor;
mod init;
mod lengths;
mod linear;
mod mode;
mod norm;
mod positional_conv;
mod precision;
pub mod sinusoid;
mod transformer;

pub use attention::{Attended, Attention, KeyValue};
pub use cache::KeyValueCache;
pub use compressed::compressed;
pub use constant::constant_beside;
pub use dropout::Dropout;
pub use extractor::{ConvBlock, ConvExtractor, ConvExtractorConfig, ConvLayer, ExtractorNorm};
pub use init::Init;
pub use lengths::{is_padded, padding_mask, valid_frames};
pub use linear::Linear;
pub use mode::Mode;
pub use norm::{BatchNorm, ChannelNorm, LayerNorm};
pub use positional_conv::PositionalConv;
pub use precision::Precision;
pub use transformer::{
    CausalStack, Decoded, Decoder, DecoderCache, DecoderConfig, DecoderLayer, Encoder, EncoderConfig, EncoderLayer,
    FeedForward, NormPlacement, PastCache, TransformerConfig,
};
pub use vocable_kernels::Storage;
