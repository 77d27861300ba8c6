//! The matrix all features come in.

/// Features over time: a row-major matrix `[frames, width]`, one frame per row.
#[derive(Clone, Debug, PartialEq)]
pub struct Frames {
    /// `frames · width` values, frame after frame.
    pub data: Vec<f32>,
    /// Values per frame.
    pub width: usize,
}

impl Frames {
    /// Wraps row-major values; panics unless they are a whole number of frames of a positive `width`.
    pub fn new(data: Vec<f32>, width: usize) -> Self {
        assert!(width > 0 && data.len().is_multiple_of(width), "{} values are no rows of {width}", data.len());
        Self { data, width }
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.data.len() / self.width
    }

    /// Whether there is no frame at all.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Frame `index`, `width` values; panics past the end.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.data[index * self.width..(index + 1) * self.width]
    }

    /// The frames in order.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.data.chunks_exact(self.width)
    }

    /// Frames 0, `step`, 2·`step`, …: `ceil(frames / step)` of them. A step of 2 turns 100 Hz features into 50 Hz ones.
    #[must_use]
    pub fn every(&self, step: usize) -> Self {
        Self { data: self.rows().step_by(step).flatten().copied().collect(), width: self.width }
    }

    /// Puts matrices of the same number of frames side by side: `[frames, sum of widths]`; panics where the numbers differ.
    pub fn beside(parts: &[&Frames]) -> Self {
        let frames = parts.first().map_or(0, |part| part.len());
        assert!(
            parts.iter().all(|part| part.len() == frames),
            "matrices of different lengths cannot stand side by side"
        );
        let width = parts.iter().map(|part| part.width).sum();
        let data = (0..frames).flat_map(|t| parts.iter().flat_map(move |part| part.row(t))).copied().collect();
        Self { data, width }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_thinning_and_joining() {
        let frames = Frames::new((0..10).map(|v| v as f32).collect(), 2);
        assert_eq!((frames.len(), frames.row(3)), (5, [6.0, 7.0].as_slice()));
        assert_eq!(frames.every(2).data, [0.0, 1.0, 4.0, 5.0, 8.0, 9.0]);
        assert_eq!(frames.every(2).len(), 3);
        let joined = Frames::beside(&[&frames, &frames]);
        assert_eq!((joined.width, joined.len(), joined.row(1)), (4, 5, [2.0, 3.0, 2.0, 3.0].as_slice()));
    }
}
