//! Autoregressive speech: mel frames, several per step, until the model says that speech ends.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::on_pool;

/// A model that continues sequences of mel frames, `r` frames a step.
///
/// As with text, the stepper owns one row of state per item.
pub trait FrameStepper: Send {
    /// Predicts the next frames from the newest decoder input of every item, `[items, 1, mel]`: at first a zero frame,
    /// then the last frame of the step before.
    fn step(&mut self, newest: Tensor<3>) -> FrameStep;

    /// Makes item `rows[i]` the new item i; rows that do not occur are dropped.
    fn select(&mut self, rows: &[usize]);
}

/// What one step predicts.
#[derive(Clone, Debug)]
pub struct FrameStep {
    /// The next log-mel frames, `[items, r, mel]`.
    pub frames: Tensor<3>,
    /// Probability of every frame to be the last, `[items, r]`.
    pub stop: Tensor<2>,
    /// Cross-attention weights of each layer, `[items, heads, 1, time]`; empty when unknown.
    pub attention: Vec<Tensor<4>>,
}

/// How the stop probabilities of the `r` frames of a step are read (specification D8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopRule {
    /// Any of them reaches the threshold.
    #[default]
    Any,
    /// Their sum reaches the threshold.
    Sum,
}

impl StopRule {
    fn holds(self, probabilities: &[f32], threshold: f32) -> bool {
        match self {
            Self::Any => probabilities.iter().any(|&p| p >= threshold),
            Self::Sum => probabilities.iter().sum::<f32>() >= threshold,
        }
    }
}

/// When speech generation stops.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechLimits {
    /// How the stop probabilities are read.
    pub rule: StopRule,
    /// Threshold of the stop probability.
    pub threshold: f32,
    /// Fewest frames, as a multiple of the encoder's length.
    pub min_ratio: f64,
    /// Most frames, as a multiple of the encoder's length.
    pub max_ratio: f64,
}

impl SpeechLimits {
    /// Threshold 0.5 on any frame and no minimum; the paper's models take a `max_ratio` of 20 for text and 10 for speech
    /// input.
    pub fn up_to(max_ratio: f64) -> Self {
        Self { rule: StopRule::Any, threshold: 0.5, min_ratio: 0.0, max_ratio }
    }

    /// Whether an item with `input` encoder positions ends after `step` steps (from 1) of the given probabilities.
    fn ends(&self, step: usize, input: usize, probabilities: &[f32]) -> bool {
        let steps = |ratio: f64| (input as f64 * ratio / probabilities.len() as f64) as usize;
        let may_end = step >= steps(self.min_ratio);
        may_end && (step >= steps(self.max_ratio) || self.rule.holds(probabilities, self.threshold))
    }
}

/// The speech generated for one item.
#[derive(Clone, Debug)]
pub struct GeneratedSpeech {
    /// Log-mel frames before any post-net, `[frames, mel]`; a whole number of steps.
    pub mel: Tensor<2>,
    /// Stop probability of every frame.
    pub stop: Vec<f32>,
    /// Whether the stop rule ended the item; otherwise it was cut at the longest length.
    pub ended: bool,
    /// Attention focus rate: the largest weight of a step, averaged over steps, of the sharpest head of any layer;
    /// `None` when the stepper gives no weights. Near 1 for a clear alignment.
    pub focus: Option<f64>,
}

/// Generates `mel`-bin frames for all items, rows 0, 1, … of the stepper; `inputs` holds the length of each item's encoder
/// states.
///
/// Every item stops for itself and leaves the batch: from step ⌊min_ratio·T/r⌋ on when the stop rule holds, at the latest
/// at step ⌊max_ratio·T/r⌋, after at least one step. Source: specification 7.2; official `generate_speech`.
pub fn generate_speech(
    stepper: &mut dyn FrameStepper,
    inputs: &[usize],
    mel: usize,
    limits: &SpeechLimits,
    device: &Device,
) -> Vec<GeneratedSpeech> {
    on_pool(|| speak(stepper, inputs, mel, limits, device))
}

