//! Habits from other notations: lists, globs, quotes and bare words that a regex reads otherwise.
//!
//! Must never: speak of a pattern that somebody who knows regexes would write just so.

use super::advice::{Advice, Subject, asks_for, instead, open_domain, tree};

/// What another notation would mean by a pattern that compiles; `key` is its filter.
pub(super) fn doubt(key: &str, subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    quotes(subject, pattern)
        .or_else(|| nothing(key, pattern))
        .or_else(|| class_for_group(pattern))
        .or_else(|| class_for_word(key, subject, pattern))
        .or_else(|| comma_for_bar(subject, pattern))
        .or_else(|| list(subject, pattern))
        .or_else(|| several(subject, pattern))
        .or_else(|| endings(subject, pattern))
        .or_else(|| stars(key, pattern))
        .or_else(|| path(subject, pattern))
        .or_else(|| starts_with_domain(subject, pattern))
}

/// The same for a pattern that does not compile.
pub(super) fn remedy(subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    let stars = pattern.chars().take_while(|c| *c == '*').count();
    if stars == pattern.len() {
        return Some(Advice {
            message: "this is a glob, not a regex".into(),
            help: "leave the filter out, or write '.' for any value that is not empty".into(),
            instead: None,
        });
    }
    // SpamAssassin marks subjects so.
    if stars > 1 && matches!(subject, Subject::Field(_)) {
        let message = "a `*` that means itself has a backslash before it";
        return instead(message, pattern.replace('*', "\\*"));
    }
    let (before, rest) = pattern.split_once('{')?;
    let (words, after) = rest.split_once('}')?;
    let is_choice = words.contains(',') && words.split(',').all(is_word);
    let is_choice = is_choice && words.contains(char::is_alphabetic);
    is_choice
        .then(|| {
            instead(
                "alternatives stand in ( ), with | between them",
                format!("{before}({}){after}", words.replace(',', "|")),
            )
        })
        .flatten()
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(char::is_alphanumeric)
}

/// What an ending of a file name may be: `exe`, `docx`, `7z`.
fn is_ending(text: &str) -> bool {
    is_word(text) && text.chars().count() < 6
}

fn is_bare(subject: Subject<'_>) -> bool {
    matches!(
        subject,
        Subject::Address | Subject::FileName | Subject::Token
    )
}

/// `"setup.exe"` with quotes of its own.
fn quotes(subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    let quote = pattern.chars().next().filter(|c| "\"'".contains(*c))?;
    let inner = pattern.strip_prefix(quote)?.strip_suffix(quote)?;
    if !is_bare(subject) || inner.is_empty() || inner.contains(quote) {
        return None;
    }
    instead(
        "this regex can never hold as it is meant: the quotes within it are part of it",
        inner.to_string(),
    )
}

/// An empty regex asks for nothing, and the null return path is what was meant.
fn nothing(key: &str, pattern: &str) -> Option<Advice> {
    match key {
        "sender" if pattern.is_empty() => instead(
            "an empty regex holds for every sender, not for the null return path alone",
            "^$".into(),
        ),
        "recipient" if pattern.is_empty() => Some(Advice {
            message: "an empty regex holds for every recipient".into(),
            help: "leave the filter out".into(),
            instead: None,
        }),
        _ => None,
    }
}

/// What stands before a class, in it, and behind it; those with an escape before them are none.
fn classes(pattern: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    pattern.match_indices('[').filter_map(move |(at, _)| {
        let (before, rest) = pattern.split_at_checked(at)?;
        let (content, after) = rest.strip_prefix('[')?.split_once(']')?;
        let is_class = !before.ends_with('\\') && !content.is_empty();
        is_class.then_some((before, content, after))
    })
}

/// `\.[exe|scr]$`: one character out of many, where one of several words is meant.
fn class_for_group(pattern: &str) -> Option<Advice> {
    classes(pattern).find_map(|(before, content, after)| {
        let words: Vec<&str> = content.split('|').collect();
        let is_plain = |c: char| c.is_alphanumeric() || ".\\()".contains(c);
        let is_long = |word: &&str| word.chars().filter(|c| c.is_alphanumeric()).count() > 1;
        let are_words = words.len() > 1
            && words
                .iter()
                .all(|word| !word.starts_with('\\') && word.chars().all(is_plain))
            && words.iter().all(is_long);
        are_words
            .then(|| {
                instead(
                    "[ ] holds for one character, and | in it means itself",
                    format!("{before}({content}){after}"),
                )
            })
            .flatten()
    })
}

