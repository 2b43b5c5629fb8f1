//! The options of a plugin: which it knows, and what a rule gives it.
//!
//! Must never: show what is in a secret, in `Debug` or in an error.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// One option of a plugin: what the configuration may hold, and the manual's words.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    pub name: &'static str,
    pub value: ValueKind,
    /// As it would be written in the file; `None` = unset.
    pub default: Option<&'static str>,
    /// One sentence.
    pub doc: &'static str,
}

/// The kinds of values that settings and options take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    Bool,
    /// A whole number within the bounds, both included.
    Integer(i64, i64),
    /// Octets: `"10M"`.
    Size,
    /// A time: `"5m"`.
    Time,
    /// Text without a line break.
    Line,
    /// Text.
    Text,
    /// The name of a file whose content is read at load, UTF-8.
    TextFile,
    /// The name of a file whose only line is read at load and shown nowhere; only its owner may have access to it.
    SecretFile,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of these words; a single one needs no brackets.
    Words(&'static [&'static str]),
    /// A list of lines; a single one needs no brackets.
    Lines,
    /// A list of domains and files of them; a single one needs no brackets. [`Value::List`], as domains are compared.
    Domains,
    /// A list of files whose octets are read at load; a single one needs no brackets.
    Files,
    /// A table of lines under free names; a name may have a list of them.
    Table,
    /// A table of files of secret keys under free names; a name may have a list of them. Their group may read them, others not.
    KeyFiles,
    /// A list of files of public keys, and of directories of them with all below; a single one needs no brackets.
    /// [`Value::Files`], with the whole names.
    PublicKeys,
    /// A directory of directories of files of secret keys: what each is for is the name of its directory.
    KeyTree,
    /// The name of a directory that is written to, or a pattern of such names. Not looked at when it is read.
    Directory,
}

impl ValueKind {
    /// How the manual and `mimicryd plugins` name it.
    pub fn describe(self) -> String {
        match self {
            ValueKind::Bool => "true | false".into(),
            ValueKind::Integer(low, high) => format!("{low}..{high}"),
            ValueKind::Size => "size".into(),
            ValueKind::Time => "time".into(),
            ValueKind::Line => "line".into(),
            ValueKind::Text => "text".into(),
            ValueKind::TextFile | ValueKind::SecretFile => "file".into(),
            ValueKind::Word(words) => words.join(" | "),
            ValueKind::Words(words) => format!("list of {}", words.join(" | ")),
            ValueKind::Lines => "list".into(),
            ValueKind::Domains => "list of domains".into(),
            ValueKind::Files => "list of files".into(),
            ValueKind::PublicKeys => "list of files and directories".into(),
            ValueKind::Table => "table".into(),
            ValueKind::KeyFiles => "table of files".into(),
            ValueKind::KeyTree | ValueKind::Directory => "directory".into(),
        }
    }
}

/// A checked value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Bool(bool),
    Integer(i64),
    /// Octets.
    Size(u64),
    /// Milliseconds.
    Time(u64),
    /// Line, Text and Word.
    Text(String),
    /// A TextFile: its name, for mistakes in it, and its content.
    File {
        path: String,
        text: String,
    },
    Secret(Secret),
    /// Words and Lines.
    List(Vec<String>),
    /// Name without folders, and content.
    Files(Vec<(String, Vec<u8>)>),
    /// Name and line, in the order of the file.
    Table(Vec<(String, String)>),
    /// Name and file, in the order of the file.
    Keys(Vec<KeyFile>),
    /// A relative one made relative to the directory of the configuration.
    Directory(PathBuf),
}

/// A password or the like. It is in no log, message or `Debug`; who needs it asks for it by [`Secret::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(secret: impl Into<String>) -> Secret {
        Secret(secret.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A file of a secret key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// What it stands beside in the configuration: a domain, an address.
    pub name: String,
    pub path: PathBuf,
    pub content: SecretOctets,
}

/// What may be said of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInUse {
    /// Domains and addresses; or a name that is neither, where it is for none.
    pub owners: Vec<String>,
    /// The selector, or the fingerprint.
    pub name: String,
    /// `rsa 2048`, `ed25519`.
    pub kind: String,
    pub used: KeyUse,
    /// Name and text of the TXT record of the DNS that has the public half, for a key that is looked up there.
    pub record: Option<(String, String)>,
    /// When it ends or has ended, seconds since 1970; `None` = never, or nobody knows.
    pub expires: Option<i64>,
    /// Why it is of no use at that time.
    pub unfit: Option<String>,
}

impl KeyInUse {
    /// Whose it is, in words.
    pub fn owner(&self) -> String {
        match self.owners.is_empty() {
            true => "nobody".into(),
            false => some(&self.owners),
        }
    }
}

