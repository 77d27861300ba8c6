//! Minimal edit alignments of two sequences.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// One step of an alignment of a reference with a hypothesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The reference's next token stands in the hypothesis.
    Hit,
    /// Another token stands in its place.
    Substitution,
    /// The reference's next token is missing.
    Deletion,
    /// The hypothesis' next token has no counterpart.
    Insertion,
}

/// How many edits of each kind; counts of several utterances add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EditCounts {
    /// Tokens that agree.
    pub hits: usize,
    /// Tokens that were replaced.
    pub substitutions: usize,
    /// Reference tokens that are missing.
    pub deletions: usize,
    /// Hypothesis tokens that are superfluous.
    pub insertions: usize,
}

impl EditCounts {
    /// Substitutions, deletions and insertions.
    pub fn errors(&self) -> usize {
        self.substitutions + self.deletions + self.insertions
    }

    /// Tokens of the reference.
    pub fn reference(&self) -> usize {
        self.hits + self.substitutions + self.deletions
    }

    /// Tokens of the hypothesis.
    pub fn hypothesis(&self) -> usize {
        self.hits + self.substitutions + self.insertions
    }

    /// Errors per 100 reference tokens; over 100 where much is inserted. `None` where the references have no token at all,
    /// since there is nothing to take a share of.
    pub fn percent(&self) -> Option<f64> {
        (self.reference() > 0).then(|| 100.0 * self.errors() as f64 / self.reference() as f64)
    }
}

impl Add for EditCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            substitutions: self.substitutions + other.substitutions,
            deletions: self.deletions + other.deletions,
            insertions: self.insertions + other.insertions,
        }
    }
}

impl AddAssign for EditCounts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for EditCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

/// A reference and a hypothesis side by side; `Display` prints them as three lines (reference, hypothesis, marks).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alignment<T> {
    /// The reference.
    pub reference: Vec<T>,
    /// The hypothesis.
    pub hypothesis: Vec<T>,
    /// The steps from the first tokens to the last.
    pub edits: Vec<Edit>,
}

impl<T> Alignment<T> {
    /// How many edits of each kind there are.
    pub fn counts(&self) -> EditCounts {
        let count = |kind| self.edits.iter().filter(|&&edit| edit == kind).count();
        EditCounts {
            hits: count(Edit::Hit),
            substitutions: count(Edit::Substitution),
            deletions: count(Edit::Deletion),
            insertions: count(Edit::Insertion),
        }
    }

    /// The steps with their tokens; the one that is missing is `None`.
    pub fn steps(&self) -> impl Iterator<Item = (Edit, Option<&T>, Option<&T>)> {
        let (mut reference, mut hypothesis) = (self.reference.iter(), self.hypothesis.iter());
        self.edits.iter().map(move |&edit| {
            let left = if edit == Edit::Insertion { None } else { reference.next() };
            let right = if edit == Edit::Deletion { None } else { hypothesis.next() };
            (edit, left, right)
        })
    }
}

impl<T: fmt::Display> fmt::Display for Alignment<T> {
    /// ```text
    /// the cat sat  ****
    /// the *** sits down
    ///     D   S    I
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = [String::new(), String::new(), String::new()];
        for (edit, left, right) in self.steps() {
            let (left, right) = (left.map(ToString::to_string), right.map(ToString::to_string));
            let width = [&left, &right].into_iter().flatten().map(|token| token.chars().count()).max().unwrap_or(0);
            let missing = || "*".repeat(width);
            let mark = match edit {
                Edit::Hit => "",
                Edit::Substitution => "S",
                Edit::Deletion => "D",
                Edit::Insertion => "I",
            };
            for (line, cell) in
                lines.iter_mut().zip([left.unwrap_or_else(missing), right.unwrap_or_else(missing), mark.into()])
            {
                line.push_str(&format!("{cell:width$} "));
            }
        }
        write!(f, "{}\n{}\n{}", lines[0].trim_end(), lines[1].trim_end(), lines[2].trim_end())
    }
}

/// What an insertion or a deletion costs; see [`SUBSTITUTION`].
const UNIT: u64 = 1 << 32;
/// One more than a unit: substitutions decide between alignments with equally many errors, and never against fewer errors.
const SUBSTITUTION: u64 = UNIT + 1;

