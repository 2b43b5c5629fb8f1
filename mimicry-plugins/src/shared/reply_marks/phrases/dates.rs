//! Dates, times and digits in a line.
//!
//! Must never: decide what the line is.

/// A year of four digits, or three numbers between dots, slashes or hyphens: not what a telephone number or the hours of an office
/// have.
pub(super) fn has_whole_date(text: &str) -> bool {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '/' | '-'));
    numbers.any(|word| {
        let parts: Vec<&str> = word
            .split(['.', '/', '-'])
            .filter(|part| !part.is_empty())
            .take(4)
            .collect();
        let is_short = |part: &&str| part.len() <= 4;
        match parts.as_slice() {
            [year] => year.len() == 4 && (year.starts_with("19") || year.starts_with("20")),
            [_, _, _] => parts.iter().all(is_short),
            _ => false,
        }
    })
}

/// `19.03.2024`, `2024`, `3/19/24`, `2024年`; `15:58`, `15h58`, `15.58`, `3時`.
pub(super) fn date_and_time(line: &str) -> (bool, bool) {
    let (mut date, mut time) = (false, false);
    let mut rest = line;
    let mut before: Option<(usize, char)> = None;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let run = rest.get(start..).unwrap_or_default();
        let length = run.find(|c: char| !c.is_ascii_digit()).unwrap_or(run.len());
        let (digits, tail) = run.split_at_checked(length).unwrap_or((run, ""));
        let joined = before.filter(|_| start == 0);
        date |= length == 4 && (digits.starts_with("19") || digits.starts_with("20"));
        match joined {
            Some((hours, ':' | 'h' | '.')) if hours <= 2 && length == 2 => time = true,
            _ => {}
        }
        match joined {
            Some((_, '.' | '/' | '-')) if length <= 4 => date = true,
            _ => {}
        }
        let mut chars = tail.chars();
        let next = chars.next();
        time |= length <= 2 && matches!(next, Some('時' | '时' | '点' | '點' | 'u'));
        date |= length <= 2 && matches!(next, Some('月' | '日'));
        before = next.map(|next| (length, next));
        rest = chars.as_str();
    }
    (date, time)
}

/// The digit of ASCII for one of Arabic, Persian or Hindi.
pub(super) fn digit(c: char) -> char {
    let zero = match c {
        '\u{660}'..='\u{669}' => '\u{660}',
        '\u{6F0}'..='\u{6F9}' => '\u{6F0}',
        '\u{966}'..='\u{96F}' => '\u{966}',
        _ => return c,
    };
    let value = u32::from(c).saturating_sub(u32::from(zero));
    char::from_digit(value, 10).unwrap_or(c)
}
