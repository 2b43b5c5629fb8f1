//! What the tests of rules and plugins share: mails in a compact notation, rules in one line, plans and their outcome
//! in one line; in `probes` plugins that misbehave.
//!
//! A mail is a file of `t/mail` (`demo-text.eml`) or a tree: `mixed(plain,pdf@report.pdf*2000)`, see [`octets`].
//! An envelope is `anna@example.org > bo@example.com, cy@example.net [client=192.0.2.7]`, see [`mail`].
//! Rules stand behind each other with ` ;; ` between them; within a rule the settings stand behind the plugin's name
//! with ` | ` between them, in TOML: `zip | match.filename = '\.csv$' | final = true`.
#![allow(dead_code)] // Each test program uses its own share of it.

use std::fmt::Write;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::LazyLock;

use mimicry_core::config::{self, Config};
use mimicry_core::engine::{self, Applied, Judged, Report, Stop, Stopped};
use mimicry_core::envelope::Envelope;
use mimicry_core::mail::{Mail, Moment};
use mimicry_core::message::{Limits, Message, Part, PartId};
use mimicry_core::origin::Origin;
use mimicry_core::plugin::{Effects, Means, PluginKind};
use mimicry_core::policy::Memo;
use mimicry_core::registry::Registry;
use mimicry_core::rule::facts::Facts;
use mimicry_core::rule::plan::{Decision, Plan, Run};
use mimicry_core::seals::SealKeys;
use mimicry_plugins::REGISTRY;

pub mod probes;

use probes::PROBES;

/// The rules, loaded as the configuration loads them. Rule n is named `n`, counted from 1. A disclaim rule that says no
/// text says "Footer".
pub fn rules(notation: &str) -> Config {
    let mut source = String::new();
    for (index, rule) in notation
        .split(" ;; ")
        .filter(|rule| !rule.trim().is_empty())
        .enumerate()
    {
        let mut settings = rule.split(" | ").map(str::trim);
        let plugin = settings.next().unwrap();
        writeln!(
            source,
            "[[rule]]\nname = \"{}\"\nplugin = \"{plugin}\"",
            index + 1
        )
        .unwrap();
        if plugin == "disclaim"
            && !["options.text", "options.html", "options ="]
                .iter()
                .any(|own| rule.contains(own))
        {
            source.push_str("options.text = \"Footer\"\noptions.html = \"<p>Footer</p>\"\n");
        }
        settings.for_each(|setting| writeln!(source, "{setting}").unwrap());
    }
    load(&source)
}

