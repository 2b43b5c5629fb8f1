//! The directory: the data of each sender, from a TOML or CSV file read at load.
//!
//! Rows are laid over each other, and a column that is empty in one shows the one below: the defaults, the rows of domains above
//! (`@.example.org`: it and all below it), the row of the domain, the row of the person. Addresses are compared without regard to case or to whether the domain is written in
//! Unicode or in ASCII (nobody gives two people addresses that differ only in it); one with a subaddress
//! (`anna+list@example.org`) is looked up as it is first and without it then. An alias domain has the people of another
//! domain.
//!
//! Must never: stop at a mistake, or be looked up by anything but an address.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use mimicry_core::domain::{and_above, compared, compared_address, without_detail};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// Column and text.
pub type Row = BTreeMap<String, String>;

/// The column of a CSV file whose row gives an alias domain.
const ALIAS_OF: &str = "alias_of";

/// All rows.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// By address as it is compared; `@example.org` is the row of a domain.
    people: BTreeMap<String, Row>,
    /// Alias domain and domain, both as they are compared.
    aliases: BTreeMap<String, String>,
    defaults: Row,
    columns: BTreeSet<String>,
}

/// A mistake in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadDirectory {
    /// Counted from 1.
    pub line: usize,
    pub message: String,
    pub help: String,
}

impl Directory {
    /// Reads the content of the file; its name tells the form.
    pub fn parse(path: &str, text: &str) -> Result<Directory, Vec<BadDirectory>> {
        let mut reader = Reader::default();
        let lower = path.to_ascii_lowercase();
        if lower.ends_with(".toml") {
            reader.toml(text);
        } else if lower.ends_with(".csv") {
            reader.csv(text);
        } else {
            reader.mistake(
                1,
                "the name of a directory ends in .toml or .csv",
                "rename the file",
            );
        }
        reader.alias_chains();
        if reader.mistakes.is_empty() {
            return Ok(reader.directory);
        }
        reader.mistakes.sort_by_key(|mistake| mistake.line);
        Err(reader.mistakes)
    }

    /// The names of all columns.
    pub fn columns(&self) -> &BTreeSet<String> {
        &self.columns
    }

    /// Is there a row of the person, not only of the domain.
    pub fn knows(&self, address: &str) -> bool {
        self.person(&compared_address(address)).is_some()
    }

    /// What is known of an address; columns without a text are not in it.
    pub fn row(&self, address: &str) -> Row {
        let address = compared_address(address);
        let mut row = Row::new();
        lay(&mut row, &self.defaults);
        if let Some((_, domain)) = address.rsplit_once('@') {
            let real = self.aliases.get(domain).map(String::as_str);
            for domain in real.into_iter().chain([domain]) {
                self.of_domain(domain).for_each(|over| lay(&mut row, over));
            }
        }
        if let Some(over) = self.person(&address) {
            lay(&mut row, over);
        }
        row
    }

    /// The rows for a domain: those of the domains above it that stand for all below them, the nearest last, and its own.
    fn of_domain(&self, domain: &str) -> impl Iterator<Item = &Row> + use<'_> {
        let mut names: Vec<&str> = and_above(domain).collect();
        names.reverse();
        let keys: Vec<String> = (names.into_iter().map(|name| format!("@.{name}")))
            .chain([format!("@{domain}")])
            .collect();
        keys.into_iter().filter_map(|key| self.people.get(&key))
    }

    /// The address is as it is compared.
    fn person(&self, address: &str) -> Option<&Row> {
        let (local, domain) = address.rsplit_once('@')?;
        if local.is_empty() {
            return None;
        }
        let real = self.aliases.get(domain).map_or(domain, String::as_str);
        let plain = without_detail(address);
        let plain = plain.as_ref().and_then(|plain| plain.rsplit_once('@'));
        let locals = [Some(local), plain.map(|(local, _)| local)];
        let both = locals.into_iter().flatten();
        both.flat_map(|local| [(local, domain), (local, real)])
            .find_map(|(local, domain)| self.people.get(&format!("{local}@{domain}")))
    }
}

