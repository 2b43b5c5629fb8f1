//! What the banner rule makes of mails, as tables of them: longer than 600 lines for that.

use std::path::Path;

use mimicry_core::config::{self, Config};
use mimicry_core::engine::{Applied, Report};
use mimicry_core::envelope::Envelope;
use mimicry_core::mail::Mail;
use mimicry_core::message::{Limits, Message};
use mimicry_core::origin::Origin;
use mimicry_core::plugin::{Effects, Means};
use mimicry_core::seals::SealKeys;

use crate::REGISTRY;
use crate::shared::judged;

use super::*;
use crate::shared::marked::Setting;

mod seen;

const TEXT: &str = "Caution: external mail.";
const HTML: &str = "<p><b>Caution:</b> external <a href=\"https://example.org/help\">mail</a>.</p>";
/// A rule that has all three marks.
const ALL: &str = "options.text = 'Caution: external mail.'\noptions.html = '<p><b>Caution:</b> external <a href=\"https://example.org/help\">mail</a>.</p>'\noptions.subject_tag = '[EXTERNAL]'\noptions.header = 'X-External: yes'\noptions.internal_clients = '10.0.0.0/8'";

const NOW: i64 = judged::RECEIVED.unix;

fn keys() -> SealKeys {
    SealKeys::default().with(NOW - 1, [7; 32])
}

fn load(options: &str) -> Result<Config, Vec<String>> {
    let source = format!(
        "[variables]\ncompany = \"Exämple\"\n[[rule]]\nname = \"b\"\nplugin = \"banner\"\non_error = \"defer\"\n{options}\n"
    );
    let read = |_: &Path| Ok(b"address,phone\nanna@example.org,+49 1\n".to_vec());
    config::parse(&source, Path::new("t.toml"), REGISTRY, &read)
        .map_err(|mistakes| mistakes.list.into_iter().map(|one| one.message).collect())
}

/// The origin is a client, or a user after an `@`; nothing = unknown.
fn apply(options: &str, origin: &str, sender: &str, message: &[u8]) -> (Vec<u8>, Report) {
    let config = load(options).unwrap_or_else(|found| panic!("{options}: {found:?}"));
    let mail = Mail {
        origin: Origin {
            client: origin.parse().ok(),
            auth_user: origin.strip_prefix('@').map(str::to_string),
            ..Origin::default()
        },
        envelope: Envelope::new(sender, ["bo@example.com"]),
        ..judged::mail(message)
    };
    let keys = keys();
    let means = Means {
        effects: Effects::Real,
        seal_keys: &keys,
        observer: &(),
    };
    let (plan, applied) = judged::only(&config, &mail, means);
    let Applied {
        message: new,
        reports,
    } = applied.unwrap();
    let raw = new.map_or_else(|| message.to_vec(), Message::into_raw);
    let report = match (reports[0].clone(), plan.steps.get(0).unwrap()) {
        (report @ Report::AsPlanned, step) => Report::Unchanged {
            reason: report.reason(step).unwrap(),
            notes: Vec::new(),
        },
        (report, _) => report,
    };
    (raw, report)
}

const OUT: &str = "192.0.2.7";
const IN: &str = "10.1.2.3";