fn speak(
    stepper: &mut dyn FrameStepper,
    inputs: &[usize],
    mel: usize,
    limits: &SpeechLimits,
    device: &Device,
) -> Vec<GeneratedSpeech> {
    let mut items: Vec<Item> = inputs.iter().map(|_| Item::default()).collect();
    let mut active: Vec<usize> = (0..inputs.len()).collect();
    let mut newest = Tensor::<3>::zeros([active.len(), 1, mel], device);
    for step in 1.. {
        if active.is_empty() {
            break;
        }
        let output = stepper.step(newest);
        let [rows, reduction, bins] = output.frames.dims();
        assert_eq!(
            (rows, bins),
            (active.len(), mel),
            "speech generation: a step returned another number of items or bins"
        );
        let peaks = attention_peaks(&output.attention);
        let stop = output.stop.try_into_vec_as::<f32>().expect("stop probabilities are readable floats");
        let frames = output.frames.clone().try_into_vec_as::<f32>().expect("frames are readable floats");
        let mut kept = Vec::with_capacity(rows);
        for (row, stop) in stop.chunks_exact(reduction).enumerate() {
            let item = &mut items[active[row]];
            item.frames.extend_from_slice(&frames[row * reduction * mel..][..reduction * mel]);
            item.stop.extend_from_slice(stop);
            item.add_peaks(peaks.get(row));
            if limits.ends(step, inputs[active[row]], stop) {
                item.ended = limits.rule.holds(stop, limits.threshold);
            } else {
                kept.push(row);
            }
        }
        newest = output.frames.narrow(1, reduction - 1, 1);
        if kept.len() < rows {
            active = kept.iter().map(|&row| active[row]).collect();
            if !kept.is_empty() {
                stepper.select(&kept);
                let rows: Vec<i64> = kept.iter().map(|&row| row as i64).collect();
                let rows = Tensor::from_data(TensorData::new(rows, [kept.len()]), device);
                newest = newest.select(0, rows);
            }
        }
    }
    items.into_iter().map(|item| item.finish(mel, device)).collect()
}

/// Largest weight of a step, for every row and every head of every layer; empty when there are no weights.
fn attention_peaks(attention: &[Tensor<4>]) -> Vec<Vec<f32>> {
    let mut peaks: Vec<Vec<f32>> = Vec::new();
    for layer in attention {
        let [rows, heads, _, _] = layer.dims();
        peaks.resize(rows, Vec::new());
        let newest = layer.clone().max_dim(3).try_into_vec_as::<f32>().expect("attention weights are readable floats");
        for (row, heads) in peaks.iter_mut().zip(newest.chunks_exact(heads)) {
            row.extend_from_slice(heads);
        }
    }
    peaks
}

/// One item while it is generated.
#[derive(Default)]
struct Item {
    frames: Vec<f32>,
    stop: Vec<f32>,
    ended: bool,
    /// Sum over steps of the largest weight, per head of every layer.
    peaks: Vec<f64>,
    steps: usize,
}

impl Item {
    fn add_peaks(&mut self, heads: Option<&Vec<f32>>) {
        let heads = heads.map_or(&[][..], Vec::as_slice);
        self.peaks.resize(heads.len(), 0.0);
        self.peaks.iter_mut().zip(heads).for_each(|(sum, &peak)| *sum += f64::from(peak));
        self.steps += 1;
    }

