//! Where a part stands in its mail, as a filter names it.
//!
//! Must never: look at a mail (`facts` does).

/// Where a part stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    Root,
    Body,
    Attachment,
    Inline,
    First,
    Last,
    /// `1.2`, as IMAP counts (RFC 9051 section 6.4.5.1).
    Section(Vec<u32>),
}

impl Position {
    pub const WORDS: &'static [&'static str] =
        &["root", "body", "attachment", "inline", "first", "last"];

    pub(super) fn parse(text: &str) -> Option<Position> {
        Some(match text {
            "root" => Position::Root,
            "body" => Position::Body,
            "attachment" => Position::Attachment,
            "inline" => Position::Inline,
            "first" => Position::First,
            "last" => Position::Last,
            numbers => {
                let numbers: Result<Vec<u32>, _> = numbers.split('.').map(str::parse).collect();
                match numbers {
                    Ok(numbers) if numbers.iter().all(|number| *number > 0) => {
                        Position::Section(numbers)
                    }
                    _ => return None,
                }
            }
        })
    }
}