#[test]
#[rustfmt::skip]
fn from_outside_or_not() {
    const OWN: &str = "options.own_domains = 'example.com'";
    const NETS: &str = "options.internal_clients = ['10.0.0.0/8', '2001:db8::/32']";
    const BOTH: &str = "options.own_domains = 'example.com'\noptions.internal_clients = '10.0.0.0/8'";
    const AUTH: &str = "options.own_domains = 'example.com'\noptions.internal_clients = []";
    const TRUST: &str = "options.trusted = ['Partner.example', 'news@list.example']\noptions.internal_clients = []";
    const IDN: &str = "options.own_domains = ['b\u{fc}cher.example']\noptions.trusted = ['STRA\u{df}E.example']";
    for (options, origin, sender, header, outcome) in [
        // Nothing to go by: only who logged in is from inside.
        ("", OUT, "a@b.example", "From: a@b.example", "outside"),
        ("", "", "", "From: a@b.example", "outside"),
        ("", "@anna", "a@b.example", "From: a@b.example", "inside"),
        // Networks.
        (NETS, OUT, "a@b.example", "From: a@b.example", "outside"),
        (NETS, IN, "a@b.example", "From: a@b.example", "inside"),
        (NETS, "::ffff:10.1.2.3", "a@b.example", "From: a@b.example", "inside"),
        (NETS, "2001:db8::1", "a@b.example", "From: a@b.example", "inside"),
        (NETS, "", "a@b.example", "From: a@b.example", "outside"),
        // Domains alone: all senders must be of one.
        (OWN, OUT, "a@example.com", "From: a@example.com", "inside"),
        (OWN, OUT, "a@Mail.EXAMPLE.com", "From: Anna <a@Example.COM.>", "inside"),
        (OWN, OUT, "a@b.example", "From: a@example.com", "outside own"),
        (OWN, OUT, "a@example.com", "From: a@b.example", "outside own"),
        (OWN, OUT, "a@example.com", "From: a@example.com, c@b.example", "outside own"),
        (OWN, OUT, "a@example.com", "From: a@example.com\r\nSender: c@b.example", "outside own"),
        (OWN, OUT, "a@example.com", "From: a@example.com\r\nFrom: c@b.example", "outside own"),
        (OWN, OUT, "a@notexample.com", "From: a@notexample.com", "outside"),
        (OWN, OUT, "a@b.example", "From: \"boss@example.com\" <c@b.example>", "outside"),
        (OWN, OUT, "a@example.com", "X: no From", "outside own"),
        // A domain in Unicode and in ASCII is one domain.
        (IDN, OUT, "a@xn--bcher-kva.example", "From: a@xn--bcher-kva.example", "inside"),
        (IDN, OUT, "a@mail.b\u{fc}cher.example", "From: a@B\u{dc}CHER.example", "inside"),
        (IDN, OUT, "a@xn--mller-kva.example", "From: a@xn--bcher-kva.example", "outside own"),
        (IDN, OUT, "a@xn--strae-oqa.example", "From: a@stra\u{df}e.example", "trusted"),
        // A forged own domain is the mail to mark most.
        (BOTH, OUT, "boss@example.com", "From: boss@example.com", "outside own"),
        (BOTH, IN, "boss@example.com", "From: boss@example.com", "inside"),
        (AUTH, OUT, "boss@example.com", "From: boss@example.com", "outside own"),
        (AUTH, "@anna", "boss@example.com", "From: boss@example.com", "inside"),
        // Trusted header senders.
        (TRUST, OUT, "x@y.example", "From: a@partner.EXAMPLE", "trusted"),
        (TRUST, OUT, "x@y.example", "From: a@mail.partner.example", "trusted"),
        (TRUST, OUT, "x@y.example", "From: News@List.example", "trusted"),
        (TRUST, OUT, "news@list.example", "From: other@list.example", "outside"),
        (TRUST, OUT, "x@y.example", "From: a@partner.example, b@c.example", "outside"),
        (TRUST, OUT, "x@y.example", "From: a@notpartner.example", "outside"),
    ] {
        let options = format!("options.header = 'X-External: yes'\n{options}");
        let message = format!("{header}\r\nSubject: s\r\n\r\nbody\r\n");
        let (raw, report) = apply(&options, origin, sender, message.as_bytes());
        let found = match &report {
            Report::Edited { notes, .. } if notes[0].contains("names an own domain") => "outside own",
            Report::Edited { .. } => "outside",
            Report::Unchanged { reason: Reason::Exempt, notes } if notes[0] == "from inside" => "inside",
            Report::Unchanged { reason: Reason::Exempt, .. } => "trusted",
            other => panic!("{other:?}"),
        };
        assert_eq!(found, outcome, "{options} {origin} {sender} {header}");
        assert_eq!(found.starts_with("outside"), raw != message.as_bytes());
        assert_eq!(String::from_utf8(raw).unwrap().contains("X-External: yes\r\n"), found.starts_with("outside"));
    }
}

