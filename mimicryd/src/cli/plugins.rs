//! `mimicryd plugins`: the registry, from the same tables that the loader checks options against.

use mimicry_core::plugin::{BulkExemption, DefaultParts, PluginKind};
use mimicry_core::registry::Registry;
use mimicry_plugins::REGISTRY;

use super::output::Output;
use super::show::{Paint, escape, pad};
use crate::prefork::exit::Exit;
use crate::status::fold::words_in_lines;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show this plugin with its options
    name: Option<String>,
}

pub fn run(args: &Args, paint: Paint) -> Result<Output, Output> {
    let Some(name) = &args.name else {
        return Ok(Output::text(table(REGISTRY, paint)));
    };
    match REGISTRY.get(name) {
        Some(kind) => Ok(Output::text(one(kind, paint))),
        None => {
            let names: Vec<&str> = REGISTRY.iter().map(PluginKind::name).collect();
            let reason = format!(
                "there is no plugin {}; there are {}",
                escape(name),
                names.join(", ")
            );
            Err(Output::failure(Exit::Usage, reason))
        }
    }
}

fn table(registry: Registry, paint: Paint) -> String {
    let width = |text: fn(&dyn PluginKind) -> &'static str| {
        registry
            .iter()
            .map(|kind| text(kind).len())
            .max()
            .unwrap_or(0)
    };
    let name = width(|kind| kind.name()).max("plugin".len());
    let scope = width(|kind| kind.scope().name()).max("scope".len());
    let mut text = paint.dim(&format!(
        "{}  {}  what it does",
        pad("plugin", name),
        pad("scope", scope)
    ));
    text.push('\n');
    for kind in registry.iter() {
        let first = paint.bold(&pad(kind.name(), name));
        text.push_str(&format!(
            "{first}  {}  {}\n",
            pad(kind.scope().name(), scope),
            kind.summary()
        ));
    }
    text
}

fn one(kind: &dyn PluginKind, paint: Paint) -> String {
    let mut text = format!("{}: {}\n\n", paint.bold(kind.name()), kind.summary());
    let on_error = format!(
        "{}, unless the rule says otherwise",
        kind.default_on_error().word()
    );
    let sealed = if kind.moves_whole() {
        "stays sealed; a rule with part filters may move it whole"
    } else {
        "stays sealed"
    };
    let mut rows = vec![
        ("scope", kind.scope().name()),
        ("parts", default_parts(kind.default_parts())),
        (
            "multiparts",
            if kind.takes_multiparts() {
                "may be taken"
            } else {
                "are never taken"
            },
        ),
    ];
    // The rest matters to nobody who changes nothing.
    if kind.edits() {
        rows.extend([
            ("bulk mail", bulk(kind.bulk_exemption())),
            ("sealed", sealed),
            ("on_error", &on_error),
        ]);
    }
    for (key, value) in rows {
        text.push_str(&format!("{}  {value}\n", paint.dim(&pad(key, 10))));
    }
    if kind.options().is_empty() {
        text.push_str("\nno options\n");
        return text;
    }
    text.push_str("\noptions\n");
    for option in kind.options() {
        let default = option
            .default
            .map_or("unset".to_string(), |value| format!("default {value}"));
        text.push_str(&format!(
            "  {}  {}, {default}\n",
            paint.bold(option.name),
            option.value.describe()
        ));
        text.push_str(&wrap(option.doc, 6, 80));
    }
    text
}

/// Fills lines with words, none longer than `width` columns unless a word is.
fn wrap(text: &str, indent: usize, width: usize) -> String {
    let lines = words_in_lines(text, indent, indent, width);
    format!("{:indent$}{lines}\n", "")
}

fn default_parts(parts: DefaultParts) -> &'static str {
    match parts {
        DefaultParts::Mail => "none: it acts on the mail",
        DefaultParts::Root => "the root, unless the rule has part filters",
        DefaultParts::Body => "the body texts, unless the rule has part filters",
        DefaultParts::Attachments => "the attachments, unless the rule has part filters",
    }
}

fn bulk(exemption: BulkExemption) -> &'static str {
    match exemption {
        BulkExemption::None => "is treated like any other",
        BulkExemption::Reports => {
            "multipart/report is left alone, unless the rule names the filter bulk"
        }
        BulkExemption::All => "is left alone, unless the rule names the filter bulk",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plugin_and_option_is_shown() {
        let plain = Paint(false);
        let table = table(REGISTRY, plain);
        for kind in REGISTRY.iter() {
            assert!(
                table
                    .lines()
                    .any(|line| line.starts_with(kind.name()) && line.ends_with(kind.summary())),
                "{kind:?}"
            );
            let text = one(kind, plain);
            for option in kind.options() {
                assert!(
                    text.contains(&format!("\n  {}  {}", option.name, option.value.describe())),
                    "{}",
                    option.name
                );
                assert!(text.contains(&wrap(option.doc, 6, 80)), "{}", option.name);
            }
        }
    }

    #[test]
    fn lines_are_filled() {
        assert_eq!(wrap("a bc def", 2, 80), "  a bc def\n");
        assert_eq!(wrap("a bc def", 2, 6), "  a bc\n  def\n");
        assert_eq!(wrap("abcdefgh i", 2, 6), "  abcdefgh\n  i\n");
    }
}
