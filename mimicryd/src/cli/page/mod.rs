//! `mimicryd explain --html`: one page for people who would rather look.
//!
//! - [`clean`]: the HTML of a mail made harmless · [`differ`]: lines and octets that differ · `style.css`: how it looks
//!
//! The page needs no network and has no script. Its policy allows neither, and each text of a mail stands in a frame of its
//! own with nothing allowed (`sandbox`), whose policy is the page's.
//!
//! Must never: write anything of a mail unescaped but what [`clean`] gives back.

use std::io;
use std::path::Path;

use data_encoding::BASE64;
use mimicry_core::engine::Judged;
use mimicry_core::mail::Mail;
use mimicry_core::message::roles::Role;
use mimicry_core::message::{Message, Part};
use mimicry_core::units::show_size;

mod clean;
mod differ;

use clean::{escaped, visible};

use super::account::{Account, ClassAccount, Outcome};
use super::output::write_file;
use super::show::octets;
use super::texts;
use super::trace::{self, RuleAccount};
use super::tree::{Change, PartAccount};

const STYLE: &str = include_str!("style.css");

/// What the page, and with it each frame, may do: be laid out, and show pictures that stand in it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// Octets of a text that a frame shows.
const LONGEST: usize = 512 * 1024;
/// Octets of a picture that is shown.
const LARGEST: usize = 2 << 20;
/// Parts of a tree that are shown.
const ROWS: usize = 500;
/// Octets of a mail up to which its lines are compared.
const COMPARED: usize = 8 << 20;

/// The page as it grows.
pub struct Page {
    body: String,
}

impl Page {
    pub fn new() -> Page {
        Page {
            body: String::new(),
        }
    }

    /// One more mail.
    pub fn add(&mut self, name: &str, mail: &Mail, account: &Account, judged: &[Judged]) {
        let mut out = String::from("<article class=mail>\n");
        out.push_str(&head(name, mail, account));
        let classes = account.classes.iter().zip(judged).zip(1_usize..);
        for ((class, judged), number) in classes {
            if account.classes.len() > 1 {
                let all = account.classes.len();
                let to = visible(&class.recipients.join(", "));
                out.push_str(&format!("<h2>Class {number} of {all}: {to}</h2>\n"));
            }
            out.push_str(&outcome(account, class));
            let after = match class.result {
                Outcome::Changed => judged.message(mail),
                _ => None,
            };
            out.push_str(&rendered(&mail.message, after, class.result));
            out.push_str(&rules(&class.rules));
            out.push_str(&trees(account, class));
            if let Some(after) = after {
                out.push_str(&differences(&mail.message, after, class));
            }
        }
        out.push_str("</article>\n");
        self.body.push_str(&out);
    }

    /// Writes it, whole.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let page = format!(
            "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=referrer content=no-referrer>\n<meta name=viewport content=\"width=device-width\">\n\
             <title>What the rules do</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
            self.body
        );
        write_file(path, page.as_bytes(), 0o600)
    }
}

fn head(name: &str, mail: &Mail, account: &Account) -> String {
    let subject = mail
        .message
        .root()
        .field("subject")
        .map(|field| field.decoded());
    let subject = subject.unwrap_or_else(|| "(no subject)".into());
    let sender = match account.envelope.sender.as_str() {
        "" => "<>",
        sender => sender,
    };
    let mut rows = vec![
        (
            "mail",
            format!("{name}, {}", show_size(account.mail.octets)),
        ),
        ("from", sender.to_string()),
        ("to", account.envelope.recipients.join(", ")),
    ];
    for (key, value) in [
        ("client", &account.origin.client),
        ("listener", &account.origin.listener),
        ("login", &account.origin.auth_user),
    ] {
        rows.extend(value.clone().map(|value| (key, value)));
    }
    let rows = rows
        .iter()
        .map(|(key, value)| format!("<dt>{key}</dt><dd>{}</dd>", visible(value)));
    format!(
        "<h1>{}</h1>\n<dl class=facts>{}</dl>\n",
        visible(subject.trim()),
        rows.collect::<String>()
    )
}