/// Fields joined by ` / `, before and after, and the reason if nothing was edited.
fn run(before: &str, options: &str, origin: &str) -> String {
    let message = before.replace(" / ", "\r\n") + "\r\n\r\nbody\r\n";
    let (raw, report) = apply(options, origin, "a@b.example", message.as_bytes());
    if let Report::Unchanged { reason, .. } = report {
        assert_eq!(raw, message.as_bytes());
        return reason.to_string();
    }
    let text = String::from_utf8(raw).unwrap();
    let header = text.strip_suffix("\r\n\r\nbody\r\n").unwrap();
    header.replace("\r\n", " / ")
}

#[test]
#[rustfmt::skip]
fn tags_and_fields() {
    const TAG: &str = "options.subject_tag = '[EXTERNAL]'\noptions.internal_clients = '10.0.0.0/8'";
    const UMLAUT: &str = "options.subject_tag = '[ÄUẞERE]'\noptions.internal_clients = '10.0.0.0/8'";
    const FIELD: &str = "options.header = 'X-External: yes'\noptions.internal_clients = '10.0.0.0/8'";
    const VALUE: &str = "options.header = 'X-From: {{ header_sender.domain }}'\noptions.internal_clients = '10.0.0.0/8'";
    const PERSON: &str = "options.header = 'X-Phone: {{ person.phone }}'\noptions.directory = 'p.csv'";
    for (options, origin, before, after) in [
        (TAG, OUT, "Subject: Hi", "Subject: [EXTERNAL] Hi"),
        (TAG, OUT, "Subject: Re: Hi", "Subject: [EXTERNAL] Re: Hi"),
        (TAG, OUT, "A: 1", "A: 1 / Subject: [EXTERNAL]"),
        (TAG, OUT, "Subject: ", "Subject: [EXTERNAL]"),
        (TAG, OUT, "Subject: =?iso-8859-1?Q?Gr=FC=DFe?=", "Subject: [EXTERNAL] =?iso-8859-1?Q?Gr=FC=DFe?="),
        (TAG, OUT, "Subject: =?x-none?B?sN/A?= 1", "Subject: [EXTERNAL] =?x-none?B?sN/A?= 1"),
        (TAG, IN, "Subject: Re: [EXTERNAL] =?x-none?B?sN/A?= 1", "Subject: Re: =?x-none?B?sN/A?= 1"),
        (TAG, IN, "Subject: [EXTERNAL] =?iso-8859-1?Q?Gr=FC=DFe?=", "Subject: =?iso-8859-1?Q?Gr=FC=DFe?="),
        (TAG, OUT, "Subject: [external] Hi", "duplicate"),
        (TAG, OUT, "Subject: Re: [EXTERNAL] Hi", "duplicate"),
        (TAG, OUT, "Subject: AW: Fwd: [list] [EXTERNAL] Hi", "duplicate"),
        (TAG, OUT, "Subject: =?utf-8?B?W0VYVEVSTkFMXSBIaQ==?=", "duplicate"),
        (TAG, OUT, "Subject: =?utf-8?Q?Re:_[EXTERNAL]_Gr=C3=BC=C3=9Fe?=", "duplicate"),
        (UMLAUT, OUT, "Subject: Hi", "Subject: =?utf-8?B?W8OEVeG6nkVSRV0=?= Hi"),
        (UMLAUT, OUT, "Subject: =?utf-8?B?W8OEVeG6nkVSRV0=?= Hi", "duplicate"),
        // Off again.
        (TAG, IN, "Subject: Re: [EXTERNAL] Hi", "Subject: Re: Hi"),
        (TAG, IN, "Subject: Re: [EXTERNAL] Hi / Thread-Topic: [EXTERNAL] Hi", "Subject: Re: Hi / Thread-Topic: Hi"),
        (TAG, IN, "Subject: Re: Hi / Thread-Topic: [External] Hi", "Subject: Re: Hi / Thread-Topic: Hi"),
        (TAG, IN, "Subject: Re: [EXTERNAL] Hi / Thread-Topic: [list] Hi", "Subject: Re: Hi / Thread-Topic: [list] Hi"),
        (TAG, IN, "Subject: AW: [EXTERNAL] Re: [External] Hi", "Subject: AW: Re: Hi"),
        (TAG, IN, "Subject: =?utf-8?Q?Re:_[EXTERNAL]_Gr=C3=BC=C3=9Fe?=", "Subject: Re: =?utf-8?B?R3LDvMOfZQ==?="),
        (UMLAUT, IN, "Subject: Re: =?utf-8?B?W8OEVeG6nkVSRV0=?= Hi", "Subject: Re: Hi"),
        (TAG, IN, "Subject: Hi", "exempt"),
        (TAG, IN, "A: 1", "exempt"),
        ("options.subject_tag = '[EXTERNAL]'\noptions.internal_clients = '10.0.0.0/8'\noptions.remove = false", IN, "Subject: [EXTERNAL] Hi", "exempt"),
        // Fields, whatever somebody outside wrote.
        (FIELD, OUT, "A: 1", "A: 1 / X-External: yes"),
        (FIELD, OUT, "x-external: no / A: 1 / X-EXTERNAL: no", "X-External: yes / A: 1"),
        (FIELD, OUT, "X-External: yes / A: 1 / X-External: no", "X-External: yes / A: 1"),
        (FIELD, OUT, "X-External: yes", "duplicate"),
        (FIELD, IN, "X-External: no", "exempt"),
        (VALUE, OUT, "From: a@b.example", "From: a@b.example / X-From: b.example"),
        (VALUE, OUT, "A: 1 / X-From: example.com", "A: 1"),
        (PERSON, OUT, "From: anna@example.org", "From: anna@example.org / X-Phone: +49 1"),
        (FIELD, OUT, "Precedence: bulk", "Precedence: bulk / X-External: yes"),
    ] {
        assert_eq!(run(before, options, origin), after, "{before} with {options}");
    }
}

