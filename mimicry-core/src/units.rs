//! Sizes and times as an administrator writes them: `"10M"`, `"5m"`.
//!
//! Must never guess: what is not wholly understood is an error that says what would be right.

/// Octets from `"500"`, `"64K"`, `"10M"`, `"2G"`; units are powers of 1024, case does not matter.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        _ => return Err("a size is a number with K, M or G behind it, such as \"10M\"".into()),
    };
    scale(number, factor)
        .ok_or_else(|| "a size is a number with K, M or G behind it, such as \"10M\"".into())
}

/// Milliseconds from `"250ms"`, `"30s"`, `"5m"`, `"2h"`, `"5d"`.
pub fn parse_time(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => {
            return Err(
                "a time is a number with ms, s, m, h or d behind it, such as \"5m\"".into(),
            );
        }
    };
    scale(number, factor)
        .ok_or_else(|| "a time is a number with ms, s, m, h or d behind it, such as \"5m\"".into())
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

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

fn scale(number: &str, factor: u64) -> Option<u64> {
    number.parse::<u64>().ok()?.checked_mul(factor)
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
            ("1.5M", None),
            ("10T", None),
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
            ("5", None),
            ("s", None),
            ("5w", None),
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