/// A picture of one pixel: the file `logo.png` of the configurations.
pub const LOGO: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\nIDATx\x9cc\0\x01\0\0\x05\0\x01\r\n-\xb4\0\0\0\0IEND\xaeB`\x82";

/// A configuration with the plugins of mimicry and those of [`PROBES`].
pub fn load(source: &str) -> Config {
    static ALL: LazyLock<Registry> = LazyLock::new(|| {
        let probes = PROBES.iter().map(|probe| probe as &'static dyn PluginKind);
        Registry(Vec::leak(REGISTRY.iter().chain(probes).collect()))
    });
    let read = |path: &Path| match path.to_str() {
        Some("logo.png") => Ok(LOGO.to_vec()),
        Some("password") => Ok(format!("{PASSWORD}\n").into()),
        Some(name) if name.starts_with("keys/") => std::fs::read(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests")
                .join(name),
        ),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    match config::parse(source, Path::new("test.toml"), *ALL, &read) {
        Ok(config) => config,
        Err(mistakes) => panic!("{mistakes}\nin\n{source}"),
    }
}

/// What is in the file `password` of the configurations.
pub const PASSWORD: &str = "correct horse";

/// The outcome for a mail whose recipients are of one class.
pub fn apply(config: &Config, mail: &Mail) -> Result<Applied, Stopped> {
    apply_planned(config, mail).1
}

/// As [`apply`], with the plan that it comes of.
pub fn apply_planned(config: &Config, mail: &Mail) -> (Plan, Result<Applied, Stopped>) {
    let mut judged = judge(config, mail);
    assert_eq!(judged.len(), 1);
    let Judged { plan, result, .. } = judged.remove(0);
    (plan, Rc::into_inner(result).expect("nobody shares it"))
}

/// What the rules make of a mail, for each class.
pub fn judge(config: &Config, mail: &Mail) -> Vec<Judged> {
    let keys = SealKeys::default().with(0, [7; 32]);
    let means = Means {
        effects: Effects::Real,
        seal_keys: &keys,
        observer: &(),
    };
    let memo = Memo::default();
    let classes = memo.classes(&config.banks, mail);
    engine::judge(&config.banks, &memo, mail, &classes, means)
}

/// The plans alone: nothing is kept.
pub fn plans_of(config: &Config, mail: &Mail) -> Vec<Plan> {
    let memo = Memo::default();
    let classes = memo.classes(&config.banks, mail);
    let means = Effects::None.into();
    let judged = engine::judge(&config.banks, &memo, mail, &classes, means);
    judged.into_iter().map(|judged| judged.plan).collect()
}

/// The media types of the archives that the containers make.
pub const ARCHIVES: [&str; 3] = ["application/zip", "application/gzip", "application/x-bzip2"];

/// A member of an archive, as another reader than ours finds it.
#[derive(Debug)]
pub struct Member {
    pub name: String,
    pub content: Vec<u8>,
    /// In a zip: is it stored.
    pub stored: bool,
}

/// The members of an archive of one of these types, in their order.
pub fn members(archive: &[u8]) -> Vec<Member> {
    if archive.starts_with(b"PK") {
        return unzipped(archive, b"");
    }
    let reader: Box<dyn Read + '_> = if archive.starts_with(b"BZh") {
        Box::new(bzip2::read::BzDecoder::new(archive))
    } else {
        Box::new(flate2::read::GzDecoder::new(archive))
    };
    let mut archive = tar::Archive::new(reader);
    let member = |file: std::io::Result<tar::Entry<'_, _>>| {
        let mut file = file.unwrap();
        assert_eq!(file.header().mode().unwrap(), 0o644);
        let name = String::from_utf8(file.path_bytes().into_owned()).unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        Member {
            name,
            content,
            stored: false,
        }
    };
    archive.entries().unwrap().map(member).collect()
}

/// The members of a zip, encrypted or not.
pub fn unzipped(archive: &[u8], password: &[u8]) -> Vec<Member> {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    let length = archive.len();
    let member = |index| {
        let mut file = if password.is_empty() {
            archive.by_index(index).unwrap()
        } else {
            archive.by_index_decrypt(index, password).unwrap()
        };
        assert_eq!(file.unix_mode().map(|mode| mode & 0o7777), Some(0o644));
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        Member {
            name: file.name().unwrap().into_owned(),
            content,
            stored: file.compression() == zip::CompressionMethod::Stored,
        }
    };
    (0..length).map(member).collect()
}

/// A mail of its notation and of its envelope's. An envelope is sender, ` > `, recipients; what it leaves out is
/// `anna@example.org > bo@example.com`. `<>` is the null sender. The origin stands in brackets behind it:
/// `[client=192.0.2.7 listener=lan helo=mx.example.org auth=anna]`.
pub fn mail(notation: &str, envelope: &str) -> Mail {
    mail_of(octets(notation), envelope)
}

pub fn mail_of(octets: Vec<u8>, envelope: &str) -> Mail {
    let (addresses, facts) = envelope.split_once('[').unwrap_or((envelope, ""));
    let addresses = addresses.trim();
    let addresses = if addresses.is_empty() {
        "anna@example.org > bo@example.com"
    } else {
        addresses
    };
    let (sender, recipients) = addresses.split_once(" > ").unwrap();
    let mut origin = Origin::default();
    for fact in facts.trim_end_matches(']').split_whitespace() {
        let (name, value) = fact.split_once('=').unwrap();
        match name {
            "client" => origin.client = Some(value.parse().unwrap()),
            "listener" => origin.listener = Some(value.into()),
            "helo" => origin.helo = Some(value.into()),
            "auth" => origin.auth_user = Some(value.into()),
            other => panic!("{other} is no fact of an origin"),
        }
    }
    Mail {
        origin,
        envelope: Envelope::new(
            if sender == "<>" { "" } else { sender },
            recipients.split(", "),
        ),
        message: Message::scan(octets, &Limits::default()),
        received: RECEIVED,
    }
}

/// Sun, 22 Nov 2026 19:00:00 +0100
pub const RECEIVED: Moment = Moment {
    unix: 1_795_370_400,
    offset: 3600,
};

/// The directory of the mails.
pub fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../t/mail")
}

/// All mails of the corpus with their names, in the order of these.
pub fn corpus_mails() -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|word| word == "eml"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 120, "where is the corpus?");
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_string();
    paths
        .iter()
        .map(|path| (name(path), std::fs::read(path).unwrap()))
        .collect()
}

/// The octets of a mail in its notation: header fields and one tree with ` & ` between them.
///
/// A field replaces the default of its name; an empty value takes it out. A leaf is a word of [`leaf`] with, in this
/// order, `@` for an attachment and `^` for an inline part, each with or without a file name, `#ID` for a Content-ID,
/// `~ID` for HTML that shows it, `*N` for a body of N octets. A multipart is its subtype (`alt` for alternative) and
/// the children in parentheses.
pub fn octets(notation: &str) -> Vec<u8> {
    if notation.ends_with(".eml") {
        return std::fs::read(corpus().join(notation))
            .unwrap_or_else(|error| panic!("{notation}: {error}"));
    }
    let mut fields: Vec<(&str, &str)> = vec![
        ("From", "Anna Berg <anna@example.org>"),
        ("To", "Bo Lind <bo@example.com>"),
        ("Subject", "Offer"),
        ("Date", "Fri, 21 Nov 2025 09:30:10 +0100"),
        ("Message-ID", "<1@example.org>"),
        ("MIME-Version", "1.0"),
    ];
    let mut pieces: Vec<&str> = notation.split(" & ").collect();
    let mut tree = pieces.pop().unwrap();
    for piece in pieces {
        let (name, value) = piece.split_once(':').unwrap();
        fields.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        fields.push((name, value.trim()));
    }
    let mut out = Vec::new();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    entity(&mut tree, &mut 0, &mut out);
    assert!(tree.is_empty(), "{tree} is left of {notation}");
    out
}