fn text_mail(body: &str) -> String {
    format!(
        "Subject: [EXTERNAL] s\r\nX-External: yes\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{body}"
    )
}

fn html_mail(body: &str) -> String {
    text_mail(body).replace("text/plain", "text/html")
}

/// Body after the rule that has all, and what was not edited.
fn body(options: &str, origin: &str, message: &str) -> Result<String, Reason> {
    match apply(options, origin, "a@b.example", message.as_bytes()) {
        (_, Report::Unchanged { reason, .. }) => Err(reason),
        (raw, _) => {
            let text = String::from_utf8(raw).unwrap();
            Ok(text.split_once("\r\n\r\n").unwrap().1.to_string())
        }
    }
}

/// The element that HTML gets in this mail.
fn ours(mail: &str, preview: &str) -> String {
    let message = Message::scan(mail.as_bytes().to_vec(), &Limits::default());
    let setting = Setting {
        preview,
        ..Setting::default()
    };
    marked::element(&sealer(&keys(), "b"), &message, HTML, &setting).replace('\n', "\r\n")
}

fn sealer<'a>(keys: &'a SealKeys, rule: &'a str) -> Sealer<'a> {
    Sealer {
        keys,
        rule,
        now: NOW,
    }
}

#[test]
#[rustfmt::skip]
fn banners_put_in() {
    let plain = ALL.to_string() + "\noptions.preheader = false";
    for (options, before, after) in [
        (ALL, text_mail("Hello\r\n"), format!("{TEXT}\r\n\r\nHello\r\n")),
        (ALL, text_mail("\r\nHello\r\n"), format!("{TEXT}\r\n\r\nHello\r\n")),
        (ALL, text_mail(""), format!("{TEXT}\r\n")),
        // By default it stands above another one.
        (ALL, text_mail(&format!("{TEXT}\r\n\r\nHello\r\n")), format!("{TEXT}\r\n\r\n{TEXT}\r\n\r\nHello\r\n")),
    ] {
        assert_eq!(body(options, OUT, &before), Ok(after), "{before}");
    }
    // What stands before ours, after it, and in its hidden line.
    for (options, before, after, preview) in [
        (ALL, "<html><body a=b>", "<p>Hello <a href='https://x.example'>you</a></p></body></html>\r\n", "Hello you"),
        (ALL, "", "<p>1 &lt; 2 &amp; \"3\"</p>", "1 < 2 & \"3\""),
        (ALL, "", "<p>&#847;&zwnj;&nbsp; Hi</p>", "Hi"),
        (ALL, "", "<img src=x>", ""),
        (&plain, "", "<p>Hello</p>", ""),
    ] {
        let mail = html_mail(&format!("{before}{after}"));
        let expected = format!("{before}\r\n{}\r\n{after}", ours(&mail, preview));
        assert_eq!(body(options, OUT, &mail), Ok(expected), "{mail}");
    }
    let shown = ours("", "1 < 2 \"x\"");
    assert!(shown.contains("hidden;mso-hide:all\">1 &lt; 2 &quot;x&quot;</div><p"), "{shown}");
    assert!(!ours("", "").contains("display:none"));
    let long = marked::preview(&format!("<p>{}</p>", "Grüße ".repeat(100)));
    assert_eq!(long.chars().count(), 100);
}

