//! Log-mels and alignments as pictures.

use vocable_audio::Frames;

/// Decades from the loudest down to what is white.
const RANGE: f32 = 4.0;

/// A grey PNG of a log-mel: time to the right, frequency upwards, loud is black.
pub fn log_mel(frames: &Frames) -> anyhow::Result<Vec<u8>> {
    let loudest = frames.data.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    grey(frames, |value| (loudest - value) / RANGE)
}

/// A grey PNG of attention weights: steps to the right, positions that are attended to upwards, all of the weight is black.
pub fn alignment(weights: &Frames) -> anyhow::Result<Vec<u8>> {
    grey(weights, |weight| 1.0 - weight)
}

/// A PNG with frames to the right and their values upwards, as bright as `brightness` says: 0 is black, 1 white.
fn grey(frames: &Frames, brightness: impl Fn(f32) -> f32) -> anyhow::Result<Vec<u8>> {
    let (width, height) = (frames.len(), frames.width);
    let grey = |value: f32| (255.0 * brightness(value).clamp(0.0, 1.0)) as u8;
    let rows = (0..height).rev().flat_map(|bin| (0..width).map(move |frame| frame * height + bin));
    let pixels: Vec<u8> = rows.map(|index| grey(frames.data[index])).collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_runs_to_the_right_and_frequency_upwards() {
        // Three frames of two bins: only the last frame's upper bin is loud.
        let frames = Frames::new(vec![-9.0, -9.0, -9.0, -9.0, -9.0, 0.0], 2);
        assert_eq!(pixels(&log_mel(&frames).unwrap()), [255, 255, 0, 255, 255, 255]);
    }

    #[test]
    fn an_alignment_is_black_where_the_weight_is() {
        // Three steps over two positions, from the first to the second.
        let weights = Frames::new(vec![1.0, 0.0, 0.8, 0.2, 0.0, 1.0], 2);
        assert_eq!(pixels(&alignment(&weights).unwrap()), [255, 204, 0, 0, 50, 255]);
    }

    fn pixels(bytes: &[u8]) -> Vec<u8> {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; 6];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (3, 2));
        pixels
    }
}