/// Addresses for people: a key may have ten thousand.
pub fn some(addresses: &[String]) -> String {
    const MOST: usize = 20;
    let shown = addresses.get(..MOST).unwrap_or(addresses).join(", ");
    match addresses.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    Sign,
    Encrypt,
}

impl KeyUse {
    /// As `mimicryd keys` has it.
    pub fn word(self) -> &'static str {
        match self {
            KeyUse::Sign => "signs",
            KeyUse::Encrypt => "encrypts",
        }
    }
}

/// Octets that are in no log, message or `Debug`; who needs them asks for them by [`SecretOctets::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct SecretOctets(Vec<u8>);

impl SecretOctets {
    pub fn new(octets: impl Into<Vec<u8>>) -> SecretOctets {
        SecretOctets(octets.into())
    }

    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretOctets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretOctets")
    }
}

/// The options of one rule: every value is of the kind that its [`OptionSpec`] names, defaults are filled in.
#[derive(Clone, Debug, Default)]
pub struct Options {
    values: BTreeMap<&'static str, Value>,
    variables: Option<BTreeMap<String, String>>,
}

impl Options {
    /// With the texts of the configuration that templates may use.
    #[must_use]
    pub fn with_variables(mut self, variables: BTreeMap<String, String>) -> Options {
        self.variables = Some(variables);
        self
    }

    /// `None` when they are not known, as when there are mistakes in them: nobody shall complain of one that is missing.
    pub fn variables(&self) -> Option<&BTreeMap<String, String>> {
        self.variables.as_ref()
    }

    pub fn set(&mut self, name: &'static str, value: Value) {
        self.values.insert(name, value);
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// False when unset.
    pub fn bool(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(Value::Bool(true)))
    }

    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.values.get(name) {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    /// Octets.
    pub fn size(&self, name: &str) -> Option<u64> {
        match self.values.get(name) {
            Some(Value::Size(octets)) => Some(*octets),
            _ => None,
        }
    }

    /// Milliseconds.
    pub fn time(&self, name: &str) -> Option<u64> {
        match self.values.get(name) {
            Some(Value::Time(time)) => Some(*time),
            _ => None,
        }
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Value::Text(text) | Value::File { text, .. }) => Some(text),
            _ => None,
        }
    }

    /// The name of the file that a TextFile was read from.
    pub fn path(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Value::File { path, .. }) => Some(path),
            _ => None,
        }
    }

    pub fn secret(&self, name: &str) -> Option<&Secret> {
        match self.values.get(name) {
            Some(Value::Secret(secret)) => Some(secret),
            _ => None,
        }
    }

    /// Name without folders, and content. Empty when unset.
    pub fn files(&self, name: &str) -> &[(String, Vec<u8>)] {
        match self.values.get(name) {
            Some(Value::Files(files)) => files,
            _ => &[],
        }
    }

    /// A relative one made relative to the directory of the configuration.
    pub fn directory(&self, name: &str) -> Option<&Path> {
        match self.values.get(name) {
            Some(Value::Directory(path)) => Some(path),
            _ => None,
        }
    }

    /// Name and line, in the order of the file. Empty when unset.
    pub fn table(&self, name: &str) -> &[(String, String)] {
        match self.values.get(name) {
            Some(Value::Table(table)) => table,
            _ => &[],
        }
    }

    /// Name and file, in the order of the file. Empty when unset.
    pub fn keys(&self, name: &str) -> &[KeyFile] {
        match self.values.get(name) {
            Some(Value::Keys(keys)) => keys,
            _ => &[],
        }
    }

    /// Empty when unset.
    pub fn list(&self, name: &str) -> &[String] {
        match self.values.get(name) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }
}

/// A mistake in the options that only the plugin could see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// The option at fault; empty = the options as a whole.
    pub option: &'static str,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl OptionError {
    /// An empty `help` is none.
    pub fn new(
        option: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> OptionError {
        let help = help.into();
        OptionError {
            option,
            message: message.into(),
            help: (!help.is_empty()).then_some(help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown() {
        let file = KeyFile {
            name: "example.org".into(),
            path: "mail.pem".into(),
            content: SecretOctets::new("hush"),
        };
        assert_eq!(
            format!("{file:?}"),
            r#"KeyFile { name: "example.org", path: "mail.pem", content: SecretOctets }"#
        );
        assert_eq!(file.content.reveal(), b"hush");
    }

    #[test]
    fn some_addresses_are_shown() {
        for (number, end) in [
            (1, "a0"),
            (2, "a0, a1"),
            (20, "a18, a19"),
            (22, "a19 and 2 more"),
        ] {
            let all: Vec<String> = (0..number).map(|n| format!("a{n}")).collect();
            assert!(some(&all).ends_with(end), "{}", some(&all));
        }
        assert_eq!(some(&[]), "");
    }
}
