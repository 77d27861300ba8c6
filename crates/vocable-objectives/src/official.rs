//! The losses against those the official implementation makes of the same tensors (`fixtures/official.safetensors`).
//!
//! Both sides compute in f32, in another order: results agree to 1e-5 of their size, tensors to 1e-5 absolutely.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};
use vocable_nn::{Init, Linear, Mode, Precision};
use vocable_random::Key;

use crate::quantizer::{Choices, Mixed};
use crate::*;

const FILE: &[u8] = include_bytes!("../fixtures/official.safetensors");

fn values(name: &str) -> (Vec<usize>, Vec<f32>) {
    let file = SafeTensors::deserialize(FILE).expect("the fixture is a safetensors file");
    let view = file.tensor(name).unwrap_or_else(|_| panic!("the fixture has no {name}"));
    let data = view.data();
    let numbers = match view.dtype() {
        Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect(),
        Dtype::I64 => data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32).collect(),
        Dtype::U8 => data.iter().map(|&b| f32::from(b)).collect(),
        other => panic!("{name} is of type {other:?}"),
    };
    (view.shape().to_vec(), numbers)
}

fn tensor<const D: usize>(name: &str) -> Tensor<D> {
    let (shape, values) = values(name);
    Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
}

fn indices(name: &str) -> Vec<usize> {
    values(name).1.into_iter().map(|x| x as usize).collect()
}

fn rows(name: &str) -> Vec<Vec<u32>> {
    let (shape, values) = values(name);
    values.chunks(shape[1]).map(|row| row.iter().map(|&x| x as u32).collect()).collect()
}

#[track_caller]
fn assert_scalar(found: f64, name: &str) {
    let expected = f64::from(values(name).1[0]);
    assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{name}: {found}, official {expected}");
}

#[track_caller]
fn assert_tensor(found: Tensor<3>, name: &str) {
    let (shape, expected) = values(name);
    assert_eq!(found.dims().to_vec(), shape);
    let found = found.try_into_vec_as::<f32>().unwrap();
    let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= 1e-5, "{name}: largest difference {worst}");
}

fn number(loss: Tensor<1>) -> f64 {
    loss.into_scalar::<f32>().into()
}

/// PyTorch stores `[output, input]`.
fn linear(prefix: &str) -> Linear {
    Linear {
        weight: Param::from_tensor(tensor::<2>(&format!("{prefix}.weight")).transpose()),
        bias: Some(Param::from_tensor(tensor(&format!("{prefix}.bias")))),
        precision: Precision::F32,
    }
}

#[test]
fn quantizer_in_evaluation_and_training() {
    let states = tensor::<3>("speech_pretrain.out.encoder_out");
    let codebook = tensor::<3>("model.quantizer.vars");
    let [batch, time, width] = states.dims();
    let [_, all, part] = codebook.dims();
    let groups = width / part;
    let config = QuantizerConfig { groups, codes: all / groups, ..QuantizerConfig::official() };
    let mut quantizer = Quantizer::new(config, width, &Init::new(Key::new(0), &states.device()));
    quantizer.codebook = Param::from_tensor(codebook);
    quantizer.scores = Some(linear("model.quantizer.weight_proj"));
    assert_scalar(config.temperature.at(1000), "speech_pretrain.gumbel_tau");

    let mixed = Mixed::Shared(indices("speech_pretrain.in.mix_indices"));
    let noise = values("speech_pretrain.in.gumbel_noise").1;
    let number_mixed = |mode| match Choices::draw(&config, batch, time, mode).mixed {
        Mixed::Shared(indices) => indices.len(),
        Mixed::PerItem(_) => panic!("the official code shares the indices"),
    };
    assert_eq!(number_mixed(Mode::Eval), 4);
    for (noise, memory) in
        [(None, "speech_pretrain.out.decoder_memory"), (Some(noise), "speech_pretrain.train.out.decoder_memory")]
    {
        let choices = Choices { mixed: mixed.clone(), noise };
        let out = quantizer.forward_with(states.clone(), &[time; 2], &choices, config.temperature.at(1000));
        assert_tensor(out.states, memory);
        assert_scalar(number(out.diversity), "speech_pretrain.diversity_loss");
        assert_scalar(out.soft_perplexity, "speech_pretrain.prob_perplexity");
        assert_scalar(out.code_perplexity, "speech_pretrain.code_perplexity");
    }
}

