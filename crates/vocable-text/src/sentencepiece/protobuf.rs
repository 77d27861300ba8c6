//! Protocol buffers, as far as SentencePiece models need them: fields of numbers, bytes and messages.

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'a> {
    Number(u64),
    Four([u8; 4]),
    Bytes(&'a [u8]),
}

/// Reads the fields of a message in order, with their numbers.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Field::Number(self.number()?),
            1 => Field::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Four(self.take(4)?.try_into().expect("four were taken")),
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    /// None inside where the message is broken.
    type Item = Option<(u64, Field<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Appends a field to a message.
pub(super) fn write(message: &mut Vec<u8>, number: u64, value: Field) {
    match value {
        Field::Number(value) => {
            write_number(message, number << 3);
            write_number(message, value);
        }
        Field::Four(bytes) => {
            write_number(message, number << 3 | 5);
            message.extend(bytes);
        }
        Field::Bytes(bytes) => {
            write_number(message, number << 3 | 2);
            write_number(message, bytes.len() as u64);
            message.extend(bytes);
        }
    }
}

fn write_number(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push(number as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_return_as_they_were_written() {
        let fields = [
            (1, Field::Bytes("▁".as_bytes())),
            (2, Field::Four(1.5_f32.to_le_bytes())),
            (200, Field::Number(u64::MAX)),
            (3, Field::Number(0)),
        ];
        let mut message = Vec::new();
        for (number, value) in fields {
            write(&mut message, number, value);
        }
        assert_eq!(Fields::new(&message).collect::<Option<Vec<_>>>().unwrap(), fields);
        // Every cut but those between fields is noticed, and none reads on.
        let whole = (0..message.len()).filter(|&end| Fields::new(&message[..end]).all(|field| field.is_some()));
        assert_eq!(whole.count(), fields.len());
        assert!(Fields::new(&[0x0b]).any(|field| field.is_none()), "groups are not read");
        assert!(Fields::new(&[0xff; 12]).any(|field| field.is_none()), "numbers end");
    }
}
