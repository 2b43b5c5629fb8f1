//! Regexes that compile and still do not say what was meant, and the remedy for those that do not compile.
//!
//! A pattern is judged by its text and by its tree together with what it is matched against: an address never holds a
//! blank, a file name never begins with a slash. Each advice names one regex to write instead wherever there is one.
//!
//! Must never: refuse a pattern (a doubtful one loads), or advise what does not compile.
//!
//! `advice`: what is said of one · `habits`: of other notations
//!
//! Known limit: a pattern has one advice, that of its first doubt.

use regex_syntax::hir::{Class, Hir, HirKind, Look};

mod advice;
mod habits;
#[cfg(test)]
mod tests;

use advice::{Advice, Subject, asks_for, instead, open_domain, tree, written};

/// What to say about a pattern that compiles; `key` is its filter.
pub(super) fn doubt(key: &str, pattern: &str) -> Option<Advice> {
    let subject = Subject::of(key);
    control(pattern)
        .or_else(|| invisible(pattern))
        .or_else(|| slashes(subject, pattern))
        .or_else(|| backslashes(subject, pattern))
        .or_else(|| blanks(subject, pattern))
        .or_else(|| field_name(subject, pattern))
        .or_else(|| parameters(key, pattern))
        .or_else(|| brackets(subject, pattern))
        .or_else(|| habits::doubt(key, subject, pattern))
        .or_else(|| glob(subject, pattern))
        .or_else(|| by_tree(subject, pattern))
        .or_else(|| open_domain(subject, pattern))
        .or_else(|| habits::open_domains(subject, pattern))
}

/// What to do about a pattern that does not compile, where its text shows what was meant.
pub(super) fn remedy(key: &str, pattern: &str) -> Option<Advice> {
    const AROUND: [&str; 4] = ["(?=", "(?!", "(?<=", "(?<!"];
    if let Some(at) = AROUND.iter().find(|open| pattern.contains(**open)) {
        return Some(Advice {
            message: format!("there is no look-around, so no `{at}…)`"),
            help: format!(
                "put what must not hold into `unless`, such as unless = {{ {key} = '…' }}"
            ),
            instead: None,
        });
    }
    if let Some(advice) = habits::remedy(Subject::of(key), pattern) {
        return Some(advice);
    }
    if let Some(regex) = regex_of_glob(pattern) {
        return Some(Advice {
            message: "this is a glob, not a regex".into(),
            help: written(&regex),
            instead: Some(regex),
        });
    }
    if pattern.contains("\\1") || pattern.contains("(?P=") {
        return Some(Advice {
            message: "there are no back-references to a group".into(),
            help: "write out the possible texts".into(),
            instead: None,
        });
    }
    slashes(Subject::of(key), pattern).or_else(|| {
        let message = "the end of the text is written as `$`";
        let regex = pattern.strip_suffix("\\Z")?;
        instead(message, format!("{regex}$"))
    })
}

/// `"\b"` in double quotes is a backspace.
fn control(pattern: &str) -> Option<Advice> {
    let found = pattern.chars().find(|c| c.is_control() && *c != '\t')?;
    let regex: String = match found {
        '\u{8}' | '\u{c}' => pattern.replace('\u{8}', r"\b").replace('\u{c}', r"\f"),
        _ => pattern.chars().filter(|c| !c.is_control()).collect(),
    };
    let message = match found {
        '\u{8}' => "this regex can never hold: in double quotes \\b is a backspace".into(),
        '\n' | '\r' => "this regex holds a line break".into(),
        other => format!(
            "this regex can never hold: it has a control character, U+{:04X}",
            u32::from(other)
        ),
    };
    let mut advice = instead(message, regex)?;
    advice.help.push_str(", in single quotes");
    Some(advice)
}

/// Characters that nobody sees in an editor.
fn invisible(pattern: &str) -> Option<Advice> {
    let is_invisible = |c: char| matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let is_blank = |c: char| c != ' ' && c != '\u{3000}' && c.is_whitespace() && c > '\u{7f}';
    let found = pattern.chars().find(|c| is_invisible(*c) || is_blank(*c))?;
    let kept = pattern.chars().filter(|c| !is_invisible(*c));
    let regex: String = kept.map(|c| if is_blank(c) { ' ' } else { c }).collect();
    let message = format!(
        "this regex has an invisible character, U+{:04X}",
        u32::from(found)
    );
    instead(message, regex.trim().to_string())
}

