//! A value of the file with its place, and what it is called in a message.
//!
//! Must never: judge a value.

use toml::Spanned;
use toml::de::DeValue;

/// A value of the file with its place.
pub(super) type Node<'i> = Spanned<DeValue<'i>>;

/// What kind of value it is, for a message.
pub(super) fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