#[test]
#[rustfmt::skip]
fn banners_taken_out() {
    let keys = keys();
    let bare = ours("", "");
    // The hidden line goes where the words follow that it has from the mail.
    let ours = ours("", "Hi you") + "<p>Hi</p><p>you</p>";
    let own = "<p>Hi</p><p>you</p>";
    let gmail = bare.replace("class=\"", "class=\"m_-4711").replace("href=", "target=\"_blank\" href=");
    let gmail_twice = bare.replace("class=\"", "class=\"m_815m_-4711");
    let gmail_hidden = ours.replace("class=\"", "class=\"m_-4711").replace("max-height:0;", "");
    let outlook = bare.replace("class=\"", "class=\"x_x_").replace("https://example.org/help", "https://safe.example/?url=x");
    let rewrapped = ours.replace("> external", ">\r\n  external").replace("display:none!important", "display: none !important");
    let message = Message::scan(Vec::new(), &Limits::default());
    let another = marked::element(&sealer(&keys, "another rule"), &message, HTML, &Setting::default());
    let other_key = SealKeys::default().with(NOW - 1, [8; 32]);
    let stranger = marked::element(&sealer(&other_key, "b"), &message, HTML, &Setting::default());
    let end = "</p></div>";
    for (before, after) in [
        (format!("<body>{ours}</body>"), &*format!("<body>{own}</body>")),
        (format!("<p>Hi</p><div class=gmail_quote>On … wrote:<blockquote>{gmail}<p>Q</p></blockquote></div>"), "<p>Hi</p><div class=gmail_quote>On … wrote:<blockquote><p>Q</p></blockquote></div>"),
        (format!("<p>Hi</p><blockquote>{gmail}<p>Q</p><blockquote>{gmail_twice}<p>R</p></blockquote></blockquote>"), "<p>Hi</p><blockquote><p>Q</p><blockquote><p>R</p></blockquote></blockquote>"),
        (format!("<blockquote>{gmail_hidden}</blockquote>"), &format!("<blockquote>{own}</blockquote>")),
        (format!("<div><div id=x_divRplyFwdMsg>From:</div>{outlook}<div>Q</div></div>"), "<div><div id=x_divRplyFwdMsg>From:</div><div>Q</div></div>"),
        (format!("{rewrapped}{bare}Hi"), &format!("{own}Hi")),
        (format!("{}Hi", bare.replace("<b style", "<div><span><b style").replace(end, "</span></div></p></div>")), "Hi"),
        // Whoever wrote into it keeps what was written.
        (bare.replace(end, " Agreed!</p></div>"), "exempt"),
        (bare.replace(end, "</p><img alt='Agreed!'></div>"), "exempt"),
        // What does not end, or ends together with something around it, stays.
        (bare.replace(end, "</p>"), "exempt"),
        (format!("<blockquote>{}</blockquote></div>", bare.replace(end, "</p>")), "exempt"),
        (format!("<!-- {bare} -->"), "exempt"),
        // T184: by another rule, another key, or none; as it was made without keys.
        (another, "exempt"),
        (stranger, "exempt"),
        (marked::element(&sealer(SealKeys::NONE, "b"), &message, HTML, &Setting::default()), "exempt"),
        (format!("<div class=\"{}-0123456789abcdef\">{HTML}</div>", marked::mark_of("b")), "exempt"),
        (bare.replace("class=\"k", "class=\"k0"), "exempt"),
        // Within what stays there may be one that goes.
        (format!("{}{bare}</div>Hi", bare.replace(end, "</p>")), &(bare.replace(end, "</p>") + "</div>Hi")),
    ] {
        let options = ALL.replace("options.subject_tag = '[EXTERNAL]'\n", "");
        let found = body(&options, IN, &html_mail(&before)).unwrap_or_else(|reason| reason.to_string());
        assert_eq!(found, after, "{before}");
    }
    // T184: words of the hidden line that are not hidden, or not said again, stay.
    let options = ALL.replace("options.subject_tag = '[EXTERNAL]'\n", "");
    let (open, line) = ours.split_at(ours.find("<div class=\"h").unwrap());
    let line = &line[..line.find("</div>").unwrap() + "</div>".len()];
    assert!(open.starts_with("<div class=\"k"));
    for (before, after) in [
        (ours.replace(own, "<p>Bye</p>"), format!("{line}<p>Bye</p>")),
        (ours.replace("display:none!important", "display:none"), format!("{}{own}", line.replace("none!important", "none"))),
    ] {
        assert_eq!(body(&options, IN, &html_mail(&before)), Ok(after), "{before}");
    }
    let changed = ours.replace("Hi you", "I pay");
    assert_eq!(body(&options, IN, &html_mail(&changed)), Err(Reason::Exempt));
    for (before, after) in [
        ("Hi\r\n\r\n> Caution: external mail.\r\n>\r\n> Q\r\n", "Hi\r\n\r\n> Q\r\n"),
        ("Caution: external mail.\r\n\r\nHi", "Hi"),
        ("Hi\r\n> > Caution:\r\n> > external mail.\r\n> > \r\n> > Q\r\n> Caution: external mail.\r\n> R\r\n", "Hi\r\n> > Q\r\n> R\r\n"),
        (">> Caution: external\r\n>> mail.", ""),
        ("Caution: external mail. Agreed!\r\n", "exempt"),
        ("As they say: Caution: external mail.\r\n", "exempt"),
        ("Caution: extern mail.\r\n", "exempt"),
        // As mail programs write the HTML out: Gmail's bold type, its link, the link on a line of its own; Outlook's link.
        ("> *Caution:* external mail.\r\n> Q\r\n", "> Q\r\n"),
        ("> *Caution:* external mail\r\n> <https://example.org/help>.\r\n>\r\n> Q\r\n", "> Q\r\n"),
        ("Caution: external mail<https://eur01.safelinks.protection.outlook.com/?url=x>.\r\n\r\nQ\r\n", "Q\r\n"),
        ("> Caution: external mail <https://example.org/help>.\r\n> Q\r\n", "> Q\r\n"),
        // A link, a line or a mark below it that are somebody's.
        ("> *Caution:* external mail\r\n> <https://example.com/>\r\n> Q\r\n", "> <https://example.com/>\r\n> Q\r\n"),
        ("> Caution: external mail.\r\n> ----\r\n>\r\n> Q\r\n", "> ----\r\n>\r\n> Q\r\n"),
    ] {
        let options = ALL.replace("options.subject_tag = '[EXTERNAL]'\n", "");
        let found = body(&options, IN, &text_mail(before)).unwrap_or_else(|reason| reason.to_string());
        assert_eq!(found, after, "{before}");
    }
    // Words with values of the mail could be somebody's own.
    let options = "options.text = '{{ subject }}'\noptions.internal_clients = '10.0.0.0/8'";
    assert_eq!(body(options, IN, &text_mail("[EXTERNAL] s\r\n")), Err(Reason::Exempt));
    let options = "options.text = 'Not from {{ var.company }} Ltd'\noptions.internal_clients = '10.0.0.0/8'";
    assert_eq!(body(options, IN, &text_mail("Not from Exämple Ltd\r\n\r\nx\r\n")), Ok("x\r\n".into()));
}