/// Appends Content fields, blank line and body of the next entity of the notation.
fn entity(rest: &mut &str, boundaries: &mut u32, out: &mut Vec<u8>) {
    let word = take(rest, |c| !c.is_ascii_alphanumeric() && c != '-');
    if let Some(tail) = rest.strip_prefix('(') {
        *rest = tail;
        *boundaries += 1;
        let boundary = format!("=_b{boundaries}");
        let kind = match word {
            "alt" => "alternative".to_string(),
            "signed" => {
                "signed; micalg=pgp-sha256; protocol=\"application/pgp-signature\"".to_string()
            }
            "encrypted" => "encrypted; protocol=\"application/pgp-encrypted\"".to_string(),
            "report" => "report; report-type=delivery-status".to_string(),
            other => other.to_string(),
        };
        out.extend_from_slice(
            format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"\r\n\r\n").as_bytes(),
        );
        loop {
            out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
            entity(rest, boundaries, out);
            out.extend_from_slice(b"\r\n");
            match take(rest, |c| c == ',' || c == ')') {
                "" if rest.starts_with(',') => *rest = &rest[1..],
                "" if rest.starts_with(')') => break,
                other => panic!("what is {other}{rest}?"),
            }
        }
        *rest = &rest[1..];
        out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        return;
    }
    let mut mark = |sign: char| {
        let tail = rest.strip_prefix(sign)?;
        *rest = tail;
        Some(take(rest, |c| "@^#~*,()".contains(c)))
    };
    let (attached, inline, id, shown, size) =
        (mark('@'), mark('^'), mark('#'), mark('~'), mark('*'));
    let (fields, mut body) = leaf(word);
    if let Some(shown) = shown {
        body =
            format!("<html><body><p>Hello</p><img src=\"cid:{shown}\"></body></html>").into_bytes();
    }
    if let Some(size) = size {
        body = b"one,two,three\r\n"
            .iter()
            .copied()
            .cycle()
            .take(size.parse().unwrap())
            .collect();
    }
    let mut header: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    for (disposition, name) in [("attachment", attached), ("inline", inline)] {
        match name {
            Some("") => writeln!(header, "Content-Disposition: {disposition}\r").unwrap(),
            Some(name) => writeln!(
                header,
                "Content-Disposition: {disposition}; filename=\"{name}\"\r"
            )
            .unwrap(),
            None => {}
        }
    }
    if let Some(id) = id {
        writeln!(header, "Content-ID: <{id}>\r").unwrap();
    }
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&body);
}

