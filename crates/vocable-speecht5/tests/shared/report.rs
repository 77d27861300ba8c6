//! Collects comparisons with a reference, so that a failing case shows all of its differences at once.

/// The comparisons of one case.
#[derive(Debug)]
pub struct Report {
    tolerance: f32,
    lines: Vec<(String, String, bool)>,
}

impl Report {
    /// States and numbers may differ by `tolerance`.
    pub fn new(tolerance: f32) -> Self {
        Self { tolerance, lines: Vec::new() }
    }

    /// Compares states: |a − b| ≤ tolerance · max(1, max|b|).
    pub fn close(&mut self, name: &str, ours: &[f32], theirs: &[f32]) {
        if ours.len() != theirs.len() {
            let message = format!("{} values, the reference has {}", ours.len(), theirs.len());
            self.lines.push((name.to_owned(), message, false));
            return;
        }
        let scale = theirs.iter().fold(1.0_f32, |max, value| max.max(value.abs()));
        let difference = ours.iter().zip(theirs).fold(0.0_f32, |max, (a, b)| max.max((a - b).abs()));
        let good = difference <= self.tolerance * scale;
        self.lines.push((name.to_owned(), format!("differs by {difference:.2e}, scale {scale:.2e}"), good));
    }

    /// Compares one number like a state.
    pub fn number(&mut self, name: &str, ours: f64, theirs: f64) {
        let good = (ours - theirs).abs() <= f64::from(self.tolerance) * theirs.abs().max(1.0);
        self.lines.push((name.to_owned(), format!("{ours} against {theirs}"), good));
    }

    /// Compares what must be equal.
    pub fn equal<T: PartialEq + std::fmt::Debug>(&mut self, name: &str, ours: T, theirs: T) {
        let good = ours == theirs;
        self.lines.push((name.to_owned(), format!("{ours:?} against {theirs:?}"), good));
    }

    /// Compares gradients: ‖a − b‖ ≤ 1e-4 · ‖b‖, where ‖b‖ is more than rounding.
    ///
    /// A key's bias moves all logits of a query alike, so its exact gradient is zero and both sides hold rounding errors
    /// of the whole backward pass only; below 1e-6 of the norm over all parameters (`total`) two gradients count as
    /// equal.
    pub fn gradient(&mut self, name: &str, ours: &[f32], theirs: &[f32], total: f64) {
        assert_eq!(ours.len(), theirs.len(), "{name}");
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
        let difference = norm(&mut ours.iter().zip(theirs).map(|(a, b)| f64::from(a - b)));
        let size = norm(&mut theirs.iter().map(|&value| f64::from(value)));
        let good = difference <= 1e-4 * size || difference <= 1e-6 * total;
        self.lines.push((name.to_owned(), format!("‖difference‖ {difference:.2e} of {size:.2e}"), good));
    }

    /// Compares the norm of a gradient likewise; none where no gradient reaches the parameter.
    pub fn gradient_norm(&mut self, name: &str, ours: Option<f64>, theirs: Option<f64>, total: f64) {
        let (a, b) = (ours.unwrap_or(0.0), theirs.unwrap_or(0.0));
        let good = (a - b).abs() <= 1e-4 * b || (a - b).abs() <= 1e-6 * total;
        self.lines.push((format!("norm of {name}"), format!("{ours:?} against {theirs:?}"), good));
    }

    /// Names of what differs.
    pub fn failures(&self) -> Vec<&str> {
        self.lines.iter().filter(|(.., good)| !good).map(|(name, ..)| name.as_str()).collect()
    }

    /// Fails with all differences if there is one.
    pub fn finish(self, case: &str) {
        assert!(!self.lines.is_empty(), "{case}: nothing was compared");
        let wrong: Vec<String> = self
            .lines
            .iter()
            .filter(|(.., good)| !good)
            .map(|(name, message, _)| format!("  {name}: {message}"))
            .collect();
        let all = self.lines.len();
        assert!(wrong.is_empty(), "{case}: {} of {all} comparisons differ\n{}", wrong.len(), wrong.join("\n"));
        println!("{case}: {all} comparisons agree");
    }
}
