//! CRC-64/XZ: the checksum of the stored document.
//!
//! Parameters from the catalogue of parametrised CRC algorithms (CRC-64/XZ, the one that the xz format uses): polynomial
//! 0x42F0E1EBA9EA3693 reflected, all ones as initial value and as final exclusive-or.
//! A CRC finds every burst of up to its width, so every single flipped bit; longer damage slips through once in 2^64.

const POLYNOMIAL: u64 = 0xC96C_5795_D787_0F42;

const TABLE: [u64; 256] = table();

const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

/// The checksum of `bytes`.
pub(crate) fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(u64::MAX, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8)) ^ u64::MAX
}

#[cfg(test)]
mod tests {
    use super::crc64;

    #[test]
    fn the_catalogue_s_check_value_comes_out() {
        assert_eq!(crc64(b"123456789"), 0x995D_C9BB_DF19_39FA);
        assert_eq!(crc64(b""), 0);
    }
}
