//! The part of protobuf's encoding that the X protocol's messages need: varints, lengths, unknown fields passed over.
//!
//! Written by hand, for there are a dozen small messages and every bound is ours to set. Source: protobuf,
//! "Encoding".

/// A field's value as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 2: a string, bytes, or a message.
    Bytes(&'a [u8]),
    /// Wire types 1 and 5, which no field that we read has.
    Fixed,
}

impl<'a> Value<'a> {
    pub fn bytes(self) -> Option<&'a [u8]> {
        if let Value::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    pub fn number(self) -> Option<u64> {
        if let Value::Varint(number) = self { Some(number) } else { None }
    }
}

/// The bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The fields of one message, in order; the first malformed one ends them.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Fields<'a> {
        Fields { rest: message }
    }

    fn take(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let key = take_varint(&mut self.rest).ok_or(Malformed)?;
        let number = u32::try_from(key >> 3).ok().filter(|&number| number != 0).ok_or(Malformed)?;
        let value = match key & 7 {
            0 => Value::Varint(take_varint(&mut self.rest).ok_or(Malformed)?),
            2 => {
                let length = take_varint(&mut self.rest).ok_or(Malformed)?;
                let length = usize::try_from(length).map_err(|_| Malformed)?;
                Value::Bytes(self.skip(length)?)
            }
            1 => self.skip(8).map(|_| Value::Fixed)?,
            5 => self.skip(4).map(|_| Value::Fixed)?,
            _ => return Err(Malformed),
        };
        Ok((number, value))
    }

    fn skip(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.take();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Takes a varint off the front. `None` for a truncated one and for one of more than 64 bits.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7F);
        if index == 9 && bits > 1 {
            return None;
        }
        number |= bits << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = bytes.get(index + 1..).unwrap_or_default();
            return Some(number);
        }
    }
    None
}

/// A zigzag number as `sint64` has it.
pub(super) fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a field of bytes, which is a string's and a message's form too.
pub(super) fn push_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    push_varint(out, u64::from(field) << 3 | 2);
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a number, which is an enumeration's and a truth value's form too.
pub(super) fn push_number(out: &mut Vec<u8>, field: u32, number: u64) {
    push_varint(out, u64::from(field) << 3);
    push_varint(out, number);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn varints() {
        let cases: [(&[u8], Option<u64>); 8] = [
            (&[0], Some(0)),
            (&[0x7F], Some(127)),
            (&[0xEA, 0x0F], Some(2026)),
            (&[0x80], None),
            (&[], None),
            (&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], Some(u64::MAX)),
            (&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02], None),
            (&[0x80; 11], None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(take_varint(&mut &bytes[..]), expected, "{bytes:?}");
        }
        assert_eq!([0, 1, 2, 3].map(zigzag), [0, -1, 1, -2]);
        assert_eq!((zigzag(u64::MAX), zigzag(u64::MAX - 1)), (i64::MIN, i64::MAX));
    }

    #[test]
    fn fields_pass_over_what_is_unknown_and_stop_at_what_is_malformed() {
        let mut message = Vec::new();
        push_number(&mut message, 1, 300);
        push_bytes(&mut message, 2, b"abc");
        message.extend([0x1D, 1, 2, 3, 4]);
        message.extend([0x21, 1, 2, 3, 4, 5, 6, 7, 8]);
        let fields: Vec<_> = Fields::of(&message).collect();
        let expected =
            [(1, Value::Varint(300)), (2, Value::Bytes(b"abc")), (3, Value::Fixed), (4, Value::Fixed)];
        assert_eq!(fields, expected.map(Ok));
        for hostile in
            [&[0x00, 0x00][..], &[0x0B, 0x00], &[0x12, 0xFF, 0x01], &[0x1D, 0], &[0x08], &[0x12, 4, 1]]
        {
            assert_eq!(Fields::of(hostile).collect::<Vec<_>>(), [Err(Malformed)], "{hostile:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(numbers: Vec<u64>, bytes: Vec<u8>) {
            let mut message = Vec::new();
            for &number in &numbers {
                push_number(&mut message, 9, number);
            }
            push_bytes(&mut message, 300, &bytes);
            let read: Vec<_> = Fields::of(&message).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read.len(), numbers.len() + 1);
            prop_assert!(read.iter().zip(&numbers).all(|(field, &number)| *field == (9, Value::Varint(number))));
            prop_assert_eq!(read.last(), Some(&(300, Value::Bytes(&bytes))));
        }

        #[test]
        fn noise_ends(bytes: Vec<u8>) {
            prop_assert!(Fields::of(&bytes).count() <= bytes.len());
        }
    }
}
