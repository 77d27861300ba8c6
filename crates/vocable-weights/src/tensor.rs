use std::borrow::Cow;

use half::{bf16, f16};
use safetensors::{Dtype, View};

use crate::WeightsError;

/// A tensor of a file; its bytes are still where the file has them.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    pub(crate) name: &'a str,
    pub(crate) dtype: Dtype,
    pub(crate) shape: &'a [usize],
    /// Steps between neighbours, in elements; none where the elements lie in row-major order.
    pub(crate) strides: Option<&'a [usize]>,
    /// From the first element on.
    pub(crate) bytes: &'a [u8],
}

impl<'a> Tensor<'a> {
    /// Its name in the file.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The type of its elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Its shape, the outermost dimension first; empty for a scalar.
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// How many elements it has.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Its elements in row-major order, little-endian.
    pub fn bytes(&self) -> Cow<'a, [u8]> {
        let size = self.dtype.bitsize() / 8;
        let Some(strides) = self.strides else { return Cow::Borrowed(&self.bytes[..self.count() * size]) };
        let mut gathered = Vec::with_capacity(self.count() * size);
        let mut index = vec![0; self.shape.len()];
        for _ in 0..self.count() {
            let at: usize = index.iter().zip(strides).map(|(index, stride)| index * stride).sum();
            gathered.extend_from_slice(&self.bytes[at * size..(at + 1) * size]);
            for (index, &length) in index.iter_mut().zip(self.shape).rev() {
                *index += 1;
                if *index < length {
                    break;
                }
                *index = 0;
            }
        }
        Cow::Owned(gathered)
    }

    /// Its elements in row-major order as single precision: exact from single, half and brain floating point, rounded
    /// from double. Single precision that lies so in the file is lent.
    ///
    /// # Errors
    /// [`WeightsError::NotFloat`].
    pub fn floats(&self) -> Result<Cow<'a, [f32]>, WeightsError> {
        let bytes = self.bytes();
        if let (Dtype::F32, Cow::Borrowed(bytes), true) = (self.dtype, &bytes, cfg!(target_endian = "little"))
            && let Ok(floats) = bytemuck::try_cast_slice(bytes)
        {
            return Ok(Cow::Borrowed(floats));
        }
        Ok(Cow::Owned(match self.dtype {
            Dtype::F32 => bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            Dtype::F64 => bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect(),
            Dtype::F16 => bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
            Dtype::BF16 => bytes.as_chunks().0.iter().map(|&b| bf16::from_le_bytes(b).to_f32()).collect(),
            _ => return Err(WeightsError::NotFloat { name: self.name.into(), found: format!("{:?}", self.dtype) }),
        }))
    }

    /// The same in memory of their own.
    ///
    /// # Errors
    /// [`WeightsError::NotFloat`].
    pub fn to_f32(&self) -> Result<Vec<f32>, WeightsError> {
        Ok(self.floats()?.into_owned())
    }
}

/// A tensor by itself, to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedTensor {
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its shape, the outermost dimension first.
    pub shape: Vec<usize>,
    /// Its elements in row-major order, little-endian.
    pub bytes: Vec<u8>,
}

impl OwnedTensor {
    /// Single-precision numbers in row-major order.
    pub fn f32(shape: Vec<usize>, values: &[f32]) -> Self {
        Self { dtype: Dtype::F32, shape, bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect() }
    }
}

impl From<Tensor<'_>> for OwnedTensor {
    fn from(tensor: Tensor) -> Self {
        Self { dtype: tensor.dtype, shape: tensor.shape.to_vec(), bytes: tensor.bytes().into_owned() }
    }
}

impl View for OwnedTensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
