//! The tour of mimicry-internals(7) against the source: files, types and functions are where the page says, every room is
//! visited, and everything that exists of a kind is in the places of the row that says how to add one.
//!
//! A step of the walk is an item `.It Pa FILE`, a row of the table an item `.It a KIND` or `.It an KIND` with its places as
//! `.Pa`. What stands after `.Vt` is a type, after `.Fn` a function: of one of the files (or folders) of its step or row, or
//! a type that an earlier step has shown.
//!
//! Must never: take a test for the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use mimicry_core::config;
use mimicry_core::plugin::ValueKind;
use mimicry_core::reason::Reason;
use mimicry_core::registry::Registry;
use mimicry_core::rule::filter::FILTERS;
use mimicry_core::settings::endpoint::NextHop;
use mimicry_core::settings::{Kind, SETTINGS};
use mimicry_plugins::REGISTRY;

use crate::harness::root;
use crate::layering::{program, sources};
use crate::manual::mdoc::{blocks, page, section, unescape};

#[path = "tour/describe_images.rs"]
#[rustfmt::skip]
mod describe_images;

const PAGE: &str = "man/mimicry-internals.7";
const WALKS: &[&str] = &["THE WALK OF ONE MAIL", "THE LIFE OF A WORKER"];
const CRATES: &[&str] = &["mimicry-core/src", "mimicry-plugins/src", "mimicryd/src"];

/// A step of the walk, or a row of the table.
#[derive(Debug, Default)]
struct Stop {
    name: String,
    places: Vec<String>,
    types: Vec<String>,
    functions: Vec<String>,
}

/// The stops of a section; `begins` = what makes an item one, and what it names.
fn stops(heading: &str, begins: impl Fn(&str) -> Option<Stop>) -> Vec<Stop> {
    let page = page(PAGE);
    let mut stops: Vec<Stop> = Vec::new();
    for line in section(&page, heading) {
        if let Some(stop) = line.strip_prefix(".It ").and_then(&begins) {
            stops.push(stop);
            continue;
        }
        let Some(stop) = stops.last_mut().filter(|_| line.starts_with('.')) else {
            continue;
        };
        let words: Vec<&str> = line.trim_start_matches('.').split_whitespace().collect();
        for pair in words.windows(2) {
            let [marker, name] = pair else { continue };
            let into = match *marker {
                "Pa" => &mut stop.places,
                "Vt" => &mut stop.types,
                "Fn" => &mut stop.functions,
                _ => continue,
            };
            into.push(unescape(name));
        }
    }
    stops
}

fn walk(heading: &str) -> Vec<Stop> {
    stops(heading, |item| {
        let names = item.strip_prefix("Pa ")?;
        let places = names.split_whitespace().filter(|word| *word != ",");
        Some(Stop {
            name: names.to_string(),
            places: places.map(unescape).collect(),
            ..Stop::default()
        })
    })
}

fn table() -> Vec<Stop> {
    stops("TO ADD SOMETHING", |item| {
        let kind = item
            .strip_prefix("a ")
            .or_else(|| item.strip_prefix("an "))?;
        Some(Stop {
            name: unescape(kind),
            ..Stop::default()
        })
    })
}

fn row(kind: &str) -> Stop {
    let row = table().into_iter().find(|row| row.name == kind);
    row.unwrap_or_else(|| panic!("the table has no row for {kind}"))
}

/// The program's text of each source below a place, by its name from the root.
fn texts(place: &str) -> Vec<(String, String)> {
    let path = root().join(place);
    let files = match path.is_dir() {
        true => sources(&path),
        false => vec![path],
    };
    let text = |file: PathBuf| {
        let source = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let name = file.strip_prefix(root()).expect("a file of ours");
        (
            name.display().to_string(),
            program(&file, &source).to_string(),
        )
    };
    files.into_iter().map(text).collect()
}

