//! What templates make of mails, and which of them are refused.
//!
//! Longer than 600 lines: tables.

use proptest::prelude::*;

use super::*;
use crate::shared::judged;

const MAIL: &str = "From: =?utf-8?Q?Anna_M=C3=BCller?= <anna+news@example.org>\r\nTo: A <a@x.org>\r\nCc: c@z.org\r\nSubject: Re: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n of two lines\r\n\
    List-Id: <l.example.org>\r\nX-Empty: \r\nX-Evil: <b>&\"'\r\nX-Tpl: {{ sender }} {% if x %}\r\nX-Tpl: second\r\n\r\nbody";

fn mail(message: &[u8], sender: &str) -> Mail {
    Mail {
        origin: Origin {
            client: Some([192, 0, 2, 1].into()),
            listener: Some("in".into()),
            ..Origin::default()
        },
        envelope: Envelope::new(sender, ["a@x.org", "b@y.org", "c@z.org"]),
        received: Moment {
            unix: 1_795_390_200,
            offset: 3600,
        },
        ..judged::mail(message)
    }
}

fn variables() -> BTreeMap<String, String> {
    [
        ("company", "A & B <GmbH>"),
        ("address", "One Street\r\nTown"),
        ("empty", ""),
        ("evil", "a\r\nBcc: x\u{0}\u{1b}\u{85}\u{2028}b\u{1}\u{2}"),
    ]
    .map(|(name, text)| (name.to_string(), text.to_string()))
    .into()
}

fn directory() -> Directory {
    let text = "address,name,phone,fax\nanna@example.org,Anna M.,,\n@example.org,,+49 1,\n";
    Directory::parse("p.csv", text).unwrap()
}

fn compiled(source: &str, form: Form) -> Result<Template, Vec<BadTemplate>> {
    let (variables, directory) = (variables(), directory());
    let known = Known {
        variables: Some(&variables),
        directory: Some(&directory),
        extra: &["count"],
    };
    Template::compile(source, form, &known)
}

fn task<'a>(mail: &'a Mail, variables: &'a BTreeMap<String, String>) -> Task<'a> {
    Task {
        rule: "footer",
        recipients: &[0, 2],
        ..Task::plain(mail, variables)
    }
}

fn rendered(template: &Template, mail: &Mail) -> Result<String, Fault> {
    let (variables, directory) = (variables(), directory());
    let task = task(mail, &variables);
    template.render(&Facts::of(&task, Some(&directory)).with("count", "3"))
}

fn text(source: &str, form: Form) -> String {
    let template = compiled(source, form).unwrap_or_else(|bad| panic!("{source}: {bad:?}"));
    rendered(&template, &mail(MAIL.as_bytes(), "anna@example.org")).unwrap()
}

// T183
#[test]
fn a_text_that_the_engine_breaks_on_has_a_place() {
    let far = "x".repeat(66_000);
    for (source, place, said) in [
        (
            format!("a\n{{{{ {} }}}}", "9".repeat(66_000)),
            (2, 4),
            "too many digits",
        ),
        (
            format!("{{{{ 0x{} }}}}", "f".repeat(66_000)),
            (1, 4),
            "too many digits",
        ),
        (
            format!("{{{{ 0.{} }}}}", "1".repeat(66_000)),
            (1, 6),
            "too many digits",
        ),
        (
            format!("a\n{far}{{{{ subject ? }}}}"),
            (2, 66_016),
            "too far to the right",
        ),
        (format!("{far}{{{{ '\\u12' }}}}"), (1, 66_013), ""),
    ] {
        let found = Template::compile(&source, Form::Text, &Known::default()).unwrap_err();
        let first = &found[0];
        assert!(first.message.contains(said), "{}", first.message);
        if !said.is_empty() {
            assert_eq!((first.line, first.column), place, "{}", first.message);
        }
    }
    // A long line by itself is right, as one with an image in it.
    let long = format!("{far}{{{{ subject }}}}{far}");
    assert!(Template::compile(&long, Form::Text, &Known::default()).is_ok());
}

