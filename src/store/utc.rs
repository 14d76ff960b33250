//! Milliseconds since the Unix epoch as people read them.

/// `2026-11-21T11:24:57.123Z` (RFC 3339, UTC); `None` after the year 9999.
pub fn format_utc(ms: u64) -> Option<String> {
    let (days, in_day) = (ms / 86_400_000, ms % 86_400_000);
    // Days to civil date in the proleptic Gregorian calendar, in eras of 400 years that begin on 1 March
    // (Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days).
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    if year > 9999 {
        return None;
    }
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, milli) = (in_day / 1_000 % 60, in_day % 1_000);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"))
}

#[cfg(test)]
mod tests {
    use super::format_utc;

    #[test]
    fn known_dates() {
        // Right-hand sides from `date -u -d @N +%FT%T.%3NZ`.
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_763_724_297_123, "2025-11-21T11:24:57.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(format_utc(ms).as_deref(), Some(text));
        }
        assert_eq!(format_utc(253_402_300_800_000), None);
        assert_eq!(format_utc(u64::MAX), None);
    }
}