/// `[EXTERNAL]` in a subject is one of its letters, which nearly every subject has.
fn class_for_word(key: &str, subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    let (before, content, after) = classes(pattern).next()?;
    if !matches!(before, "" | "^") || after.starts_with(['*', '+', '?', '{']) {
        return None;
    }
    let message = format!("[{content}] holds for one of these characters, not for the word");
    let is_literal = content.chars().all(|c| c.is_ascii_digit() || c == '.');
    if key == "helo" && is_literal && content.contains('.') {
        let inner = content.replace('.', "\\.");
        return instead(message, format!("{before}\\[{inner}\\]{after}"));
    }
    let letters: Vec<char> = content.chars().filter(|c| c.is_alphabetic()).collect();
    let is_plain = |c: char| c.is_alphanumeric() || " :!_*".contains(c);
    // Who asks for a set writes it in order: `[ABC]`, `[aeiou]`.
    let is_set = letters
        .windows(2)
        .all(|pair| matches!(pair, [one, next] if one < next));
    if !matches!(subject, Subject::Field(_))
        || letters.len() < 3
        || is_set
        || !content.chars().all(is_plain)
    {
        return None;
    }
    let inner = content.replace('*', "\\*");
    instead(message, format!("{before}\\[{inner}\\]{after}"))
}

/// `\.(exe,scr)$`.
fn comma_for_bar(subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    let (before, rest) = pattern.split_once('(')?;
    let (content, after) = rest.split_once(')')?;
    let words: Vec<&str> = content.split(',').map(str::trim).collect();
    let is_host = |c: char| c.is_alphanumeric() || "-.\\".contains(c);
    let are_words = words.len() > 1
        && words
            .iter()
            .all(|word| !word.is_empty() && word.chars().all(is_host));
    // A file name may have a comma, but not in its ending.
    let is_apart = match subject {
        Subject::Address | Subject::Token => true,
        Subject::FileName => before.ends_with('.'),
        _ => false,
    };
    if !are_words || !is_apart || before.ends_with('\\') {
        return None;
    }
    instead(
        "this regex can never hold as it is meant: alternatives have | between them, not a comma",
        format!("{before}({}){after}", words.join("|")),
    )
}

/// `.exe, .scr`, and `text/html, text/plain`.
fn list(subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    let pieces: Vec<&str> = pattern
        .split([',', ';', ' '])
        .filter(|piece| !piece.is_empty())
        .collect();
    let regexes: Option<Vec<String>> = match subject {
        Subject::FileName => pieces
            .iter()
            .map(|piece| {
                let ending = piece.trim_start_matches('*');
                let ending = ending.strip_prefix('\\').unwrap_or(ending);
                let ending = ending.strip_prefix('.')?;
                let ending = ending.strip_suffix('$').unwrap_or(ending);
                is_ending(ending).then(|| format!("\\.{ending}$"))
            })
            .collect(),
        Subject::Token if asks_for(&tree(pattern)?, b",") => {
            Some(pieces.iter().map(|piece| piece.to_string()).collect())
        }
        _ => None,
    };
    let regexes = regexes.filter(|regexes| regexes.len() > 1)?;
    regexes.iter().all(|regex| tree(regex).is_some()).then(|| {
        let each: Vec<String> = regexes.iter().map(|regex| format!("'{regex}'")).collect();
        Advice {
            message: "this regex can never hold as it is meant: it asks for several values in one"
                .into(),
            help: format!("write a list: [{}]", each.join(", ")),
            instead: None,
        }
    })
}

/// `anna@example.org, tom@example.org`: one address at a time is looked at.
fn several(subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    let hir = tree(pattern).filter(|_| subject == Subject::Address)?;
    let is_list = asks_for(&hir, b",;") && asks_for(&hir, b"@") && !pattern.contains('"');
    is_list.then(|| Advice {
        message: "this regex can never hold: it asks for several addresses in one".into(),
        help:
            "write a list, such as ['@example\\.org$', '@example\\.net$']: one of them has to hold"
                .into(),
        instead: None,
    })
}

/// `.exe$` and `.exe|.scr`, where the dot is any character; `\.exe|scr$`, where the dot belongs to one of them.
fn endings(subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    if subject != Subject::FileName {
        return None;
    }
    let one_of = |words: &[&str]| match words {
        [word] => format!("\\.{word}$"),
        _ => format!("\\.({})$", words.join("|")),
    };
    if let Some(words) = pattern
        .strip_suffix('$')
        .and_then(|pattern| pattern.strip_prefix("\\."))
    {
        let words: Vec<&str> = words.split('|').collect();
        let is_one = words.len() < 2 || !words.iter().all(|word| is_ending(word));
        let message =
            "without ( ) the dot belongs to the first alternative alone, and the $ to the last";
        return (!is_one)
            .then(|| instead(message, one_of(&words)))
            .flatten();
    }
    let words: Option<Vec<&str>> = pattern
        .split('|')
        .map(|word| word.strip_suffix('$').unwrap_or(word).strip_prefix('.'))
        .collect();
    let words = words.filter(|words| words.iter().all(|word| is_ending(word)))?;
    instead(
        "a dot without a backslash is any character, so this regex holds for other names, too",
        one_of(&words),
    )
}

