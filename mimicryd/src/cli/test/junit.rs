//! The outcome in the form that build servers read.
//!
//! Must never: let a name or a text of a mail become markup, or write a character that XML 1.0 does not have.

use std::path::Path;
use std::time::Duration;

use mimicry_plugins::shared::html::escape;

/// What came of one mail.
#[derive(Clone, Copy, Debug)]
pub struct Row<'r> {
    pub file: &'r Path,
    pub wrong: &'r [String],
    pub is_fault: bool,
    pub milliseconds: u64,
}

pub fn write(rows: &[Row<'_>], time: Duration) -> String {
    let faults = rows.iter().filter(|row| row.is_fault).count();
    let failures = rows
        .iter()
        .filter(|row| !row.is_fault && !row.wrong.is_empty())
        .count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"mimicryd test\" tests=\"{}\" failures=\"{failures}\" errors=\"{faults}\" time=\"{:.3}\">\n",
        rows.len(),
        time.as_secs_f64()
    );
    for row in rows {
        let name = row.file.file_name().unwrap_or_default().to_string_lossy();
        let folder = row.file.parent().unwrap_or(Path::new("")).to_string_lossy();
        let seconds = Duration::from_millis(row.milliseconds).as_secs_f64();
        xml.push_str(&format!(
            "  <testcase classname=\"{}\" name=\"{}\" time=\"{seconds:.3}\"",
            escaped(&folder),
            escaped(&name)
        ));
        let Some(first) = row.wrong.first() else {
            xml.push_str("/>\n");
            continue;
        };
        let element = match row.is_fault {
            true => "error",
            false => "failure",
        };
        let all = escaped(&row.wrong.join("\n"));
        xml.push_str(&format!(
            ">\n    <{element} message=\"{}\">{all}</{element}>\n  </testcase>\n",
            escaped(first)
        ));
    }
    xml.push_str("</testsuite>\n");
    xml
}

fn escaped(text: &str) -> String {
    // XML 1.0 section 2.2 has none of these, not even as a reference.
    let is_none =
        |char: char| matches!(char, '\0'..='\u{9}' | '\u{b}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    escape(&text.replace(is_none, "\u{fffd}")).replace('\n', "&#10;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_mail_says_is_no_markup() {
        let wrong = ["<b> \"&\" \u{1b}[2J".to_string(), "two".to_string()];
        let row = |file: &'static str, wrong, is_fault| Row {
            file: Path::new(file),
            wrong,
            is_fault,
            milliseconds: 1500,
        };
        let xml = write(
            &[
                row("d/a.eml", &[], false),
                row("d/<b>.eml", &wrong, false),
                row("c", &wrong[1..], true),
            ],
            Duration::from_millis(2),
        );
        assert_eq!(
            xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuite name=\"mimicryd test\" tests=\"3\" failures=\"1\" errors=\"1\" time=\"0.002\">\n  \
             <testcase classname=\"d\" name=\"a.eml\" time=\"1.500\"/>\n  \
             <testcase classname=\"d\" name=\"&lt;b&gt;.eml\" time=\"1.500\">\n    \
             <failure message=\"&lt;b&gt; &quot;&amp;&quot; \u{fffd}[2J\">&lt;b&gt; &quot;&amp;&quot; \u{fffd}[2J&#10;two</failure>\n  </testcase>\n  \
             <testcase classname=\"\" name=\"c\" time=\"1.500\">\n    <error message=\"two\">two</error>\n  </testcase>\n\
             </testsuite>\n"
        );
    }
}
