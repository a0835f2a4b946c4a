//! Sizes as people write them: `500MiB`, `2GiB`, `10GB`.

const UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// Reads a size in bytes; `none` is no limit.
pub(crate) fn parse_limit(text: &str) -> Result<Option<u64>, String> {
    if text == "none" { Ok(None) } else { parse(text).map(Some) }
}

/// Reads a whole number with a unit.
fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit.trim_start());
    let bytes = unit.and_then(|(_, bytes)| number.parse::<u64>().ok()?.checked_mul(*bytes));
    bytes.ok_or_else(|| format!("{text:?} is not a size; write for example 500MiB or 2GiB"))
}

/// A size as it is read again.
pub(crate) fn format(bytes: u64) -> String {
    let mut binary = UNITS.iter().rev().filter(|(_, unit)| unit.is_power_of_two());
    match binary.find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

/// A size for people, with one decimal.
pub(crate) fn rough(bytes: u64) -> String {
    let mut binary = UNITS.iter().rev().filter(|(_, unit)| unit.is_power_of_two());
    match binary.find(|(_, unit)| bytes >= *unit) {
        None | Some((_, 1)) => format!("{bytes} B"),
        Some((name, unit)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(*unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, bytes: u64) {
        assert_eq!(parse_limit(text), Ok(Some(bytes)), "{text}");
        assert_eq!(parse_limit(&format(bytes)), Ok(Some(bytes)), "{text}");
    }

    #[test]
    fn sizes_are_read_and_what_is_written_is_read_again() {
        check("0B", 0);
        check("7B", 7);
        check("500MiB", 500 << 20);
        check("2 GiB", 2 << 30);
        check("10GB", 10_000_000_000);
        check("1TiB", 1 << 40);
        assert_eq!(parse_limit("none"), Ok(None));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for bad in ["", "5", "GiB", "-1GiB", "1.5GiB", "1gib", "99999999TiB", "1GiB1B", "٣B"] {
            assert!(parse_limit(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_rough_size_has_one_decimal() {
        assert_eq!(rough(0), "0 B");
        assert_eq!(rough(1023), "1023 B");
        assert_eq!(rough(1536), "1.5 KiB");
        assert_eq!(rough(u64::MAX), "16777215.9 TiB");
    }
}
