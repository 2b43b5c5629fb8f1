//! Each kind of mistake with its exact output, and what a configuration becomes.
//!
//! Longer than 600 lines: a list of cases, one behind the other.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::files::Given;
use super::{Config, Mistakes, load, parse, sound_defaults};
use crate::extension::Extension;
use crate::plugin::{
    Control, DefaultParts, Job, OnError, OptionError, OptionSpec, Options, Plugin, PluginKind,
    Scope, Secret, Task, Value, ValueKind,
};
use crate::reason::{OnDkim, OnSealed};
use crate::registry::Registry;
use crate::rule::Mode;
use crate::rule::filter::Level as FilterLevel;
use crate::settings::endpoint::{ListenAddress, NextHop, Protocol};
use crate::settings::words::{Facility, Tls};
use crate::settings::{LogTarget, Workers};

mod landing;

/// An editing plugin with an option of each kind.
pub(crate) struct Stamp;
/// A plugin that neither edits nor ends the walk.
struct Guard;
/// A plugin that ends the walk.
pub(crate) struct Ignore;

pub(crate) const REGISTRY: Registry = Registry(&[&Stamp, &Guard, &Ignore]);

const fn option(name: &'static str, value: ValueKind, default: Option<&'static str>) -> OptionSpec {
    OptionSpec {
        name,
        value,
        default,
        doc: "One sentence.",
    }
}

struct Instance(Options, Control);

impl std::fmt::Debug for Instance {
    /// What the tests look at: the options that it was built from.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Plugin for Instance {
    fn control(&self) -> Control {
        self.1
    }

    fn reads_recipients(&self) -> bool {
        self.0.text("line") == Some("recipients")
    }

    fn requires(&self) -> Option<OnError> {
        (self.0.text("line") == Some("required")).then_some(OnError::Reject)
    }

    fn begin<'a>(&'a self, _task: Task<'a>) -> Box<dyn Job + 'a> {
        unreachable!("no mail is judged here")
    }
}

impl PluginKind for Stamp {
    fn name(&self) -> &'static str {
        "stamp"
    }
    fn summary(&self) -> &'static str {
        "Edits"
    }
    fn scope(&self) -> Scope {
        Scope::Part
    }
    fn options(&self) -> &'static [OptionSpec] {
        const OPTIONS: &[OptionSpec] = &[
            option("on", ValueKind::Bool, Some("true")),
            option("count", ValueKind::Integer(0, 9), Some("6")),
            option("size", ValueKind::Size, Some("\"10K\"")),
            option("wait", ValueKind::Time, None),
            option("line", ValueKind::Line, None),
            option("text", ValueKind::Text, None),
            option("text_file", ValueKind::TextFile, None),
            option("key", ValueKind::SecretFile, None),
            option(
                "place",
                ValueKind::Word(&["bottom", "top"]),
                Some("\"bottom\""),
            ),
            option(
                "parts",
                ValueKind::Words(&["body", "first", "all"]),
                Some("[\"body\"]"),
            ),
            option("list", ValueKind::Lines, None),
            option("table", ValueKind::Table, None),
        ];
        OPTIONS
    }
    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Body
    }
    fn default_on_error(&self) -> OnError {
        OnError::Pass
    }
    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        let error = |option: &'static str, message: &str| OptionError {
            option,
            message: message.into(),
            help: Some("as the plugin says".into()),
        };
        let mut errors = Vec::new();
        if options.is_set("text") && options.is_set("text_file") {
            errors.push(error("text_file", "text and text_file exclude each other"));
        }
        if options.integer("count") == Some(7) {
            errors.push(error("count", "7 is unlucky"));
            errors.push(error("wait", "7 needs a wait"));
        }
        if options.text("line") == Some("whole") {
            errors.push(error("", "the options do not fit"));
        }
        if errors.is_empty() {
            return Ok(Box::new(Instance(options.clone(), Control::None)));
        }
        Err(errors)
    }
}

impl PluginKind for Guard {
    fn name(&self) -> &'static str {
        "guard"
    }
    fn summary(&self) -> &'static str {
        "Watches"
    }
    fn scope(&self) -> Scope {
        Scope::Part
    }
    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }
    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Root
    }
    fn edits(&self) -> bool {
        false
    }
    fn default_on_error(&self) -> OnError {
        OnError::Defer
    }
    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        Ok(Box::new(Instance(
            options.clone(),
            Control::Keep { subtree: true },
        )))
    }
}

