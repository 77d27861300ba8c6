//! Recordings to WAV files.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use hound::{SampleFormat, WavSpec, WavWriter};

use crate::AudioError;

/// Writes mono samples as a 16-bit WAV file of `rate` Hz, replacing an older file of that name in one step.
///
/// A sample is multiplied by 2^15, rounded and clipped, so what [`read`](crate::read) gave of a 16-bit file is written
/// back unchanged and a value of exactly 1 becomes 32767. Errors: [`AudioError::NonFinite`] and [`AudioError::Write`];
/// after an error the older file, if any, is still there.
pub fn write_wav(path: impl AsRef<Path>, samples: &[f32], rate: u32) -> Result<(), AudioError> {
    let path = path.as_ref();
    if let Some(index) = samples.iter().position(|sample| !sample.is_finite()) {
        return Err(AudioError::NonFinite { path: path.into(), index });
    }
    vocable_files::write_with(path, |beside| encode(beside, samples, rate).map_err(io::Error::other))
        .map_err(|source| AudioError::Write { path: path.into(), source })
}

fn encode(path: &Path, samples: &[f32], rate: u32) -> Result<(), hound::Error> {
    let spec = WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut file = BufWriter::new(File::create(path)?);
    let mut writer = WavWriter::new(&mut file, spec)?;
    for sample in samples {
        // A float-to-integer cast saturates, which is the clipping.
        writer.write_sample((sample * 32768.0).round() as i16)?;
    }
    writer.finalize()?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::read;

    #[test]
    fn sixteen_bit_samples_return_unchanged_and_others_are_clipped() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.wav");
        let samples: Vec<f32> = (-32768..32768_i32).step_by(7).map(|value| value as f32 / 32768.0).collect();
        write_wav(&path, &samples, 16_000).unwrap();
        assert_eq!(read(&path).unwrap().samples, samples);
        write_wav(&path, &[1.0, -1.0, 3.0, -3.0], 8000).unwrap();
        let top = 32767.0 / 32768.0;
        assert_eq!(read(&path).unwrap().samples, [top, -1.0, top, -1.0]);
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["a.wav"], "nothing else is left behind");
    }

    #[test]
    fn a_failed_write_leaves_the_older_file() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.wav");
        write_wav(&path, &[0.5], 8000).unwrap();
        assert!(matches!(write_wav(&path, &[0.0, f32::NAN], 8000), Err(AudioError::NonFinite { index: 1, .. })));
        assert_eq!(read(&path).unwrap().samples, [0.5]);
        let nowhere = write_wav(folder.path().join("missing/a.wav"), &[0.5], 8000).unwrap_err();
        assert!(matches!(nowhere, AudioError::Write { .. }), "{nowhere}");
        // A folder cannot be replaced by a file.
        fs::create_dir(folder.path().join("b.wav")).unwrap();
        assert!(write_wav(folder.path().join("b.wav"), &[0.5], 8000).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