#[test]
fn what_was_put_in_comes_out_whatever_the_charset_and_coding() {
    for (label, coding, raw) in [
        ("utf-8", "8bit", "<body>Grüße</body>\r\n".as_bytes()),
        ("us-ascii", "7bit", b"<body>Hello</body>\r\n"),
        ("iso-8859-1", "8bit", b"<body>Gr\xfc\xdfe</body>\r\n"),
        (
            "iso-8859-1",
            "quoted-printable",
            b"<body>Gr=fc=DFe=20 =\r\n!</body>\r\n",
        ),
        (
            "utf-8",
            "base64",
            b"PGJvZHk+SGVs\r\nbG88L2JvZHk+\r\nDQo=\r\n",
        ),
        ("utf-16le", "base64", b"PABwAD4A\r\n"),
    ] {
        let head = format!(
            "Content-Type: text/html; charset={label}\r\nContent-Transfer-Encoding: {coding}\r\n\r\n"
        );
        let before = [head.as_bytes(), raw].concat();
        let (marked, _) = apply(ALL, OUT, "a@b.example", &before);
        let (after, report) = apply(ALL, IN, "a@b.example", &marked);
        assert!(matches!(report, Report::Edited { .. }), "{label} {coding}");
        let root = |raw: &[u8]| {
            let message = Message::scan(raw.to_vec(), &Limits::default());
            let part = message.root();
            let charset = part.charset().unwrap();
            let body = part.decoded().unwrap().into_owned();
            let blank = |octet: &u8| !matches!(octet, b'\r' | b'\n' | 0);
            (charset, body.into_iter().filter(blank).collect::<Vec<u8>>())
        };
        assert_eq!(root(&after), root(&before), "{label} {coding}");
        assert!(after.ends_with(b"\r\n") && !after.windows(9).any(|nine| nine == b"class=\"k"));
    }
}

