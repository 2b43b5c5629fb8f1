//! The configuration: from a TOML file to values that cannot be wrong, or to all the mistakes of the file.
//!
//! - [`diag`]: mistakes, and how they are shown
//! - [`files`]: how files are read, by somebody else
//! - [`typed`]: the result
//! - `syntax`: all syntax errors at once · `read`: what reading needs · `tables`: tables against the [`crate::settings`] · `value`: values against their kinds ·
//!   `section`: a table after that · `build`: rules · `filters`: what `match`, `unless` and `when` hold · `options`: plugins and their options ·
//!   `index`: names in long lists ·
//!   `order`: which are in force, side by side · `banks`: policy banks
//!
//! Every mistake of a file is reported in one run. Where something was wrong, what depends on it is not complained about
//! as well.
//!
//! Must never: resolve a name, look at the clock, the environment or the disk.
//!
//! Known limit: files that only the daemon opens (certificates, keys, the relay's password) are not read here, because
//! whoever checks a configuration need not be allowed to; who may write and read them is looked at ([`Config::judge_named`]).
//! A secret that a plugin needs is read, as the plugin is built with it.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::policy::{Banks, Layer};
use crate::registry::Registry;
use crate::rule::filter::Books;
use crate::settings::endpoint::ListenAddress;
use crate::settings::given::Given;
use crate::settings::words::Sandbox;
use crate::settings::{Daemon, InForce, Listen, Log, LogTarget, Relay};

mod apart;
mod around;
mod banks;
mod build;
pub mod diag;
mod domains;
pub mod files;
mod filters;
mod index;
mod known;
mod lint;
mod metrics;
mod node;
mod options;
mod order;
mod read;
pub mod relay;
mod secrets;
mod section;
mod syntax;
mod tables;
#[cfg(test)]
pub(crate) mod tests;
pub mod typed;
mod value;

pub use diag::{Diagnostic, Level, Mistakes, More};
pub use typed::Config;

use around::Surroundings;
use diag::{Complaints, line_number};
use files::{Files, Hashed, Use};
use index::Index;
use read::Reader;
use section::Section;
use tables::together;
use typed::{Declared, NamedFile, Places, Variables};

/// The control socket that the text of a configuration names, or the default, also when there are mistakes in it: a daemon must
/// be within reach when its file has just been broken.
pub fn control_socket(path: &Path, octets: &[u8]) -> PathBuf {
    place_of("control", path, octets)
}

/// The directory likewise in which the configurations before the broken one are.
pub fn state(path: &Path, octets: &[u8]) -> PathBuf {
    place_of("state", path, octets)
}

/// A setting of the daemon that is a path.
fn place_of(name: &str, path: &Path, octets: &[u8]) -> PathBuf {
    let source = String::from_utf8_lossy(octets);
    let (table, _) = toml::de::DeTable::parse_recoverable(&source);
    let place = place_in(table.get_ref(), name);
    // As for every name in the file: relative to it.
    path.parent().unwrap_or(Path::new("")).join(place)
}

fn place_in(table: &DeTable<'_>, name: &str) -> PathBuf {
    let named = table
        .get("daemon")
        .and_then(|daemon| daemon.get_ref().as_table()?.get(name))
        .and_then(|place| place.get_ref().as_str());
    let default = crate::settings::find("daemon", name).and_then(|setting| setting.default);
    let default = default.unwrap_or_default().trim_matches('"');
    PathBuf::from(named.unwrap_or(default))
}

/// Loads a configuration. A relative `path` makes the paths in the result relative to the same directory.
pub fn load(path: &Path, registry: Registry, files: &dyn Files) -> Result<Config, Mistakes> {
    let files = Hashed::new(files);
    let octets = files.read(path, Use::Configuration).map_err(|unreadable| {
        let mut complaints = Complaints::default();
        complaints.missing(unreadable.message, unreadable.help);
        mistakes(path, "", complaints)
    })?;
    let shown = String::from_utf8_lossy(&octets);
    match files::text_ends(&octets) {
        None => {
            let config = parse_with(&shown, path, registry, &files)?;
            let hash = files.short();
            Ok(Config { hash, ..config })
        }
        Some(at) => {
            let octet = octets.get(at).copied().unwrap_or_default();
            let width = match octet {
                0 => 1,
                _ => char::REPLACEMENT_CHARACTER.len_utf8(),
            };
            let mut complaints = Complaints::default();
            complaints.error(
                at..at.saturating_add(width),
                format!("this is not UTF-8: octet 0x{octet:02x}"),
                "save the file as UTF-8",
            );
            Err(mistakes(path, &shown, complaints))
        }
    }
}

