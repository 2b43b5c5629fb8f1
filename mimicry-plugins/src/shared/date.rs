//! Dates as mail programs read them: by RFC 5322 first, and if that fails by what is plainly meant.
//!
//! A wrong day of the week, an hour of one digit, no zone (taken for UTC), no comma, a zone right behind the time, parts of a second,
//! dots in the time, the form of asctime (RFC 9110 section 5.6.7) and that of ISO 8601.
//!
//! And days as messages for people have them.
//!
//! Must never: guess a day, month or year that is not written.

use jiff::civil::DateTime;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::fmt::temporal;
use jiff::tz::{Offset, TimeZone};

use super::bundle::Timestamp;

static PARSER: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);

static ISO: temporal::DateTimeParser = temporal::DateTimeParser::new();

const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// The wall clock time of a Date header, as its sender saw it.
pub fn read(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(zoned) = PARSER.parse_zoned(text) {
        return Some(stamp(zoned.datetime(), zoned.timestamp().as_second()));
    }
    let (time, offset) = loose(text).or_else(|| iso(text))?;
    let zoned = time.to_zoned(TimeZone::fixed(offset)).ok()?;
    Some(stamp(time, zoned.timestamp().as_second()))
}

/// A moment's day in UTC: `2027-01-31`.
pub fn day(unix: i64) -> String {
    match jiff::Timestamp::from_second(unix) {
        Ok(time) => time.strftime("%Y-%m-%d").to_string(),
        Err(_) => "a day that no calendar has".into(),
    }
}

fn stamp(time: DateTime, unix: i64) -> Timestamp {
    Timestamp {
        year: u16::try_from(time.year()).unwrap_or(1980),
        month: time.month().unsigned_abs(),
        day: time.day().unsigned_abs(),
        hour: time.hour().unsigned_abs(),
        minute: time.minute().unsigned_abs(),
        second: time.second().unsigned_abs(),
        unix: u64::try_from(unix).unwrap_or(0),
    }
}

/// `2024-05-16T10:00:00+02:00`
fn iso(text: &str) -> Option<(DateTime, Offset)> {
    let Ok(moment) = ISO.parse_timestamp(text) else {
        return Some((ISO.parse_datetime(text).ok()?, Offset::UTC));
    };
    let offset = text.get(text.len().checked_sub(6)?..)?;
    let offset = of_zone(offset).unwrap_or(Offset::UTC);
    Some((offset.to_datetime(moment), offset))
}

/// Words in any order that leaves no doubt: a month by its name, a time with colons, a day before the year, a zone with its sign.
fn loose(text: &str) -> Option<(DateTime, Offset)> {
    let mut month = None;
    let mut clock = None;
    let mut numbers = Vec::new();
    let mut offset = Offset::UTC;
    let without_comment = text.split('(').next().unwrap_or_default();
    let words = without_comment.split(|c: char| c.is_whitespace() || c == ',');
    let hyphenated = words.flat_map(|word| {
        let starts = word.starts_with(|c: char| c.is_ascii_digit());
        let is_date = starts && word.contains('-') && !word.contains(':');
        word.split(move |c: char| is_date && c == '-')
    });
    let colon = if text.contains(':') { ':' } else { '.' };
    for word in hyphenated.filter(|word| !word.is_empty()).take(16) {
        if word.contains(colon) {
            let (time, zone) =
                word.split_at_checked(word.find(['+', '-']).unwrap_or(word.len()))?;
            clock = clock.or_else(|| of_clock(time, colon));
            offset = of_zone(zone).unwrap_or(offset);
        } else if let Some(zone) = of_zone(word) {
            offset = zone;
        } else if let Ok(number) = word.parse::<i16>() {
            numbers.push(number);
        } else if let Some(at) = word.get(..3).and_then(|start| {
            let start = start.to_ascii_lowercase();
            MONTHS.iter().position(|month| *month == start)
        }) {
            month = month.or(i8::try_from(at.saturating_add(1)).ok());
        }
    }
    let [day, year, ..] = numbers.as_slice() else {
        return None;
    };
    // RFC 5322 section 4.3.
    let year = match *year {
        year @ 0..50 => year.checked_add(2000)?,
        year @ 50..1000 => year.checked_add(1900)?,
        year => year,
    };
    let (hour, minute, second) = clock?;
    let day = i8::try_from(*day).ok()?;
    let time = DateTime::new(year, month?, day, hour, minute, second.min(59), 0).ok()?;
    Some((time, offset))
}

fn of_clock(word: &str, colon: char) -> Option<(i8, i8, i8)> {
    let whole = |number: &str| number.split('.').next()?.parse::<i8>().ok();
    let mut numbers = word.split(colon).map(whole);
    Some((
        numbers.next()??,
        numbers.next()??,
        numbers.next().unwrap_or(Some(0))?,
    ))
}

/// `+0200`, `+02:00`; names of zones but GMT are of many meanings.
fn of_zone(word: &str) -> Option<Offset> {
    let (sign, digits) = match word.as_bytes() {
        [b'+', ..] => (1, word.get(1..)?),
        [b'-', ..] => (-1, word.get(1..)?),
        _ => return None,
    };
    let digits = digits.replace(':', "");
    if digits.len() != 4 {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    let minutes = (number / 100).checked_mul(60)?.checked_add(number % 100)?;
    Offset::from_seconds(minutes.checked_mul(60)?.checked_mul(sign)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days() {
        for (unix, expected) in [
            (0, "1970-01-01"),
            (1_801_353_599, "2027-01-30"),
            // A certificate that never ends says 99991231235959Z (RFC 5280 section 4.1.2.5).
            (253_402_300_799, "a day that no calendar has"),
            (i64::MIN, "a day that no calendar has"),
        ] {
            assert_eq!(day(unix), expected);
        }
    }
}