/// The fields and the body of a leaf.
fn leaf(word: &str) -> (Vec<&'static str>, Vec<u8>) {
    let png = || {
        (0..600u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect()
    };
    match word {
        "bare" => (vec![], b"Hello".to_vec()),
        "plain" => (
            vec!["Content-Type: text/plain; charset=us-ascii"],
            b"Hello".to_vec(),
        ),
        "utf8" => (
            vec![
                "Content-Type: text/plain; charset=utf-8",
                "Content-Transfer-Encoding: 8bit",
            ],
            "Grüße".into(),
        ),
        "latin1" => (
            vec![
                "Content-Type: text/plain; charset=ISO-8859-1",
                "Content-Transfer-Encoding: 8bit",
            ],
            b"Gr\xfc\xdfe".to_vec(),
        ),
        "klingon" => (
            vec!["Content-Type: text/plain; charset=x-klingon"],
            b"nuqneH".to_vec(),
        ),
        "html" => (
            vec!["Content-Type: text/html; charset=us-ascii"],
            b"<html><body><p>Hello</p></body></html>".to_vec(),
        ),
        "flowed" => (
            vec!["Content-Type: text/plain; charset=us-ascii; format=flowed"],
            b"Hello".to_vec(),
        ),
        "pdf" => (
            vec!["Content-Type: application/pdf"],
            b"%PDF-1.4 ".iter().copied().cycle().take(1800).collect(),
        ),
        "csv" => (
            vec!["Content-Type: text/csv; charset=us-ascii"],
            b"one,two\r\n".iter().copied().cycle().take(1800).collect(),
        ),
        "png" => (
            vec![
                "Content-Type: image/png",
                "Content-Transfer-Encoding: binary",
            ],
            png(),
        ),
        "cal" => (
            vec!["Content-Type: text/calendar; method=REQUEST"],
            b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n".to_vec(),
        ),
        "eml" => (
            vec!["Content-Type: message/rfc822"],
            b"Subject: inner\r\n\r\nInner\r\n".to_vec(),
        ),
        "sig" => (
            vec!["Content-Type: application/pgp-signature; name=\"signature.asc\""],
            b"-----BEGIN PGP SIGNATURE-----\r\n".to_vec(),
        ),
        "version" => (
            vec!["Content-Type: application/pgp-encrypted"],
            b"Version: 1\r\n".to_vec(),
        ),
        "bin" => (
            vec!["Content-Type: application/octet-stream"],
            b"0123456789".iter().copied().cycle().take(1800).collect(),
        ),
        "keys" => (
            vec!["Content-Type: application/pgp-keys"],
            b"-----BEGIN PGP PUBLIC KEY BLOCK-----\r\n".to_vec(),
        ),
        "p7m" => (
            vec![
                "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=\"smime.p7m\"",
                "Content-Transfer-Encoding: base64",
            ],
            b"MIIB".to_vec(),
        ),
        "opaque-signed" => (
            vec![
                "Content-Type: application/pkcs7-mime; smime-type=signed-data; name=\"smime.p7m\"",
                "Content-Transfer-Encoding: base64",
            ],
            b"MIIB".to_vec(),
        ),
        "clearsigned" => (
            vec!["Content-Type: text/plain; charset=us-ascii"],
            b"-----BEGIN PGP SIGNED MESSAGE-----\r\n\r\nHello\r\n-----BEGIN PGP SIGNATURE-----\r\n"
                .to_vec(),
        ),
        "armoured" => (
            vec!["Content-Type: text/plain; charset=us-ascii"],
            b"-----BEGIN PGP MESSAGE-----\r\n\r\nabcd\r\n".to_vec(),
        ),
        "status" => (
            vec!["Content-Type: message/delivery-status"],
            b"Reporting-MTA: dns; mx.example.org\r\n".to_vec(),
        ),
        "broken" => (
            vec![
                "Content-Type: application/pdf",
                "Content-Transfer-Encoding: base64",
            ],
            b"=====".to_vec(),
        ),
        "opaque" => (
            vec![
                "Content-Type: multipart/mixed",
                "Content-Transfer-Encoding: base64",
            ],
            b"QUJD".to_vec(),
        ),
        other => panic!("{other} is no leaf"),
    }
}

fn take<'t>(rest: &mut &'t str, ends: impl Fn(char) -> bool) -> &'t str {
    let (word, tail) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
    *rest = tail;
    word
}

/// All plans as one line: rules with ` | ` between them, classes with ` || ` between them; when there are several, each
/// begins with its recipients.
pub fn show_plans(config: &Config, mail: &Mail) -> String {
    let class = |judged: &Judged| {
        let decisions = judged.plan.decisions(&config.policy, &Facts::of(mail));
        let steps: Vec<String> = decisions
            .iter()
            .zip(config.policy.rules.iter())
            .map(|(step, rule)| show_decision(mail, rule.kind.name(), step))
            .collect();
        steps.join(" | ")
    };
    by_class(mail, &judge(config, mail), class)
}

/// As [`show_plans`], what came of them. Behind ` = ` the tree of the new message; nothing there means that the mail is
/// unchanged.
pub fn show_outcomes(config: &Config, mail: &Mail) -> String {
    by_class(mail, &judge(config, mail), |judged| {
        show_outcome(config, mail, &judged.plan, &judged.result)
    })
}

