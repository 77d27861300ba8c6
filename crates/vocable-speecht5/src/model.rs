use burn::module::Module;
use burn::tensor::Tensor;
use vocable_nets::{
    ClassPostnet, PaddingRule, SpeechDecoderPostnet, SpeechDecoderPrenet, SpeechEncoderPrenet, SpeechFeatures,
    SpeechMasks, TextDecoderPrenet, TextEncoderPrenet, TokenMatrix, Tokens,
};
use vocable_nn::{Decoded, Decoder, Dropout, Encoder, Init, Linear, Mode, Storage, compressed};
use vocable_random::Key;

/// The shared encoder–decoder with its six modal nets (paper figure 2).
///
/// The text-decoder pre-net and the text post-net have no parameters of their own: both read [`tokens`](Self::tokens).
#[derive(Module, Debug)]
pub struct SpeechT5 {
    /// Waveforms into the encoder.
    pub speech_encoder_prenet: SpeechEncoderPrenet,
    /// Tokens into the encoder.
    pub text_encoder_prenet: TextEncoderPrenet,
    /// The tied text matrix.
    pub tokens: TokenMatrix,
    /// The shared encoder.
    pub encoder: Encoder,
    /// The CTC head on the encoder (`encoder.proj`).
    pub ctc: Linear,
    /// The shared decoder.
    pub decoder: Decoder,
    /// Mel frames into the decoder.
    pub speech_decoder_prenet: SpeechDecoderPrenet,
    /// Decoder states into mel frames.
    pub speech_decoder_postnet: SpeechDecoderPostnet,
    /// Dropout of the recipe, before the CTC head and in the text-decoder pre-net.
    pub(crate) dropout: f64,
    #[module(skip)]
    pub(crate) padding_rule: PaddingRule,
    #[module(skip)]
    pub(crate) extractor: vocable_nn::ConvExtractorConfig,
}

/// Speech as the encoder leaves it.
#[derive(Clone, Debug)]
pub struct EncodedSpeech {
    /// Encoder states, `[batch, frames, width]`.
    pub states: Tensor<3>,
    /// Valid frames of each item.
    pub lengths: Vec<usize>,
    /// Features of the convolutional extractor, `[batch, frames, channels]`.
    pub features: SpeechFeatures,
    /// Encoder input, `[batch, frames, width]`.
    pub input: Tensor<3>,
}

impl EncodedSpeech {
    /// What a model without autodiff encoded, as a constant for computations with `other`.
    #[must_use]
    pub fn constant_beside<const D: usize>(self, other: &Tensor<D>) -> Self {
        let beside = |tensor: Tensor<3>| vocable_nn::constant_beside(tensor, other);
        let Self { states, lengths, features, input } = self;
        let features = SpeechFeatures(beside(features.0));
        Self { states: beside(states), lengths, features, input: beside(input) }
    }

    /// Items that were encoded one by one, as a batch: zero behind each item's length.
    ///
    /// What is encoded together hears its padding where the extractor norms over time; this does not.
    pub fn together(items: &[Self]) -> Self {
        let batch = |part: fn(&Self) -> &Tensor<3>| {
            let longest = items.iter().map(|item| part(item).dims()[1]).max().unwrap_or(0);
            let padded = |item: &Self| {
                let [batch, time, width] = part(item).dims();
                let silence = Tensor::zeros([batch, longest - time, width], &part(item).device());
                if time == longest { part(item).clone() } else { Tensor::cat(vec![part(item).clone(), silence], 1) }
            };
            Tensor::cat(items.iter().map(padded).collect(), 0)
        };
        Self {
            states: batch(|item| &item.states),
            lengths: items.iter().flat_map(|item| item.lengths.iter().copied()).collect(),
            features: SpeechFeatures(batch(|item| &item.features.0)),
            input: batch(|item| &item.input),
        }
    }
}

impl SpeechT5 {
    /// Encodes waveforms `[batch, samples]` of which `lengths` samples are valid; at most `max_frames` frames are kept.
    pub fn encode_speech(
        &self,
        samples: Tensor<2>,
        lengths: &[usize],
        max_frames: Option<usize>,
        masks: &SpeechMasks,
        mode: Mode,
    ) -> EncodedSpeech {
        let width = samples.dims()[1];
        let features = self.speech_encoder_prenet.features(samples, max_frames);
        let lengths = self.frame_lengths(lengths, width, features.0.dims()[1]);
        let input = self.speech_encoder_prenet.forward(features.clone(), &lengths, masks, mode.fold("prenet"));
        let states = self.encoder.forward(input.clone(), &lengths, mode.fold("encoder"));
        EncodedSpeech { states, lengths, features, input }
    }

    /// Output of encoder layer `layer` (from 1) for unmasked waveforms: `[batch, frames, width]`.
    ///
    /// # Panics
    /// If there are fewer layers.
    pub fn hidden_states(&self, samples: Tensor<2>, lengths: &[usize], layer: usize) -> Tensor<3> {
        let width = samples.dims()[1];
        let features = self.speech_encoder_prenet.features(samples, None);
        let lengths = self.frame_lengths(lengths, width, features.0.dims()[1]);
        let input = self.speech_encoder_prenet.forward(features, &lengths, &SpeechMasks::default(), Mode::Eval);
        self.encoder.layer_output(input, &lengths, layer, Mode::Eval)
    }

