//! Spans of time as people write them: `90s`, `15m`, `1h30m`, `2d`.

use std::time::Duration;

use lease_core::Timestamp;

const UNITS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

/// The longest span that is accepted: ten years. A longer one is a typing error.
const MAX_MS: u64 = 3_653 * 86_400_000;

/// Reads a span; `none` and `never` are no limit.
pub(crate) fn parse_limit(text: &str) -> Result<Option<Duration>, String> {
    if text == "none" || text == "never" { Ok(None) } else { parse(text).map(Some) }
}

/// Reads a span of one or more numbers with units, the larger first.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let (mut rest, mut total_ms, mut last_ms) = (text.trim(), 0_u64, u64::MAX);
    if rest.is_empty() {
        return Err("a span is empty; write for example 90s, 15m or 2h".to_owned());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let unit_ms = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ms)| *ms);
        let (Ok(number), Some(unit_ms)) = (number.parse::<u64>(), unit_ms) else {
            return Err(not_a_span(text));
        };
        if unit_ms >= last_ms {
            return Err(format!("in {text:?} the larger unit must come first, each once"));
        }
        last_ms = unit_ms;
        let added = number
            .checked_mul(unit_ms)
            .and_then(|it| it.checked_add(total_ms))
            .filter(|it| *it <= MAX_MS);
        total_ms = added.ok_or_else(|| format!("{text:?} is longer than ten years"))?;
        rest = tail.trim_start();
    }
    if total_ms == 0 {
        return Err(format!("{text:?} would end the lease at once; `none` means no limit"));
    }
    Ok(Duration::from_millis(total_ms))
}

/// A span as it is read again.
pub(crate) fn format(span: Duration) -> String {
    let (mut rest, mut text) = (lease_core::time::millis(span), String::new());
    for (unit, unit_ms) in UNITS.iter().rev().filter(|(unit, _)| *unit != "w") {
        if rest >= *unit_ms {
            text.push_str(&(rest / unit_ms).to_string());
            text.push_str(unit);
            rest %= unit_ms;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A span in its one or two largest units, for tables.
pub(crate) fn rough(span: Duration) -> String {
    let ms = lease_core::time::millis(span);
    let coarse = match ms {
        0..60_000 => ms / 1_000 * 1_000,
        60_000..3_600_000 => ms / 60_000 * 60_000,
        3_600_000..86_400_000 => ms / 60_000 * 60_000,
        _ => ms / 3_600_000 * 3_600_000,
    };
    format(Duration::from_millis(coarse))
}

/// What is left until `at`; a second that has only just begun counts.
pub(crate) fn left(now: Timestamp, at: Timestamp) -> String {
    rough(at.since(now) + Duration::from_millis(999))
}

fn not_a_span(text: &str) -> String {
    format!("{text:?} is not a span; write for example 90s, 15m, 1h30m or 2d")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, seconds: u64) {
        assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
    }

    #[test]
    fn spans_are_read() {
        check("90s", 90);
        check("15m", 900);
        check(" 1h30m ", 5_400);
        check("1h 30m", 5_400);
        check("2d", 172_800);
        check("1w", 604_800);
        assert_eq!(parse("1500ms"), Ok(Duration::from_millis(1_500)));
        assert_eq!(parse_limit("none"), Ok(None));
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for bad in [
            "",
            "5",
            "m",
            "-5m",
            "1.5h",
            "0s",
            "30m1h",
            "1m1m",
            "5 x",
            "99999999999999999999s",
            "20000d",
            "1h,2m",
            "٣m",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for ms in [1_000, 61_000, 5_400_000, 90_061_001, 1] {
            let span = Duration::from_millis(ms);
            assert_eq!(parse(&format(span)), Ok(span));
        }
        assert_eq!(rough(Duration::from_millis(90_061_001)), "1d1h");
        assert_eq!(rough(Duration::from_millis(3_725_001)), "1h2m");
        assert_eq!(rough(Duration::from_millis(500)), "0s");
    }
}