fn lay(row: &mut Row, over: &Row) {
    for (column, text) in over {
        if !text.is_empty() {
            row.insert(column.clone(), text.clone());
        }
    }
}

#[derive(Default)]
struct Reader {
    directory: Directory,
    /// Where each row and each alias stands.
    lines: BTreeMap<String, usize>,
    mistakes: Vec<BadDirectory>,
}

impl Reader {
    fn mistake(&mut self, line: usize, message: impl Into<String>, help: impl Into<String>) {
        self.mistakes.push(BadDirectory {
            line,
            message: message.into(),
            help: help.into(),
        });
    }

    fn toml(&mut self, text: &str) {
        let line = |span: Range<usize>| line_of(text, span.start);
        let (tree, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            self.mistake(line(error.span().unwrap_or(0..0)), error.message(), "");
        }
        for (key, node) in in_order(tree.get_ref()) {
            let name = key.get_ref().as_ref();
            if !matches!(name, "people" | "aliases" | "defaults") {
                self.mistake(
                    line(key.span()),
                    format!("unknown table `{name}`"),
                    "the tables are people, aliases and defaults",
                );
                continue;
            }
            let Some(table) = self.table(node, &line) else {
                continue;
            };
            match name {
                "defaults" => {
                    let row = self.row(table, &line);
                    self.directory.defaults = row;
                }
                "aliases" => {
                    for (alias, domain) in in_order(table) {
                        let at = line(alias.span());
                        match domain.get_ref() {
                            DeValue::String(domain) => self.alias(alias.get_ref(), domain, at),
                            _ => self.mistake(at, "expected a text", "write a domain in quotes"),
                        }
                    }
                }
                _ => {
                    for (address, node) in in_order(table) {
                        if let Some(table) = self.table(node, &line) {
                            let row = self.row(table, &line);
                            self.person(address.get_ref(), row, line(address.span()));
                        }
                    }
                }
            }
        }
    }

    fn table<'t, 'i>(
        &mut self,
        node: &'t Spanned<DeValue<'i>>,
        line: &dyn Fn(Range<usize>) -> usize,
    ) -> Option<&'t DeTable<'i>> {
        let table = node.get_ref().as_table();
        if table.is_none() {
            self.mistake(
                line(node.span()),
                "expected a table",
                "such as [people.\"anna@example.org\"] with name = \"Anna\" below it",
            );
        }
        table
    }

    fn row(&mut self, table: &DeTable<'_>, line: &dyn Fn(Range<usize>) -> usize) -> Row {
        let mut row = Row::new();
        for (column, node) in table {
            match node.get_ref() {
                DeValue::String(text) => {
                    let column = column.get_ref().to_string();
                    self.directory.columns.insert(column.clone());
                    row.insert(column, text.to_string());
                }
                _ => self.mistake(
                    line(node.span()),
                    format!("`{}` is not a text", column.get_ref()),
                    "write it in quotes",
                ),
            }
        }
        row
    }

