//! A strict reader of what Prometheus reads: text of version 0.0.4 and OpenMetrics 1.0.
//!
//! Stricter than Prometheus: each family has its help and its type before its samples and stands in one piece, no sample stands there
//! twice, a counter is called `_total`, and a histogram adds up.
//!
//! Must never: guess. What it does not know is a panic with the line.

use std::collections::{BTreeMap, BTreeSet};

/// A sample's name and labels, in their order.
pub type Key = (String, Vec<(String, String)>);

/// What was read.
#[derive(Debug, Default)]
pub struct Numbers {
    /// Families with their types; of a counter without `_total`.
    pub families: BTreeMap<String, String>,
    pub samples: BTreeMap<Key, f64>,
}

impl Numbers {
    /// The sample of this name whose labels these are, in any order.
    pub fn of(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted: BTreeSet<(&str, &str)> = labels.iter().copied().collect();
        let mut found = self.samples.iter().filter(|((one, has), _)| {
            let has: BTreeSet<_> = has.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            one == name && has == wanted
        });
        found.next().map(|(_, value)| *value)
    }

    /// Of all samples of this name that have these labels among theirs.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |all: &[(String, String)], (key, value): &(&str, &str)| {
            all.iter().any(|(k, v)| k == key && v == value)
        };
        let found = self.samples.iter();
        found
            .filter(|((one, all), _)| one == name && labels.iter().all(|label| has(all, label)))
            .map(|(_, value)| *value)
            .sum()
    }

    /// What must never fall: counters, and what a histogram counts.
    pub fn counters(&self) -> impl Iterator<Item = (&Key, f64)> {
        let is_one = |name: &str| {
            let of = |suffix| name.strip_suffix(suffix);
            let family = ["_total", "_bucket", "_sum", "_count"]
                .into_iter()
                .find_map(of);
            family.is_some_and(|family| {
                let kind = self.families.get(family).map(String::as_str);
                matches!(kind, Some("counter" | "histogram"))
            })
        };
        self.samples
            .iter()
            .filter(move |((name, _), _)| is_one(name))
            .map(|(key, value)| (key, *value))
    }

    /// Counters that are less here than they were.
    pub fn fallen(&self, before: &Numbers) -> Vec<String> {
        let fallen = before.counters().filter_map(|(key, was)| {
            let is = self.samples.get(key).copied();
            is.is_none_or(|is| is < was)
                .then(|| format!("{key:?} was {was}, is {is:?}"))
        });
        fallen.collect()
    }
}

#[track_caller]
pub fn read(text: &str, is_open: bool) -> Numbers {
    let mut numbers = Numbers::default();
    let text = match is_open {
        true => text.strip_suffix("# EOF\n").expect("it ends in # EOF"),
        false => text,
    };
    assert!(text.ends_with('\n'), "the last line has an end");
    let (mut family, mut kind, mut helped) = (String::new(), String::new(), false);
    for line in text.strip_suffix('\n').unwrap_or_default().split('\n') {
        if let Some(rest) = line.strip_prefix("# ") {
            let (word, rest) = rest.split_once(' ').expect("a word");
            let (name, value) = rest.split_once(' ').expect("a name and a value");
            let bare = match is_open {
                true => name,
                false => name.strip_suffix("_total").unwrap_or(name),
            };
            match word {
                "HELP" => {
                    assert!(!numbers.families.contains_key(bare), "twice: {line}");
                    assert!(value.ends_with('.'), "{line}");
                    (family, helped) = (bare.to_string(), true);
                    kind.clear();
                }
                "TYPE" => {
                    assert!(family == bare && helped && kind.is_empty(), "{line}");
                    assert!(["counter", "gauge", "histogram"].contains(&value), "{line}");
                    assert_eq!(
                        name.ends_with("_total"),
                        value == "counter" && !is_open,
                        "{line}"
                    );
                    kind = value.to_string();
                    numbers.families.insert(bare.to_string(), kind.clone());
                }
                "UNIT" => assert!(is_open && bare.ends_with(&format!("_{value}")), "{line}"),
                _ => panic!("no such comment: {line}"),
            }
            continue;
        }
        let (key, value) = sample(line);
        let suffix = key.0.strip_prefix(&family).unwrap_or("?");
        let fits = match kind.as_str() {
            "counter" => suffix == "_total",
            "gauge" => suffix.is_empty(),
            "histogram" => ["_bucket", "_sum", "_count"].contains(&suffix),
            _ => false,
        };
        assert!(fits, "no sample of {family}, a {kind}: {line}");
        let before = numbers.samples.insert(key, value);
        assert_eq!(before, None, "twice: {line}");
    }
    numbers.histograms_add_up();
    numbers
}

/// `name{label="value",…} number`
fn sample(line: &str) -> (Key, f64) {
    let end = line.find(['{', ' ']).expect("a name");
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").expect("a label");
            assert!(is_name(label), "{line}");
            let (value, after) = quoted(after);
            labels.push((label.to_string(), value));
            match after.as_bytes().first() {
                Some(b',') => rest = &after[1..],
                Some(b'}') => {
                    rest = &after[1..];
                    break;
                }
                _ => panic!("labels do not end: {line}"),
            }
        }
    }
    let number = rest.strip_prefix(' ').expect("a blank");
    let is_plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    assert!(is_plain, "{line}");
    (
        (name.to_string(), labels),
        number.parse().expect("a number"),
    )
}

/// What stands up to the next quote that is not escaped, and the rest.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (value, &text[at + 1..]),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, char @ ('\\' | '"'))) => value.push(char),
                other => panic!("no such escape: {other:?}"),
            },
            char => {
                assert!(!char.is_control(), "{text:?}");
                value.push(char);
            }
        }
    }
    panic!("no end: {text}")
}

fn is_name(text: &str) -> bool {
    let is_one = |b: u8| b.is_ascii_lowercase() || b == b'_';
    !text.is_empty() && text.bytes().all(is_one)
}

impl Numbers {
    fn histograms_add_up(&self) {
        let mut last: BTreeMap<Key, (f64, f64)> = BTreeMap::new();
        let buckets = self.samples.iter().filter_map(|((name, labels), value)| {
            let name = name.strip_suffix("_bucket")?;
            let (le, others) = labels.split_last().expect("le is the last label");
            assert_eq!(le.0, "le", "{name}");
            let bound = match le.1.as_str() {
                "+Inf" => f64::INFINITY,
                text => text.parse().expect("a number"),
            };
            Some(((name.to_string(), others.to_vec()), bound, *value))
        });
        let mut all: Vec<(Key, f64, f64)> = buckets.collect();
        all.sort_by(|one, other| (&one.0, one.1).partial_cmp(&(&other.0, other.1)).unwrap());
        for (key, bound, count) in all {
            let (_, before) = last.get(&key).copied().unwrap_or((0.0, 0.0));
            assert!(count >= before, "{key:?} at {bound}");
            last.insert(key, (bound, count));
        }
        for ((name, labels), (bound, count)) in last {
            assert_eq!(bound, f64::INFINITY, "{name}");
            let of = |suffix| {
                self.samples
                    .get(&(format!("{name}{suffix}"), labels.clone()))
            };
            assert_eq!(of("_count"), Some(&count), "{name}");
            assert!(of("_sum").is_some(), "{name}");
        }
    }
}
