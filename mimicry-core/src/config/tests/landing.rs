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
            "options = { line = \"recipients\" }",
        ],
    ),
    (
        "[[bank]]",
        &["name = \"b\"", "when = { listener = \"other\" }"],
    ),
    ("[[bank]]", &["name = \"c\"", "when = { sender = 'c' }"]),
    ("[[rule]]", &["name = \"last\"", "plugin = \"guard\""]),
];

/// The file with one line more in the first table of a name, or another in place of one.
fn file(table: &str, name: &str, value: &str) -> String {
    let header = match table {
        "" => String::new(),
        list if crate::settings::LISTS.contains(&list) => format!("[[{list}]]"),
        table => format!("[{table}]"),
    };
    let start = format!("{name} = ");
    let mut file = String::new();
    let mut is_due = true;
    for (at, lines) in BASE {
        let is_here = *at == header && std::mem::take(&mut is_due);
        writeln!(file, "{at}").unwrap();
        for line in lines
            .iter()
            .filter(|line| !is_here || !line.starts_with(&start))
        {
            writeln!(file, "{line}").unwrap();
        }
        if is_here {
            writeln!(file, "{start}{value}").unwrap();
        }
        is_due &= *at != header;
    }
    file
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
        Kind::File => one("\"/another\""),
        Kind::Host => one("\"another.example\""),
        Kind::Networks => one("\"192.0.2.0/24\""),
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

/// The file that sets it; the rules that a bank adds must not be in force without it.
fn file_of(setting: &Setting, value: &str) -> String {
    let file = file(setting.table, setting.name, value);
    match setting.name {
        "rules_add" => format!("rules = [\"a\"]\n{file}"),
        _ => file,
    }
}

#[test]
fn every_setting_arrives() {
    let unset = |setting: &Setting| match setting.name {
        "rules_add" => parsed(&file("", "rules", "[\"a\"]")).unwrap(),
        _ => parsed(&file("", "trace", "true")).unwrap(),
    };
    for setting in SETTINGS.iter() {
        let context = format!("[{}] {}", setting.table, setting.name);
        let before = typed(&unset(setting));
        let mut differs = false;
        let mut said = String::new();
        for value in candidates(setting) {
            match parsed(&file_of(setting, &value)) {
                Ok(config) => differs |= typed(&config) != before,
                Err(mistakes) => write!(said, "{mistakes}").unwrap(),
            }
        }
        assert!(differs, "{context} changes nothing\n{said}");
    }
}

#[test]
fn the_default_of_every_setting_is_what_stands_without_it() {
    let before = typed(&parsed(&file("", "trace", "true")).unwrap());
    for setting in SETTINGS.iter() {
        let Some(default) = setting.default else {
            continue;
        };
        let config = parsed(&file_of(setting, default));
        let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let context = format!("[{}] {}", setting.table, setting.name);
        assert_eq!(typed(&config), before, "{context}");
    }
}
