//! Orders of values: `[output, input, tap]` in published files, `[tap · input, output]` here.
//!
//! Of grouped convolutions the group comes first on both sides. One reversal of axes within each group therefore
//! converts every weight, in both directions.

/// How values are arranged in published files; here a weight is stored `[tap · input, output]`, one group after the
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// In the same order and shape as here.
    Flat,
    /// One value: without dimensions there, `[1]` here.
    Scalar,
    /// One value a tap: `[1, 1, tap]`.
    Taps,
    /// `[output, input]`.
    Linear,
    /// `[output, input, tap]`; of a grouped convolution the outputs of all groups.
    Conv,
}

impl Layout {
    /// Whether a published tensor of shape `theirs` can fill a parameter of shape `ours`.
    pub fn fits(self, theirs: &[usize], ours: &[usize]) -> bool {
        match (self, theirs, ours) {
            (Self::Flat, ..) => theirs == ours,
            (Self::Scalar, ..) => theirs.iter().chain(ours).all(|&length| length == 1),
            (Self::Taps, &[1, 1, taps], _) => ours == [taps],
            (Self::Linear, &[output, input], _) => ours == [input, output],
            (Self::Conv, &[output, input, taps], &[depth, outputs]) => output == outputs && taps * input == depth,
            (Self::Conv, &[output, input, taps], &[groups, ours_taps, ours_input, share]) => {
                [ours_taps, ours_input, groups * share] == [taps, input, output]
            }
            _ => false,
        }
    }

    /// Values of a published tensor of shape `theirs` in the order of a parameter of shape `ours`; the shapes fit.
    pub fn arrange(self, values: &[f32], theirs: &[usize], ours: &[usize]) -> Vec<f32> {
        match (self, theirs) {
            (Self::Flat | Self::Scalar | Self::Taps, _) => values.to_vec(),
            (_, &[output, input]) => reverse(values, 1, [output, input, 1]),
            (_, &[output, input, taps]) => {
                let groups = groups(ours);
                reverse(values, groups, [output / groups, input, taps])
            }
            _ => unreachable!("the shapes fit"),
        }
    }

    /// Values of a parameter of shape `ours` in the order of a published tensor of shape `theirs`; the shapes fit.
    pub fn publish(self, values: Vec<f32>, ours: &[usize], theirs: &[usize]) -> Vec<f32> {
        match (self, theirs) {
            (Self::Flat | Self::Scalar | Self::Taps, _) => values,
            (_, &[output, input]) => reverse(&values, 1, [1, input, output]),
            (_, &[output, input, taps]) => {
                let groups = groups(ours);
                reverse(&values, groups, [taps, input, output / groups])
            }
            _ => unreachable!("the shapes fit"),
        }
    }

    /// The shape that a parameter of shape `ours` has in published files; `taps` are those of an ungrouped convolution,
    /// whose own shape does not tell.
    pub fn published_shape(self, ours: &[usize], taps: usize) -> Vec<usize> {
        match (self, ours) {
            (Self::Scalar, _) => Vec::new(),
            (Self::Taps, &[taps]) => vec![1, 1, taps],
            (Self::Linear, &[input, output]) => vec![output, input],
            (Self::Conv, &[depth, output]) => vec![output, depth / taps, taps],
            (Self::Conv, &[groups, taps, input, output]) => vec![groups * output, input, taps],
            _ => ours.to_vec(),
        }
    }
}

fn groups(ours: &[usize]) -> usize {
    if ours.len() == 4 { ours[0] } else { 1 }
}

/// `[groups, a, b, c]` → `[groups, c, b, a]`.
fn reverse(values: &[f32], groups: usize, [a, b, c]: [usize; 3]) -> Vec<f32> {
    assert_eq!(values.len(), groups * a * b * c, "a weight has another size than its shape");
    let group = |group: &[f32]| {
        let turned = vocable_kernels::transposed(group, a, b * c);
        if b == 1 || c == 1 {
            return turned;
        }
        let rows = (0..c).flat_map(|k| (0..b).map(move |j| j * c + k));
        rows.map(|row| &turned[row * a..][..a]).collect::<Vec<_>>().concat()
    };
    match groups {
        1 => group(values),
        _ => values.chunks_exact((a * b * c).max(1)).map(group).collect::<Vec<_>>().concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_survive_both_ways() {
        // Two groups, [output 2·2, input 3, tap 2].
        let (theirs, ours) = ([4, 3, 2], [2, 2, 3, 2]);
        let values: Vec<f32> = (0..24).map(|n| n as f32).collect();
        assert!(Layout::Conv.fits(&theirs, &ours));
        let arranged = Layout::Conv.arrange(&values, &theirs, &ours);
        // Group 1, tap 1, input 2, output 0 is their output 2, input 2, tap 1.
        assert_eq!(arranged[((2 + 1) * 3 + 2) * 2], values[(2 * 3 + 2) * 2 + 1]);
        assert_eq!(Layout::Conv.publish(arranged, &ours, &theirs), values);
        assert_eq!(Layout::Conv.published_shape(&ours, 0), theirs);
        // [output 4, input 3, tap 2] without groups.
        let arranged = Layout::Conv.arrange(&values, &theirs, &[6, 4]);
        assert_eq!(arranged[(3 + 2) * 4 + 1], values[(3 + 2) * 2 + 1]);
        assert_eq!(Layout::Conv.publish(arranged, &[6, 4], &theirs), values);
        assert_eq!(Layout::Conv.published_shape(&[6, 4], 2), theirs);
    }

    #[test]
    fn shapes_fit_as_a_whole() {
        assert!(Layout::Scalar.fits(&[], &[1]) && Layout::Taps.fits(&[1, 1, 5], &[5]));
        assert!(!Layout::Scalar.fits(&[2], &[1]) && !Layout::Taps.fits(&[1, 5, 1], &[5]));
        assert!(!Layout::Flat.fits(&[2, 3], &[3, 2]) && !Layout::Flat.fits(&[6], &[3, 2]));
        assert!(Layout::Linear.fits(&[2, 3], &[3, 2]) && !Layout::Linear.fits(&[2, 3], &[2, 3]));
        assert!(!Layout::Linear.fits(&[2, 3, 1], &[3, 2]) && !Layout::Conv.fits(&[4, 3], &[3, 4]));
        assert!(Layout::Conv.fits(&[4, 3, 2], &[6, 4]) && !Layout::Conv.fits(&[3, 4, 2], &[6, 4]));
        assert!(!Layout::Conv.fits(&[4, 3, 2], &[2, 3, 2, 2]) && !Layout::Conv.fits(&[4, 3, 2], &[4, 2, 3, 2]));
    }
}