#[test]
fn seals_stay_and_the_rest_is_marked() {
    let signed = b"Subject: s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b; protocol=\"application/pgp-signature\"\r\n\r\n\
        --b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\ns\r\n--b--\r\n";
    let body = &signed[signed
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()..];
    let skips = format!("{ALL}\non_sealed = 'skip'");
    let (raw, _) = apply(&skips, OUT, "a@b.example", signed);
    assert!(raw.starts_with(b"Subject: [EXTERNAL] s\r\n") && raw.ends_with(body));
    let (raw, _) = apply(
        &format!("{ALL}\non_sealed = 'wrap'"),
        OUT,
        "a@b.example",
        signed,
    );
    let text = String::from_utf8(raw).unwrap();
    let banner = text.find(TEXT).unwrap();
    let inner = String::from_utf8(body.trim_ascii_start().to_vec()).unwrap();
    assert!(text.find(&inner).is_some_and(|at| banner < at), "{text}");
    let text = "options.text = 'Caution: external mail.'\non_sealed = 'skip'";
    let (_, report) = apply(text, OUT, "a@b.example", signed);
    let Report::Unchanged { reason, .. } = report else {
        panic!("{report:?}")
    };
    assert_eq!(reason, Reason::Sealed);
    let (raw, report) = apply(ALL, IN, "a@b.example", signed);
    assert!(matches!(report, Report::Unchanged { .. }) && raw == signed);
}

