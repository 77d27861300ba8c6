//! Learning-rate schedules as pure functions of the update.

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// The learning rate's course. Lengths are fractions of the whole run, so a shorter run keeps its shape.
///
/// The rate of an update depends on the number of updates done before it, as in fairseq: the first update of a warm-up
/// from zero has rate zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// The peak throughout.
    Constant,
    /// Linear from 0 to the peak, then linear to 0 at the end (fairseq `polynomial_decay` of power 1).
    Linear {
        /// Fraction of the run in which the rate rises.
        warmup: f64,
    },
    /// Linear to the peak, a hold, a decay to the end (fairseq `tri_stage`).
    TriStage {
        /// Fraction of the run in which the rate rises.
        warmup: f64,
        /// Fraction of the run at the peak; the decay takes what remains.
        hold: f64,
        /// The first rate as a fraction of the peak.
        initial: f64,
        /// The last rate as a fraction of the peak.
        last: f64,
        /// Shape of the way down.
        decay: Decay,
    },
    /// Linear from 0 to the peak, then peak · sqrt(warm-up / update) (fairseq `inverse_sqrt`).
    InverseSqrt {
        /// Fraction of the run in which the rate rises.
        warmup: f64,
    },
    /// Linear from a minimum to the peak and back, again and again (fairseq `triangular` without shrinking).
    Triangular {
        /// The lowest rate, absolute: it does not scale with the peak.
        minimum: f64,
        /// Length of one rise and fall as a fraction of the run.
        period: f64,
    },
}

/// Shape of the decay in [`Schedule::TriStage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// A straight line, as the SpeechT5 paper says.
    Linear,
    /// A constant factor per update, as fairseq does.
    Exponential,
}

impl Schedule {
    /// The learning rate when `done` of `updates` updates are done and the peak is `peak`; the end value holds after
    /// the end.
    pub fn rate(&self, done: usize, updates: usize, peak: f64) -> f64 {
        let (done, updates) = (done as f64, updates as f64);
        // Whole updates, as the published recipes count them.
        let length = |fraction: f64| (fraction * updates).round();
        match *self {
            Self::Constant => peak,
            Self::Linear { warmup } => {
                let warmup = length(warmup);
                if done < warmup {
                    peak * done / warmup
                } else if done < updates {
                    peak * (updates - done) / (updates - warmup)
                } else {
                    0.0
                }
            }
            Self::TriStage { warmup, hold, initial, last, decay } => {
                let (warmup, hold) = (length(warmup), length(hold));
                let start = warmup + hold;
                if done < warmup {
                    peak * (initial + (1.0 - initial) * done / warmup)
                } else if done <= start {
                    peak
                } else if done < updates {
                    let progress = (done - start) / (updates - start);
                    match decay {
                        Decay::Linear => peak * (1.0 + (last - 1.0) * progress),
                        Decay::Exponential => peak * last.powf(progress),
                    }
                } else {
                    peak * last
                }
            }
            Self::InverseSqrt { warmup } => {
                let warmup = length(warmup);
                if done < warmup { peak * done / warmup } else { peak * (warmup.max(1.0) / done.max(1.0)).sqrt() }
            }
            Self::Triangular { minimum, period } => {
                let half = (length(period) / 2.0).max(1.0);
                let height = 1.0 - (done / half % 2.0 - 1.0).abs();
                minimum + (peak - minimum) * height
            }
        }
    }