#[test]
fn names_and_filters() {
    for (source, expected) in [
        (
            "{{ sender }} {{ sender.address }}",
            "anna@example.org anna@example.org",
        ),
        (
            "{{ sender.local }} at {{ sender.domain }}",
            "anna at example.org",
        ),
        (
            "{{ recipients }}; {{ recipients[1].domain }}",
            "a@x.org, c@z.org; z.org",
        ),
        (
            "{{ recipients | join('+') }} {{ recipients | length }}",
            "a@x.org+c@z.org 2",
        ),
        (
            "{% for r in recipients %}[{{ loop.index }}{{ r.local }}]{% endfor %}",
            "[1a][2c]",
        ),
        ("{{ header.subject }}", "Re: Grüße of two lines"),
        ("{{ subject | upper }}", "RE: GRÜSSE OF TWO LINES"),
        (
            "{{ header['list-ID'] }} {{ header.List_Id }}",
            "<l.example.org> <l.example.org>",
        ),
        (
            "{{ header_sender.name }} {{ header_sender.local }} {{ header_sender }}",
            "Anna Müller anna+news anna+news@example.org",
        ),
        ("{{ date }}", "2026-11-23"),
        ("{{ date | format('%d.%m.%Y %H:%M') }}", "23.11.2026 00:30"),
        (
            "{{ client }} {{ listener }} {{ rule }}",
            "192.0.2.1 in footer",
        ),
        ("{{ var.company }}", "A & B <GmbH>"),
        (
            "{{ var['company'] | replace('&', 'und') | lower }}",
            "a und b <gmbh>",
        ),
        ("[{{ var.empty }}]", "[]"),
        ("{{ person.name }} {{ person.phone }}", "Anna M. +49 1"),
        ("{{ person.fax | default('none') }}", "none"),
        ("{{ person.fax or 'none' }}", "none"),
        ("{{ header.x_empty | upper | default('empty') }}", "empty"),
        ("{{ count }}", "3"),
        (
            "{{ sender.local | title | trim | first }}{{ 'b' | capitalize }}{{ 'x' | last }}",
            "ABx",
        ),
        (
            "{% set n = person.name %}{{ n | split(' ') | first }}",
            "Anna",
        ),
        (
            "{% if person.fax is defined %}a{% elif person.fax is not undefined %}b{% else %}c{% endif %}",
            "c",
        ),
        ("{% with a = 'x' %}{{ a }}{% endwith %}{# comment #}", "x"),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        // Values are never templates.
        ("{{ header.x_tpl }}", "{{ sender }} {% if x %}"),
        (
            "{{ ('x') }}{% if (count) %}y{% endif %}{% if not (count) %}z{% endif %}",
            "xy",
        ),
    ] {
        assert_eq!(text(source, Form::Text), expected, "{source}");
    }
}

// T182
#[test]
fn recipients_are_those_of_the_class_whom_the_header_names() {
    for (header, show_bcc, expected) in [
        ("To: a@x.org", false, "a@x.org"),
        ("To: a@x.org, b@y.org, c@z.org", false, "a@x.org, c@z.org"),
        (
            "Cc: \"C, the third\" <C@Z.ORG>\r\nto: a@X.org",
            false,
            "a@x.org, c@z.org",
        ),
        (
            "To: friends: a@x.org,\r\n b@y.org;\r\nResent-Cc: c@z.org",
            false,
            "a@x.org, c@z.org",
        ),
        ("Resent-To: c@z.org\r\nTo: nobody@x.org", false, "c@z.org"),
        (
            "Bcc: a@x.org\r\nTo: c@z.org\r\nResent-Bcc: a@x.org",
            false,
            "c@z.org",
        ),
        (
            "To: a@x.org.evil, xa@x.org, \"a@x.org\" <d@x.org>\r\nReply-To: c@z.org",
            false,
            "",
        ),
        ("Subject: to a@x.org\r\nX-To: c@z.org", false, ""),
        ("To: undisclosed-recipients:;", false, ""),
        ("To: undisclosed-recipients:;", true, "a@x.org, c@z.org"),
        ("Bcc: a@x.org", true, "a@x.org, c@z.org"),
    ] {
        let mail = mail(format!("{header}\r\n\r\n").as_bytes(), "anna@example.org");
        let variables = variables();
        let task = Task {
            show_bcc,
            ..task(&mail, &variables)
        };
        let template = compiled("{{ recipients }}", Form::Text).unwrap();
        assert!(template.reads_recipients());
        let text = template.render(&Facts::of(&task, None)).unwrap();
        assert_eq!(text, expected, "{header} {show_bcc}");
    }
}

