//! FAULTS.md against the tests: no number without a place, no place that is not there, no test that the list does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::harness::{files, root};

/// The last number of the list.
const LAST: usize = 209;

/// What a fault may wait for instead of, or beside, a test.
const WAITS_FOR: &[&str] = &["open: "];

struct Row {
    number: usize,
    title: String,
    places: Vec<String>,
}

fn rows() -> Vec<Row> {
    let list = fs::read_to_string(root().join("t/FAULTS.md")).expect("FAULTS.md");
    let rows = list.lines().filter_map(|line| {
        let cells: Vec<&str> = line
            .strip_prefix("| T")?
            .strip_suffix(" |")?
            .split(" | ")
            .collect();
        let [number, title, places] = cells.as_slice() else {
            panic!("not three cells: {line}")
        };
        Some(Row {
            number: number.parse().expect("a number"),
            title: title.trim().to_string(),
            places: places
                .split(", ")
                .map(|place| place.trim().to_string())
                .collect(),
        })
    });
    rows.collect()
}

/// The tests of `t/` with the numbers in the comments above them, as `module::name`.
fn tests() -> BTreeMap<String, BTreeSet<usize>> {
    let mut tests = BTreeMap::new();
    for (file, path) in files("t", ".rs") {
        let module = file.trim_end_matches(".rs");
        let source = fs::read_to_string(path).expect("a source");
        let mut numbers = BTreeSet::new();
        let mut is_test = false;
        for line in source.lines() {
            if let Some(comment) = line.strip_prefix("//") {
                numbers.extend(numbers_in(comment));
            } else if line == "#[test]" {
                is_test = true;
            } else if let Some(name) = line
                .strip_prefix("fn ")
                .and_then(|rest| rest.split('(').next())
                .filter(|_| is_test)
            {
                tests.insert(format!("{module}::{name}"), std::mem::take(&mut numbers));
                is_test = false;
            } else {
                numbers.clear();
            }
        }
    }
    tests
}

/// `T17` as a word.
fn numbers_in(text: &str) -> impl Iterator<Item = usize> {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric());
    words.filter_map(|word| word.strip_prefix('T')?.parse().ok())
}

#[test]
fn each_fault_has_its_place() {
    let tests = tests();
    let rows = rows();
    let numbers: Vec<usize> = rows.iter().map(|row| row.number).collect();
    assert_eq!(
        numbers,
        (1..=LAST).collect::<Vec<_>>(),
        "each number stands once, in order"
    );
    let mut wrong = Vec::new();
    let mut listed = BTreeSet::new();
    for Row {
        number,
        title,
        places,
    } in &rows
    {
        if title.is_empty() {
            wrong.push(format!("T{number} has no title"));
        }
        for place in places {
            let name = place
                .strip_prefix('`')
                .and_then(|place| place.strip_suffix('`'));
            match name {
                None if WAITS_FOR
                    .iter()
                    .any(|what| place.len() > what.len() && place.starts_with(what)) => {}
                None => wrong.push(format!("T{number}: {place:?} is no place")),
                Some(name) if name.contains(".rs::") => {
                    let (file, test) = name.split_once("::").expect("it is in there");
                    let source = fs::read_to_string(root().join(file)).unwrap_or_default();
                    if !source.contains(&format!("fn {test}(")) {
                        wrong.push(format!("T{number}: there is no {name}"));
                    }
                }
                Some(name) if name.contains("::") => {
                    listed.insert((name.to_string(), *number));
                    match tests.get(name) {
                        None => wrong.push(format!("T{number}: there is no {name}")),
                        Some(numbers) if !numbers.contains(number) => {
                            wrong.push(format!("{name} does not say T{number}"))
                        }
                        Some(_) => {}
                    }
                }
                Some(place) if root().join(place).is_dir() => {}
                Some(step) if step.ends_with(".sh") && root().join(step).is_file() => {}
                Some(name) => wrong.push(format!("T{number}: there is no {name}")),
            }
        }
    }
    for (test, numbers) in &tests {
        for number in numbers {
            if !listed.contains(&(test.clone(), *number)) {
                wrong.push(format!("{test} says T{number}, which does not say so"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

// T171, T172
#[test]
fn the_release_is_built_as_it_must_be() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let release = manifest
        .split("[profile.release]")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next())
        .expect("a profile");
    for line in ["panic = \"unwind\"", "overflow-checks = true"] {
        assert!(
            release.lines().any(|other| other.starts_with(line)),
            "{line} is not in {release}"
        );
    }
}

/// What reads octets of strangers, by the name of its fuzz target.
const FUZZED: &[&str] = &[
    "commands", "config", "edits", "html", "identity", "log", "names", "params", "proxy",
    "replies", "stored", "way",
];

// T193
#[test]
fn each_reader_of_foreign_octets_is_fuzzed() {
    let manifest = fs::read_to_string(root().join("t/fuzz/Cargo.toml")).expect("a manifest");
    let run = fs::read_to_string(root().join("t/fuzz/run")).expect("a script");
    let all = run
        .lines()
        .find_map(|line| line.strip_prefix("for target in ${2:-")?.split_once('}'))
        .map(|(names, _)| names)
        .expect("the names of all targets");
    let mut found: Vec<String> = files("t/fuzz/fuzz_targets", ".rs")
        .into_iter()
        .map(|(file, path)| {
            let source = fs::read_to_string(path).expect("a source");
            assert!(source.contains("fuzz_target!("), "{file}");
            let name = file.trim_end_matches(".rs").to_string();
            let path = format!("path = \"fuzz_targets/{file}\"");
            assert!(manifest.contains(&path), "{path} is not in the manifest");
            assert!(
                all.split(' ').any(|one| one == name),
                "t/fuzz/run has no {name}"
            );
            name
        })
        .collect();
    found.sort();
    assert_eq!(found, FUZZED);
}