/// `/…/` and `/…/i`, as other programs write their regexes.
fn slashes(subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    let inner = pattern.strip_prefix('/')?;
    let (inner, flags) = inner.rsplit_once('/')?;
    if inner.is_empty() || !flags.chars().all(|c| "imsxgu".contains(c)) {
        return None;
    }
    // A value with slashes in it may be asked for, but nothing stands before its beginning or after its end.
    let is_anchored = inner.starts_with('^') || inner.ends_with('$');
    let may_have_slashes = matches!(subject, Subject::Field(_) | Subject::Other);
    if may_have_slashes && !is_anchored && !pattern.ends_with("/i") {
        return None;
    }
    instead(
        "this regex can never hold: the slashes around it are part of it",
        inner.replace("\\/", "/"),
    )
}

/// `\\.` in single quotes.
fn backslashes(subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    let is_taken = |after: &str, by: &str| after.starts_with(|next| by.contains(next));
    let is_doubled = match subject {
        // `EXAMPLE\\.*` asks for a backslash, but nothing begins with one.
        Subject::Field(_) | Subject::Other => {
            let start = pattern.strip_prefix('^').unwrap_or(pattern);
            let after = start.strip_prefix("\\\\");
            after.is_some_and(|after| is_taken(after, ".dwsb([*"))
        }
        Subject::Token | Subject::Path => pattern.contains("\\\\"),
        Subject::Address | Subject::FileName => pattern
            .split("\\\\")
            .skip(1)
            .any(|after| is_taken(after, ".dwsbDWSB$^()[]{}|+*?@-\\")),
    };
    if !is_doubled {
        return None;
    }
    let mut regex = pattern.to_string();
    while regex.contains("\\\\") {
        regex = regex.replace("\\\\", "\\");
    }
    instead(
        format!(
            "this regex can never hold as it is meant: `\\\\` asks for a backslash in {}",
            subject.name()
        ),
        regex,
    )
}

/// Blanks beside an anchor, and around an address or a file name.
fn blanks(subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    let mut regex = pattern.replace("^ ", "^").replace(" $", "$");
    while regex.contains("^ ") || regex.contains(" $") {
        regex = regex.replace("^ ", "^").replace(" $", "$");
    }
    // `[^ ]` is a class, and `\ ` was meant.
    if pattern.contains("[^ ") || pattern.contains("\\ ") {
        regex = pattern.to_string();
    }
    let is_bare = matches!(
        subject,
        Subject::Address | Subject::FileName | Subject::Token
    );
    let is_anchored = regex.trim_end().ends_with('$') || regex.trim_start().starts_with('^');
    if is_bare || is_anchored {
        regex = regex.trim().to_string();
    }
    if is_bare && regex.contains(" | ") && !regex.contains('[') {
        regex = regex.replace(" | ", "|");
        regex = regex.replace("( ", "(").replace(" )", ")");
    }
    if regex == pattern || regex.is_empty() {
        return None;
    }
    let message = match pattern.contains(" | ") {
        true => "this regex can never hold as it is meant: there is a space beside a |",
        false => {
            "this regex can never hold as it is meant: there is a space at its end or beside an anchor"
        }
    };
    instead(message, regex)
}

/// `header.subject = "Subject: …"`.
fn field_name(subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    let Subject::Field(name) = subject else {
        return None;
    };
    let (anchor, rest) = match pattern.strip_prefix('^') {
        Some(rest) => ("^", rest),
        None => ("", pattern),
    };
    let (start, rest) = rest.split_at_checked(name.len())?;
    if !start.eq_ignore_ascii_case(name) {
        return None;
    }
    let rest = rest.strip_prefix(':')?;
    let rest = ["\\s*", "\\s+", " *", " +", ".*"]
        .iter()
        .find_map(|blank| rest.strip_prefix(blank))
        .unwrap_or(rest);
    let regex = format!("{anchor}{}", rest.trim_start());
    if regex.is_empty() {
        return None;
    }
    instead(
        "the name of the field is no part of its value, so this regex hardly ever holds",
        regex,
    )
}

