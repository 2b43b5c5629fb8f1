//! The manual against the code, and the samples against both: what exists in one of them exists in all.
//!
//! The pages are read as mdoc. What a test needs is marked by the shape of its lines: an item of a setting, filter or
//! option is `.It Cm name No = Ar kind` and the line below it `.Pq default: Cm value`, `.Pq no default`, `.Pq required` or
//! a filter's level; facts of a plugin are `.It fact` and the line below. Comments say what a literal block is:
//! `.\" configuration` (loads without a complaint), `.\" file: NAME` (a file of the page), `.\" output: ARGUMENTS` (what the
//! program says, in a directory with the files of the page and the project's `etc` and `t`).
//!
//! Must never: need another program. The lint of the pages is in `interop/`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use mimicry_core::config::files::Given;
use mimicry_core::config::{self, Diagnostic, Level, Mistakes};
use mimicry_core::extension::{Extension, NextHopMust, Offered};
use mimicry_core::plugin::{BulkExemption, DefaultParts, PluginKind};
use mimicry_core::reason::Reason;
use mimicry_core::rule::filter::FILTERS;
use mimicry_core::settings::SETTINGS;
use mimicry_plugins::REGISTRY;

use crate::harness::{self, Directory, files, root};
use mdoc::{Item, blocks, headings, items, page, section, subsection, unescape};

pub mod mdoc;

const FORMAT: &str = "man/mimicry.toml.5";
const PLUGINS: &str = "man/mimicry-plugins.7";
const PROGRAM: &str = "man/mimicryd.8";
const INTERNALS: &str = "man/mimicry-internals.7";
const PAGES: &[&str] = &[PROGRAM, FORMAT, PLUGINS, INTERNALS];

#[test]
fn every_setting_is_described_with_kind_and_default() {
    let mut code: Vec<Item> = SETTINGS
        .iter()
        .map(|setting| Item {
            section: setting.table.to_string(),
            name: setting.name.to_string(),
            kind: setting.kind.describe(),
            below: match setting.default {
                _ if setting.required => "required".to_string(),
                default => describe_default(default),
            },
        })
        .collect();
    // What a bank lays over limits is described once, where they are.
    let is_limit = |item: &Item| item.section == "bank" && item.name.starts_with("limits.");
    for item in code.iter_mut().filter(|item| is_limit(item)) {
        item.name = "limits".to_string();
        item.kind = "table of limits".to_string();
    }
    code.dedup();
    let table = |heading: &str| match heading.trim_matches(['[', ']']) {
        "Above all tables" => String::new(),
        table => table.to_string(),
    };
    let page: Vec<Item> = items(&page(FORMAT))
        .into_iter()
        .filter(|(heading, _)| heading.section == "SETTINGS")
        .map(|(heading, item)| Item {
            section: table(&heading.subsection),
            ..item
        })
        .collect();
    assert_same(&page, &code);
}

/// man: mimicryd(8) "The reply to EHLO names these extensions, but none that"
#[test]
fn every_extension_that_is_offered_is_described_and_can_be_hidden() {
    let described: Vec<(String, String)> = subsection(&page(PROGRAM), "Extensions")
        .windows(2)
        .filter_map(|lines| {
            let keyword = lines[0].strip_prefix(".It Cm ")?;
            Some((keyword.to_string(), lines[1].clone()))
        })
        .collect();
    let hide = items(&page(FORMAT)).into_iter().map(|(_, item)| item);
    let hide = hide.filter(|item| item.name == "hide_extensions");
    let hidden: Vec<String> = hide
        .map(|item| item.kind.trim_start_matches("list of ").to_string())
        .collect();
    let mut offered = Vec::new();
    for extension in Extension::ALL {
        let row = extension.row();
        let start = match (row.offered, row.next_hop) {
            (Offered::Unsaid, _) => continue,
            (Offered::ByListener, _) => "As the listener says: ",
            (Offered::Always, NextHopMust::Nothing) => "Always.",
            (Offered::Always, NextHopMust::NotLackIt) => "Unless the next hop is known to lack it.",
        };
        let found = described.iter().find(|(keyword, _)| keyword == row.keyword);
        let (_, text) = found.unwrap_or_else(|| panic!("{} is not described", row.keyword));
        assert!(text.starts_with(start), "{}: {text}", row.keyword);
        offered.push(row.keyword);
    }
    assert_eq!(described.len(), offered.len(), "{described:?}");
    // Above all tables, and in a bank.
    assert_eq!(hidden, [offered.join(" | "), offered.join(" | ")]);
}

