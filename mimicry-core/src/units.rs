//! Sizes and times as an administrator writes them: `"10M"`, `"5m"`.
//!
//! Must never guess: a text that is not fully understood is an error that says what would be right.

/// Names of units in lower case, and what each is worth.
type Units = &'static [(&'static [&'static str], u64)];

const SIZES: Units = &[
    (&["", "b", "byte", "bytes", "octets"], 1),
    (&["k", "kb", "kib"], 1 << 10),
    (&["m", "mb", "mib"], 1 << 20),
    (&["g", "gb", "gib"], 1 << 30),
    (&["t", "tb", "tib"], 1 << 40),
];

const TIMES: Units = &[
    (&["ms", "msec", "millisecond", "milliseconds"], 1),
    (&["s", "sec", "secs", "second", "seconds"], 1_000),
    (&["m", "min", "mins", "minute", "minutes"], 60_000),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600_000),
    (&["d", "day", "days"], 86_400_000),
    (&["w", "week", "weeks"], 604_800_000),
];

/// Octets from `"500"`, `"64K"`, `"10 MB"`, `"1.5GiB"`; units are powers of 1024, case does not matter.
pub fn parse_size(text: &str) -> Result<u64, String> {
    amount(text, SIZES)
        .ok_or_else(|| "a size is a number with K, M, G or T after it, such as \"10M\"".into())
}

/// Milliseconds from `"250ms"`, `"30 s"`, `"5 minutes"`, `"1.5h"`, `"5d"`; also several of them in a row, such as `"1h 30m"`.
pub fn parse_time(text: &str) -> Result<u64, String> {
    let mut rest = text.trim();
    let mut sum: Option<u64> = None;
    while !rest.is_empty() {
        // A part ends where the number of the next begins.
        let unit = rest.find(|c: char| c.is_ascii_alphabetic());
        let end = unit.and_then(|unit| {
            let after = rest.get(unit..)?;
            let next = after.find(|c: char| c.is_ascii_digit())?;
            unit.checked_add(next)
        });
        let (part, others) = rest.split_at(end.unwrap_or(rest.len()));
        sum = amount(part, TIMES).and_then(|part| sum.unwrap_or(0).checked_add(part));
        if sum.is_none() {
            break;
        }
        rest = others;
    }
    sum.ok_or_else(|| "a time is a number with ms, s, m, h, d or w after it, such as \"5m\"".into())
}

/// A range of octets, both ends included: `"> 1M"`, `">= 1M"`, `"< 64K"`, `"<= 64K"`, `"100K..5M"`.
pub fn parse_size_range(text: &str) -> Result<(u64, u64), String> {
    const HELP: &str = "write \"> 1M\", \"<= 64K\" or \"100K..5M\"";
    let text = text.trim();
    let range = if let Some(rest) = text.strip_prefix(">=") {
        (parse_size(rest)?, u64::MAX)
    } else if let Some(rest) = text.strip_prefix("<=") {
        (0, parse_size(rest)?)
    } else if let Some(rest) = text.strip_prefix('>') {
        (parse_size(rest)?.saturating_add(1), u64::MAX)
    } else if let Some(rest) = text.strip_prefix('<') {
        match parse_size(rest)?.checked_sub(1) {
            Some(most) => (0, most),
            None => return Err("no size is below 0".into()),
        }
    } else if let Some((low, high)) = text.split_once("..") {
        (parse_size(low)?, parse_size(high)?)
    } else {
        return Err(HELP.into());
    };
    if range.0 > range.1 {
        return Err("the range is empty: its lower end is above its upper end".into());
    }
    Ok(range)
}