#[test]
fn a_missing_value_drops_its_line() {
    for (source, expected) in [
        ("A\nFax: {{ person.fax }}\nB\n", "A\nB\n"),
        ("A\r\nFax: {{ person.fax }}\r\nB", "A\r\nB"),
        ("A\nFax: {{ person.fax }}", "A\n"),
        ("A\nFax: {{ person.fax | upper }}\nB", "A\nB"),
        ("A\nFax: {{ person.fax | default('-') }}\nB", "A\nFax: -\nB"),
        ("{{ header.nope }} {{ sender }}\nB", "B"),
        ("{{ recipients[9].address }}\nB", "B"),
        ("{{ 'Fax ' ~ person.fax }}\nB", "Fax \nB"),
        ("{{ none }}\nB", "B"),
        ("{{ person.fax.x | default('d') }}", "!"),
        // A line of statements leaves none; one that a condition leaves empty does.
        ("A\n{% if person.fax %}\nFax\n{% endif %}\nB\n", "A\nB\n"),
        (
            "A\n{% if person.phone %}\nTel: {{ person.phone }}\n{% endif %}\nB\n",
            "A\nTel: +49 1\nB\n",
        ),
        ("A{% if person.fax %}x{% endif %}\nB\n", "A\nB\n"),
        // Once for each time the loop comes by.
        (
            "{% for x in [person.fax, 'f'] %}\nx {{ x }}\n{% endfor %}\nB",
            "x f\nB",
        ),
        // The line break of a value begins no line.
        ("A\n{{ var.address }} {{ person.fax }}\nB", "A\nB"),
        ("A\n{{ var.address }}\nB", "A\nOne Street\nTown\nB"),
    ] {
        if expected == "!" {
            assert!(compiled(source, Form::Text).is_err(), "{source}");
            continue;
        }
        assert_eq!(text(source, Form::Text), expected, "{source}");
        assert_eq!(text(source, Form::Html), expected, "{source}");
    }
    for (source, expected) in [
        ("Fax: {{ person.fax }}", ""),
        ("Fax: {{ person.fax | d('-') }}", "Fax: -"),
        ("{{ var.address }}", "One Street Town"),
        ("{{ var.evil }}", "a Bcc: x    b  "),
    ] {
        assert_eq!(text(source, Form::Line), expected, "{source}");
    }
    let nobody = mail(b"\r\n", "");
    for source in [
        "{{ sender }}",
        "{{ sender.local }}",
        "{{ subject }}",
        "{{ header_sender.name }}",
        "{{ person.phone }}",
    ] {
        let template = compiled(source, Form::Text).unwrap();
        assert_eq!(rendered(&template, &nobody).unwrap(), "", "{source}");
    }
}

#[test]
fn html_is_escaped() {
    for (source, expected) in [
        ("<b>{{ var.company }}</b>", "<b>A &amp; B &lt;GmbH&gt;</b>"),
        ("{{ header.x_evil }}", "&lt;b&gt;&amp;&quot;&#39;"),
        ("{{ '<b>' }}", "&lt;b&gt;"),
        ("{{ ['<b>'] | join('<i>') }}", "&lt;b&gt;"),
        ("{{ ['<b>'] }}", "[&#39;&lt;b&gt;&#39;]"),
        (
            "{{ recipients | join('<br>') }}",
            "a@x.org&lt;br&gt;c@z.org",
        ),
        (
            "{{ header.x_evil | replace('&', '<') }}",
            "&lt;b&gt;&lt;&quot;&#39;",
        ),
    ] {
        assert_eq!(text(source, Form::Html), expected, "{source}");
    }
}

#[test]
fn constants_are_not_touched() {
    for source in [
        "",
        "plain",
        "a { b } }} %} \r\n\u{1}\u{2}\n\n",
        "<p>{ x }</p>\n",
    ] {
        for form in [Form::Text, Form::Html] {
            let template = compiled(source, form).unwrap();
            assert!(template.is_constant());
            assert_eq!(text(source, form), source);
        }
    }
    assert!(!compiled("{# c #}", Form::Text).unwrap().is_constant());
    assert!(compiled("a\nb", Form::Line).is_err());
}