fn outcome(account: &Account, class: &ClassAccount) -> String {
    let (word, said) = match (class.result, class.octets) {
        (Outcome::Changed, Some(now)) => (
            "changed",
            format!("{} → {} octets", octets(account.mail.octets), octets(now)),
        ),
        (Outcome::Deferred, _) => ("deferred", class.text.clone().unwrap_or_default()),
        (Outcome::Rejected, _) => ("rejected", class.text.clone().unwrap_or_default()),
        _ => ("unchanged", "octet for octet as it came".into()),
    };
    let bank = match class.bank.as_str() {
        "base" => String::new(),
        bank => format!(" <span class=quiet>bank {}</span>", visible(bank)),
    };
    format!(
        "<h2><span class=\"badge {word}\">{word}</span> {}{bank}</h2>\n",
        visible(&said)
    )
}

/// The mail as a reader sees it, before and after.
fn rendered(before: &Message, after: Option<&Message>, result: Outcome) -> String {
    let Some(after) = after else {
        let title = match result {
            Outcome::Deferred | Outcome::Rejected => "As it came; it does not leave",
            _ => "As it came and as it leaves",
        };
        let views = views(before).into_iter().map(|(kind, frame)| {
            format!(
                "<div class=\"two one\"><section><h3>{title}, {kind}</h3>{}{frame}</section></div>\n",
                fields(before)
            )
        });
        return views.collect();
    };
    let (mut old, mut new) = (views(before), views(after));
    let mut out = String::new();
    while !old.is_empty() || !new.is_empty() {
        // The same kind side by side, where both have it.
        let kind = new.first().or(old.first()).map_or("", |(kind, _)| kind);
        let take = |views: &mut Vec<(&'static str, String)>| {
            let at = views.iter().position(|(other, _)| *other == kind)?;
            Some(views.remove(at).1)
        };
        let (left, right) = (take(&mut old), take(&mut new));
        let side = |title: &str, message: &Message, frame: Option<String>| {
            let nothing = || format!("<p class=quiet>no {kind} text</p>");
            let shown = frame.map_or_else(nothing, |frame| format!("{}{frame}", fields(message)));
            format!("<section><h3>{title}, {kind}</h3>{shown}</section>")
        };
        out.push_str(&format!(
            "<div class=two>{}{}</div>\n",
            side("As it came", before, left),
            side("As it leaves", after, right)
        ));
    }
    out
}

/// What stands above the text in any mail program.
fn fields(message: &Message) -> String {
    let shown = ["From", "To", "Subject"].iter().filter_map(|name| {
        let value = message.root().field(name)?.decoded();
        let cut: String = value.trim().chars().take(300).collect();
        Some(format!("<div><b>{name}</b> {}</div>", visible(&cut)))
    });
    format!("<div class=fields>{}</div>", shown.collect::<String>())
}

/// Its texts, each with its kind, as frames; HTML first.
fn views(message: &Message) -> Vec<(&'static str, String)> {
    let roles = message.roles();
    let body = |part: &Part<'_>| roles.role(part.id()) == Some(Role::Body);
    let texts: Vec<(Part<'_>, String)> = message
        .leaves()
        .filter(body)
        .filter_map(|part| Some((part, texts::of(part)?)))
        .collect();
    let picture = |id: &str| picture(message, id);
    let mut views = Vec::new();
    let html: Vec<&str> = texts
        .iter()
        .filter(|(part, _)| part.media_type() == "text/html")
        .map(|(_, text)| text.as_str())
        .collect();
    if !html.is_empty() {
        let clean = html.iter().map(|page| clean::html(cut(page), &picture));
        views.push(("HTML", frame(&clean.collect::<String>(), Paper::White)));
    }
    let plain: Vec<&str> = texts
        .iter()
        .filter(|(part, _)| part.media_type() != "text/html")
        .map(|(_, text)| text.as_str())
        .collect();
    if !plain.is_empty() {
        let text = plain.join("\n");
        views.push((
            "plain",
            frame(
                &format!("<pre>{}</pre>", escaped(cut(&text))),
                Paper::OfTheScheme,
            ),
        ));
    }
    if views.is_empty() {
        views.push((
            "no",
            frame("<p>there is no text to be read</p>", Paper::OfTheScheme),
        ));
    }
    views
}

/// What a text stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paper {
    /// Mails in HTML are written for it.
    White,
    /// Light or dark, as the page.
    OfTheScheme,
}