    /// Checks that fractions are fractions; the error names the field.
    pub fn check(&self) -> Result<(), TrainError> {
        let fraction = |name: &str, value: f64| {
            if (0.0..=1.0).contains(&value) {
                Ok(())
            } else {
                Err(TrainError::Config(format!("schedule.{name} is {value}, not a fraction between 0 and 1")))
            }
        };
        match *self {
            Self::Constant => Ok(()),
            Self::Linear { warmup } | Self::InverseSqrt { warmup } => fraction("warmup", warmup),
            Self::TriStage { warmup, hold, initial, last, decay } => {
                fraction("warmup", warmup)?;
                fraction("hold", hold)?;
                fraction("initial", initial)?;
                fraction("last", last)?;
                fraction("warmup + schedule.hold", warmup + hold)?;
                if decay == Decay::Exponential && last == 0.0 {
                    return Err(TrainError::Config(
                        "schedule.last is 0, which an exponential decay never reaches".into(),
                    ));
                }
                Ok(())
            }
            Self::Triangular { minimum, period } => {
                if !(minimum.is_finite() && minimum >= 0.0) {
                    return Err(TrainError::Config(format!("schedule.minimum is {minimum}, which is not a rate")));
                }
                if period > 0.0 {
                    fraction("period", period)
                } else {
                    Err(TrainError::Config(format!("schedule.period is {period}, but must be above 0")))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Agreement to the digits the specification prints.
    fn assert_rates(schedule: &Schedule, updates: usize, peak: f64, rates: &[(usize, f64)]) {
        schedule.check().unwrap();
        for &(done, expected) in rates {
            let rate = schedule.rate(done, updates, peak);
            // Five printed digits, of which the last is rounded: at most half a unit of a number that begins with 1.
            assert!((rate - expected).abs() <= 5e-5 * expected, "{schedule:?} at {done}: {rate:e}, not {expected:e}");
        }
    }

    fn tri_stage(decay: Decay) -> Schedule {
        Schedule::TriStage { warmup: 0.1, hold: 0.4, initial: 0.01, last: 0.05, decay }
    }

    #[test]
    fn pre_training_rises_for_eight_percent_and_falls_to_zero() {
        let rates = [(0, 0.0), (1, 3.125e-9), (32_000, 1e-4), (64_000, 2e-4), (432_000, 1e-4), (800_000, 0.0)];
        assert_rates(&Schedule::Linear { warmup: 0.08 }, 800_000, 2e-4, &rates);
        assert_eq!(Schedule::Linear { warmup: 0.08 }.rate(900_000, 800_000, 2e-4), 0.0);
    }

    #[test]
    fn tri_stage_decays_exponentially() {
        let rates = [
            (0, 6e-7),
            (4_000, 3.03e-5),
            (8_000, 6e-5),
            (24_000, 6e-5),
            (40_000, 6e-5),
            (60_000, 1.3416e-5),
            (80_000, 3e-6),
            (90_000, 3e-6),
        ];
        assert_rates(&tri_stage(Decay::Exponential), 80_000, 6e-5, &rates);
    }

    #[test]
    fn tri_stage_decays_linearly() {
        let rates = [(0, 6e-7), (4_000, 3.03e-5), (8_000, 6e-5), (40_000, 6e-5), (60_000, 3.15e-5), (80_000, 3e-6)];
        assert_rates(&tri_stage(Decay::Linear), 80_000, 6e-5, &rates);
    }

    #[test]
    fn inverse_sqrt_halves_when_updates_quadruple() {
        let rates = [(0, 0.0), (5_000, 5e-5), (10_000, 1e-4), (40_000, 5e-5), (120_000, 2.8868e-5)];
        assert_rates(&Schedule::InverseSqrt { warmup: 10_000.0 / 120_000.0 }, 120_000, 1e-4, &rates);
    }

    #[test]
    fn triangular_returns_to_its_minimum() {
        let rates = [(0, 1e-8), (15_000, 1.00005e-4), (30_000, 2e-4), (45_000, 1.00005e-4), (60_000, 1e-8)];
        assert_rates(&Schedule::Triangular { minimum: 1e-8, period: 1.0 }, 60_000, 2e-4, &rates);
        let twice = Schedule::Triangular { minimum: 1e-8, period: 0.5 };
        assert_rates(&twice, 120_000, 2e-4, &[(30_000, 2e-4), (60_000, 1e-8), (90_000, 2e-4)]);
    }

    #[test]
    fn every_schedule_is_finite_and_at_most_the_peak_even_in_the_shortest_runs() {
        let schedules = [
            Schedule::Constant,
            Schedule::Linear { warmup: 0.0 },
            Schedule::Linear { warmup: 1.0 },
            tri_stage(Decay::Linear),
            tri_stage(Decay::Exponential),
            Schedule::TriStage { warmup: 0.5, hold: 0.5, initial: 0.0, last: 0.0, decay: Decay::Linear },
            Schedule::InverseSqrt { warmup: 0.0 },
            Schedule::InverseSqrt { warmup: 1.0 },
            Schedule::Triangular { minimum: 0.0, period: 0.01 },
        ];
        for schedule in schedules {
            schedule.check().unwrap();
            for updates in [0, 1, 2, 3, 7, 50] {
                for done in 0..=updates + 2 {
                    let rate = schedule.rate(done, updates, 0.5);
                    assert!((0.0..=0.5).contains(&rate), "{schedule:?} at {done} of {updates}: {rate}");
                }
            }
        }
    }

    #[test]
    fn a_schedule_out_of_range_is_refused_by_name() {
        for (schedule, field) in [
            (Schedule::Linear { warmup: 1.5 }, "warmup"),
            (Schedule::InverseSqrt { warmup: f64::NAN }, "warmup"),
            (
                Schedule::TriStage { warmup: 0.7, hold: 0.7, initial: 0.0, last: 0.1, decay: Decay::Linear },
                "warmup + schedule.hold",
            ),
            (Schedule::TriStage { warmup: 0.1, hold: 0.1, initial: 0.0, last: 0.0, decay: Decay::Exponential }, "last"),
            (Schedule::Triangular { minimum: 0.0, period: 0.0 }, "period"),
            (Schedule::Triangular { minimum: -1.0, period: 0.5 }, "minimum"),
        ] {
            let message = schedule.check().unwrap_err().to_string();
            assert!(message.contains(field), "{message}");
        }
    }

    #[test]
    fn schedules_are_written_with_their_kind() {
        let text = toml::to_string(&tri_stage(Decay::Exponential)).unwrap();
        assert!(text.contains("kind = \"tri-stage\"") && text.contains("decay = \"exponential\""), "{text}");
        assert_eq!(toml::from_str::<Schedule>(&text).unwrap(), tri_stage(Decay::Exponential));
        assert_eq!(toml::from_str::<Schedule>("kind = \"constant\"").unwrap(), Schedule::Constant);
        assert!(toml::from_str::<Schedule>("kind = \"linear\"\nwarmup = 0.1\nwarmupp = 1").is_err());
    }
}