/// Octets for people: `1.2 MB`.
pub fn show_size(octets: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)];
    for (unit, factor) in UNITS {
        if octets >= factor {
            let tenths = octets.saturating_mul(10) / factor;
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{octets} B")
}

/// Octets as [`parse_size`] reads them: `100M`.
pub fn write_size(octets: u64) -> String {
    write(
        octets,
        &[("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)],
        "",
    )
}

/// Milliseconds as [`parse_time`] reads them: `5m`.
pub fn write_time(millis: u64) -> String {
    let units = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ];
    write(millis, &units, "ms")
}

/// In the largest unit that leaves no rest.
fn write(number: u64, units: &[(&str, u64)], smallest: &str) -> String {
    let whole = units
        .iter()
        .find(|(_, factor)| number > 0 && number.is_multiple_of(*factor));
    match whole {
        Some((unit, factor)) => format!("{}{unit}", number / factor),
        None => format!("{number}{smallest}"),
    }
}

/// A number with its unit, to the last whole one of the smallest unit.
fn amount(text: &str, units: Units) -> Option<u64> {
    let text = text.trim();
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let end = text.find(|c: char| !is_number(c)).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let (_, factor) = units
        .iter()
        .find(|(names, _)| names.contains(&unit.as_str()))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    // More digits than six say nothing that counts, and could overflow.
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 6 {
        return None;
    }
    let digits = u32::try_from(fraction.len()).ok()?;
    let part = fraction.parse::<u64>().ok()?.checked_mul(*factor)?;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(*factor)?
        .checked_add(part / 10_u64.checked_pow(digits)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for (octets, written) in [
            (0, "0"),
            (1, "1"),
            (1536, "1536"),
            (10 << 10, "10K"),
            (100 << 20, "100M"),
            (3 << 30, "3G"),
        ] {
            assert_eq!(write_size(octets), written);
            assert_eq!(parse_size(written), Ok(octets));
        }
        for (millis, written) in [
            (0, "0ms"),
            (250, "250ms"),
            (1000, "1s"),
            (90_000, "90s"),
            (300_000, "5m"),
            (7_200_000, "2h"),
            (86_400_000, "1d"),
        ] {
            assert_eq!(write_time(millis), written);
            assert_eq!(parse_time(written), Ok(millis));
        }
    }

    #[test]
    fn sizes() {
        for (text, octets) in [
            ("0", Some(0)),
            ("500", Some(500)),
            ("64K", Some(65_536)),
            ("64 kb", Some(65_536)),
            ("10M", Some(10_485_760)),
            ("2G", Some(2_147_483_648)),
            ("", None),
            ("M", None),
            ("-1", None),
            ("1.5M", Some(1_572_864)),
            ("0.25 GiB", Some(268_435_456)),
            ("10 MB", Some(10_485_760)),
            ("10T", Some(10_995_116_277_760)),
            ("100 bytes", Some(100)),
            ("1,5M", None),
            (".5M", None),
            ("1.M", None),
            ("1.2.3M", None),
            ("10 Mbit", None),
            ("1G 500M", None),
            ("1.1234567M", None),
            ("99999999999999999999", None),
            ("99999999999G", None),
        ] {
            assert_eq!(parse_size(text).ok(), octets, "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, millis) in [
            ("250ms", Some(250)),
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("2h", Some(7_200_000)),
            ("5d", Some(432_000_000)),
            ("5 min", Some(300_000)),
            ("30 seconds", Some(30_000)),
            ("1 Hour", Some(3_600_000)),
            ("2 weeks", Some(1_209_600_000)),
            ("1h30m", Some(5_400_000)),
            ("1 h 30 min", Some(5_400_000)),
            ("1.5h", Some(5_400_000)),
            ("5", None),
            ("1h30", None),
            ("s", None),
            ("", None),
            ("5 fortnights", None),
            ("18446744073709551615d", None),
            ("18446744073709551615ms 1ms", None),
        ] {
            assert_eq!(parse_time(text).ok(), millis, "{text}");
        }
    }

    #[test]
    fn ranges() {
        for (text, range) in [
            ("> 1M", Some((1_048_577, u64::MAX))),
            (">=1M", Some((1_048_576, u64::MAX))),
            ("< 64K", Some((0, 65_535))),
            ("<= 64K", Some((0, 65_536))),
            ("100K..5M", Some((102_400, 5_242_880))),
            ("5M..100K", None),
            ("< 0", None),
            ("1M", None),
            ("", None),
        ] {
            assert_eq!(parse_size_range(text).ok(), range, "{text}");
        }
    }

    #[test]
    fn sizes_for_people() {
        for (octets, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KB"),
            (12 << 20, "12.0 MB"),
            (3 << 30, "3.0 GB"),
        ] {
            assert_eq!(show_size(octets), shown);
        }
    }
}