/// A document of its own, which can do nothing and reach nobody.
fn frame(content: &str, paper: Paper) -> String {
    let scheme = match paper {
        Paper::OfTheScheme => {
            ":root{color-scheme:light dark}pre{white-space:pre-wrap;overflow-wrap:anywhere;font:13px/1.45 ui-monospace,Menlo,Consolas,monospace}"
        }
        Paper::White => ":root{color-scheme:light}body{background:#fff;color:#000}",
    };
    let document = format!(
        "<!doctype html><meta charset=utf-8><meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\
         <style>{scheme}body{{margin:.75rem;font-family:system-ui,sans-serif}}img{{max-width:100%}}</style>{content}"
    );
    // About as high as what is in it; it can be pulled.
    let lines: usize = content
        .lines()
        .map(|line| line.len().div_ceil(70).max(1))
        .sum();
    let height = lines.saturating_mul(3).div_ceil(2).clamp(9, 32);
    let class = match paper {
        Paper::White => "white",
        Paper::OfTheScheme => "plain",
    };
    format!(
        "<iframe class={class} style=\"height:{height}rem\" sandbox=\"\" referrerpolicy=no-referrer loading=lazy title=\"text of the mail\" srcdoc=\"{}\"></iframe>",
        escaped(&document)
    )
}

