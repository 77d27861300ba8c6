//! A filter over the bins of a spectrum.

/// A filter that lets one range of bins through: its first bin and its weights from there on.
pub(crate) struct Band {
    start: usize,
    weights: Vec<f64>,
}

impl Band {
    /// The first range of the bins below `bins` whose weights are positive.
    pub fn new(bins: usize, weight: impl Fn(usize) -> f64) -> Self {
        let start = (0..bins).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
        Self { start, weights: (start..bins).map(weight).take_while(|&weight| weight > 0.0).collect() }
    }

    /// The weighted sum of what `value` makes of each bin of a spectrum.
    pub fn sum<T>(&self, spectrum: &[T], value: impl Fn(&T) -> f64) -> f64 {
        let inside = &spectrum[self.start..self.start + self.weights.len()];
        inside.iter().zip(&self.weights).map(|(bin, weight)| value(bin) * weight).sum()
    }

    /// Writes the weights into a row of as many zeros as there are bins.
    pub fn write(&self, row: &mut [f64]) {
        row[self.start..self.start + self.weights.len()].copy_from_slice(&self.weights);
    }
}
