//! The forward–backward recursion over the alignments of one utterance.

use super::wide::{self, Wide};
use crate::fused::Level;

/// The negative log-likelihood of a target under logits `[frames, classes]`; writes its gradient where that is wanted.
/// Infinite, and the gradient untouched, where no alignment exists.
pub(crate) fn utterance(
    level: Level,
    logits: &[f32],
    classes: usize,
    target: &[u32],
    blank: u32,
    gradient: Option<&mut [f32]>,
) -> f64 {
    for &label in target {
        assert!(
            (label as usize) < classes && label != blank,
            "CTC: label {label} is the blank or no class of {classes}"
        );
    }
    let frames = logits.len() / classes;
    if frames == 0 {
        return if target.is_empty() { 0.0 } else { f64::INFINITY };
    }
    let emissions = Emissions::new(level, logits, classes);
    if emissions.totals.iter().any(|total| !total.is_finite()) {
        // A wide number has no room for NaN.
        gradient.into_iter().flatten().for_each(|gradient| *gradient = f32::NAN);
        return f64::NAN;
    }
    let lattice = Lattice::new(target, blank);
    let states = lattice.labels.len();
    let mut forward = Wide::zeros(frames * lattice.row());
    for frame in 0..frames {
        lattice.arrive(level, frame, &mut forward);
        lattice.emit(level, &emissions, frame, frame, &mut forward);
    }
    let likelihood = forward.sum(forward.len() - states.min(2)..forward.len());
    if likelihood.0 == 0.0 {
        return f64::INFINITY;
    }
    if let Some(gradient) = gradient {
        lattice.gradient(level, &emissions, &forward, likelihood, gradient);
    }
    emissions.totals.iter().map(|total| total.ln()).sum::<f64>() - wide::ln(likelihood)
}

/// The exponentials of the logits, each frame's relative to its largest.
struct Emissions {
    /// `[frames, classes]`
    values: Wide,
    /// Their sum over each frame's classes.
    totals: Vec<f64>,
    classes: usize,
}

impl Emissions {
    fn new(level: Level, logits: &[f32], classes: usize) -> Self {
        let mut values = Wide::zeros(logits.len());
        let rows = values.mantissas.chunks_exact_mut(classes).zip(values.exponents.chunks_exact_mut(classes));
        let totals = logits
            .chunks_exact(classes)
            .zip(rows)
            .map(|(logits, (mantissas, exponents))| wide::exponentials(level, logits, mantissas, exponents))
            .collect();
        Self { values, totals, classes }
    }
}

/// The states of the alignment automaton: blank, first label, blank, second label, …, blank.
struct Lattice {
    labels: Vec<usize>,
    /// Added to the exponent of what arrives from two states before: 0 where that skips a blank between different
    /// labels, else [`wide::BARRED`].
    skip: Vec<i64>,
}

impl Lattice {
    fn new(target: &[u32], blank: u32) -> Self {
        let blank = blank as usize;
        let mut labels = vec![blank];
        for &label in target {
            labels.extend([label as usize, blank]);
        }
        let skips = |state: usize| state >= 2 && labels[state] != blank && labels[state] != labels[state - 2];
        let skip = (0..labels.len()).map(|state| if skips(state) { 0 } else { wide::BARRED }).collect();
        Self { labels, skip }
    }

    /// The same automaton, run from the end: the states in reverse.
    fn reversed(&self) -> Self {
        let mut labels = self.labels.clone();
        labels.reverse();
        // The skip into a state is, seen from the other end, a skip out of it.
        let mut skip: Vec<i64> = self.skip.iter().skip(2).copied().collect();
        skip.extend([wide::BARRED; 2].iter().take(labels.len()));
        skip.reverse();
        Self { labels, skip }
    }

    /// The numbers of a row of states: two that stay zero before the first spare it a case of its own.
    fn row(&self) -> usize {
        self.labels.len() + 2
    }

    /// The probability of all ways into each state at step `step`, before that step emits anything; `rows` holds a row
    /// for each step.
    fn arrive(&self, level: Level, step: usize, rows: &mut Wide) {
        let (row, states) = (self.row(), self.labels.len());
        if step == 0 {
            // A path begins with a blank or a label.
            for state in 0..states.min(2) {
                rows.set_one(2 + state);
            }
            return;
        }
        let (before, after) = rows.mantissas[(step - 1) * row..].split_at_mut(row);
        let (before_exponents, after_exponents) = rows.exponents[(step - 1) * row..].split_at_mut(row);
        let after = (&mut after[2..row], &mut after_exponents[2..row]);
        wide::add_three(level, (before, before_exponents), &self.skip, after);
    }

    /// Multiplies the states at step `step` by what frame `frame` gives their labels.
    fn emit(&self, level: Level, emissions: &Emissions, frame: usize, step: usize, rows: &mut Wide) {
        let Emissions { values, classes, .. } = emissions;
        let start = step * self.row() + 2;
        let end = start + self.labels.len();
        let (mantissas, exponents) = (&mut rows.mantissas[start..end], &mut rows.exponents[start..end]);
        let frame = frame * classes..(frame + 1) * classes;
        let (factors, powers) = (&values.mantissas[frame.clone()], &values.exponents[frame]);
        for ((mantissa, exponent), &label) in mantissas.iter_mut().zip(exponents.iter_mut()).zip(&self.labels) {
            *mantissa *= factors[label];
            *exponent += powers[label];
        }
        wide::normalise(level, mantissas, exponents);
    }

    /// Writes softmax(logits) minus the expected count of each class at each frame.
    fn gradient(
        &self,
        level: Level,
        emissions: &Emissions,
        forward: &Wide,
        likelihood: (f64, i64),
        gradient: &mut [f32],
    ) {
        let Emissions { values, totals, classes } = emissions;
        let (states, row, frames) = (self.labels.len(), self.row(), totals.len());
        // The backward variables are the forward ones of the reversed automaton in reversed time.
        let reversed = self.reversed();
        let mut backward = Wide::zeros(frames * row);
        let mut counts = vec![0.0; *classes];
        let mut occupancy = vec![0.0; states];
        for step in 0..frames {
            let frame = frames - 1 - step;
            reversed.arrive(level, step, &mut backward);
            let (ahead, behind) = (frame * row + 2..(frame + 1) * row, step * row + 2..(step + 1) * row);
            wide::shares(
                level,
                (&forward.mantissas[ahead.clone()], &forward.exponents[ahead]),
                (&backward.mantissas[behind.clone()], &backward.exponents[behind]),
                likelihood,
                &mut occupancy,
            );
            reversed.emit(level, emissions, frame, step, &mut backward);
            counts.fill(0.0);
            for (&label, &share) in reversed.labels.iter().zip(&occupancy) {
                counts[label] += share;
            }
            let scale = 1.0 / totals[frame];
            let classes = frame * classes..(frame + 1) * classes;
            let probabilities = values.mantissas[classes.clone()].iter().zip(&values.exponents[classes.clone()]);
            for ((gradient, (&mantissa, &exponent)), &count) in
                gradient[classes].iter_mut().zip(probabilities).zip(&counts)
            {
                *gradient = (mantissa * wide::power_of_two(exponent) * scale - count) as f32;
            }
        }
    }
}