fn cut(text: &str) -> &str {
    let end = text
        .char_indices()
        .map(|(at, _)| at)
        .find(|at| *at >= LONGEST);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// A picture that the mail has under this Content-ID.
fn picture(message: &Message, id: &str) -> Option<String> {
    let is_it = |part: &Part<'_>| part.content_id().is_some_and(|own| own == id.as_bytes());
    let part = message.leaves().find(is_it)?;
    let kind = part.media_type();
    if !["image/png", "image/gif", "image/jpeg", "image/webp"].contains(&kind) {
        return None;
    }
    let content = part
        .decoded()
        .ok()
        .filter(|content| content.len() <= LARGEST)?;
    Some(format!("data:{kind};base64,{}", BASE64.encode(&content)))
}

fn rules(rules: &[RuleAccount]) -> String {
    if rules.is_empty() {
        return "<p class=quiet>There are no rules.</p>\n".into();
    }
    let row = |rule: &RuleAccount| {
        let class = match rule.outcome {
            trace::Outcome::Stopped => "stopped",
            _ if rule.acted() => "acted",
            _ if rule.shadow => "shadow",
            _ => "idle",
        };
        format!(
            "<tr class={class}><td class=name>{}</td><td class=word>{}</td><td>{}</td></tr>\n",
            visible(&rule.name),
            visible(rule.plugin),
            visible(&rule.line())
        )
    };
    format!(
        "<h2>Rules</h2>\n<div class=wide><table><tr><th>rule</th><th>plugin</th><th>what it did, or why not</th></tr>\n{}</table></div>\n",
        rules.iter().map(row).collect::<String>()
    )
}

fn trees(account: &Account, class: &ClassAccount) -> String {
    if class.parts.is_empty() {
        return format!(
            "<h2>Parts</h2>\n<div class=wide>{}</div>\n",
            tree(&account.parts, &[])
        );
    }
    format!(
        "<h2>Parts</h2>\n<div class=two><section class=wide><h3>As it came</h3>{}</section><section class=wide><h3>As it leaves</h3>{}</section></div>\n",
        tree(&account.parts, &class.gone),
        tree(&class.parts, &[])
    )
}

fn tree(parts: &[PartAccount], gone: &[PartAccount]) -> String {
    let row = |part: &PartAccount| {
        let is_gone = gone.iter().any(|one| one.section == part.section);
        let class = match part.change {
            Some(Change::New) => "new",
            Some(_) => "edited",
            None if is_gone => "gone",
            None => "same",
        };
        let name = part
            .filename
            .as_ref()
            .map(|name| format!(" “{name}”"))
            .unwrap_or_default();
        let sealed = part
            .sealed
            .map(|seal| format!(", {seal}"))
            .unwrap_or_default();
        let role = part.role.unwrap_or_default();
        format!(
            "<tr class={class}><td class=type>{}{}{}</td><td class=word>{role}{sealed}</td><td class=word>{}</td></tr>\n",
            "  ".repeat(part.depth.saturating_sub(1).min(20)),
            visible(&part.media_type),
            visible(&name),
            part.octets.map(show_size).unwrap_or_default()
        )
    };
    let mut rows: String = parts.iter().take(ROWS).map(row).collect();
    if let Some(more) = parts.len().checked_sub(ROWS).filter(|more| *more > 0) {
        rows.push_str(&format!("<tr><td colspan=3>and {more} more</td></tr>\n"));
    }
    format!("<table><tr><th>part</th><th>role</th><th>size</th></tr>\n{rows}</table>")
}

/// The texts and the octets that differ.
fn differences(before: &Message, after: &Message, class: &ClassAccount) -> String {
    let mut out = String::new();
    for (part, account) in after.parts().zip(&class.parts) {
        let was = account
            .was
            .as_deref()
            .and_then(|was| before.parts().find(|part| part.section_text() == was));
        let (Some(Change::Body), Some(was)) = (account.change, was) else {
            continue;
        };
        let (Some(old), Some(new)) = (texts::of(was), texts::of(part)) else {
            continue;
        };
        if let Some(lines) = differ::lines(cut(&old), cut(&new)) {
            out.push_str(&format!(
                "<h2>Text of {} <span class=quiet>{}</span></h2>\n<pre>{lines}</pre>\n",
                visible(&account.section),
                visible(&account.media_type)
            ));
        }
    }
    let is_small = before.raw().len().max(after.raw().len()) <= COMPARED;
    let lines = is_small
        .then(|| differ::octets(before.raw(), after.raw()))
        .flatten();
    let shown = lines.map_or_else(
        || "<p class=quiet>The mail is too large to compare its octets here.</p>".to_string(),
        |lines| format!("<pre>{lines}</pre>"),
    );
    out.push_str(&format!(
        "<details><summary>The octets that differ</summary>\n{shown}\n</details>\n"
    ));
    out
}

#[cfg(test)]
mod tests {
    use mimicry_core::message::Limits;

    use super::*;

    #[test]
    fn a_frame_is_shut_and_its_content_is_no_markup_of_the_page() {
        let mail = b"Subject: \"><script>evil()</script>\r\nContent-Type: text/html\r\n\r\n\
            <p title='\"></iframe><script>evil()</script>'>x</p></iframe><script>evil()</script>";
        let message = Message::scan(mail.to_vec(), &Limits::default());
        let shown = rendered(&message, None, Outcome::Unchanged);
        assert!(shown.contains(" sandbox=\"\" "), "{shown}");
        assert_eq!(shown.matches("<iframe").count(), 1, "{shown}");
        assert_eq!(shown.matches("</iframe>").count(), 1, "{shown}");
        assert!(!shown.contains("<script"), "{shown}");
        // One quote opens the document, and the next one ends it.
        let document = shown.split("srcdoc=\"").nth(1).unwrap_or_default();
        let document = document.split('"').next().unwrap_or_default();
        assert!(document.ends_with("x&lt;/p&gt;"), "{document}");
    }

    #[test]
    fn what_disguises_a_word_is_shown_outside_of_the_frames_alone() {
        let mail = "Subject: =?utf-8?q?invoice=E2=80=AEfdp.exe?=\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\u{200f}\u{202e}text\r\n";
        let message = Message::scan(mail.into(), &Limits::default());
        assert_eq!(
            fields(&message),
            "<div class=fields><div><b>Subject</b> invoice\\u{202e}fdp.exe</div></div>"
        );
        let shown = rendered(&message, None, Outcome::Unchanged);
        assert!(shown.contains("\u{200f}\u{202e}text"), "{shown}");
        let differs = differ::lines("a", "a\u{2066}\x1b\tb").unwrap_or_default();
        assert!(differs.contains("a\\u{2066}\\u{1b}\tb"), "{differs}");
    }

    #[test]
    fn pictures_of_the_mail_are_shown_and_no_others() {
        let mail = b"Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<img src=cid:a><img src=cid:s>\r\n\
            --b\r\nContent-Type: image/png\r\nContent-ID: <a>\r\n\r\nPNG\r\n--b\r\nContent-Type: image/svg+xml\r\nContent-ID: <s>\r\n\r\n<svg/>\r\n--b--\r\n";
        let message = Message::scan(mail.to_vec(), &Limits::default());
        assert_eq!(
            picture(&message, "a").as_deref(),
            Some("data:image/png;base64,UE5H")
        );
        assert_eq!(picture(&message, "s"), None);
        assert_eq!(picture(&message, "x"), None);
        assert!(
            rendered(&message, None, Outcome::Unchanged).contains("data:image/png;base64,UE5H")
        );
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "ü".repeat(LONGEST);
        assert!(cut(&text).len() <= LONGEST + 1 && text.starts_with(cut(&text)));
        assert_eq!(cut("x"), "x");
    }
}