#[test]
fn masked_prediction_and_feature_penalty() {
    let states = tensor::<3>("speech_pretrain.out.encoder_out");
    let [_, time, _] = states.dims();
    let head = MlmHead {
        projection: linear("model.hubert_layer.final_proj"),
        label_embeddings: Param::from_tensor(tensor("model.hubert_layer.label_embs_concat")),
    };
    let masked: Vec<Vec<bool>> = rows("speech_pretrain.in.time_mask")
        .into_iter()
        .map(|row| row.into_iter().map(|masked| masked == 1).collect())
        .collect();
    let out = head.forward(states, &[time; 2], &masked, &rows("speech_pretrain.in.target_list.0"));
    assert_scalar(out.frames as f64, "speech_pretrain.log.count_m_0");
    assert_scalar(out.correct as f64, "speech_pretrain.log.correct_m_0");
    assert_scalar(number(out.loss), "speech_pretrain.mlm_mean");
    let penalty = feature_penalty(tensor("speech_pretrain.out.conv_features"));
    assert_scalar(number(penalty), "speech_pretrain.features_pen");
}

#[test]
fn recognition_losses() {
    let mut targets = rows("asr_finetune.in.target");
    for (target, length) in targets.iter_mut().zip(indices("asr_finetune.in.target_lengths")) {
        target.truncate(length);
    }
    let ce = cross_entropy(tensor("asr_finetune.out.logits"), &targets, 0.0);
    assert_scalar(number(ce.sum), "asr_finetune.log.ce_loss");
    assert_scalar(ce.correct as f64, "asr_finetune.log.n_correct");

    // CTC sees the labels without the end of the sentence.
    targets.iter_mut().for_each(|target| target.truncate(target.len() - 1));
    let frames: Vec<usize> = rows("asr_finetune.out.encoder_padding_mask")
        .iter()
        .map(|padding| padding.iter().filter(|&&padded| padded == 0).count())
        .collect();
    let logits = tensor::<3>("asr_finetune.out.ctc_logits");
    let blank = logits.dims()[2] as u32 - 1;
    let ctc = ctc_loss(logits, &frames, &targets, blank, false);
    assert_scalar(number(ctc.sum), "asr_finetune.log.ctc_loss");
}

#[test]
fn synthesis_losses() {
    let full = indices("tts_finetune.in.dec_target_lengths");
    let kept: Vec<usize> = full.iter().map(|frames| frames / 2 * 2).collect();
    let logits = tensor::<2>("tts_finetune.out.stop_logits");
    let labels = StopLabels::Tail.labels(&full, &kept, logits.dims()[1], &logits.device());
    // The official collater's labels, before the criterion sets the last kept frame (of the odd item) to one.
    let mut collated = values("tts_finetune.in.labels").1;
    let frames = logits.dims()[1];
    kept.iter().enumerate().for_each(|(item, kept)| collated[item * frames + kept - 1] = 1.0);
    assert_eq!(labels.clone().try_into_vec_as::<f32>().unwrap(), collated);
    assert_scalar(number(stop_loss(logits, labels, &kept, 5.0)), "tts_finetune.log.bce_loss");

    let weights = tensor::<5>("tts_finetune.out.cross_attn");
    let steps: Vec<usize> = kept.iter().map(|frames| frames / 2).collect();
    let positions = indices("tts_finetune.in.src_lengths");
    // [item, layer, head, step, position].
    let layers: Vec<Tensor<4>> = weights.iter_dim(1).map(|layer| layer.squeeze_dim(1)).collect();
    let loss = guided_attention_loss(&layers, &steps, &positions, 2);
    assert_scalar(number(loss), "tts_finetune.log.enc_dec_attn_loss");
}
