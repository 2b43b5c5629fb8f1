//! Every row of the table of settings: what the file says of it arrives in the configuration.

use std::fmt::Write;

use super::parsed;
use crate::config::Config;
use crate::plugin::ValueKind;
use crate::settings::{Kind, SETTINGS, Setting};

/// A configuration in which each setting can be another: what needs a partner has it.
const BASE: &[(&str, &[&str])] = &[
    ("", &[]),
    ("[daemon]", &[]),
    ("[log]", &[]),
    (
        "[[listen]]",
        &[
            "name = \"in\"",
            "address = \"127.0.0.1:25\"",
            "tls_cert = \"c\"",
            "tls_key = \"k\"",
        ],
    ),
    (
        "[[listen]]",
        &["name = \"other\"", "address = \"127.0.0.1:28\""],
    ),
    (
        "[relay]",
        &[
            "next_hop = \"smtp://127.0.0.1:26\"",
            "user = \"u\"",
            "password_file = \"p\"",
        ],
    ),
    ("[limits]", &[]),
    (
        "[[rule]]",
        &[
            "name = \"a\"",
            "plugin = \"stamp\"",
            "match = { filename = 'x' }",
        ],
    ),
    (
        "[[bank]]",
        &["name = \"b\"", "when = { listener = \"other\" }"],
    ),
    ("[[bank]]", &["name = \"c\"", "when = { sender = 'c' }"]),
    ("[[rule]]", &["name = \"last\"", "plugin = \"guard\""]),
];

/// A setting, by its table and its name, and a value.
type Row<'l> = (&'l str, &'l str, &'l str);

/// The file with a line more in the first table of a name, or another in place of one.
fn file(lines: &[Row<'_>]) -> String {
    let mut lines = lines.to_vec();
    let mut file = String::new();
    for (at, of_base) in BASE {
        let table = at.trim_matches(['[', ']']);
        let (here, later): (Vec<_>, Vec<_>) = lines.iter().partition(|(of, ..)| *of == table);
        lines = later;
        let is_replaced = |line: &str| {
            let name = line.split(' ').next().unwrap();
            here.iter().any(|(_, other, _)| *other == name)
        };
        writeln!(file, "{at}").unwrap();
        for line in of_base.iter().filter(|line| !is_replaced(line)) {
            writeln!(file, "{line}").unwrap();
        }
        for (_, name, value) in here {
            writeln!(file, "{name} = {value}").unwrap();
        }
    }
    file
}

/// What a setting needs beside it to make a difference.
fn companion(setting: &Setting) -> Option<Row<'static>> {
    match setting.name {
        "rules_add" => Some(("", "rules", "[\"a\"]")),
        "show_bcc" => Some(("rule", "options", "{ line = \"recipients\" }")),
        _ => None,
    }
}

/// What the program has of a configuration: all of it but the places in the file.
fn typed(config: &Config) -> String {
    let banks = config.banks.all().iter().enumerate().map(|(place, bank)| {
        let settings = config.banks.effective(&[place]);
        format!(
            "{:?} {:?} {:?} {settings:?}",
            bank.name, bank.when, bank.laid
        )
    });
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        config.daemon,
        config.log,
        config.listen,
        config.relay,
        config.base,
        banks.collect::<Vec<_>>()
    )
}

/// Values of its kind, of which one at least is another than the default and fits beside the others.
fn candidates(setting: &Setting) -> Vec<String> {
    let quoted = |text: &&str| format!("{text:?}");
    let one = |text: &str| vec![text.to_string()];
    match setting.kind {
        Kind::Plain(ValueKind::Bool) => vec!["true".into(), "false".into()],
        Kind::Plain(ValueKind::Integer(low, high)) => vec![low.to_string(), high.to_string()],
        Kind::Plain(ValueKind::Word(words)) => words.iter().map(quoted).collect(),
        Kind::Plain(ValueKind::Words(words)) => words.iter().map(quoted).collect(),
        Kind::Plain(ValueKind::Line) => one("\"another\""),
        Kind::Plain(kind) => unreachable!("no setting is {kind:?}"),
        Kind::Size(low, high) | Kind::Time(low, high) => [low, high].iter().map(quoted).collect(),
        Kind::File | Kind::Socket => one("\"/another\""),
        Kind::Host => one("\"another.example\""),
        Kind::Networks => one("\"192.0.2.0/24\""),
        Kind::Trusted => vec![quoted(&"192.0.2.0/24"), quoted(&"unix")],
        Kind::NextHop => one("\"smtp://127.0.0.1:29\""),
        Kind::Address => one("\"127.0.0.1:27\""),
        Kind::LogTarget => one("\"stderr\""),
        Kind::Fingerprints => one(&format!("{:?}", "00".repeat(32))),
        Kind::Rules if setting.name == "rules_add" => one("[\"last\"]"),
        Kind::Rules => one("[\"a\"]"),
        Kind::Banks => one("[\"c\"]"),
        Kind::Plugin => one("\"guard\""),
        Kind::Filters => one("{ sender = 'x' }"),
        Kind::Options => one("{ line = \"another\" }"),
        Kind::Texts => one("{ another = \"text\" }"),
    }
}

/// The file with the setting's companion, and the setting itself if there is a value.
fn file_of(setting: &Setting, value: Option<&str>) -> String {
    let own = value.map(|value| (setting.table, setting.name, value));
    let lines: Vec<Row<'_>> = companion(setting).into_iter().chain(own).collect();
    file(&lines)
}

#[test]
fn every_setting_arrives() {
    for setting in SETTINGS.iter() {
        let context = format!("[{}] {}", setting.table, setting.name);
        let before = typed(&parsed(&file_of(setting, None)).unwrap());
        let mut differs = false;
        let mut said = String::new();
        for value in candidates(setting) {
            match parsed(&file_of(setting, Some(&value))) {
                Ok(config) => differs |= typed(&config) != before,
                Err(mistakes) => write!(said, "{mistakes}").unwrap(),
            }
        }
        assert!(differs, "{context} changes nothing\n{said}");
    }
}

#[test]
fn the_default_of_every_setting_is_what_stands_without_it() {
    for setting in SETTINGS.iter() {
        let Some(default) = setting.default else {
            continue;
        };
        let before = typed(&parsed(&file_of(setting, None)).unwrap());
        let config = parsed(&file_of(setting, Some(default)));
        let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let context = format!("[{}] {}", setting.table, setting.name);
        assert_eq!(typed(&config), before, "{context}");
    }
}