    fn finish(self, mel: usize, device: &Device) -> GeneratedSpeech {
        let shape = [self.frames.len() / mel, mel];
        GeneratedSpeech {
            mel: Tensor::from_data(TensorData::new(self.frames, shape), device),
            stop: self.stop,
            ended: self.ended,
            focus: self.peaks.iter().map(|sum| sum / self.steps as f64).reduce(f64::max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEL: usize = 2;
    const REDUCTION: usize = 2;

    /// Counts: every frame is the last input plus one (plus two, for the second), and stops at its own step.
    struct Counter {
        steps: usize,
        /// The step at which each item's second frame gets probability 0.5; every frame before gets 0.3.
        stops: Vec<usize>,
        batches: Vec<usize>,
        attention: bool,
    }

    impl Counter {
        fn new(stops: &[usize]) -> Self {
            Self { steps: 0, stops: stops.to_vec(), batches: Vec::new(), attention: false }
        }
    }

    impl FrameStepper for Counter {
        fn step(&mut self, last: Tensor<3>) -> FrameStep {
            let [items, time, mel] = last.dims();
            assert_eq!((items, time, mel), (self.stops.len(), 1, MEL));
            self.batches.push(items);
            self.steps += 1;
            let steps = self.steps;
            let frames = Tensor::cat(vec![last.clone().add_scalar(1.0), last.add_scalar(2.0)], 1);
            let stop: Vec<f32> =
                self.stops.iter().flat_map(|&stop| [0.3, if steps >= stop { 0.5 } else { 0.1 }]).collect();
            let weights = |item: usize, head: usize| {
                // Head 1 is sharper; item 1 loses sharpness with the steps.
                let peak = if head == 1 { 0.8 / ((item * (steps - 1)) as f32 + 1.0) } else { 0.4 };
                [peak, 0.1]
            };
            let weights: Vec<f32> = (0..items).flat_map(|item| [weights(item, 0), weights(item, 1)].concat()).collect();
            let weights = Tensor::from_data(TensorData::new(weights, [items, 2, 1, 2]), &Device::flex());
            FrameStep {
                frames,
                stop: Tensor::from_data(TensorData::new(stop, [items, REDUCTION]), &Device::flex()),
                attention: if self.attention { vec![weights] } else { Vec::new() },
            }
        }

        fn select(&mut self, rows: &[usize]) {
            self.stops = rows.iter().map(|&row| self.stops[row]).collect();
        }
    }

    fn generate(counter: &mut Counter, inputs: &[usize], limits: SpeechLimits) -> Vec<GeneratedSpeech> {
        generate_speech(counter, inputs, MEL, &limits, &Device::flex())
    }

    fn steps(speech: &GeneratedSpeech) -> usize {
        speech.mel.dims()[0] / REDUCTION
    }

    #[test]
    fn a_batch_is_generated_as_its_singles_and_shrinks() {
        let stops = [3, 1, 5];
        let mut counter = Counter::new(&stops);
        let limits = SpeechLimits::up_to(10.0);
        let found = generate(&mut counter, &[4, 4, 4], limits);
        assert_eq!(counter.batches, [3, 2, 2, 1, 1]);
        for (speech, stop) in found.iter().zip(stops) {
            assert_eq!(steps(speech), stop);
            assert!(speech.ended && speech.focus.is_none());
            assert_eq!(speech.stop.len(), speech.mel.dims()[0]);
            // The input of a step is the last frame of the step before: 1 2, 3 4, 5 6, …
            let mel = speech.mel.clone().try_into_vec_as::<f32>().unwrap();
            let expected: Vec<f32> = (1..=stop * REDUCTION).flat_map(|n| [n as f32; MEL]).collect();
            assert_eq!(mel, expected);
            let single = generate(&mut Counter::new(&[stop]), &[4], limits);
            assert_eq!(single[0].mel.clone().try_into_vec_as::<f32>().unwrap(), mel);
        }
    }

    #[test]
    fn lengths_are_floors_of_the_ratios() {
        let never = [usize::MAX];
        let longest = |input: usize, max_ratio: f64| {
            let speech = &generate(&mut Counter::new(&never), &[input], SpeechLimits::up_to(max_ratio))[0];
            assert!(!speech.ended);
            steps(speech)
        };
        // floor(9 · 20 / 2), floor(7 · 1 / 2), and at least one step.
        assert_eq!([longest(9, 20.0), longest(7, 1.0), longest(1, 1.0)], [90, 3, 1]);
        let limits = SpeechLimits { min_ratio: 1.5, ..SpeechLimits::up_to(20.0) };
        // floor(5 · 1.5 / 2) = 3: the stop at step 1 is not heard before.
        let speech = &generate(&mut Counter::new(&[1]), &[5], limits)[0];
        assert_eq!((steps(speech), speech.ended), (3, true));
        // A minimum above the maximum wins.
        let limits = SpeechLimits { min_ratio: 4.0, ..SpeechLimits::up_to(2.0) };
        assert_eq!(steps(&generate(&mut Counter::new(&never), &[5], limits)[0]), 10);
    }

    #[test]
    fn the_sum_rule_stops_where_any_does_not() {
        // Before the stop step the two probabilities are 0.3 and 0.1, from it on 0.3 and 0.5.
        let at = |rule, threshold| {
            let limits = SpeechLimits { rule, threshold, ..SpeechLimits::up_to(4.0) };
            steps(&generate(&mut Counter::new(&[3]), &[5], limits)[0])
        };
        assert_eq!([at(StopRule::Any, 0.5), at(StopRule::Sum, 0.5)], [3, 3]);
        assert_eq!([at(StopRule::Any, 0.35), at(StopRule::Sum, 0.35)], [3, 1]);
        assert_eq!([at(StopRule::Any, 0.7), at(StopRule::Sum, 0.7)], [10, 3]);
    }

    #[test]
    fn focus_is_the_mean_peak_of_the_sharpest_head() {
        let mut counter = Counter::new(&[2, 2]);
        counter.attention = true;
        let found = generate(&mut counter, &[4, 4], SpeechLimits::up_to(10.0));
        // Item 1, head 1: (0.8 + 0.4) / 2, above head 0's 0.4. f32 weights.
        for (speech, expected) in found.iter().zip([0.8, 0.6]) {
            assert!((speech.focus.expect("weights") - expected).abs() < 1e-6);
        }
    }
}