/// Where a type or a function is declared, among these places.
fn declared_in<'p>(
    places: impl IntoIterator<Item = &'p str>,
    words: &[&str],
    name: &str,
) -> Vec<String> {
    let is_declaration = |line: &str| {
        let line = line.trim_start();
        let line = match line.strip_prefix("pub(") {
            Some(rest) => rest.split_once(") ").map_or(line, |(_, rest)| rest),
            None => line.strip_prefix("pub ").unwrap_or(line),
        };
        let rest = words
            .iter()
            .find_map(|word| line.strip_prefix(word)?.strip_prefix(' '));
        rest.and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let mut found = Vec::new();
    for place in places {
        for (file, text) in texts(place) {
            if text.lines().any(is_declaration) {
                found.push(file);
            }
        }
    }
    found
}

const TYPES: &[&str] = &["struct", "enum", "trait", "type"];
const FUNCTIONS: &[&str] = &["fn", "const fn"];

/// What of a stop's names is not where it says, and where it is.
fn misplaced(stop: &Stop, shown: &BTreeSet<String>) -> Vec<String> {
    let places = || {
        let is_source = |place: &&str| CRATES.iter().any(|name| place.starts_with(name));
        stop.places.iter().map(String::as_str).filter(is_source)
    };
    let types = stop.types.iter().filter(|name| !shown.contains(*name));
    let types = types.map(|name| (TYPES, name.as_str()));
    let functions = stop
        .functions
        .iter()
        .map(|name| (FUNCTIONS, name.rsplit("::").next().unwrap_or(name)));
    let mut wrong = Vec::new();
    for (words, name) in types.chain(functions) {
        if declared_in(places(), words, name).is_empty() {
            let is = declared_in(CRATES.iter().copied(), words, name);
            wrong.push(format!("{}: {name} is in {is:?}", stop.name));
        }
    }
    wrong
}

#[test]
fn every_name_of_the_tour_is_where_the_tour_says() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for heading in WALKS {
        let mut shown = BTreeSet::new();
        for stop in walk(heading) {
            wrong.extend(misplaced(&stop, &shown));
            count += stop.types.len() + stop.functions.len();
            shown.extend(stop.types);
        }
    }
    for row in table() {
        wrong.extend(misplaced(&row, &BTreeSet::new()));
    }
    assert!(count > 60, "only {count} names were found");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A folder of the core or the program that the page does not name is a room that nobody is led to; of the worker, whom the
/// walk goes through step by step, each file counts.
#[test]
fn the_tour_goes_through_every_room() {
    let page = page(PAGE).join("\n");
    let mut missing = Vec::new();
    for crate_root in ["mimicry-core/src", "mimicryd/src"] {
        for entry in fs::read_dir(root().join(crate_root)).expect("a crate") {
            let entry = entry.expect("an entry");
            let name = format!("{crate_root}/{}", entry.file_name().display());
            if entry.path().is_dir() && !page.contains(&name) {
                missing.push(name);
            }
        }
    }
    let steps: Vec<String> = WALKS
        .iter()
        .flat_map(|heading| walk(heading))
        .flat_map(|stop| stop.places)
        .collect();
    for (file, text) in texts("mimicryd/src/worker") {
        if !text.is_empty() && !steps.contains(&file) {
            missing.push(file);
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_table_has_a_row_for_each_kind() {
    let rows: Vec<String> = table().into_iter().map(|row| row.name).collect();
    let known = [
        "plugin",
        "filter",
        "setting",
        "SMTP extension",
        "container",
        "transport",
        "reason code",
        "reply of our own",
        "sub-command",
        "event of the log",
    ];
    assert_eq!(rows, known);
}

/// A file as text; the hyphens of a page are plain ones.
fn text_of(place: &str) -> String {
    let text = fs::read_to_string(root().join(place));
    text.unwrap_or_else(|error| panic!("{place}: {error}"))
        .replace("\\-", "-")
}

/// A place, and what stands there for a thing of this name.
type Form<'f> = (&'f str, &'f dyn Fn(&str) -> String);

/// Asserts that each place of the row holds each thing in its form there. Folders and files with no form are for the test that
/// asks; a place that has a form and is not in the row is a mistake.
fn holds_all(row: &Stop, things: &[String], forms: &[Form<'_>]) {
    assert!(!things.is_empty(), "{}: there are none", row.name);
    let mut missing = Vec::new();
    for (place, form) in forms {
        assert!(
            row.places.iter().any(|named| named == place),
            "the row for {} does not name {place}",
            row.name
        );
        let text = text_of(place);
        let lacking = things.iter().filter(|thing| !text.contains(&form(thing)));
        missing.extend(lacking.map(|thing| format!("{thing} in {place}")));
    }
    assert!(missing.is_empty(), "{}: {missing:#?}", row.name);
}

/// A source that lists half of the things of a kind or more is a place to touch for the next one: the row must name it.
fn is_listed_nowhere_else(row: &Stop, things: &[String]) {
    let mut found = BTreeMap::new();
    for (file, text) in CRATES.iter().flat_map(|name| texts(name)) {
        let named = things
            .iter()
            .filter(|thing| text.contains(&format!("\"{thing}\"")))
            .count();
        if named * 2 >= things.len() && !row.places.contains(&file) {
            found.insert(file, named);
        }
    }
    assert!(
        found.is_empty(),
        "the row for {} does not name these, with how many of {} they list: {found:#?}",
        row.name,
        things.len()
    );
}

#[test]
fn each_plugin_is_in_the_places_of_its_row() {
    let row = row("plugin");
    let names: Vec<String> = REGISTRY
        .iter()
        .map(|kind| kind.name().to_string())
        .collect();
    holds_all(
        &row,
        &names,
        &[
            ("mimicry-plugins/src/lib.rs", &|name| {
                format!("\nmod {name};")
            }),
            ("mimicry-plugins/src/lib.rs", &|name| format!("&{name}::")),
            ("man/mimicry-plugins.7", &|name| {
                format!("\n.Sh {}\n", name.to_uppercase())
            }),
            ("etc/mimicry.toml", &|name| format!("plugin = \"{name}\"")),
        ],
    );
    for name in &names {
        let file = format!("mimicry-plugins/src/{name}.rs");
        let text = text_of(&file);
        assert!(
            text.contains(&format!("\"{name}\"")),
            "{file} does not say its name"
        );
    }
    is_listed_nowhere_else(&row, &names);
}

#[test]
fn each_filter_is_in_the_places_of_its_row() {
    let row = row("filter");
    let names: Vec<String> = FILTERS
        .iter()
        .map(|filter| filter.name.to_string())
        .collect();
    let quoted = |name: &str| format!("\"{}", name.trim_end_matches("NAME"));
    holds_all(
        &row,
        &names,
        &[
            ("mimicry-core/src/rule/filter/table.rs", &quoted),
            ("mimicry-core/src/rule/filter.rs", &quoted),
            ("man/mimicry.toml.5", &|name| format!("\n.It Cm {name}")),
            ("etc/mimicry.toml", &|name| format!("\n#   {name}")),
        ],
    );
    is_listed_nowhere_else(&row, &names);
}

#[test]
fn each_setting_is_in_the_places_of_its_row() {
    let row = row("setting");
    let names: Vec<String> = SETTINGS
        .iter()
        .filter(|setting| setting.table != "bank" && !setting.kind.describe().starts_with("table"))
        .map(|setting| setting.name.to_string())
        .collect();
    let key = |name: &str| name.rsplit('.').next().unwrap_or(name).to_string();
    holds_all(
        &row,
        &names,
        &[
            ("mimicry-core/src/settings/table.rs", &key),
            ("man/mimicry.toml.5", &|name| format!("\n.It Cm {name} ")),
            ("etc/mimicry.toml", &|name| format!("{} = ", key(name))),
        ],
    );
    is_listed_nowhere_else(&row, &names);
}

#[test]
fn each_extension_is_in_the_places_of_its_row() {
    let row = row("SMTP extension");
    let setting = SETTINGS
        .iter()
        .find(|setting| setting.table.is_empty() && setting.name == "hide_extensions");
    let Some(Kind::Plain(ValueKind::Words(words))) = setting.map(|setting| setting.kind) else {
        panic!("hide_extensions is no list of words");
    };
    let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
    let code: Vec<&String> = row
        .places
        .iter()
        .filter(|place| place.ends_with(".rs"))
        .collect();
    for place in &code {
        let text = text_of(place);
        // By their words, or by the type that has them.
        let known = words
            .iter()
            .any(|word| text.contains(&format!("\"{word}\"")));
        let known = known || text.contains("Extension") || text.contains("Parameter");
        assert!(known, "{place} knows no extension");
    }
    holds_all(
        &row,
        &words,
        &[("man/mimicry.toml.5", &|word| word.to_string())],
    );
    is_listed_nowhere_else(&row, &words);
}

#[test]
fn each_container_is_in_the_places_of_its_row() {
    let row = row("container");
    let folder = "mimicry-plugins/src/shared/bundle";
    assert!(row.places.iter().any(|place| place == folder), "{row:?}");
    let modules = text_of(&format!("{folder}/mod.rs"));
    let plugins: String = REGISTRY
        .iter()
        .map(|kind| text_of(&format!("mimicry-plugins/src/{}.rs", kind.name())))
        .collect();
    let mut count = 0;
    for (file, text) in texts("mimicry-plugins/src") {
        for line in text.lines() {
            let Some(rest) = line.split_once(" Container for ").map(|(_, rest)| rest) else {
                continue;
            };
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
            count += 1;
            assert!(file.starts_with(folder), "{name} stands in {file}");
            assert!(
                modules.contains(&name),
                "{folder}/mod.rs does not name {name}"
            );
            assert!(
                plugins.contains(&format!("{name} {{")) || plugins.contains(&format!("{name}::")),
                "no plugin uses {name}"
            );
        }
    }
    assert!(count > 1, "only {count} containers were found");
}

#[test]
fn each_transport_is_in_the_places_of_its_row() {
    let row = row("transport");
    let schemes: Vec<String> = NextHop::SCHEMES
        .iter()
        .map(|scheme| scheme.to_string())
        .collect();
    holds_all(
        &row,
        &schemes,
        &[
            ("mimicry-core/src/settings/endpoint.rs", &|scheme| {
                format!("\"{scheme}\" ")
            }),
            ("man/mimicry.toml.5", &|scheme| format!("{scheme}://")),
            ("etc/mimicry.toml", &|scheme| format!("{scheme}://")),
        ],
    );
    is_listed_nowhere_else(&row, &schemes);
    let chosen = text_of("mimicryd/src/relay/connect.rs");
    let mut count = 0;
    for (file, text) in texts("mimicryd/src") {
        for line in text.lines().filter(|line| line.starts_with("impl")) {
            let Some((_, rest)) = line.split_once(" NextHop for ") else {
                continue;
            };
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
            count += 1;
            assert!(
                file.starts_with("mimicryd/src/relay/"),
                "{name} stands in {file}"
            );
            assert!(
                chosen.contains(&name),
                "nothing in connect.rs opens a {name}"
            );
        }
    }
    assert!(count > 1, "only {count} next hops were found");
}

#[test]
fn each_reason_code_is_in_the_places_of_its_row() {
    let row = row("reason code");
    let codes: Vec<String> = Reason::ALL
        .iter()
        .map(|(reason, _)| reason.code().to_string())
        .collect();
    holds_all(
        &row,
        &codes,
        &[("man/mimicry.toml.5", &|code| format!("\n.It Cm {code}\n"))],
    );
    let code = row.places.iter().find(|place| place.ends_with(".rs"));
    let text = text_of(code.expect("a source"));
    for code in &codes {
        assert!(text.contains(&format!("\"{code}\"")), "{code}");
    }
    is_listed_nowhere_else(&row, &codes);
}

#[test]
fn each_sub_command_is_in_the_places_of_its_row() {
    let row = row("sub-command");
    let source = text_of("mimicryd/src/cli/mod.rs");
    let variants = source.split("enum Command {").nth(1).expect("the commands");
    let variants = variants.split("\n}").next().expect("their end");
    let mut names = Vec::new();
    for line in variants.lines().map(str::trim) {
        let Some((name, module)) = line.split_once('(') else {
            continue;
        };
        let module = module.split("::").next().unwrap_or_default();
        let file = root().join("mimicryd/src/cli").join(module);
        let there = file.with_extension("rs").is_file() || Path::new(&file).is_dir();
        assert!(there, "the command {name} has no file {module}");
        names.push(name.to_lowercase());
    }
    assert!(names.len() > 5, "{names:?}");
    holds_all(
        &row,
        &names,
        &[
            ("man/mimicryd.8", &|name| format!("\n.Nm\n.Cm {name}\n")),
            ("man/mimicryd.8", &|name| format!("\n.It Cm {name}\n")),
        ],
    );
}

#[test]
fn each_event_is_in_the_places_of_its_row() {
    let row = row("event of the log");
    let source = text_of("mimicryd/src/worker/refusal.rs");
    let words = source.lines().filter_map(|line| {
        let (variant, word) = line.trim().strip_prefix("Event::")?.split_once(" => \"")?;
        Some((variant.to_string(), word.split('"').next()?.to_string()))
    });
    let words: Vec<(String, String)> = words.collect();
    assert!(words.len() > 4, "{words:?}");
    let variants: Vec<String> = words.iter().map(|(variant, _)| variant.clone()).collect();
    let words: Vec<String> = words.into_iter().map(|(_, word)| word).collect();
    let form = |variant: &str| format!("    {variant},");
    let at = |end: &str| {
        let place = row.places.iter().find(|place| place.ends_with(end));
        place
            .unwrap_or_else(|| panic!("{end} is not in the row"))
            .clone()
    };
    holds_all(&row, &variants, &[(at("counter.rs").as_str(), &form)]);
    holds_all(
        &row,
        &words,
        &[
            (at("status/mod.rs").as_str(), &|word| {
                format!("\"{}\"", word.replace('-', "_"))
            }),
            (at("metrics/mod.rs").as_str(), &|word| format!("\"{word}\"")),
            ("man/mimicryd.8", &|word| format!("\n.It {word}\n")),
        ],
    );
}

#[test]
fn the_plugin_of_the_page_is_one() {
    let page = page(PAGE);
    let shown = blocks(&page).into_iter().find_map(|block| {
        (block.what == "source: t/tour/describe_images.rs").then_some(block.text)
    });
    let file = root().join("t/tour/describe_images.rs");
    let file = fs::read_to_string(file).expect("the plugin of the page");
    assert_eq!(shown.expect("the example"), file);
    let registry = Registry(&[&describe_images::DescribeImages]);
    let rule = "[[rule]]\nname = \"a\"\nplugin = \"describe_images\"\noptions = { text = \"a picture\" }\n";
    let read = |_: &Path| Ok(Vec::new());
    let config = config::parse(rule, Path::new("a.toml"), registry, &read);
    let config = config.unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(config.policy.rules.len(), 1);
    let empty = rule.replace("a picture", "");
    let mistakes = config::parse(&empty, Path::new("a.toml"), registry, &read);
    let mistakes = mistakes.expect_err("an empty description").to_string();
    assert!(mistakes.contains("the description is empty"), "{mistakes}");
}