#[test]
#[rustfmt::skip]
fn bodies_that_take_no_banner() {
    for (head, options, tagged, banner) in [
        // T185: what makes a mail bulk, an outsider can write.
        ("Precedence: bulk\r\n", "", true, true),
        ("List-Id: <a.b>\r\n", "", true, true),
        ("Auto-Submitted: auto-replied\r\n", "", true, true),
        ("Content-Type: text/plain; charset=x-klingon\r\n", "", true, true),
        ("Content-Type: text/plain; charset=x-klingon\r\n", "\noptions.fallback = 'skip'", true, false),
        ("Content-Type: application/pdf\r\n", "", true, true),
        ("Content-Type: application/pdf\r\n", "\noptions.fallback = 'skip'", true, false),
        ("DKIM-Signature: v=1\r\n", "\non_dkim = 'skip'", false, false),
    ] {
        let message = format!("Subject: s\r\n{head}\r\nx\r\n");
        let (raw, _) = apply(&format!("{ALL}{options}"), OUT, "a@b.example", message.as_bytes());
        let text = String::from_utf8(raw).unwrap();
        assert_eq!((text.contains("[EXTERNAL]"), text.contains("X-External: yes"), text.contains(TEXT)), (tagged, tagged, banner), "{head}{options}");
    }
}

#[test]
#[rustfmt::skip]
fn mistakes_are_found_at_load() {
    for (options, message) in [
        ("", "banner has nothing to do"),
        ("options.own_domains = 'example.com'", "banner has nothing to do"),
        ("options.text = ' '", "the text is empty"),
        ("options.subject_tag = ' '", "the tag is empty"),
        ("options.subject_tag = '[{{ client }}]'", "the tag is not a template"),
        ("options.header = 'X-External'", "this is not a header field"),
        ("options.header = 'X External: yes'", "this is not a header field"),
        ("options.header = 'X-External: '", "`X-External` has no value"),
        ("options.header = 'From: x'", "`From` is a field of the mail itself"),
        ("options.header = 'content-foo: x'", "`content-foo` is a field of the mail itself"),
        ("options.header = 'X: {{ var.firm }}'", "line 1, column 4 of the text: there is no `var.firm`"),
        ("options.header = 'X: {{ person.phone }}'", "line 1, column 4 of the text: there is no directory of persons"),
        ("options.header = 'X: {{ person.phone }}'\noptions.directory = 'p.txt'", "p.txt:1: the name of a directory ends in .toml or .csv"),
        ("options.header = 'X: y'\noptions.internal_clients = 'lan'", "`lan` is no network"),
        ("options.header = 'X: y'\noptions.own_domains = 'a@b.example'", "\"a@b.example\" is an address, not a domain"),
        ("options.header = 'X: y'\noptions.own_domains = ['*.b.example']", "\"*.b.example\" is a glob, not a domain"),
        ("options.header = 'X: y'\noptions.trusted = 'a@'", "`a@` is no address and no domain"),
        ("options.header = 'X: y'\noptions.images = 'logo.png'", "there is no HTML to show them"),
    ] {
        assert_eq!(load(options).unwrap_err(), [message], "{options}");
    }
}

#[test]
fn a_forgeable_configuration_is_warned_of() {
    for (options, warned) in [
        ("options.own_domains = 'example.com'", true),
        (
            "options.own_domains = 'example.com'\noptions.internal_clients = []",
            false,
        ),
        ("", false),
    ] {
        let config = load(&format!("options.subject_tag = '[EXT]'\n{options}")).unwrap();
        let warnings = config.policy.rules[0].plugin.warnings();
        assert_eq!(!warnings.is_empty(), warned, "{options}");
    }
}