#[test]
fn every_filter_is_described_with_operand_and_level() {
    let code: Vec<Item> = FILTERS
        .iter()
        .map(|filter| Item {
            section: String::new(),
            name: filter.name.to_string(),
            kind: filter.operand.describe().to_string(),
            below: format!("{:?}", filter.level).to_lowercase(),
        })
        .collect();
    let page: Vec<Item> = items(&page(FORMAT))
        .into_iter()
        .filter(|(heading, _)| heading.section == "FILTERS")
        .map(|(_, item)| item)
        .collect();
    assert_same(&page, &code);
}

/// The examples of filters stand one below each filter, in `.Dl` lines.
#[test]
fn every_filter_has_an_example_that_loads() {
    let page = page(FORMAT);
    let lines = section(&page, "FILTERS");
    let examples: Vec<String> = lines
        .iter()
        .filter_map(|line| line.strip_prefix(".Dl "))
        .map(unescape)
        .collect();
    assert_eq!(examples.len(), FILTERS.len(), "{examples:#?}");
    for (example, filter) in examples.iter().zip(FILTERS) {
        assert!(example.starts_with(filter.name), "{example}");
        let rule = format!("[[rule]]\nname = \"a\"\nplugin = \"zip\"\nmatch = {{ {example} }}\n");
        assert_loads(FORMAT, &rule, &[]);
    }
}

#[test]
fn every_reason_code_is_described() {
    let page = page(FORMAT);
    let described: Vec<String> = section(&page, "REASON CODES")
        .iter()
        .filter_map(|line| line.strip_prefix(".It Cm "))
        .map(unescape)
        .collect();
    let known: Vec<&str> = Reason::ALL
        .iter()
        .map(|(reason, _)| reason.code())
        .collect();
    assert_eq!(described, known);
}

#[test]
fn every_plugin_has_a_section_with_its_facts_and_options() {
    let page = page(PLUGINS);
    let sections: Vec<String> = headings(&page)
        .into_iter()
        .filter(|name| section(&page, name).contains(&".It scope") && name != "DESCRIPTION")
        .collect();
    let known: Vec<String> = REGISTRY
        .iter()
        .map(|kind| kind.name().to_uppercase())
        .collect();
    assert_eq!(sections, known);
    for kind in REGISTRY.iter() {
        let name = kind.name().to_uppercase();
        let lines = section(&page, &name);
        for (fact, value) in facts(kind) {
            let at = lines.iter().position(|line| *line == format!(".It {fact}"));
            let said = at.and_then(|at| lines.get(at + 1));
            assert_eq!(said, Some(&value), "{fact} of {name}");
        }
        let code: Vec<Item> = kind
            .options()
            .iter()
            .map(|option| Item {
                section: name.clone(),
                name: option.name.to_string(),
                kind: option.value.describe(),
                below: describe_default(option.default),
            })
            .collect();
        let described: Vec<Item> = items(&page)
            .into_iter()
            .filter(|(heading, _)| heading.section == name)
            .map(|(_, item)| Item {
                section: name.clone(),
                ..item
            })
            .collect();
        assert_same(&described, &code);
    }
}

