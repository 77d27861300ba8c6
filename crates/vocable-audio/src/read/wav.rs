//! What the header of a WAV file says that the format library takes on trust.

use std::io::{Error, ErrorKind, Read, Seek, SeekFrom};

/// Tags of plain integer and floating-point samples.
const PLAIN: [u16; 2] = [1, 3];
/// Programs that write into a pipe do not know how long the recording will be, and declare this or more (sox; ffmpeg and
/// others the largest number there is).
const OPEN: u32 = 0x7fff_f000;
/// Chunks in front of the samples that are looked at.
const CHUNKS: usize = 64;

/// A data chunk that ends elsewhere than the header says: where the file does, or behind the end of the RIFF form.
#[derive(Debug, PartialEq, Eq)]
pub struct OpenEnd {
    /// Where the chunk's length stands.
    place: u64,
    /// What it is.
    length: u32,
}

impl OpenEnd {
    /// How many bytes of the file there are up to the last sample.
    pub fn bytes(&self) -> u64 {
        self.place + 4 + u64::from(self.length)
    }

    /// The file with the true lengths in its header.
    pub fn close(&self, file: &mut [u8]) {
        let place = self.place as usize;
        let riff = self.length.saturating_add(place as u32 - 4);
        file[4..8].copy_from_slice(&riff.to_le_bytes());
        file[place..place + 4].copy_from_slice(&self.length.to_le_bytes());
    }
}

/// Finds out whether the samples of a file have an open end, or one behind that of the form they are in. A file of another kind has
/// none.
///
/// # Errors
/// [`ErrorKind::InvalidData`] for plain samples in containers that are larger than they are, and what reading fails with.
pub fn open_end(source: &mut (impl Read + Seek)) -> Result<Option<OpenEnd>, Error> {
    let end = source.seek(SeekFrom::End(0))?;
    source.seek(SeekFrom::Start(0))?;
    let mut start = [0; 12];
    source.read_exact(&mut start)?;
    if !(start.starts_with(b"RIFF") && start.ends_with(b"WAVE")) {
        return Ok(None);
    }
    let mut block = 1;
    for _ in 0..CHUNKS {
        let mut chunk = [0; 8];
        match source.read_exact(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let declared = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
        let begin = source.stream_position()?;
        match &chunk[..4] {
            b"fmt " if declared >= 16 && begin + 16 <= end => {
                let mut format = [0; 16];
                source.read_exact(&mut format)?;
                block = block_size(&format)?;
            }
            b"data" => {
                let there = end - begin;
                let form = 8 + u64::from(u32::from_le_bytes([start[4], start[5], start[6], start[7]]));
                // Zero, in a form that ends here, is what a recorder leaves that was stopped before it could say more.
                let open = declared >= OPEN || (declared == 0 && form <= begin);
                let known = u64::from(declared) <= there && declared > 0;
                let length = match known {
                    true if form < begin + u64::from(declared) => declared,
                    false if open => (there - there % block).min(u64::from(u32::MAX)) as u32,
                    _ => return Ok(None),
                };
                return Ok(Some(OpenEnd { place: begin - 4, length }));
            }
            _ => {}
        }
        // A chunk of odd length is padded.
        source.seek(SeekFrom::Start(begin + u64::from(declared) + u64::from(declared % 2)))?;
    }
    Ok(None)
}

/// Bytes of a sample of all channels.
fn block_size(format: &[u8; 16]) -> Result<u64, Error> {
    let field = |place: usize| u16::from_le_bytes([format[place], format[place + 1]]);
    let (tag, channels, block, bits) = (field(0), field(2), field(12), field(14));
    if PLAIN.contains(&tag) && u32::from(block) * 8 != u32::from(channels) * u32::from(bits).next_multiple_of(8) {
        let message = format!(
            "its header declares {block} bytes for a sample of {channels} channels of {bits} bits, which only the \
             extensible form of WAV allows"
        );
        return Err(Error::new(ErrorKind::InvalidData, message));
    }
    Ok(u64::from(block).max(1))
}