    /// Encodes text: states `[batch, tokens, width]`.
    pub fn encode_text(&self, tokens: &Tokens, mode: Mode) -> Tensor<3> {
        let input = self.text_encoder_prenet.forward(tokens, &self.tokens, mode.fold("prenet"));
        self.encoder.forward(input, &tokens.lengths, mode.fold("encoder"))
    }

    /// CTC logits of encoder states: `[batch, frames, vocabulary]` (spec section 4.3).
    pub fn ctc_logits(&self, states: Tensor<3>, mode: Mode) -> Tensor<3> {
        self.ctc.forward(Dropout(self.dropout).forward(states, mode))
    }

    /// Tokens into the decoder.
    pub fn text_decoder_prenet(&self) -> TextDecoderPrenet {
        TextDecoderPrenet { dropout: self.dropout }
    }

    /// Teacher-forced text: decoder input tokens and a memory → logits `[batch, tokens, vocabulary]`.
    pub fn decode_text(&self, input: &Tokens, memory: Tensor<3>, memory_lengths: &[usize], mode: Mode) -> Tensor<3> {
        let x = self.text_decoder_prenet().forward(input, 0, &self.tokens, mode.fold("prenet"));
        let decoded = self.decoder.forward(x, &input.lengths, memory, memory_lengths, false, mode.fold("decoder"));
        self.tokens.logits(decoded.states)
    }

    /// Teacher-forced speech: decoder states for previous frames `[batch, steps, mel]`, valid up to `steps`.
    ///
    /// `noise` drives the pre-net's always-on dropout; without a key it is off. `weights` asks for cross-attention.
    pub fn decode_speech(
        &self,
        frames: Tensor<3>,
        steps: &[usize],
        speaker: Option<Tensor<2>>,
        memory: Tensor<3>,
        memory_lengths: &[usize],
        noise: Option<Key>,
        weights: bool,
        mode: Mode,
    ) -> Decoded {
        let x = self.speech_decoder_prenet.forward(frames, 0, speaker, noise, mode.fold("prenet"));
        self.decoder.forward(x, steps, memory, memory_lengths, weights, mode.fold("decoder"))
    }

    /// The same model, for inference, with the weights that every step of generation reads (of the decoder, and of its
    /// pre-net and post-net for speech) stored in fewer bits.
    #[must_use]
    pub fn compressed(self, storage: Storage) -> Self {
        Self {
            decoder: compressed(self.decoder, storage),
            speech_decoder_prenet: compressed(self.speech_decoder_prenet, storage),
            speech_decoder_postnet: compressed(self.speech_decoder_postnet, storage),
            ..self
        }
    }

    /// Valid frames of items with `lengths` valid samples in a batch of `samples` samples and `frames` frames (D4).
    pub fn frame_lengths(&self, lengths: &[usize], samples: usize, frames: usize) -> Vec<usize> {
        self.padding_rule.frame_lengths(&self.extractor, lengths, samples, frames)
    }
}

/// A [`SpeechT5`] that names speakers: the decoder sees one zero vector, its state is classified (table D39).
#[derive(Module, Debug)]
pub struct SpeakerClassifier {
    /// The model.
    pub core: SpeechT5,
    /// Decoder state into classes.
    pub head: ClassPostnet,
}

impl SpeakerClassifier {
    /// A model, and a new head for `classes` classes.
    pub fn new(core: SpeechT5, width: usize, classes: usize, init: &Init) -> Self {
        Self { core, head: ClassPostnet::new(width, classes, init) }
    }

    /// Waveforms `[batch, samples]` → logits `[batch, classes]` (spec section 4.10).
    pub fn forward(&self, samples: Tensor<2>, lengths: &[usize], mode: Mode) -> Tensor<2> {
        self.head.forward(self.states(samples, lengths, mode))
    }

    /// The same with weights of length 1 for every class, which is how a head that was trained on cosines
    /// ([`Margin`](vocable_objectives::Margin)) is used: its logits name the speakers that its cosines name.
    #[must_use]
    pub fn normalised(self) -> Self {
        Self { head: self.head.normalised(), ..self }
    }

    /// Waveforms `[batch, samples]` → decoder states `[batch, 1, width]`.
    pub fn states(&self, samples: Tensor<2>, lengths: &[usize], mode: Mode) -> Tensor<3> {
        let encoded = self.core.encode_speech(samples, lengths, None, &SpeechMasks::default(), mode);
        let [batch, _, width] = encoded.states.dims();
        let query = Tensor::zeros([batch, 1, width], &encoded.states.device());
        let (ones, mode) = (vec![1; batch], mode.fold("decoder"));
        self.core.decoder.forward(query, &ones, encoded.states, &encoded.lengths, false, mode).states
    }
}
