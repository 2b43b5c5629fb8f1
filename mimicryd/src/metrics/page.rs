//! The two text formats: that of Prometheus (version 0.0.4) and OpenMetrics 1.0.
//!
//! Must never: let a name of the configuration end its label or its line.

use std::fmt::Write;

use super::families::{Family, Kind};
use crate::prefork::tally::{BOUNDS, Histogram};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Of Prometheus, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What HTTP calls it.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Whole(u64),
    /// A number of microseconds, in seconds.
    Micros(u64),
}

/// What was written so far.
pub struct Page {
    format: Format,
    text: String,
    /// The name of the samples to come.
    name: String,
}

type Labels<'l> = &'l [(&'l str, &'l str)];

impl Page {
    pub fn new(format: Format) -> Page {
        Page {
            format,
            text: String::with_capacity(16 * 1024),
            name: String::new(),
        }
    }

    /// The samples of this family follow.
    pub fn family(&mut self, family: &Family) {
        let Family { name, kind, help } = family;
        self.name = match kind {
            Kind::Counter => format!("{name}_total"),
            Kind::Gauge | Kind::Histogram => (*name).to_string(),
        };
        let shown = match self.format {
            Format::Text => self.name.as_str(),
            Format::OpenMetrics => name,
        };
        // Writing into a String cannot fail, here and below.
        let _ = writeln!(self.text, "# HELP {shown} {}", escaped(help));
        let _ = writeln!(self.text, "# TYPE {shown} {}", kind.word());
        if self.format == Format::OpenMetrics {
            for unit in ["seconds", "bytes"] {
                if name.ends_with(unit) {
                    let _ = writeln!(self.text, "# UNIT {shown} {unit}");
                }
            }
        }
    }

    pub fn sample(&mut self, labels: Labels<'_>, value: Value) {
        self.line("", labels, value);
    }

    pub fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        for (bound, count) in BOUNDS.iter().zip(histogram.cumulated()) {
            let bound = format!("{}.{:03}", bound / 1000, bound % 1000);
            let bound = bound.trim_end_matches('0');
            self.line(
                "_bucket",
                &[labels, &[("le", bound)]].concat(),
                Value::Whole(count),
            );
        }
        let all = Value::Whole(histogram.count());
        self.line("_bucket", &[labels, &[("le", "+Inf")]].concat(), all);
        self.line("_sum", labels, Value::Micros(histogram.microseconds));
        self.line("_count", labels, all);
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, value: Value) {
        self.text.push_str(&self.name);
        self.text.push_str(suffix);
        for (number, (label, value)) in labels.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = match value {
            Value::Whole(number) => writeln!(self.text, " {number}"),
            Value::Micros(number) => {
                writeln!(
                    self.text,
                    " {}.{:06}",
                    number / 1_000_000,
                    number % 1_000_000
                )
            }
        };
    }

    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// As a label's value; a help text may be written so, too.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::families::FAMILIES;
    use super::*;
    use crate::prefork::tally::Tally;

    #[test]
    fn the_two_formats() {
        let family = Family {
            name: "mimicry_x_bytes",
            kind: Kind::Counter,
            help: "A \\ of help.",
        };
        for (format, expected) in [
            (
                Format::Text,
                "# HELP mimicry_x_bytes_total A \\\\ of help.\n# TYPE mimicry_x_bytes_total counter\n\
                 mimicry_x_bytes_total{a=\"\\\\ \\\" \\n ü\",b=\"\"} 7\nmimicry_x_bytes_total 0.000007\n",
            ),
            (
                Format::OpenMetrics,
                "# HELP mimicry_x_bytes A \\\\ of help.\n# TYPE mimicry_x_bytes counter\n# UNIT mimicry_x_bytes bytes\n\
                 mimicry_x_bytes_total{a=\"\\\\ \\\" \\n ü\",b=\"\"} 7\nmimicry_x_bytes_total 0.000007\n# EOF\n",
            ),
        ] {
            let mut page = Page::new(format);
            page.family(&family);
            page.sample(&[("a", "\\ \" \n ü"), ("b", "")], Value::Whole(7));
            page.sample(&[], Value::Micros(7));
            assert_eq!(page.finish(), expected);
        }
    }

    #[test]
    fn buckets_are_cumulated_and_the_last_is_the_count() {
        let mut page = Page::new(Format::Text);
        page.family(&Family {
            name: "h_seconds",
            kind: Kind::Histogram,
            help: "x",
        });
        let tally = Tally::of_nothing();
        tally.judged(Duration::from_micros(1500));
        tally.judged(Duration::from_secs(1000));
        page.histogram(&[("l", "x")], &tally.judging());
        let text = page.finish();
        for line in [
            "h_seconds_bucket{l=\"x\",le=\"0.001\"} 0\n",
            "h_seconds_bucket{l=\"x\",le=\"0.002\"} 1\n",
            "h_seconds_bucket{l=\"x\",le=\"0.512\"} 1\n",
            "h_seconds_bucket{l=\"x\",le=\"524.288\"} 1\n",
            "h_seconds_bucket{l=\"x\",le=\"+Inf\"} 2\n",
            "h_seconds_sum{l=\"x\"} 1000.001500\n",
            "h_seconds_count{l=\"x\"} 2\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn names_are_those_that_prometheus_advises() {
        for (at, family) in FAMILIES.iter().enumerate() {
            let name = family.name;
            let is_plain = |octet: u8| octet.is_ascii_lowercase() || octet == b'_';
            assert!(
                name.starts_with("mimicry_") && name.bytes().all(is_plain),
                "{name}"
            );
            assert!(
                !name.ends_with("_total") && !name.ends_with("_count"),
                "{name}"
            );
            assert!(FAMILIES[..at].iter().all(|one| one.name != name), "{name}");
            assert!(
                family.help.ends_with('.') && !family.help.contains('"'),
                "{name}"
            );
        }
    }
}