impl PluginKind for Ignore {
    fn name(&self) -> &'static str {
        "ignore_all"
    }
    fn summary(&self) -> &'static str {
        "Ends"
    }
    fn scope(&self) -> Scope {
        Scope::Part
    }
    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }
    fn default_parts(&self) -> DefaultParts {
        DefaultParts::Mail
    }
    fn edits(&self) -> bool {
        false
    }
    fn build(&self, options: &Options) -> Result<Box<dyn Plugin>, Vec<OptionError>> {
        Ok(Box::new(Instance(options.clone(), Control::IgnoreMail)))
    }
}

/// The files of `/etc/mimicry` in these tests.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    match path.to_str().unwrap() {
        "/etc/mimicry/footer.txt" => Ok(b"Footer\n".to_vec()),
        "/srv/bom.txt" => Ok("\u{feff}Footer\n".into()),
        "/etc/mimicry/domains.txt" => Ok(b"# ours\r\nexample.org\n".to_vec()),
        "/etc/mimicry/bad-domains.txt" => {
            Ok(b"a.example\n*.example.net\n\nexample.com OK\n".to_vec())
        }
        "/etc/mimicry/no-domains.txt" => Ok(b"# none yet\n".to_vec()),
        "/etc/mimicry/latin1.txt" => Ok(b"one\nGr\xfc\xdfe\n".to_vec()),
        "/etc/mimicry/key" => Ok(b"open sesame\r\n".to_vec()),
        "/etc/mimicry/key2" => Ok(b"open\nsesame\n".to_vec()),
        "/etc/mimicry/secret.txt" => Err(io::ErrorKind::PermissionDenied.into()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn parsed(source: &str) -> Result<Config, Mistakes> {
    parse(source, Path::new("/etc/mimicry/m.toml"), REGISTRY, &read)
}

/// What is shown of the mistakes and warnings.
fn shown(source: &str) -> String {
    match parsed(source) {
        Ok(config) => config.warnings.to_string(),
        Err(mistakes) => mistakes.to_string(),
    }
}

/// Each kind of mistake: a name, the file, what is shown.
const MISTAKES: &str = include_str!("mistakes.txt");

#[test]
fn each_kind_of_mistake_is_shown_exactly_so() {
    let mut cases = 0;
    for case in MISTAKES.split("\n=== ").skip(1) {
        let (name, rest) = case.split_once(" ===\n").unwrap();
        let (source, expected) = rest.split_once("---\n").unwrap();
        let shown = shown(source);
        assert_eq!(shown, expected.trim_end(), "{name}\n{shown}");
        cases += 1;
    }
    assert!(cases >= 98, "{cases}");
}

/// A place of what is shown: the line and the columns, counted from 0, that a complaint points at.
fn pointed_at(shown: &str) -> Option<(usize, std::ops::Range<usize>)> {
    let (_, place) = shown.split_once("m.toml:")?;
    let line: usize = place.split(':').next()?.parse().ok()?;
    let marks = shown.lines().find(|line| {
        let (_, marks) = line.split_once('|').unwrap_or_default();
        !marks.trim().is_empty() && marks.trim().bytes().all(|octet| octet == b'^')
    })?;
    let (_, marks) = marks.split_once("| ")?;
    let start = marks.find('^')?;
    Some((line.checked_sub(1)?, start..marks.len()))
}

/// The file with the code of the help in the place that the complaint points at; `None` = the help is no code.
fn mended(source: &str, complaint: &str) -> Option<String> {
    let help = complaint
        .lines()
        .find_map(|line| line.split_once("= help: "))?
        .1;
    let code = match help.strip_prefix("did you mean ") {
        Some(code) => code.trim_end_matches('?').trim_matches('`'),
        None => {
            let code = help.strip_prefix("write ")?;
            let code = code.strip_prefix("one of ").unwrap_or(code);
            // Words that are not code follow, or begin it.
            let ends = [", or ", " or ", ", ", "; "];
            let end = ends.iter().filter_map(|end| code.find(end)).min();
            code.get(..end.unwrap_or(code.len()))?
        }
    };
    let is_code = ["\"", "'", "[", "{", "true", "false"]
        .iter()
        .any(|start| code.starts_with(start))
        || help.starts_with("did you mean")
        || code.contains(" = ");
    if !is_code {
        return None;
    }
    let (line, columns) = pointed_at(complaint)?;
    let mut lines: Vec<String> = source.lines().map(String::from).collect();
    let text = lines.get_mut(line)?;
    let at = |column: usize| {
        text.char_indices()
            .nth(column)
            .map_or(text.len(), |(at, _)| at)
    };
    let (start, end) = (at(columns.start), at(columns.end));
    text.replace_range(start..end, code);
    Some(lines.join("\n"))
}

#[test]
fn each_help_is_right_when_followed() {
    let mut followed = 0;
    for case in MISTAKES.split("\n=== ").skip(1) {
        let (name, rest) = case.split_once(" ===\n").unwrap();
        let (source, _) = rest.split_once("---\n").unwrap();
        for complaint in shown(source).split("\n\n") {
            let Some(after) = mended(source, complaint) else {
                continue;
            };
            // The same complaint of another line may stay.
            let two_lines = |text: &str| text.lines().take(2).collect::<Vec<_>>().join("\n");
            let now = shown(&after);
            assert!(
                !now.contains(&two_lines(complaint)),
                "{name}: {complaint}\n\nbecame\n{after}\n\nwith\n{now}"
            );
            followed += 1;
        }
    }
    assert!(followed > 50, "{followed}");
}

const KEYED: &str = "[[rule]]\nname = \"a\"\nplugin = \"stamp\"\noptions = { key = \"key\" }\n";

#[test]
fn a_secret_is_read_and_not_shown() {
    let config = parsed(KEYED).unwrap();
    let shown = format!("{config:?}");
    assert!(
        shown.contains("Secret") && !shown.contains("sesame"),
        "{shown}"
    );
    let mut options = Options::default();
    options.set("key", Value::Secret(Secret::new("open sesame")));
    assert_eq!(
        options.secret("key").map(Secret::reveal),
        Some("open sesame")
    );
    assert_eq!(options.text("key"), None);
}

#[test]
fn an_empty_file_is_a_configuration_that_does_not_run() {
    let config = parsed("").unwrap();
    assert!(config.warnings.is_empty());
    assert!(config.policy.rules.is_empty());
    let mistakes = config.ready_to_run().unwrap_err();
    let missing: Vec<&str> = mistakes
        .list
        .iter()
        .map(|one| one.message.as_str())
        .collect();
    assert_eq!(missing, ["there is no listener", "there is no next hop"]);
    assert_eq!(
        mistakes.to_string().lines().next_back(),
        Some(" = help: write next_hop = \"smtp://127.0.0.1:10026\" below [relay]")
    );
}

#[test]
fn defaults() {
    let config = parsed("").unwrap();
    assert_eq!(
        config.daemon.workers,
        Workers {
            min: 4,
            max: 32,
            spare: 2
        }
    );
    assert_eq!(config.daemon.mail_timeout, Duration::from_secs(60));
    assert_eq!(config.daemon.on_poison, OnError::Defer);
    assert_eq!(config.log.target, LogTarget::Syslog(None));
    assert_eq!(config.log.facility, Facility::Mail);
    assert_eq!(config.relay.tls, Tls::None);
    assert_eq!(config.relay.timeouts.dot, Duration::from_secs(540));
    assert_eq!(config.base.limits.mail, 100 << 20);
    assert_eq!(
        config.base.limits.message,
        crate::message::limits::Limits::default()
    );
    assert_eq!(config.base.limits.data_rate, 500);
    assert!(config.base.trace);
    assert_eq!(config.base.hostname, None);
}

#[test]
fn values() {
    let config = parsed(
        r#"
hostname = "mx.example.org"
trace = false
bare_newline = "reject"
hide_extensions = "DSN"
[variables]
company = "Example"
[daemon]
pid_file = "run/pid"
workers.max = 1_000
workers.spare = 0x10
[log]
target = "file:/var/log/m.log"
facility = "local3"
[[listen]]
name = "inside"
address = "0.0.0.0:25"
clients = "192.0.2.0/24"
protocol = "lmtp"
tls_cert = "c.pem"
tls_key = "/k.pem"
[relay]
next_hop = "lmtp:///run/lmtp"
connections = 1_000
connect_timeout = "250s"
[limits]
mail = "1G"
field = "10K"
"#,
    )
    .unwrap();
    assert!(config.warnings.is_empty(), "{}", config.warnings);
    assert_eq!(config.base.hostname.as_deref(), Some("mx.example.org"));
    assert!(!config.base.trace);
    assert_eq!(config.base.hide_extensions, [Extension::Dsn]);
    assert_eq!(
        config.policy.variables.get("company").map(String::as_str),
        Some("Example")
    );
    assert_eq!(config.daemon.pid_file, Path::new("/etc/mimicry/run/pid"));
    assert_eq!(
        config.daemon.workers,
        Workers {
            min: 4,
            max: 1000,
            spare: 16
        }
    );
    assert_eq!(config.log.target, LogTarget::File("/var/log/m.log".into()));
    assert_eq!(config.log.facility, Facility::Local3);
    let listen = &config.listen[0];
    assert_eq!(
        (listen.name.as_str(), listen.protocol),
        ("inside", Protocol::Lmtp)
    );
    assert_eq!(listen.address, ListenAddress::parse("0.0.0.0:25").unwrap());
    assert_eq!(listen.clients, ["192.0.2.0/24".parse().unwrap()]);
    let tls = listen.tls.as_ref().unwrap();
    assert_eq!(
        (tls.cert.as_path(), tls.key.as_path()),
        (Path::new("/etc/mimicry/c.pem"), Path::new("/k.pem"))
    );
    assert_eq!(
        config.relay.next_hop,
        NextHop::parse("lmtp:///run/lmtp").ok()
    );
    assert_eq!(config.relay.timeouts.connect, Duration::from_secs(250));
    assert_eq!(
        (config.base.limits.mail, config.base.limits.message.field),
        (1 << 30, 10 << 10)
    );
    assert!(config.ready_to_run().is_ok());
}

#[test]
fn a_rule() {
    let config = parsed(
        r#"
[[rule]]
name = "a"
plugin = "stamp"
match = { sender = ["x", "y"], header = { Subject = "z", To = "t" }, "header.X-A" = "b", position = "body", bulk = false }
unless = { recipient = "r" }
options = { text_file = "footer.txt", count = 0b11, parts = "all", wait = "2s" }
final = true
on_sealed = "reject"
on_dkim = "strip"
"#
        ,
    )
    .unwrap();
    assert!(config.warnings.is_empty(), "{}", config.warnings);
    let rule = config.policy.rule("a").unwrap();
    assert_eq!(rule.kind.name(), "stamp");
    let keys = |level| {
        rule.matching
            .at(level)
            .iter()
            .map(crate::rule::filter::Filter::key)
            .collect::<Vec<_>>()
    };
    assert_eq!(keys(FilterLevel::Sender), ["sender"]);
    assert_eq!(
        keys(FilterLevel::Mail),
        ["header.subject", "header.to", "header.x-a", "bulk"]
    );
    assert_eq!(keys(FilterLevel::Part), ["position"]);
    assert!(rule.depends_on_recipient() && rule.is_final);
    assert_eq!((rule.mode, rule.on_error), (Mode::Enforce, OnError::Pass));
    assert_eq!(
        (rule.on_sealed, rule.on_dkim),
        (Some(OnSealed::Reject), OnDkim::Strip)
    );
    let options = format!("{:?}", rule.plugin);
    for option in [
        r#"text: "Footer\n" }"#,
        r#""count": Integer(3)"#,
        r#""on": Bool(true)"#,
        r#""size": Size(10240)"#,
        r#""wait": Time(2000)"#,
        r#""place": Text("bottom")"#,
        r#""parts": List(["all"])"#,
    ] {
        assert!(options.contains(option), "{option} in {options}");
    }
    assert!(!options.contains("\"line\""), "unset stays unset");
}

#[test]
fn a_byte_order_mark_is_no_text() {
    let config = parsed(
        "[[rule]]\nname = \"a\"\nplugin = \"stamp\"\noptions.text_file = \"/srv/bom.txt\"\n",
    )
    .unwrap();
    assert!(
        format!("{:?}", config.policy.rules[0].plugin)
            .contains(r#""text_file": File { path: "/srv/bom.txt", text: "Footer\n" }"#)
    );
}

#[test]
fn a_table_keeps_the_order_of_the_file() {
    let source = |table: &str| {
        format!("[[rule]]\nname = \"a\"\nplugin = \"stamp\"\noptions.table = {table}\n")
    };
    let config = parsed(&source(r#"{ X-B = "1", x-a = ["2", "3"], X-A = "4" }"#)).unwrap();
    let shown = format!("{:?}", config.policy.rules[0].plugin);
    let expected = r#"Table([("X-B", "1"), ("x-a", "2"), ("x-a", "3"), ("X-A", "4")])"#;
    assert!(shown.contains(expected), "{shown}");
    for (table, messages) in [
        ("1", vec!["expected a table, found an integer"]),
        (
            r#"{ a = "x\ny", b = [1], c = true }"#,
            vec![
                "a line break is not allowed here",
                "expected a text, found an integer",
                "expected a text or a list of texts, found a boolean",
            ],
        ),
    ] {
        let mistakes = parsed(&source(table)).unwrap_err();
        let found: Vec<&str> = mistakes
            .list
            .iter()
            .map(|one| one.message.as_str())
            .collect();
        assert_eq!(found, messages);
    }
}

#[test]
fn plugins_know_the_variables() {
    const RULE: &str = "[[rule]]\nname = \"a\"\nplugin = \"stamp\"\noptions.count = 3\n";
    let config = parsed(&format!("{RULE}[variables]\nfirm = \"F\"\n")).unwrap();
    let shown = format!("{:?}", config.policy.rules[0].plugin);
    assert!(
        shown.contains(r#"variables: Some({"firm": "F"})"#),
        "{shown}"
    );
    // The mistake in the table is reported once, not again by each template.
    let mistakes = parsed(&format!("{RULE}[variables]\nfirm = 1\n")).unwrap_err();
    assert_eq!(mistakes.list.len(), 1);
}

#[test]
fn the_more_cautious_mode_applies() {
    use Mode::{Enforce, Off, Shadow};
    for (all, own, mode) in [
        ("enforce", None, Enforce),
        ("enforce", Some("shadow"), Shadow),
        ("enforce", Some("off"), Off),
        ("shadow", None, Shadow),
        ("shadow", Some("enforce"), Shadow),
        ("shadow", Some("off"), Off),
        ("off", Some("enforce"), Off),
        ("off", Some("shadow"), Off),
    ] {
        let own = own
            .map(|own| format!("mode = \"{own}\""))
            .unwrap_or_default();
        let config = parsed(&format!(
            "mode = \"{all}\"\n[[rule]]\nname = \"a\"\nplugin = \"guard\"\n{own}\n"
        ))
        .unwrap();
        assert_eq!(config.policy.rules[0].mode, mode, "{all} {own}");
    }
}

#[test]
fn on_error_is_the_rules_then_the_files_then_the_plugins() {
    for (all, own, plugin, on_error) in [
        ("", "", "stamp", OnError::Pass),
        ("", "", "guard", OnError::Defer),
        ("on_error = \"reject\"", "", "guard", OnError::Reject),
        (
            "on_error = \"reject\"",
            "on_error = \"defer\"",
            "stamp",
            OnError::Defer,
        ),
    ] {
        let config = parsed(&format!(
            "{all}\n[[rule]]\nname = \"a\"\nplugin = \"{plugin}\"\n{own}\n"
        ))
        .unwrap();
        assert_eq!(
            config.policy.rules[0].on_error, on_error,
            "{all} {own} {plugin}"
        );
    }
}

#[test]
fn rules_in_force_keep_the_order_of_the_file() {
    let rule = |name: &str| format!("[[rule]]\nname = \"{name}\"\nplugin = \"guard\"\n");
    let file = format!(
        "rules = [\"c\", \"a\"]\n{}{}{}",
        rule("a"),
        rule("b"),
        rule("c")
    );
    let config = parsed(&file).unwrap();
    let names: Vec<&str> = config
        .policy
        .rules
        .iter()
        .map(|rule| rule.name.as_str())
        .collect();
    assert_eq!(names, ["a", "c"]);
    assert!(
        parsed("rules = []\n[[rule]]\nname = \"a\"\nplugin = \"guard\"\n")
            .unwrap()
            .policy
            .rules
            .is_empty()
    );
}

#[test]
fn a_rule_is_reached_when_the_one_above_can_let_a_mail_by() {
    for above in [
        "plugin = \"guard\"",
        "plugin = \"guard\"\nfinal = true\nmode = \"shadow\"",
        "plugin = \"guard\"\nfinal = true\nmode = \"off\"",
        "plugin = \"guard\"\nfinal = true\nmatch = { sender = \"x\" }",
        "plugin = \"ignore_all\"\nunless = { recipient = \"x\" }",
        "plugin = \"ignore_all\"\nmode = \"shadow\"",
    ] {
        let shown = shown(&format!(
            "[[rule]]\nname = \"a\"\n{above}\n[[rule]]\nname = \"b\"\nplugin = \"stamp\"\n"
        ));
        assert_eq!(shown, "", "{above}");
    }
}

#[test]
fn files_are_read_from_the_directory_of_the_configuration() {
    let directory = std::env::temp_dir().join(format!("mimicry-config-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("m.toml");
    std::fs::write(
        &path,
        "[[rule]]\nname = \"a\"\nplugin = \"stamp\"\noptions = { text_file = \"f.txt\" }\n",
    )
    .unwrap();
    std::fs::write(directory.join("f.txt"), "from the file").unwrap();
    let config = load(&path, REGISTRY, &Given(&|path| std::fs::read(path))).unwrap();
    assert!(format!("{:?}", config.policy.rules[0].plugin).contains("from the file"));
    std::fs::write(&path, b"# gr\xfc\xdfe\n").unwrap();
    let mistakes = load(&path, REGISTRY, &Given(&|path| std::fs::read(path))).unwrap_err();
    assert_eq!(
        mistakes.place(mistakes.list[0].span.clone().unwrap().start),
        (1, 5)
    );
    // T183
    let shown = mistakes.to_string();
    assert!(
        shown.starts_with("error: this is not UTF-8: octet 0xfc\n")
            && shown.contains("m.toml:1:5\n")
            && shown.ends_with("help: save the file as UTF-8"),
        "{shown}"
    );
    std::fs::remove_dir_all(&directory).unwrap();
    let mistakes = load(&path, REGISTRY, &Given(&|path| std::fs::read(path))).unwrap_err();
    assert!(
        mistakes
            .to_string()
            .starts_with(&format!("error: cannot read {}: ", path.display())),
        "{mistakes}"
    );
}

#[test]
fn defaults_of_options_are_proved() {
    assert_eq!(sound_defaults(REGISTRY), Ok(()));
}

/// A file with every kind of statement, to be broken.
const SAMPLE: &str = r#"trace = true # [
rules = ["a",
  'b', # ]
]
[daemon]
workers = { min = 1, max = 2 }
[[rule]]
name = "a \" ["
plugin = 'b ]'
match = { header.Subject = ["x", [1]], bulk = true }
options.text = """
[x]
y = "1" """
options.html = '''
'{'''
[rule.options]
when = 2025-01-01
"#;

/// Also of a file with mistakes: the daemon that still runs must be within reach, and so must be what undoes them.
#[test]
fn the_control_socket_and_the_state_are_known() {
    const DEFAULT: &str = "/run/mimicry/control";
    for (source, socket) in [
        ("", DEFAULT),
        ("[[rule]]\nplugin = 'discl'\n", DEFAULT),
        ("[daemon]\ncontrol = 7\n", DEFAULT),
        ("[daemon]\ncontrol = 'here'\n[[rule]]\nplugin = \n", "here"),
        ("# \u{fffd}\n[daemon]\ncontrol = '/here'\n", "/here"),
        ("[[[", DEFAULT),
    ] {
        let place = std::path::Path::new("/etc/m.toml");
        let found = super::control_socket(place, source.as_bytes());
        let expected = std::path::Path::new("/etc").join(socket);
        assert_eq!(found, expected, "{source}");
        let source = source.replace("control", "state");
        let state = match socket {
            DEFAULT => "/var/lib/mimicry",
            other => other,
        };
        let found = super::state(place, source.as_bytes());
        assert_eq!(found, std::path::Path::new("/etc").join(state), "{source}");
    }
}

proptest::proptest! {
    /// The cutter of statements neither makes up a syntax error nor misses the last one.
    #[test]
    fn a_file_has_syntax_errors_exactly_when_toml_says_so(
        edits in proptest::collection::vec((0..SAMPLE.len(), 0usize..3, proptest::sample::select(b"[]{}\"'#=,.\n\\a1 ".to_vec())), 0..4)
    ) {
        let mut octets = SAMPLE.as_bytes().to_vec();
        for (at, what, octet) in edits {
            let at = at % octets.len();
            match what {
                0 => { octets.remove(at); }
                1 => octets.insert(at, octet),
                _ => octets[at] = octet,
            }
        }
        let source = String::from_utf8(octets).unwrap();
        let mut complaints = super::diag::Complaints::default();
        let syntax = super::syntax::check(&source, &mut complaints);
        proptest::prop_assert_eq!(syntax.clean.len(), source.len());
        super::syntax::tree(&syntax, &mut complaints);
        proptest::prop_assert_eq!(complaints.list.is_empty(), toml::de::DeTable::parse(&source).is_ok(), "{}\n{:?}", source, complaints.list);
        for one in &complaints.list {
            let span = one.span.clone().unwrap();
            proptest::prop_assert!(span.start <= span.end && span.end <= source.len());
        }
        // Whatever it is, it is judged and shown without a panic.
        shown(&source);
    }
}