/// `type = 'application/pdf; name=x'`, and `type = 'Content-Type: …'`.
fn parameters(key: &str, pattern: &str) -> Option<Advice> {
    if !matches!(key, "type" | "disposition" | "charset") {
        return None;
    }
    let hir = tree(pattern)?;
    let (anchor, rest) = match pattern.strip_prefix('^') {
        Some(rest) => ("^", rest),
        None => ("", pattern),
    };
    if asks_for(&hir, b":") {
        let (_, value) = rest.split_once(':')?;
        return instead(
            "this regex can never hold: the name of the field is no part of its value",
            format!("{anchor}{}", value.trim_start()),
        );
    }
    if key == "charset" && asks_for(&hir, b"=") {
        let (_, value) = rest.split_once('=')?;
        return instead(
            "this regex can never hold: the name of the parameter is no part of its value",
            format!("{anchor}{}", value.trim_matches('"')),
        );
    }
    if asks_for(&hir, b";") {
        let (value, _) = pattern.split_once(';')?;
        return instead(
            "this regex can never hold: the value comes without its parameters",
            format!("{}$", value.trim_end()),
        );
    }
    None
}

/// Addresses come without their angle brackets and without the name in front.
fn brackets(subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    if subject != Subject::Address || !asks_for(&tree(pattern)?, b"<>") {
        return None;
    }
    let named = pattern
        .split_once('<')
        .filter(|(name, _)| name.chars().any(|c| c.is_alphanumeric() || c == ' '));
    if let Some((inner, _)) = named.and_then(|(_, rest)| rest.rsplit_once('>')) {
        return instead(
            "this regex can never hold: addresses come without the name in front",
            format!("^{}$", inner.trim_end_matches('\\')),
        );
    }
    let open = ["^\\<", "^<", "\\<", "<"];
    let close = ["\\>$", ">$", "\\>", ">"];
    let mut inner = pattern;
    let mut regex = String::new();
    if let Some(rest) = open.iter().find_map(|open| inner.strip_prefix(open)) {
        inner = rest;
        regex.push('^');
    }
    let (inner, end) = match close.iter().find_map(|close| inner.strip_suffix(close)) {
        Some(rest) => (rest, "$"),
        None => (inner, ""),
    };
    regex.push_str(inner);
    regex.push_str(end);
    let message = match regex.as_str() {
        "^$" => "this regex can never hold: the null return path is the empty text",
        _ => "this regex can never hold: addresses come without angle brackets",
    };
    match asks_for(&tree(&regex)?, b"<>") {
        true => None,
        false => instead(message, regex),
    }
}

/// `invoice*.exe` is a regex too, but another one.
fn glob(subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    if !matches!(subject, Subject::Address | Subject::FileName) {
        return None;
    }
    let (before, after) = pattern.split_once('*')?;
    let last = before.chars().next_back()?;
    let is_domain = subject == Subject::Address && last == '@';
    if !(last.is_alphanumeric() || is_domain) || !after.contains(['.', '@']) {
        return None;
    }
    let regex = regex_of_glob(pattern)?;
    instead("this looks like a glob, not like a regex", regex)
}

/// The regex for a glob; `None` = it is none.
fn regex_of_glob(pattern: &str) -> Option<String> {
    let is_glob = |c: char| c.is_alphanumeric() || "*?._@ -/{},".contains(c);
    let has_joker = pattern.contains('*') || pattern.starts_with('?');
    let bare = pattern.trim_matches('*');
    if !has_joker || bare.is_empty() || !pattern.chars().all(is_glob) {
        return None;
    }
    let mut regex = String::new();
    if !pattern.starts_with(['*', '@']) {
        regex.push('^');
    }
    let mut is_choice = false;
    for c in bare.chars() {
        match c {
            '{' if !is_choice => {
                is_choice = true;
                regex.push('(');
            }
            '}' if is_choice => {
                is_choice = false;
                regex.push(')');
            }
            ',' if is_choice => regex.push('|'),
            '{' | '}' => return None,
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '.' => regex.push_str("\\."),
            // Not escaped: `-`, `@` and `/` mean themselves outside of a class.
            other => regex.push(other),
        }
    }
    if !pattern.ends_with('*') {
        regex.push('$');
    }
    (!is_choice).then_some(regex)
}