/// `image/*`, and `^*SPAM`.
fn stars(key: &str, pattern: &str) -> Option<Advice> {
    if let Some(rest) = pattern.strip_prefix("^*") {
        let message = "a `*` at the beginning repeats nothing";
        return match rest.starts_with('*') {
            true => instead(message, format!("^\\*{}", rest.replace('*', "\\*"))),
            false => instead(message, rest.trim_end_matches('*').to_string()),
        };
    }
    let (before, after) = pattern.split_once("/*").filter(|_| key == "type")?;
    if before.ends_with('\\') {
        return None;
    }
    let regex = match after.trim_end_matches('$') {
        "" => format!("{before}/"),
        after => format!("{before}/.*{after}$"),
    };
    instead("this looks like a glob, not like a regex", regex)
}

/// `mixed>text/plain`.
fn path(subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    let pieces: Vec<&str> = pattern.split('>').collect();
    let is_type = |piece: &&str| {
        piece
            .trim()
            .chars()
            .all(|c| c.is_alphanumeric() || "/+-.^$\\".contains(c))
    };
    if subject != Subject::Path || pieces.len() < 2 || !pieces.iter().all(is_type) {
        return None;
    }
    let trimmed: Vec<&str> = pieces.iter().map(|piece| piece.trim()).collect();
    let regex = trimmed.join(" > ");
    if regex.trim() == pattern.trim() {
        return None;
    }
    instead(
        "this regex can never hold: a space stands on either side of `>`",
        regex.trim().to_string(),
    )
}

/// `^@example\.org$` and `^example\.org$`: in an address something stands before the domain.
fn starts_with_domain(subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    let regex = pattern
        .strip_prefix('^')
        .filter(|_| subject == Subject::Address)?;
    let regex = match regex.strip_suffix('$') {
        // A user may be called `anna.berg`, but hardly `example.org`.
        Some(name) if open_domain(subject, name).is_some() && !regex.contains('@') => {
            format!("@{regex}")
        }
        _ if regex.starts_with('@') => regex.to_string(),
        _ => return None,
    };
    let closed = open_domain(subject, &regex).and_then(|advice| advice.instead);
    instead(
        "this regex can never hold: something stands before the domain of an address",
        closed.unwrap_or(regex),
    )
}

/// What each of several domains would have to be, where one of them has no end.
pub(super) fn open_domains(subject: Subject<'_>, pattern: &str) -> Option<Advice> {
    let anyone = ["^.*", ".*", "^.+", ".+"]
        .iter()
        .find_map(|anyone| pattern.strip_prefix(anyone));
    if let Some(domain) = anyone.filter(|domain| domain.starts_with('@')) {
        let closed = open_domain(subject, domain).or_else(|| open_domains(subject, domain))?;
        return instead(closed.message, closed.instead?);
    }
    let (before, names, after) = match pattern.split_once('(') {
        None => ("", pattern, ""),
        Some((before, rest)) => {
            let (names, after) = rest.split_once(')')?;
            (before, names, after)
        }
    };
    let is_apart = before.is_empty() && names == pattern;
    let is_host = before.ends_with('@') && after.is_empty();
    if !(is_apart || is_host) {
        return None;
    }
    let pieces: Vec<&str> = names.split('|').collect();
    if pieces.len() < 2 || names.contains(['(', '[']) {
        return None;
    }
    let mut is_open = false;
    let mut closed = Vec::new();
    for piece in pieces {
        let whole = if is_apart {
            piece.to_string()
        } else {
            format!("@{piece}")
        };
        let advice = open_domain(subject, &whole).and_then(|advice| advice.instead);
        is_open |= advice.is_some();
        closed.push(advice.unwrap_or(whole));
    }
    if !is_open {
        return None;
    }
    let regex = if is_apart {
        closed.join("|")
    } else {
        let names: Option<Vec<&str>> = closed
            .iter()
            .map(|name| name.strip_prefix('@')?.strip_suffix('$'))
            .collect();
        format!("{before}({})$", names?.join("|"))
    };
    instead(
        "this regex is not anchored: it holds for longer domains of others, too",
        regex,
    )
}
