//! No module imports, by whatever way round, from one that imports from it: read off the sources of the three crates.
//!
//! A module is a file. A name that a module only passes on (`pub use child::Name`) is followed to the file that defines it, so a
//! `mod.rs` that declares its children and re-exports their names stands in no circle by that; a child that needs a name which its
//! parent defines, while the parent needs one of the child's, does. Tests, and files that are only for tests, may do as they like.
//!
//! Known limits: names that a macro makes, and methods, which need no import, are not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::layering::{root, sources};

const CRATES: [&str; 3] = ["mimicry-core", "mimicry-plugins", "mimicryd"];

#[test]
fn no_module_imports_from_one_that_imports_from_it() {
    let mut found = Vec::new();
    for krate in CRATES {
        let graph = Sources::read(&root().join(krate).join("src")).graph();
        found.extend(circles(&graph).map(|circle| format!("{krate}: {}", circle.join(" -> "))));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_circle_is_found_where_there_is_one() {
    /// Files, and the circles among them.
    type Case = (
        &'static [(&'static str, &'static str)],
        &'static [&'static str],
    );
    let cases: &[Case] = &[
        (
            &[
                ("lib", "mod a; mod b;"),
                ("a", "use crate::b::B;"),
                ("b", ""),
            ],
            &[],
        ),
        (
            &[
                ("lib", "mod a; mod b;"),
                ("a", "use crate::b::B;"),
                ("b", "fn f() { crate::a::g() }"),
            ],
            &["a -> b -> a"],
        ),
        // By way of a third.
        (
            &[
                ("lib", "mod a; mod b; mod c;"),
                ("a", "use crate::{b::{self, B}, c};"),
                ("b", "use super::c::C;"),
                ("c", "pub(crate) use super::a::A as X; struct C(X);"),
            ],
            &["a -> b -> c -> a"],
        ),
        // A parent that declares and re-exports is in no circle with the child; nor are siblings that meet there.
        (
            &[
                ("lib", "mod a;"),
                ("a", "mod x; mod y; pub use x::{X, Z}; pub use y::Y;"),
                ("a::x", "use super::Y;"),
                ("a::y", ""),
            ],
            &[],
        ),
        // One that defines what the child needs, and needs what the child defines, is.
        (
            &[
                ("lib", "mod a;"),
                ("a", "mod x; pub use x::X; pub struct A(X);"),
                ("a::x", "use super::A;"),
            ],
            &["a -> a::x -> a"],
        ),
        // By a path in the code, or by the name of a module that was imported.
        (
            &[
                ("lib", "mod a; mod b;"),
                ("a", "use crate::b; fn f() -> b::B { }"),
                ("b", "impl B { fn f(_: &super::a::A) { } }"),
            ],
            &["a -> b -> a"],
        ),
        (
            &[
                ("lib", "mod a; mod b;"),
                ("a", "use crate::b::*;"),
                ("b", "use crate::a::*;"),
            ],
            &["a -> b -> a"],
        ),
        // Comments, texts and tests import nothing.
        (
            &[
                ("lib", "mod a; mod b;"),
                ("a", "use crate::b::B;"),
                (
                    "b",
                    "// crate::a::A\n/* crate::a::A */ const T: &str = \"crate::a::A\"; const R: &str = r#\"\"crate::a::A\"#; \
                     fn f<'a>() -> char { '\"' } #[cfg(test)] use crate::a::A; #[cfg(test)] mod tests { use crate::a::A; }",
                ),
            ],
            &[],
        ),
        (
            &[
                ("lib", "mod a; #[cfg(test)] mod b;"),
                ("a", "use crate::b::B;"),
                ("b", "use crate::a::A;"),
            ],
            &[],
        ),
    ];
    for (files, expected) in cases {
        let sources = Sources::of(files.iter().map(|(name, code)| {
            let path = name.split("::").filter(|name| *name != "lib");
            (path.map(str::to_string).collect(), (*code).to_string())
        }));
        let found: Vec<String> = circles(&sources.graph())
            .map(|circle| circle.join(" -> "))
            .collect();
        assert_eq!(found, *expected, "{files:?}");
    }
}

/// The path of a module below its crate's root.
type Name = Vec<String>;

/// Which module imports from which.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// One shortest circle through each module that is in one, without repeating any.
fn circles(graph: &Graph) -> impl Iterator<Item = Vec<String>> {
    let mut seen: BTreeSet<BTreeSet<String>> = BTreeSet::new();
    let ways = graph.keys().filter_map(|from| {
        let next = graph[from].iter();
        let ways = next.filter_map(|next| way(graph, next, from));
        ways.min_by_key(Vec::len).map(|way| (from, way))
    });
    let mut found = Vec::new();
    for (from, way) in ways {
        if seen.insert(way.iter().cloned().collect()) {
            found.push(std::iter::once(from.clone()).chain(way).collect());
        }
    }
    found.into_iter()
}

/// The shortest way from one module to another, both named.
fn way(graph: &Graph, from: &str, to: &str) -> Option<Vec<String>> {
    let mut ways = vec![vec![from.to_string()]];
    let mut seen = BTreeSet::from([from.to_string()]);
    let mut at = 0;
    while let Some(way) = ways.get(at).cloned() {
        let last = way.last()?;
        if last == to {
            return Some(way);
        }
        for next in graph.get(last).into_iter().flatten() {
            if seen.insert(next.clone()) {
                ways.push(way.iter().cloned().chain([next.clone()]).collect());
            }
        }
        at += 1;
    }
    None
}

/// One file.
#[derive(Default)]
struct Module {
    /// What its `use` lines make known under which name, as written.
    names: BTreeMap<String, Name>,
    /// Those of them that it makes known to others too.
    passed_on: BTreeSet<String>,
    /// Modules of which everything is imported.
    globs: Vec<Name>,
    /// Paths in its code, and the names that it uses alone.
    paths: BTreeSet<Name>,
}

/// The modules of one crate.
struct Sources(BTreeMap<Name, Module>);

impl Sources {
    fn read(folder: &Path) -> Sources {
        Sources::of(sources(folder).into_iter().map(|file| {
            let below = file.strip_prefix(folder).unwrap().with_extension("");
            let mut name: Name = below
                .iter()
                .map(|part| part.to_str().unwrap().to_string())
                .collect();
            name.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
            (name, fs::read_to_string(&file).unwrap())
        }))
    }

    fn of(files: impl Iterator<Item = (Name, String)>) -> Sources {
        let mut modules: BTreeMap<Name, Module> = BTreeMap::new();
        let mut only_tests: Vec<Name> = Vec::new();
        for (name, source) in files {
            if name.last().is_some_and(|last| last == "tests") {
                only_tests.push(name);
                continue;
            }
            let (tokens, tests) = without_tests(tokens(&source));
            only_tests.extend(
                tests
                    .into_iter()
                    .map(|test| [name.clone(), vec![test]].concat()),
            );
            // A library and a program of one crate are both its root.
            let module = modules.entry(name).or_default();
            module.take(&tokens);
        }
        modules.retain(|name, _| !only_tests.iter().any(|test| name.starts_with(test)));
        Sources(modules)
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph::new();
        for (name, module) in &self.0 {
            let mut imports = BTreeSet::new();
            let is_used = |word: &&String| {
                let mut paths = module.paths.iter();
                !module.passed_on.contains(*word) || paths.any(|path| path.first() == Some(word))
            };
            let words = module.names.iter().filter(|(word, _)| is_used(word));
            for path in words.map(|(_, path)| path).chain(&module.paths) {
                imports.extend(self.defines(name, path, 0).filter(|(_, rest)| *rest > 0));
            }
            let globs = module.globs.iter();
            imports.extend(globs.filter_map(|path| self.defines(name, path, 0)));
            let imports = imports.into_iter().map(|(other, _)| other);
            let imports = imports.filter(|other| other != name);
            graph.insert(shown(name), imports.map(|other| shown(&other)).collect());
        }
        graph
    }

    /// Which module defines what a path in a module names, and how many names of the path are left below it.
    fn defines(&self, at: &Name, path: &[String], depth: usize) -> Option<(Name, usize)> {
        if depth > 20 {
            return None;
        }
        let (first, rest) = path.split_first()?;
        let module = self.0.get(at)?;
        let child = [at.clone(), vec![first.clone()]].concat();
        match first.as_str() {
            "crate" => self.below(&Vec::new(), rest, depth),
            "self" => self.below(at, rest, depth),
            "super" => self.below(&at[..at.len().checked_sub(1)?].to_vec(), rest, depth),
            _ if self.0.contains_key(&child) => self.below(&child, rest, depth),
            _ => {
                let known = module.names.get(first)?;
                self.defines(at, &[known, rest].concat(), depth + 1)
            }
        }
    }

    fn below(&self, at: &Name, path: &[String], depth: usize) -> Option<(Name, usize)> {
        match path.first() {
            None => Some((at.clone(), 0)),
            Some(first) if first == "super" => self.defines(at, path, depth + 1),
            Some(_) => self
                .defines(at, path, depth + 1)
                .or_else(|| Some((at.clone(), path.len()))),
        }
    }
}

fn shown(name: &Name) -> String {
    match name.is_empty() {
        true => "lib".into(),
        false => name.join("::"),
    }
}

impl Module {
    fn take(&mut self, tokens: &[String]) {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            // Not the `use<'a>` of a type.
            if token == "use" && tokens.get(at + 1).is_some_and(|next| next != "<") {
                let before = at.checked_sub(1).and_then(|before| tokens.get(before));
                let known: BTreeSet<String> = self.names.keys().cloned().collect();
                at = self.take_use(tokens, at + 1, &[]);
                if before.is_some_and(|token| ["pub", ")"].contains(&token.as_str())) {
                    let new = self.names.keys().filter(|name| !known.contains(*name));
                    self.passed_on.extend(new.cloned());
                }
            } else if is_word(token) {
                let mut path = vec![token.clone()];
                while tokens.get(at + 1).is_some_and(|next| next == "::")
                    && tokens.get(at + 2).is_some_and(|next| is_word(next))
                {
                    path.push(tokens[at + 2].clone());
                    at += 2;
                }
                self.paths.insert(path);
            }
            at += 1;
        }
    }

    /// A tree of imports; where the next one begins.
    fn take_use(&mut self, tokens: &[String], from: usize, prefix: &[String]) -> usize {
        let mut path = prefix.to_vec();
        let mut at = from;
        while let Some(token) = tokens.get(at) {
            match token.as_str() {
                "::" => {}
                "{" => {
                    at += 1;
                    while tokens.get(at).is_some_and(|token| token != "}") {
                        at = self.take_use(tokens, at, &path);
                        at += usize::from(tokens.get(at).is_some_and(|token| token != "}"));
                    }
                    return at + 1;
                }
                "*" => {
                    self.globs.push(path);
                    return at + 1;
                }
                "as" => {
                    let name = tokens[at + 1].clone();
                    self.names.insert(name, path);
                    return at + 2;
                }
                "," | "}" | ";" => break,
                "self" if !path.is_empty() => {}
                word => path.push(word.to_string()),
            }
            at += 1;
        }
        if let Some(last) = path.last() {
            self.names.insert(last.clone(), path);
        }
        at
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|sign: char| sign.is_alphabetic() || sign == '_')
}