#[test]
fn every_command_option_and_exit_code_is_described() {
    let page = page(PROGRAM);
    let directory = Directory::new();
    let help = |args: &[&str]| harness::run(directory.path(), args, b"").text().to_string();
    let mut commands = BTreeSet::new();
    let mut options = BTreeSet::new();
    let general = help(&["--help"]);
    options.extend(long_options(&general));
    let listed = general
        .split("Commands:\n")
        .nth(1)
        .expect("a list of commands");
    for line in listed.lines().take_while(|line| line.starts_with("  ")) {
        let command = line.split_whitespace().next().expect("a command");
        commands.insert(command.to_string());
        if command != "help" {
            options.extend(long_options(&help(&[command, "--help"])));
        }
    }
    let described = section(&page, "COMMANDS");
    let described = described
        .iter()
        .filter_map(|line| line.strip_prefix(".It Cm "));
    assert_eq!(
        described.map(String::from).collect::<BTreeSet<_>>(),
        commands
    );

    let described = section(&page, "OPTIONS");
    let described = described
        .iter()
        .filter_map(|line| line.strip_prefix(".It Fl "));
    let described: BTreeSet<String> = described
        .flat_map(|line| line.split_whitespace())
        .filter_map(|word| word.strip_prefix('-'))
        .map(String::from)
        .collect();
    assert_eq!(described, options);

    let source =
        fs::read_to_string(root().join("mimicryd/src/prefork/exit.rs")).expect("the exit codes");
    let codes = source
        .split("pub enum Exit {")
        .nth(1)
        .and_then(|rest| rest.split('}').next());
    let codes: Vec<&str> = codes
        .expect("the enum")
        .lines()
        .filter_map(|line| Some(line.split_once(" = ")?.1.trim_end_matches(',')))
        .collect();
    assert!(codes.len() > 3);
    let described = section(&page, "EXIT STATUS");
    let described: Vec<&str> = described
        .iter()
        .filter_map(|line| line.strip_prefix(".It "))
        .collect();
    assert_eq!(described, codes);
}

#[test]
fn every_configuration_of_the_manual_loads_without_a_complaint() {
    let mut count = 0;
    let names = SETTINGS.iter().map(|setting| setting.table);
    let tables: BTreeSet<String> = names
        .filter(|table| !table.is_empty())
        .flat_map(|table| [format!("[{table}]"), format!("[[{table}]]")])
        .collect();
    let logo = fs::read(root().join("etc/logo.png")).expect("the picture");
    let mut files = vec![("logo.png".to_string(), logo)];
    for name in PAGES {
        for block in blocks(&page(name)) {
            if let Some(file) = block.what.strip_prefix("file: ") {
                files.push((file.to_string(), block.text.clone().into_bytes()));
            }
            if block.what == "configuration" {
                assert_loads(name, &block.text, &files);
                count += 1;
            }
            // Otherwise nobody would know whether it loads.
            let begins_a_table = block.text.lines().any(|line| tables.contains(line));
            assert!(
                !begins_a_table || !block.what.is_empty(),
                "{name}: no comment says what this is:\n{}",
                block.text
            );
        }
    }
    let readme = fs::read_to_string(root().join("README.md")).expect("the README");
    for block in readme.split("```toml\n").skip(1) {
        assert_loads(
            "README.md",
            block.split("```").next().unwrap_or_default(),
            &files,
        );
        count += 1;
    }
    assert!(count >= 10, "{count} configurations found");
}

/// The tests with other programs run the samples as they are.
#[test]
fn every_sample_of_the_manual_is_the_file_without_its_comments() {
    let mut quoted = Vec::new();
    for name in PAGES {
        for block in blocks(&page(name)) {
            if let Some(path) = block.what.strip_prefix("sample: ") {
                let source = fs::read_to_string(root().join(path)).expect("a sample");
                let lines: Vec<&str> = source
                    .lines()
                    .filter(|line| !line.is_empty() && !line.starts_with('#'))
                    .collect();
                assert_eq!(block.text.lines().collect::<Vec<_>>(), lines, "{path}");
                quoted.push(path.to_string());
            }
        }
    }
    for directory in ["etc/postfix", "etc/exim", "etc/opensmtpd", "etc/haproxy"] {
        for (name, _) in files(directory, "") {
            let path = format!("{directory}/{name}");
            assert!(quoted.contains(&path), "{path} is in no page");
        }
    }
}