#[test]
fn every_mistake_has_its_place() {
    for (source, place, message, help) in [
        (
            "a\n ü{{ sendr }}",
            (2, 6),
            "unknown name `sendr`",
            "did you mean `sender`?",
        ),
        (
            "{{ company }}",
            (1, 4),
            "unknown name `company`",
            "did you mean `var.company`?",
        ),
        (
            "{{ bananas }}",
            (1, 4),
            "unknown name `bananas`",
            "the names are: sender, recipients, header",
        ),
        (
            "{{ var.compny }}",
            (1, 4),
            "there is no `var.compny`",
            "did you mean `company`?",
        ),
        (
            "{{ var.zzzzzz }}",
            (1, 4),
            "there is no `var.zzzzzz`",
            "the variables are: address, company",
        ),
        (
            "{{ person.mail }}",
            (1, 4),
            "there is no `person.mail`",
            "the columns are: fax, name, phone",
        ),
        (
            "{{ sender.name }}",
            (1, 4),
            "there is no `sender.name`",
            "known here: address, local, domain",
        ),
        (
            "{{ subject.x }}",
            (1, 4),
            "`subject` is a text and has no `x`",
            "write subject alone",
        ),
        (
            "{{ recipients.local }}",
            (1, 4),
            "`recipients` is a list",
            "recipients[0].local",
        ),
        (
            "{{ var.company.x }}",
            (1, 4),
            "`var.company` is a text and has no `x`",
            "",
        ),
        (
            "x {{ sender | uper }}",
            (1, 15),
            "unknown filter `uper`",
            "did you mean `upper`?",
        ),
        (
            "{% if sender is define %}{% endif %}",
            (1, 17),
            "unknown test `define`",
            "`defined`",
        ),
        (
            "{% if sender is not empty %}{% endif %}",
            (1, 21),
            "unknown test `empty`",
            "the tests are",
        ),
        (
            "{% include 'x' %}",
            (1, 4),
            "unknown statement `include`",
            "the statements are",
        ),
        (
            "{% macro x() %}{% endmacro %}",
            (1, 4),
            "unknown statement `macro`",
            "",
        ),
        (
            "{% autoescape false %}{% endautoescape %}",
            (1, 4),
            "unknown statement `autoescape`",
            "",
        ),
        (
            "{% set x %}{% endset %}",
            (1, 15),
            "unknown statement `endset`",
            "",
        ),
        (
            "{{ range(9) }}",
            (1, 4),
            "there is no function `range`",
            "filters",
        ),
        (
            "{{ sender.upper() }}",
            (1, 11),
            "a value has no method `upper`",
            "filters",
        ),
        (
            "{% for x in recipients recursive %}{% endfor %}",
            (1, 24),
            "a loop cannot call itself",
            "",
        ),
        ("{{ date | format('%d.%!') }}", (1, 18), "", "strftime"),
        (
            "{{ subject | format('%d') }}",
            (1, 14),
            "invalid operation: format is for dates",
            "",
        ),
        ("a\n{{ sender", (2, 4), "syntax error: ", "raw"),
        ("{% if sender %}\na", (2, 1), "syntax error: ", "raw"),
        ("{{ sender + 1 }}", (1, 4), "invalid operation: ", ""),
        (
            "a\u{7}{{ sender }}",
            (1, 2),
            "a control character is not allowed here",
            "",
        ),
    ] {
        let found = compiled(source, Form::Text).unwrap_err();
        let bad = &found[0];
        assert!(bad.message.starts_with(message), "{source}: {bad:?}");
        assert!(
            bad.help.as_deref().unwrap_or_default().contains(help),
            "{source}: {bad:?}"
        );
        assert_eq!((bad.line, bad.column), place, "{source}: {bad:?}");
    }
    let several = compiled("{{ a | b }}\n{{ c | e }}", Form::Text).unwrap_err();
    assert_eq!(several.len(), 2);
    let none = Known::default();
    let bad = Template::compile("{{ person.name }}", Form::Text, &none).unwrap_err();
    assert!(bad[0].help.as_deref().unwrap().contains("directory"));
    assert!(Template::compile("{{ var.any }}", Form::Text, &none).is_ok());
}

#[test]
fn neither_time_nor_memory_is_without_bounds() {
    let loops = "{% for a in recipients %}".repeat(8) + "x" + &"{% endfor %}".repeat(8);
    assert_eq!(text(&loops, Form::Text).len(), 256);
    let deep = "{% for a in recipients %}".repeat(30) + "x" + &"{% endfor %}".repeat(30);
    let template = compiled(&deep, Form::Text).unwrap();
    let hostile = mail(MAIL.as_bytes(), "anna@example.org");
    let fault = rendered(&template, &hostile).unwrap_err();
    assert!(fault.to_string().contains("more work"), "{fault}");
    let double =
        "{% set a = subject %}".to_string() + &"{% set a = a ~ a %}".repeat(14) + "{{ a }}";
    let template = compiled(&double, Form::Text).unwrap();
    let long = format!("Subject: {}\r\n\r\n", "x".repeat(100));
    let fault = rendered(&template, &mail(long.as_bytes(), "")).unwrap_err();
    assert!(fault.to_string().contains("longer"), "{fault}");
    let nested = "{{ ".to_string() + &"(".repeat(5000) + "1" + &")".repeat(5000) + " }}";
    assert!(compiled(&nested, Form::Text).is_err());
}