    fn csv(&mut self, text: &str) {
        let heading = text.lines().next().unwrap_or_default();
        // What spreadsheets write where the comma stands in numbers.
        let delimiter = if heading.contains(';') { b';' } else { b',' };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .trim(csv::Trim::All)
            .flexible(true)
            .has_headers(false)
            .from_reader(text.as_bytes());
        let mut columns: Vec<String> = Vec::new();
        for record in reader.records() {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    let line = error.position().map_or(1, |position| position.line());
                    self.mistake(number(line), error.to_string(), "");
                    continue;
                }
            };
            let line = record
                .position()
                .map_or(1, |position| number(position.line()));
            let first = record.get(0).unwrap_or_default();
            if columns.is_empty() {
                columns = record.iter().map(String::from).collect();
                self.heading(first, &columns, line);
                continue;
            }
            if record.len() != columns.len() {
                self.mistake(
                    line,
                    format!(
                        "{} columns, the first line has {}",
                        record.len(),
                        columns.len()
                    ),
                    "a text that holds the separator stands in double quotes",
                );
                continue;
            }
            let mut row: Row = columns
                .iter()
                .cloned()
                .zip(record.iter().map(String::from))
                .skip(1)
                .collect();
            let alias_of = row.remove(ALIAS_OF).filter(|domain| !domain.is_empty());
            match (first.strip_prefix('@'), alias_of) {
                (Some(alias), Some(domain)) => {
                    self.alias(alias, domain.trim_start_matches('@'), line);
                    if row.values().any(|text| !text.is_empty()) {
                        self.person(first, row, line);
                    }
                }
                (None, Some(_)) => self.mistake(
                    line,
                    "only a domain can be an alias",
                    "write @example.net in the first column",
                ),
                (_, None) if first == "*" => self.directory.defaults = row,
                (_, None) => self.person(first, row, line),
            }
        }
        if columns.is_empty() {
            self.mistake(
                1,
                "the file is empty",
                "the first line names the columns, the first of them is address",
            );
        }
    }

    fn heading(&mut self, first: &str, columns: &[String], line: usize) {
        if !first.eq_ignore_ascii_case("address") {
            self.mistake(
                line,
                format!("the first column is \"{first}\""),
                "it is address",
            );
        }
        for (index, column) in columns.iter().enumerate() {
            if column.is_empty() {
                self.mistake(line, "a column without a name", "name it in the first line");
            } else if columns.iter().take(index).any(|other| other == column) {
                self.mistake(
                    line,
                    format!("two columns are named {column}"),
                    "name each once",
                );
            }
        }
        let named = columns.iter().skip(1).filter(|column| *column != ALIAS_OF);
        self.directory.columns.extend(named.cloned());
    }

    fn person(&mut self, address: &str, row: Row, line: usize) {
        let key = compared_address(address);
        let is_address = key.rsplit_once('@').is_some_and(|(local, domain)| {
            let is_quoted = local.starts_with('"') && local.ends_with('"');
            let has_blank = domain.contains(' ') || local.contains(' ') && !is_quoted;
            !domain.is_empty() && !key.contains(char::is_control) && !has_blank
        });
        if !is_address {
            self.mistake(
                line,
                format!("\"{address}\" is no address"),
                "write one such as anna@example.org, or @example.org for a domain",
            );
            return;
        }
        if let Some(first) = self.lines.insert(key.clone(), line) {
            self.mistake(
                line,
                format!("{address} is there already"),
                format!("the first is on line {first}"),
            );
        }
        self.directory.people.insert(key, row);
    }

    fn alias(&mut self, alias: &str, domain: &str, line: usize) {
        for name in [alias, domain] {
            if name.is_empty() || name.contains(|c: char| c.is_control() || matches!(c, '@' | ' '))
            {
                self.mistake(
                    line,
                    format!("\"{name}\" is no domain"),
                    "write one such as example.org",
                );
                return;
            }
        }
        let key = format!("alias {}", compared(alias));
        if let Some(first) = self.lines.insert(key, line) {
            self.mistake(
                line,
                format!("{alias} is an alias already"),
                format!("the first is on line {first}"),
            );
        }
        let aliases = &mut self.directory.aliases;
        aliases.insert(compared(alias), compared(domain));
    }

    /// An alias of an alias is not followed, so nobody shall believe that it is.
    fn alias_chains(&mut self) {
        let aliases = self.directory.aliases.clone();
        for (alias, domain) in &aliases {
            if aliases.contains_key(domain) {
                let line = self.lines.get(&format!("alias {alias}")).copied();
                self.mistake(
                    line.unwrap_or(1),
                    format!("{domain} is an alias itself"),
                    "name the domain that has the people",
                );
            }
        }
    }
}