fn by_class(mail: &Mail, judged: &[Judged], show: impl Fn(&Judged) -> String) -> String {
    let classes: Vec<String> = judged
        .iter()
        .map(|class| {
            let recipients: Vec<String> = class
                .plan
                .recipients
                .iter()
                .map(|index| mail.envelope.recipients[*index].path.to_string())
                .collect();
            if judged.len() == 1 {
                show(class)
            } else {
                format!("{}: {}", recipients.join(", "), show(class))
            }
        })
        .collect();
    classes.join(" || ")
}

fn show_decision(mail: &Mail, plugin: &str, decision: &Decision) -> String {
    match decision {
        Decision::Off => format!("{plugin}: off"),
        Decision::Behind(rule) => format!("{plugin}: behind {}", rule + 1),
        Decision::NoMatch(filter) => format!("{plugin}: no {filter}"),
        Decision::Vetoed(filter) => format!("{plugin}: not {filter}"),
        Decision::NoPart => format!("{plugin}: no part"),
        Decision::Skip(reason) => format!("{plugin}: {reason}"),
        Decision::RejectSealed => format!("{plugin}: reject sealed"),
        Decision::RejectUnsure(_) => format!("{plugin}: reject unsure"),
        Decision::RejectCopies(_) => format!("{plugin}: reject copies"),
        Decision::IgnoreMail => plugin.to_string(),
        Decision::Keep(parts) => format!("{plugin} {}", show_parts(mail, parts)),
        Decision::Run(Run {
            parts,
            left,
            beside: _,
            shadow,
            remarks: _,
        }) => {
            let left: String = left
                .iter()
                .map(|(part, reason)| format!(" -{}:{reason}", show_parts(mail, &[*part])))
                .collect();
            let shadow = if *shadow { "~" } else { "" };
            format!("{plugin} {shadow}{}{left}", show_parts(mail, parts))
        }
    }
}

fn show_outcome(
    config: &Config,
    mail: &Mail,
    plan: &Plan,
    outcome: &Result<Applied, Stopped>,
) -> String {
    let applied = match outcome {
        Ok(applied) => applied,
        Err(stopped) => {
            return format!(
                "{} by {}",
                match stopped.stop {
                    Stop::Reject | Stop::RejectMissed | Stop::TooLarge => "reject",
                    Stop::Defer | Stop::DeferMissed => "defer",
                    Stop::StorageFull => "full",
                },
                stopped.rule + 1
            );
        }
    };
    let decisions = plan.decisions(&config.policy, &Facts::of(mail));
    let rules = config.policy.rules.iter().zip(&decisions).enumerate();
    let rules: Vec<String> = rules
        .map(|(at, (rule, step))| show_report(mail, rule.kind.name(), step, &applied.reports[at]))
        .collect();
    let tree = applied
        .message
        .as_ref()
        .map(|message| format!(" = {}", show_tree(message)));
    rules.join(" | ") + tree.as_deref().unwrap_or_default()
}

fn show_report(mail: &Mail, plugin: &str, step: &Decision, report: &Report) -> String {
    match report {
        Report::AsPlanned => show_decision(mail, plugin, step),
        Report::Edited { parts, .. } => format!("{plugin} edited {}", show_parts(mail, parts)),
        Report::Done { .. } => format!("{plugin} done"),
        Report::Unchanged { reason, .. } => format!("{plugin}: {reason}"),
        Report::Shadow(report) => format!("~{}", show_report(mail, plugin, step, report)),
    }
}

/// Sections with commas between them; `mail` for none.
fn show_parts(mail: &Mail, parts: &[PartId]) -> String {
    let sections: Vec<String> = parts
        .iter()
        .map(|part| {
            mail.message
                .part(*part)
                .map_or("?".into(), Part::section_text)
        })
        .collect();
    if sections.is_empty() {
        "mail".into()
    } else {
        sections.join(",")
    }
}

/// The tree as [`octets`] takes it, subtypes only, and the fields of the root that begin with `X-`.
pub fn show_tree(message: &Message) -> String {
    fn show(part: Part<'_>, out: &mut String) {
        let subtype = part.media_type().rsplit('/').next().unwrap();
        out.push_str(if subtype == "alternative" {
            "alt"
        } else {
            subtype
        });
        if part.is_multipart() {
            let mut sign = '(';
            for child in part.children() {
                out.push(sign);
                show(child, out);
                sign = ',';
            }
            out.push(')');
        }
    }
    let mut out = String::new();
    show(message.root(), &mut out);
    for field in message
        .root()
        .fields()
        .filter(|field| field.name().starts_with(b"X-"))
    {
        write!(out, " {}", String::from_utf8_lossy(field.name())).unwrap();
    }
    out
}