/// Makes a configuration of its text. Files that options name are read by `read`; relative ones are relative to the
/// directory of `path`.
pub fn parse(
    source: &str,
    path: &Path,
    registry: Registry,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Config, Mistakes> {
    parse_with(source, path, registry, &files::Given(read))
}

fn parse_with(
    source: &str,
    path: &Path,
    registry: Registry,
    files: &dyn Files,
) -> Result<Config, Mistakes> {
    let mut complaints = Complaints::default();
    let syntax = syntax::check(source, &mut complaints);
    let tree = syntax::tree(&syntax, &mut complaints);
    let mut reader = Reader {
        complaints,
        registry,
        syntax: &syntax,
        directory: path.parent().unwrap_or(Path::new("")),
        files,
        directories: Vec::new(),
        named: Vec::new(),
        books: Books::default(),
    };
    let config = config(&mut reader, &tree, source, path);
    let warnings = mistakes(path, source, std::mem::take(&mut reader.complaints));
    match config {
        Some(config) if !warnings.has_errors() => Ok(Config { warnings, ..config }),
        _ => Err(warnings),
    }
}

/// Tells whether the defaults of all options are of their kinds; returns what is wrong. For the tests of plugins.
pub fn sound_defaults(registry: Registry) -> Result<(), String> {
    let syntax = syntax::check("", &mut Complaints::default());
    let mut reader = Reader {
        complaints: Complaints::default(),
        registry,
        syntax: &syntax,
        directory: Path::new(""),
        files: &files::Given(&|_| Err(io::ErrorKind::NotFound.into())),
        directories: Vec::new(),
        named: Vec::new(),
        books: Books::default(),
    };
    for kind in registry.iter() {
        for spec in kind.options() {
            if spec.default.is_some() && options::default(&mut reader, spec).is_none() {
                return Err(format!(
                    "the default of {} of {} is not {}",
                    spec.name,
                    kind.name(),
                    spec.value.describe()
                ));
            }
        }
    }
    Ok(())
}

/// What is wrong with what the file names, and what would be right.
pub type Wrong = (String, String);

/// What of the machine the file names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'c> {
    User(&'c str),
    Group(&'c str),
    /// What the kernel is to do about workers.
    Sandbox(Sandbox),
    LogFile(&'c Path),
    /// A directory that a rule writes to which acts for some mail.
    Directory(&'c Path),
    /// What only the daemon opens.
    File(&'c NamedFile),
}

impl Config {
    /// The settings of `relay` for every next hop that a mail may have; the first is the base's, if it has one.
    pub fn relays(&self) -> Vec<Relay> {
        let hops = self.banks.next_hops().into_iter();
        hops.map(|next_hop| Relay {
            next_hop: Some(next_hop),
            ..self.relay.clone()
        })
        .collect()
    }

    /// What a daemon needs beyond what `filter`, `explain` and `check` do.
    pub fn ready_to_run(&self) -> Result<(), Mistakes> {
        let mut complaints = Complaints::default();
        if self.listen.is_empty() {
            complaints.missing(
                "there is no listener",
                "write [[listen]] with name = \"from-postfix\" and address = \"127.0.0.1:10025\"",
            );
        }
        if self.relay.next_hop.is_none() {
            complaints.missing(
                "there is no next hop",
                "write next_hop = \"smtp://127.0.0.1:10026\" below [relay]",
            );
        }
        if complaints.list.is_empty() {
            return Ok(());
        }
        Err(mistakes(&self.path, "", complaints))
    }

    /// The directories that rules write to which act for any mail, in the base or by a bank.
    pub fn directories_in_use(&self) -> impl Iterator<Item = &Declared> {
        // Whether a rule acts depends on all banks.
        let acting = self.banks.acting_names();
        let declared = self.directories.iter();
        declared.filter(move |declared| acting.contains(&declared.rule))
    }

    /// Has what the file names of the machine looked at, by somebody who may look there: the result of `judge` is what is wrong
    /// and what would be right.
    pub fn judge_named(
        &self,
        judge: &dyn Fn(Named<'_>) -> Result<(), Wrong>,
    ) -> Result<(), Mistakes> {
        let mut complaints = Complaints::default();
        let mut look = |named: Option<Named<'_>>, span: &Range<usize>| {
            if let Some(Err((message, help))) = named.map(judge) {
                complaints.error(span.clone(), message, help);
            }
        };
        let (daemon, places) = (&self.daemon, &self.places);
        look(daemon.user.as_deref().map(Named::User), &places.user);
        look(daemon.group.as_deref().map(Named::Group), &places.group);
        look(Some(Named::Sandbox(daemon.sandbox)), &places.sandbox);
        if let LogTarget::File(path) = &self.log.target {
            look(Some(Named::LogFile(path)), &places.log_target);
        }
        for declared in self.directories_in_use() {
            look(Some(Named::Directory(&declared.path)), &declared.span);
        }
        for file in &self.files {
            look(Some(Named::File(file)), &file.span);
        }
        if complaints.list.is_empty() {
            return Ok(());
        }
        Err(mistakes(&self.path, &self.warnings.source, complaints))
    }
}

fn mistakes(path: &Path, source: &str, complaints: Complaints) -> Mistakes {
    let mut mistakes = Mistakes {
        path: path.to_path_buf(),
        source: source.to_string(),
        list: complaints.list,
        more: complaints.more,
    };
    mistakes.sort();
    mistakes
}

/// The whole file. What is wrong in it is in the reader's complaints, and the result is then of no use. `None`: a setting has no
/// value, which the defaults of the table forbid.
fn config(
    reader: &mut Reader<'_>,
    tree: &DeTable<'_>,
    source: &str,
    path: &Path,
) -> Option<Config> {
    let top = reader.section("", Some(tree), 0..0);
    let mut places = Places::default();
    let daemon = daemon(reader, tree, &mut places);
    let log = log(reader, tree, &mut places);
    let (listen, listeners) = listen(reader, tree, source);
    let (relay, is_known) = relay::relay(reader, tree, &listen, &mut places)?;
    let limits = reader.table(tree, "limits");
    let base = InForce {
        next_hop: relay.next_hop.clone(),
        general: top.read()?,
        limits: limits.read()?,
    };
    let rules = reader.tables(tree, "rule");
    let banks = reader.tables(tree, "bank");
    let (variables, of_banks, all_variables) = all_variables(reader, &top, &banks);
    let around = Surroundings {
        general: &base.general,
        listeners: &listeners,
        listen: &listen,
        variables: all_variables.as_ref(),
        source,
    };
    let drafts = build::rules(reader, &rules, &around);
    let mut force = order::Force {
        base: order::named(reader, &top, "rules", &order::names_of(&drafts)),
        ..order::Force::default()
    };
    for bank in &banks {
        relay::no_circle(reader, bank, &listen);
    }
    if is_known {
        relay::keep_the_password(reader, &relay, &banks);
    }
    let sections = banks;
    let banks = banks::banks(reader, (&sections, of_banks), &drafts, &mut force, &around);
    // From now on filters judge.
    std::mem::take(&mut reader.books).seal();
    order::order(reader, &drafts, &force, &around);
    let layer = Layer {
        settings: banks::said_for_all(&top, &limits, &relay),
        variables,
        rules: force.base,
        rules_add: Vec::new(),
    };
    let rules = drafts
        .into_iter()
        .filter_map(build::Draft::listed)
        .collect();
    let banks = Banks::new(rules, base, layer, banks);
    let base = Arc::clone(&banks.standing_of_base()?.settings);
    if let Some(daemon) = &daemon {
        let classes = base.limits.max_classes.min(banks.most_classes());
        relay::connections_suffice(reader, &places, &relay, (daemon.workers.max, classes));
        let sections = sections.iter().chain([&limits]);
        relay::no_client_takes_all(reader, sections, daemon.workers.max);
        metrics::reach(reader, &places, daemon, &listen);
    }
    if let (Some(daemon), Some(log)) = (&daemon, &log) {
        apart::apart(reader, &places, (daemon, log), &listen);
    }
    Some(Config {
        path: path.to_path_buf(),
        hash: String::new(),
        daemon: daemon?,
        log: log?,
        places,
        listen,
        relay,
        directories: std::mem::take(&mut reader.directories),
        files: std::mem::take(&mut reader.named),
        policy: Arc::clone(&base.policy),
        base,
        banks,
        warnings: Mistakes::default(),
    })
}

fn daemon(reader: &mut Reader<'_>, tree: &DeTable<'_>, places: &mut Places) -> Option<Daemon> {
    let table = reader.table(tree, "daemon");
    places.workers = table.span("workers.max");
    places.user = table.span("user");
    places.group = table.span("group");
    places.sandbox = table.span("sandbox");
    places.metrics = table.span("metrics");
    places.pid_file = table.span("pid_file");
    places.control = table.span("control");
    reader.named.extend(table.named_files(&["seal_key_file"]));
    let daemon: Daemon = table.read()?;
    let workers = daemon.workers;
    for (name, number) in [("min", workers.min), ("spare", workers.spare)] {
        let key = format!("workers.{name}");
        if number > workers.max && !table.is_wrong(&key) && !table.is_wrong("workers.max") {
            let message = format!(
                "workers.{name} is {number}, workers.max only {}",
                workers.max
            );
            let place = if table.is_given(&key) {
                table.span(&key)
            } else {
                table.span("workers.max")
            };
            reader
                .complaints
                .error(place, message, format!("{name} is at most max"));
        }
    }
    Some(daemon)
}

fn log(reader: &mut Reader<'_>, tree: &DeTable<'_>, places: &mut Places) -> Option<Log> {
    let table = reader.table(tree, "log");
    places.log_target = table.span("target");
    table.read()
}

/// The listeners, and the names of all of them, also of those whose address is wrong.
fn listen(reader: &mut Reader<'_>, tree: &DeTable<'_>, source: &str) -> (Vec<Listen>, Vec<String>) {
    let sections = reader.tables(tree, "listen");
    let names = sections
        .iter()
        .map(|table| table.text("name").unwrap_or_default().to_string())
        .collect();
    let by_name = Index::of(sections.iter().map(|table| table.text("name")));
    let by_address = Index::of(sections.iter().map(|table| match table.get("address") {
        Some(Given::Address(address)) if address.is_any_port() => None,
        Some(Given::Address(address)) => Some(address),
        _ => None,
    }));
    let mut list = Vec::new();
    for (index, table) in sections.iter().enumerate() {
        let name = table.text("name").unwrap_or_default();
        if table.is_given("name") && table.text("name") == Some("") {
            reader.complaints.error(
                table.span("name"),
                "a listener needs a name",
                "the log shows it",
            );
        }
        let twin = by_name.twin(&name, index).filter(|_| !name.is_empty());
        if let Some(twin) = twin.and_then(|twin| sections.get(twin)) {
            let help = format!(
                "the first is on line {}; give each listener a different name",
                line_number(source, twin.span("name").start)
            );
            reader.complaints.error(
                table.span("name"),
                "there is already a listener with this name",
                help,
            );
        }
        let Some(listen) = table.read::<Listen>() else {
            continue;
        };
        let address = &listen.address;
        let twin = by_address.twin(&address, index);
        if let Some(twin) = twin.and_then(|twin| sections.get(twin)) {
            let help = format!(
                "it is on line {}",
                line_number(source, twin.span("address").start)
            );
            reader.complaints.error(
                table.span("address"),
                "another listener has this address",
                help,
            );
        }
        // An open listener is an open relay to the next hop.
        if !address.is_local()
            && !table.is_given("clients")
            && !reader.syntax.is_damaged(table.place.start)
        {
            let message = "others than this machine can reach this listener, and `clients` does not say who may";
            reader.complaints.error(
                table.span("address"),
                message,
                "write clients = [\"192.0.2.0/24\"] with your own networks",
            );
        }
        if matches!(address, ListenAddress::Unix(_)) && table.is_given("clients") {
            let help = "the permissions of the socket and its directory decide who may connect";
            reader.complaints.warning(
                table.key_span("clients"),
                "a unix socket has no client addresses",
                help,
            );
        }
        together(reader, table, "tls_cert", "tls_key");
        reader
            .named
            .extend(table.named_files(&["tls_cert", "tls_key"]));
        list.push(listen);
    }
    (list, names)
}

/// The variables of the base, those of each bank, and all that a template may use; `None` = there are mistakes in them.
fn all_variables(
    reader: &mut Reader<'_>,
    top: &Section<'_, '_>,
    banks: &[Section<'_, '_>],
) -> (Variables, Vec<Variables>, Option<Variables>) {
    let (base, mut are_all_sound) = variables(reader, top);
    let mut all = base.clone();
    let mut of_banks = Vec::with_capacity(banks.len());
    for bank in banks {
        let (own, are_sound) = variables(reader, bank);
        for (name, text) in &own {
            all.entry(name.clone()).or_insert_with(|| text.clone());
        }
        are_all_sound &= are_sound;
        of_banks.push(own);
    }
    (base, of_banks, are_all_sound.then_some(all))
}

/// The variables, and whether they are all there.
fn variables(reader: &mut Reader<'_>, top: &Section<'_, '_>) -> (Variables, bool) {
    let mut variables = BTreeMap::new();
    let mut sound = !top.is_wrong("variables") && !reader.syntax.is_incomplete();
    let Some(table) = top
        .node("variables")
        .and_then(|node| node.get_ref().as_table())
    else {
        return (variables, sound);
    };
    for (key, node) in table {
        let name = key.get_ref();
        if name.is_empty()
            || !name
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || octet == b'_')
        {
            reader.complaints.error(
                key.span(),
                "not the name of a variable",
                "use letters, digits and _",
            );
            sound = false;
            continue;
        }
        match node.get_ref() {
            DeValue::String(text) => {
                variables.insert(name.to_string(), text.to_string());
            }
            other => {
                let message = format!("expected a text, found {}", node::article(other));
                reader
                    .complaints
                    .error(node.span(), message, "write a text in quotes");
                sound = false;
            }
        }
    }
    (variables, sound)
}
