//! Bytes read as choices.

/// Takes bytes from the front; past the end every byte is 0.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    pub fn number(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// So many bytes, or what there is.
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (front, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        front
    }

    /// The whole packet at the front with its header, or all there is.
    pub fn packet(&mut self) -> &'a [u8] {
        let length = match self.0 {
            &[a, b, c, ..] => u32::from_le_bytes([a, b, c, 0]) as usize + 4,
            _ => self.0.len(),
        };
        self.take(length)
    }
}