/// Words, `::` and single signs; without comments, texts and numbers.
fn tokens(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => text_length(rest),
            '\'' => sign_length(rest),
            _ if is_word(rest) => {
                let is_part = |sign: char| sign.is_alphanumeric() || sign == '_';
                let length = rest.find(|sign| !is_part(sign)).unwrap_or(rest.len());
                let word = &rest[..length];
                match raw_length(word, &rest[length..]) {
                    Some(raw) => length + raw,
                    None => {
                        found.push(word.to_string());
                        length
                    }
                }
            }
            ':' if rest.starts_with("::") => {
                found.push("::".into());
                2
            }
            _ => {
                if !first.is_whitespace() && !first.is_ascii_digit() {
                    found.push(first.to_string());
                }
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    found
}

fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, sign) in rest.char_indices().skip(1) {
        match sign {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A sign in quotes, or a lifetime.
fn sign_length(rest: &str) -> usize {
    let mut signs = rest.char_indices().skip(1);
    match (signs.next(), signs.next()) {
        (Some((_, '\\')), Some((second, escaped))) => {
            let from = second + escaped.len_utf8();
            rest[from..]
                .find('\'')
                .map_or(rest.len(), |end| from + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// What follows the r of a raw text.
fn raw_length(word: &str, rest: &str) -> Option<usize> {
    if !["r", "br", "cr"].contains(&word) {
        return None;
    }
    let marks = rest.len() - rest.trim_start_matches('#').len();
    let end = format!("\"{}", "#".repeat(marks));
    let body = rest[marks..].strip_prefix('"')?;
    Some(marks + 1 + body.find(&end).map_or(body.len(), |at| at + end.len()))
}

/// The tokens without what only tests have, and the names of the modules that only they have.
fn without_tests(tokens: Vec<String>) -> (Vec<String>, Vec<String>) {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        let is_test = tokens[at..]
            .iter()
            .zip(TEST)
            .filter(|(token, test)| token == test)
            .count();
        if is_test < TEST.len() {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += TEST.len();
        let item = at;
        let mut depth = 0usize;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token.as_str() {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && ["}", ";"].contains(&token.as_str()) {
                break;
            }
        }
        let words = tokens[item..at].iter().filter(|token| is_word(token));
        let mut words = words.skip_while(|word| *word != "mod").skip(1);
        modules.extend(words.next().cloned());
    }
    (kept, modules)
}
