use burn::tensor::{Bool, Device, Tensor, TensorData};

/// The padding mask of a batch: `[batch, time]`, true from each item's length on.
pub fn padding_mask(lengths: &[usize], time: usize, device: &Device) -> Tensor<2, Bool> {
    let mask: Vec<bool> = lengths.iter().flat_map(|&length| (0..time).map(move |t| t >= length)).collect();
    Tensor::from_data(TensorData::new(mask, [lengths.len(), time]), device)
}

/// One where a frame is valid, zero where it is padding: `[batch, time, 1]`, for masked means.
pub fn valid_frames(lengths: &[usize], time: usize, device: &Device) -> Tensor<3> {
    let valid: Vec<f32> =
        lengths.iter().flat_map(|&length| (0..time).map(move |t| f32::from(u8::from(t < length)))).collect();
    Tensor::from_data(TensorData::new(valid, [lengths.len(), time, 1]), device)
}

/// Whether any item of a batch is shorter than `time`.
pub fn is_padded(lengths: &[usize], time: usize) -> bool {
    lengths.iter().any(|&length| length < time)
}