/// The alignment with the fewest errors (Levenshtein distance); among those, with the most hits, which makes the counts of
/// each kind unique.
///
/// Time and memory grow with the product of the lengths, a byte for each pair of tokens.
pub fn align<T: PartialEq + Clone>(reference: &[T], hypothesis: &[T]) -> Alignment<T> {
    let columns = hypothesis.len();
    // Of the first i reference tokens, for every j: the cost to the first j hypothesis tokens ..
    let mut cost: Vec<u64> = (0..=columns as u64).map(|j| j * UNIT).collect();
    // .. and of every i and j from 1 on the last edit of the best way there.
    let mut ways = Vec::with_capacity(reference.len() * columns);
    for (i, token) in reference.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut cost[0], (i as u64 + 1) * UNIT);
        for (j, other) in hypothesis.iter().enumerate() {
            let (edit, replacing) = if token == other { (Edit::Hit, 0) } else { (Edit::Substitution, SUBSTITUTION) };
            let (replaced, deleted, inserted) = (diagonal + replacing, cost[j + 1] + UNIT, cost[j] + UNIT);
            let best = replaced.min(deleted).min(inserted);
            ways.push(if best == replaced {
                edit
            } else if best == deleted {
                Edit::Deletion
            } else {
                Edit::Insertion
            });
            diagonal = std::mem::replace(&mut cost[j + 1], best);
        }
    }
    let mut edits = Vec::with_capacity(reference.len().max(hypothesis.len()));
    let (mut i, mut j) = (reference.len(), hypothesis.len());
    while i > 0 || j > 0 {
        let edit = match (i, j) {
            (0, _) => Edit::Insertion,
            (_, 0) => Edit::Deletion,
            _ => ways[(i - 1) * columns + j - 1],
        };
        i -= usize::from(edit != Edit::Insertion);
        j -= usize::from(edit != Edit::Deletion);
        edits.push(edit);
    }
    edits.reverse();
    Alignment { reference: reference.to_vec(), hypothesis: hypothesis.to_vec(), edits }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every sequence over `letters` of up to `longest` tokens.
    fn sequences(letters: &[u8], longest: usize) -> Vec<Vec<u8>> {
        let mut all = vec![vec![]];
        let mut from = 0;
        for _ in 0..longest {
            let to = all.len();
            for index in from..to {
                for &letter in letters {
                    let mut next = all[index].clone();
                    next.push(letter);
                    all.push(next);
                }
            }
            from = to;
        }
        all
    }

    /// The fewest errors and, with them, the fewest substitutions: the definition, without a table.
    fn fewest(a: &[u8], b: &[u8]) -> (usize, usize) {
        match (a, b) {
            ([], rest) | (rest, []) => (rest.len(), 0),
            ([x, a_rest @ ..], [y, b_rest @ ..]) => {
                let replaced = usize::from(x != y);
                [(a_rest, b_rest, replaced, replaced), (a_rest, b, 1, 0), (a, b_rest, 1, 0)]
                    .into_iter()
                    .map(|(a, b, error, substitution)| {
                        let (errors, substitutions) = fewest(a, b);
                        (errors + error, substitutions + substitution)
                    })
                    .min()
                    .unwrap()
            }
        }
    }

    #[test]
    fn all_short_sequences_are_aligned_with_the_fewest_edits() {
        let all = sequences(b"abc", 4);
        for a in &all {
            for b in &all {
                let alignment = align(a, b);
                let counts = alignment.counts();
                assert_eq!((counts.errors(), counts.substitutions), fewest(a, b), "{a:?} {b:?}");
                assert_eq!((counts.reference(), counts.hypothesis()), (a.len(), b.len()));
                for (edit, left, right) in alignment.steps() {
                    let consistent = match edit {
                        Edit::Hit => left.is_some() && left == right,
                        Edit::Substitution => left.is_some() && right.is_some() && left != right,
                        Edit::Deletion => left.is_some() && right.is_none(),
                        Edit::Insertion => left.is_none() && right.is_some(),
                    };
                    assert!(consistent, "{a:?} {b:?}: {edit:?} {left:?} {right:?}");
                }
            }
        }
    }

    #[test]
    fn printing_puts_counterparts_under_each_other() {
        let (reference, hypothesis) = (["the", "cat", "sat", "on", "mats"], ["the", "sat", "in", "the", "mats"]);
        let printed = align(&reference, &hypothesis).to_string();
        assert_eq!(printed, "the cat sat ** on  mats\nthe *** sat in the mats\n    D       I  S");
        assert_eq!(align::<char>(&[], &[]).to_string(), "\n\n");
    }

    #[test]
    fn counts_add_up() {
        let counts = EditCounts { hits: 3, substitutions: 1, deletions: 0, insertions: 2 };
        let twice: EditCounts = [counts, counts].into_iter().sum();
        assert_eq!((twice.hits, twice.errors(), twice.reference(), twice.hypothesis()), (6, 6, 8, 12));
        assert_eq!(counts.percent(), Some(75.0));
        assert_eq!(EditCounts::default().percent(), None);
    }
}