fn source() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("{{"),
        Just("}}"),
        Just("{%"),
        Just("%}"),
        Just("{#"),
        Just("#}"),
        Just("-"),
        Just("\n"),
        Just(" "),
        Just("if"),
        Just("endif"),
        Just("for x in recipients"),
        Just("endfor"),
        Just("sender"),
        Just("."),
        Just("|"),
        Just("upper"),
        Just("'"),
        Just("\""),
        Just("("),
        Just(")"),
        Just("raw"),
        Just("endraw"),
        Just("x"),
        Just("ü"),
        Just("header.x"),
        Just("["),
        Just("]"),
        Just("1"),
        Just("~"),
        Just("set a ="),
        Just("\r\n"),
        Just("{{ subject }}"),
    ];
    proptest::collection::vec(pieces, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_source_panics(source in source()) {
        for form in [Form::Text, Form::Html, Form::Line] {
            if let Ok(template) = compiled(&source, form) {
                let _ = rendered(&template, &mail(MAIL.as_bytes(), "a@b"));
            }
        }
    }

    #[test]
    fn a_line_stays_one(value: String, header in proptest::collection::vec(any::<u8>(), 0..60)) {
        let variables = BTreeMap::from([("v".to_string(), value)]);
        let message = [b"X: ".as_slice(), &header, b"\r\nSubject: =?utf-8?B?DQpB?=\r\n\r\n"].concat();
        let mail = mail(&message, "a\u{b}@b");
        let task = Task::plain(&mail, &variables);
        let known = Known { variables: Some(&variables), ..Known::default() };
        for source in ["{{ var.v | d('-') }} {{ header.x | d('-') }}{{ subject }}{{ sender }}", "{{ '\\n\\u0085' ~ var.v }}"] {
            let template = Template::compile(source, Form::Line, &known).unwrap();
            let line = template.render(&Facts::of(&task, None)).unwrap();
            prop_assert!(!line.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')), "{line:?}");
        }
    }

    #[test]
    fn a_value_is_no_markup(value: String, markup in "[<>/&;\"'=! a-z\n-]{0,30}") {
        let variables = BTreeMap::from([("v".to_string(), value), ("m".to_string(), markup)]);
        let mail = mail(MAIL.as_bytes(), "a@b");
        let task = Task::plain(&mail, &variables);
        let known = Known { variables: Some(&variables), ..Known::default() };
        let template = Template::compile("<p title=\"{{ var.m }}{{ var.v }}\">{{ var.v }}{{ var.m }}</p>", Form::Html, &known).unwrap();
        let html = template.render(&Facts::of(&task, None)).unwrap();
        let mut tags = Vec::new();
        for token in html5gum::Tokenizer::new(&html).flatten() {
            match token {
                html5gum::Token::StartTag(tag) => tags.push((tag.name.to_vec(), tag.attributes.len())),
                html5gum::Token::EndTag(tag) => tags.push((tag.name.to_vec(), 9)),
                html5gum::Token::Comment(_) | html5gum::Token::Doctype(_) => prop_assert!(false, "{html}"),
                _ => {}
            }
        }
        prop_assert_eq!(tags, [(b"p".to_vec(), 1), (b"p".to_vec(), 9)], "{}", html);
    }
}

// T183
#[test]
fn a_template_that_is_too_deep_is_a_mistake_with_its_place() {
    let deep = 40_000;
    for (source, place) in [
        (format!("ü {{{{ {}x }}}}", "not ".repeat(deep)), (1, 2406)),
        (format!("a\n{{{{ {}1 }}}}", "-".repeat(deep)), (2, 604)),
        (
            format!("{{{{ subject{} }}}}", "~'a'".repeat(deep)),
            (1, 1208),
        ),
        (format!("{{{{ {}x", "not ".repeat(deep)), (1, 2404)),
    ] {
        let found = Template::compile(&source, Form::Text, &Known::default()).unwrap_err();
        let places: Vec<(usize, usize)> = found.iter().map(|bad| (bad.line, bad.column)).collect();
        assert_eq!(places, [place]);
        assert_eq!(found[0].message, "the template is nested too deeply here");
    }
}