/// Regexes that hold for everything or for nothing.
fn by_tree(subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    let hir = tree(pattern)?;
    if never(&hir) {
        return Some(Advice {
            message: "this regex can never hold: it asks for something before `^` or after `$`, or for a character that does not exist".into(),
            help: "`^` belongs at the beginning and `$` at the end; put alternatives into (a|b)".into(),
            instead: None,
        });
    }
    let holds = always(&hir, Look::Start) || always(&hir, Look::End);
    if !(holds && has_letter(&hir)) {
        // Whoever makes something optional does not write it like this.
        let regex = without(pattern, &[("||", "|")]);
        let message = "this regex holds for more than it names: one alternative is empty";
        return (regex != pattern)
            .then(|| instead(message, regex))
            .flatten();
    }
    let message = format!("this regex holds for {} of any form", subject.name());
    // Most often it is an alternative without anything in it.
    let regex = without(pattern, &[("||", "|"), ("(|", "("), ("|)", ")")]);
    let regex = regex.trim_matches('|').to_string();
    let is_cured =
        tree(&regex).is_some_and(|hir| !always(&hir, Look::Start) && !always(&hir, Look::End));
    if is_cured {
        return instead(format!("{message}: one alternative is empty"), regex);
    }
    Some(Advice {
        message,
        help: "every part of it is optional; ask for at least one character, with + instead of *"
            .into(),
        instead: None,
    })
}

/// The pattern without alternatives that are empty. `[|]` and `\|` are characters.
fn without(pattern: &str, empty: &[(&str, &str)]) -> String {
    let mut regex = pattern.to_string();
    if pattern.contains("\\|") || pattern.contains('[') {
        return regex;
    }
    for (empty, without) in empty {
        while regex.contains(empty) {
            regex = regex.replace(empty, without);
        }
    }
    regex
}

/// Does this pattern hold for every text, the empty one included.
pub(super) fn holds_always(pattern: &str) -> bool {
    tree(pattern).is_some_and(|hir| always(&hir, Look::Start) || always(&hir, Look::End))
}

/// Does it hold for every text: it may be empty, and asks for no other place than the one of which each text has one.
fn always(hir: &Hir, place: Look) -> bool {
    match hir.kind() {
        HirKind::Empty => true,
        HirKind::Look(look) => *look == place,
        HirKind::Literal(_) | HirKind::Class(_) => false,
        HirKind::Repetition(repetition) => repetition.min == 0 || always(&repetition.sub, place),
        HirKind::Capture(capture) => always(&capture.sub, place),
        HirKind::Concat(subs) => subs.iter().all(|sub| always(sub, place)),
        HirKind::Alternation(subs) => subs.iter().any(|sub| always(sub, place)),
    }
}

/// Can it hold nowhere.
fn never(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Look(_) => false,
        HirKind::Class(class) => match class {
            Class::Unicode(class) => class.ranges().is_empty(),
            Class::Bytes(class) => class.ranges().is_empty(),
        },
        HirKind::Repetition(repetition) => repetition.min > 0 && never(&repetition.sub),
        HirKind::Capture(capture) => never(&capture.sub),
        // One branch that never holds is not what was meant.
        HirKind::Alternation(subs) => subs.iter().any(never),
        HirKind::Concat(subs) => {
            let is_long = |sub: &Hir| sub.properties().minimum_len().is_some_and(|len| len > 0);
            subs.iter().any(never)
                || subs.iter().enumerate().any(|(at, sub)| {
                    let (before, after) = (subs.get(..at), subs.get(at.saturating_add(1)..));
                    let is_start = sub.properties().look_set_prefix().contains(Look::Start);
                    let is_end = sub.properties().look_set_suffix().contains(Look::End);
                    (is_start && before.is_some_and(|subs| subs.iter().any(is_long)))
                        || (is_end && after.is_some_and(|subs| subs.iter().any(is_long)))
                })
        }
    }
}

/// Does any character stand in it as itself. `.*` on a field is how to say that it is there.
fn has_letter(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Literal(_) => true,
        HirKind::Repetition(repetition) => has_letter(&repetition.sub),
        HirKind::Capture(capture) => has_letter(&capture.sub),
        HirKind::Concat(subs) | HirKind::Alternation(subs) => subs.iter().any(has_letter),
        // Without regard to case a letter is a class of two or three.
        HirKind::Class(Class::Unicode(class)) => {
            let most = class.ranges().iter().map(|range| range.len()).max();
            class.ranges().len() < 4 && most.is_some_and(|most| most < 64)
        }
        _ => false,
    }
}