/// The entries in the order of the file.
fn in_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(&'t Spanned<DeString<'i>>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

fn number(line: u64) -> usize {
    usize::try_from(line).unwrap_or(usize::MAX)
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    before
        .iter()
        .filter(|octet| **octet == b'\n')
        .count()
        .saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOML: &str = "[aliases]\n\"example.net\" = \"example.org\"\n[defaults]\nphone = \"0\"\nfirm = \"F\"\n\
        [people.\"Anna@Example.org\"]\nname = \"Anna\"\nphone = \"1\"\n[people.\"bob@example.org\"]\nname = \"Bob\"\nphone = \"\"\n\
        [people.\"bob+x@example.org\"]\nname = \"Bob X\"\n[people.\"@example.org\"]\nfirm = \"Org\"\n[people.\"@example.net\"]\nplace = \"Net\"\n";
    const CSV: &str = "address,name,phone,firm,place,alias_of\n*,,0,F,,\nAnna@Example.org,Anna,1,,,\nbob@example.org,Bob,,,,\n\
        bob+x@example.org,Bob X,,,,\n@example.org,,,Org,,\n@example.net,,,,Net,example.org\n";

    #[test]
    fn a_row_may_stand_for_all_domains_below() {
        let text = "address,firm,city\n@.example.org,Org,A\n@.b.example.org,,B\n@c.b.example.org,C,\n@.bücher.example,Books,\n";
        let directory = Directory::parse("p.csv", text).unwrap();
        for (address, firm, city) in [
            ("a@example.org", Some("Org"), Some("A")),
            ("a@x.Example.org", Some("Org"), Some("A")),
            ("a@b.example.org", Some("Org"), Some("B")),
            ("a@c.b.example.org", Some("C"), Some("B")),
            ("a@d.c.b.example.org", Some("Org"), Some("B")),
            ("a@x.xn--bcher-kva.example", Some("Books"), None),
            ("a@notexample.org", None, None),
        ] {
            let row = directory.row(address);
            let column = |name: &str| row.get(name).map(String::as_str);
            assert_eq!((column("firm"), column("city")), (firm, city), "{address}");
        }
    }

    #[test]
    fn a_domain_is_one_in_unicode_and_in_ascii() {
        let text = "address,name,alias_of\nAnna@b\u{fc}cher.example,Anna,\n@xn--strae-oqa.example,Street,\n@m\u{fc}ller.example,,xn--bcher-kva.example\n";
        let directory = Directory::parse("p.csv", text).unwrap();
        for (address, name) in [
            ("anna@xn--bcher-kva.example", "Anna"),
            ("ANNA@B\u{dc}CHER.example", "Anna"),
            ("anna+x@bu\u{308}cher.example", "Anna"),
            ("anna@xn--mller-kva.example", "Anna"),
            ("bob@stra\u{df}e.example", "Street"),
        ] {
            let row = directory.row(address);
            assert_eq!(row.get("name").map(String::as_str), Some(name), "{address}");
        }
        assert!(directory.knows("anna@xn--bcher-kva.example"));
        let twice = format!("{text}anna@xn--bcher-kva.example,Anna,\n");
        assert!(Directory::parse("p.csv", &twice).is_err());
    }

    #[test]
    fn a_person_is_one_with_and_without_quotes() {
        let text =
            "address,name\n\"\"\"anna b\"\"@example.org\",Anna\n\"\"\"bob\"\"@example.org\",Bob\n";
        let directory = Directory::parse("p.csv", text).unwrap();
        for (address, name) in [
            (r#""anna b"@example.org"#, Some("Anna")),
            (r#""Anna\ b+x"@example.org"#, Some("Anna")),
            ("bob@example.org", Some("Bob")),
            (r#""bob+news"@example.org"#, Some("Bob")),
            ("anna b@example.org", None),
        ] {
            let row = directory.row(address);
            assert_eq!(row.get("name").map(String::as_str), name, "{address}");
        }
        for address in ["anna b@example.org", r#"""""anna b@example.org"""#] {
            let text = format!("address,name\n\"{address}\",Anna\n");
            assert!(Directory::parse("p.csv", &text).is_err(), "{address}");
        }
    }

    #[test]
    fn rows_are_laid_over_each_other() {
        let directories = [
            ("p.toml", TOML.to_string()),
            ("p.CSV", CSV.to_string()),
            ("p.csv", CSV.replace(',', ";").replace('\n', "\r\n")),
        ]
        .map(|(name, text)| Directory::parse(name, &text).unwrap());
        for (address, expected) in [
            ("anna@example.org", "firm=Org name=Anna phone=1"),
            ("ANNA+a+b@EXAMPLE.ORG", "firm=Org name=Anna phone=1"),
            ("anna@example.net", "firm=Org name=Anna phone=1 place=Net"),
            ("bob@example.org", "firm=Org name=Bob phone=0"),
            ("bob+x@example.org", "firm=Org name=Bob X phone=0"),
            ("bob+y@example.org", "firm=Org name=Bob phone=0"),
            ("carl@example.org", "firm=Org phone=0"),
            ("x@example.com", "firm=F phone=0"),
            ("", "firm=F phone=0"),
            ("@example.org", "firm=Org phone=0"),
            ("+@example.org", "firm=Org phone=0"),
        ] {
            for directory in &directories {
                let row = directory.row(address);
                let seen: Vec<String> = row.iter().map(|(k, v)| format!("{k}={v}")).collect();
                assert_eq!(seen.join(" "), expected, "{address}");
                assert_eq!(
                    directory.knows(address),
                    expected.contains("name="),
                    "{address}"
                );
            }
        }
        let columns: Vec<&String> = directories[1].columns().iter().collect();
        assert_eq!(columns, ["firm", "name", "phone", "place"]);
    }

    #[test]
    fn every_mistake_has_its_line() {
        for (name, text, expected) in [
            (
                "p.txt",
                "",
                "1: the name of a directory ends in .toml or .csv",
            ),
            ("p.toml", "[poeple]\n", "1: unknown table `poeple`"),
            ("p.toml", "[people]\n\"a@b\" = 1\n", "2: expected a table"),
            (
                "p.toml",
                "[people.\"a@b\"]\nroom = 12\n",
                "2: `room` is not a text",
            ),
            (
                "p.toml",
                "[people.anna]\nname = \"A\"\n",
                "1: \"anna\" is no address",
            ),
            (
                "p.toml",
                "[people.\"a@b\"]\n[people.\"A@b\"]\n",
                "2: A@b is there already",
            ),
            ("p.toml", "[aliases]\na = 1\n", "2: expected a text"),
            (
                "p.toml",
                "[aliases]\na = \"b\"\nb = \"c\"\n",
                "2: b is an alias itself",
            ),
            (
                "p.toml",
                "[aliases]\n\"@a\" = \"b\"\n",
                "2: \"@a\" is no domain",
            ),
            ("p.csv", "", "1: the file is empty"),
            ("p.csv", "mail,name\n", "1: the first column is \"mail\""),
            ("p.csv", "address,a,a\n", "1: two columns are named a"),
            ("p.csv", "address,,a\n", "1: a column without a name"),
            (
                "p.csv",
                "address,a\nx@y,\"1\n2\"\nx@z,1,2\n",
                "4: 3 columns, the first line has 2",
            ),
            (
                "p.csv",
                "address,a\nx@y,1\nX@Y,2\n",
                "3: X@Y is there already",
            ),
            ("p.csv", "address,a\nxy,1\n", "2: \"xy\" is no address"),
            (
                "p.csv",
                "address,alias_of\nx@y,z\n",
                "2: only a domain can be an alias",
            ),
        ] {
            let mistakes = Directory::parse(name, text).unwrap_err();
            let shown: Vec<String> = mistakes
                .iter()
                .map(|mistake| format!("{}: {}", mistake.line, mistake.message))
                .collect();
            assert_eq!(shown, [expected], "{text}");
        }
        let several = Directory::parse("p.csv", "mail,a\nxy,1\nx@y,1,2\n").unwrap_err();
        assert_eq!(several.len(), 3);
        assert!(
            Directory::parse("p.toml", "a = \n[people\n")
                .unwrap_err()
                .len()
                >= 2
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(address|[a-z@,;\"\n\\[\\].=+* ]){0,60}", address in "[a-z+@.]{0,12}") {
            for name in ["p.csv", "p.toml"] {
                if let Ok(directory) = Directory::parse(name, &text) {
                    let _ = (directory.row(&address), directory.knows(&address));
                }
            }
        }
    }
}