#[test]
fn every_output_of_the_manual_is_what_the_program_says() {
    let mut count = 0;
    for name in PAGES {
        let directory = Directory::new();
        let project = root().canonicalize().expect("the project");
        symlink(project.join("t"), directory.path().join("t")).expect("a link");
        // A configuration is the tester's own; a checkout may be another user's.
        directory.copy("etc");
        for block in blocks(&page(name)) {
            if let Some(file) = block.what.strip_prefix("file: ") {
                directory.file(file, &block.text);
            }
            if let Some(args) = block.what.strip_prefix("output: ") {
                let args: Vec<&str> = args.split_whitespace().collect();
                let ran = harness::run(directory.path(), &args, b"");
                let said = format!("{}{}", ran.err, ran.text());
                let trimmed = |text: &str| {
                    text.trim_end()
                        .lines()
                        .map(str::trim_end)
                        .collect::<Vec<_>>()
                        .join("\n")
                };
                assert_eq!(
                    trimmed(&block.text),
                    trimmed(&said),
                    "{name}: mimicryd {}",
                    args.join(" ")
                );
                count += 1;
            }
        }
    }
    assert!(count >= 3, "{count} outputs found");
}

#[test]
fn the_sample_configurations_load_without_a_complaint() {
    for (name, path) in files("etc", ".toml") {
        match config::load(&path, REGISTRY, &Given(&|path| fs::read(path))) {
            Ok(config) => assert!(config.warnings.is_empty(), "{name}:\n{}", config.warnings),
            Err(mistakes) => panic!("{name}:\n{mistakes}"),
        }
    }
}

#[test]
fn the_full_sample_loads_with_all_of_it_switched_on() {
    let path = root().join("etc/mimicry.toml");
    let source: String = sample().iter().map(|line| format!("{line}\n")).collect();
    let read = |path: &Path| secret(path).unwrap_or_else(|| fs::read(path));
    let config = match config::parse(&source, &path, REGISTRY, &read) {
        // Beside them stand the warnings of what is right.
        Err(mistakes)
            if (mistakes.list.iter()).all(|one| one.level != Level::Error || is_left_out(one)) =>
        {
            return;
        }
        config => config.unwrap_or_else(|mistakes| panic!("{mistakes}")),
    };
    assert_eq!(
        config.policy.rules.len(),
        source.matches("[[rule]]").count()
    );
}

#[test]
fn the_full_sample_shows_every_setting_filter_and_option_with_its_default() {
    let lines = sample();
    let mut missing = Vec::new();
    for setting in SETTINGS.iter() {
        let shown = lines_of(&lines, setting.table);
        // What a bank lays over limits is shown by some of them.
        let name = match (setting.table, setting.name.split_once('.')) {
            ("bank", Some((table, _))) => table,
            _ => setting.name,
        };
        if !shows(&shown, name, setting.default) {
            missing.push(format!(
                "[{}] {} = {:?}",
                setting.table, setting.name, setting.default
            ));
        }
    }
    for kind in REGISTRY.iter() {
        let shown = lines_of_plugin(&lines, kind.name());
        if shown.is_empty() {
            missing.push(format!("a rule with the plugin {}", kind.name()));
        }
        for option in kind.options() {
            if !shows(&shown, option.name, option.default) {
                missing.push(format!(
                    "{} of {} = {:?}",
                    option.name,
                    kind.name(),
                    option.default
                ));
            }
        }
    }
    let text = fs::read_to_string(root().join("etc/mimicry.toml")).expect("the sample");
    for filter in FILTERS {
        let shown = |line: &str| {
            line.strip_prefix("#   ")
                .is_some_and(|rest| rest.starts_with(filter.name))
        };
        if !text.lines().any(shown) {
            missing.push(format!("the filter {}", filter.name));
        }
    }
    assert!(
        missing.is_empty(),
        "etc/mimicry.toml does not show:\n{}",
        missing.join("\n")
    );
}

/// Paths of the project that the pages and the README name.
#[test]
fn every_file_that_is_named_exists() {
    let mut missing = Vec::new();
    for name in PAGES.iter().chain(&["README.md", "CHANGELOG.md"]) {
        let text = fs::read_to_string(root().join(name)).expect("a page");
        let text = text.replace("\\-", "-");
        for word in text.split(|c: char| c.is_whitespace() || "`()|,;'\"".contains(c)) {
            let word = word.trim_end_matches(['.', ':']);
            let ours = [
                "t/",
                "etc/",
                "man/",
                "mimicry-core/",
                "mimicry-plugins/",
                "mimicryd/",
            ];
            let path = ours.iter().any(|start| word.starts_with(start));
            if path && !root().join(word).exists() {
                missing.push(format!("{name}: {word}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

fn describe_default(default: Option<&str>) -> String {
    default.map_or("no default".to_string(), |value| {
        format!("default: Cm {value}")
    })
}

/// The words of the manual; those of `mimicryd plugins` are longer.
fn facts(kind: &dyn PluginKind) -> [(&'static str, &'static str); 5] {
    [
        ("scope", kind.scope().name()),
        (
            "parts",
            match kind.default_parts() {
                DefaultParts::Mail => "none: it acts on the mail",
                DefaultParts::Root => "the root",
                DefaultParts::Body => "the body texts",
                DefaultParts::Attachments => "the attachments",
            },
        ),
        (
            "multiparts",
            if kind.takes_multiparts() {
                "may be taken"
            } else {
                "are never taken"
            },
        ),
        (
            "bulk mail",
            match kind.bulk_exemption() {
                BulkExemption::None => "is treated like any other",
                BulkExemption::Reports => "multipart/report is left alone",
                BulkExemption::All => "is left alone",
            },
        ),
        ("on_error", kind.default_on_error().word()),
    ]
}

/// Says which of them differ instead of showing two long lists.
fn assert_same(page: &[Item], code: &[Item]) {
    let only = |list: &[Item], other: &[Item]| -> Vec<String> {
        let lacking = list.iter().filter(|item| !other.contains(item));
        lacking.map(|item| format!("{item:?}")).collect()
    };
    let (in_page, in_code) = (only(page, code), only(code, page));
    assert!(
        in_page.is_empty() && in_code.is_empty(),
        "only in the page:\n{}\nonly in the code:\n{}",
        in_page.join("\n"),
        in_code.join("\n")
    );
    let names = |list: &[Item]| {
        list.iter()
            .map(|item| item.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(page),
        names(code),
        "the order is another, or one is there twice"
    );
}

/// What the secret files of the samples hold, which are nothing to hand out.
fn secret(path: &Path) -> Option<io::Result<Vec<u8>>> {
    let key = |name: &str| fs::read(root().join("mimicry-plugins/tests/keys").join(name));
    match path.file_name()?.to_str()? {
        "zip.password" => Some(Ok(b"a password\n".to_vec())),
        "s2026.pem" => Some(key("rsa.pem")),
        "e2026.pem" => Some(key("ed25519.pem")),
        "pgp.passphrase" => Some(Ok(b"a passphrase\n".to_vec())),
        name if name.ends_with(".asc") => Some(key(&format!("pgp/{name}"))),
        "keys" => Some(Ok(b"gateway.asc\n".to_vec())),
        "anna.pem" | "bob.pem" | "issuer.crl" => {
            Some(key(&format!("smime-{}", path.file_name()?.to_str()?)))
        }
        "authorities.pem" => Some(key("smime-root.pem")),
        "partners" => Some(Ok(b"bob.pem\n".to_vec())),
        "dkim" => Some(Ok(b"example.com/\n".to_vec())),
        "example.com" => Some(Ok(b"s2026.pem\n".to_vec())),
        _ => None,
    }
}

/// A plugin that is described, and that this program was built without.
fn is_left_out(mistake: &Diagnostic) -> bool {
    let without =
        |feature: &str| mistake.message == format!("this mimicry was built without {feature}");
    !cfg!(feature = "pgp") && without("pgp") || !cfg!(feature = "smime") && without("smime")
}

/// What is not among the files is a text.
fn assert_loads(place: &str, source: &str, files: &[(String, Vec<u8>)]) {
    let read = |path: &Path| {
        let file = files.iter().find(|(name, _)| path.ends_with(name));
        let given = file.map(|(_, content)| Ok(content.clone()));
        given
            .or_else(|| secret(path))
            .unwrap_or_else(|| Ok(b"a text\n".to_vec()))
    };
    let mut complaints = match config::parse(source, Path::new("example.toml"), REGISTRY, &read) {
        Ok(config) => config.warnings,
        Err(mistakes) => mistakes,
    };
    complaints.list.retain(|one| !is_left_out(one));
    assert_eq!(
        complaints.list,
        Mistakes::default().list,
        "{place}:\n{complaints}"
    );
}

fn long_options(help: &str) -> Vec<String> {
    let lines = help
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'));
    lines
        .filter_map(|line| {
            line.split_whitespace()
                .find_map(|word| word.strip_prefix("--"))
        })
        .map(String::from)
        .collect()
}

/// The full sample with all that is switched off switched on: lines that begin with `#` and a letter or a bracket.
fn sample() -> Vec<String> {
    let text = fs::read_to_string(root().join("etc/mimicry.toml")).expect("the sample");
    let is_setting =
        |rest: &&str| rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '[');
    let switch_on = |line: &str| {
        line.strip_prefix('#')
            .filter(is_setting)
            .unwrap_or(line)
            .to_string()
    };
    text.lines().map(switch_on).collect()
}

/// The lines of a table, the tables of a list together; options of rules count as theirs.
fn lines_of<'l>(lines: &'l [String], table: &str) -> Vec<&'l str> {
    let mut current = "";
    let mut found = Vec::new();
    for line in lines {
        if line.starts_with('[') {
            current = line.trim_matches(['[', ']']);
            // A table is also the setting of the table around it.
            match current.split_once('.') {
                Some((around, _)) if around == table => found.push(line.as_str()),
                None if table.is_empty() => found.push(line.as_str()),
                _ => {}
            }
        } else if current == table {
            found.push(line.as_str());
        }
    }
    found
}

/// The lines of all rules with a plugin.
fn lines_of_plugin<'l>(lines: &'l [String], plugin: &str) -> Vec<&'l str> {
    let rules = lines.split(|line| line == "[[rule]]").skip(1);
    let wanted = format!("plugin = \"{plugin}\"");
    rules
        .filter(|rule| rule.contains(&wanted))
        .flatten()
        .map(String::as_str)
        .collect()
}

/// A key stands at the start of its line, in a table within one line, or as a table of its own. One with a default is
/// shown with it at least once.
fn shows(lines: &[&str], name: &str, default: Option<&str>) -> bool {
    if let Some((table, key)) = name.split_once('.') {
        let within = lines
            .iter()
            .filter(|line| line.starts_with(&format!("{table} = {{")));
        return within.into_iter().any(|line| {
            let start = format!(" {key} = ");
            line.split(['{', ',', '}']).any(|piece| {
                let value = piece.strip_prefix(&start).map(str::trim_end);
                value.is_some_and(|value| default.is_none_or(|default| value == default))
            })
        });
    }
    match default {
        Some(value) => lines.contains(&format!("{name} = {value}").as_str()),
        None => {
            let start = format!("{name} = ");
            let table = format!("{name}]");
            let shown = |line: &&str| {
                line.starts_with(&start)
                    || line
                        .split(['{', ','])
                        .any(|piece| piece.trim_start().starts_with(&start))
                    || (line.starts_with('[') && line.ends_with(&table))
            };
            lines.iter().any(shown)
        }
    }
}
