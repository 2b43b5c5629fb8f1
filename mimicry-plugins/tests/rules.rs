//! What rules mean, as tables of one line each: a mail, an envelope, rules, and who is taken and why not.
//!
//! The notation is that of `common`. [`PLANS`] is about decisions: sections that are taken, behind a minus those that
//! the filters took and that stay out, behind a colon why a rule does nothing. [`OUTCOMES`] is about what came of them.
//! A filter that would hold always, or never, makes at least one row fail.
//!
//! Longer than 600 lines: the rows are to be read side by side.

mod common;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use common::probes::BEGUN;
use common::{
    apply, apply_planned, corpus_mails, judge, load, mail, mail_of, octets, plans_of, rules,
    show_outcomes, show_plans,
};
use mimicry_core::engine;
use mimicry_core::message::{Limits, Message};
use mimicry_core::reason::Reason;
use mimicry_core::rule::facts::Facts;
use mimicry_core::rule::filter::{FILTERS, Level};

/// Mail, envelope, rules, what becomes of them.
type Row = (&'static str, &'static str, &'static str, &'static str);

const PLANS: &[(&str, &[Row])] = &[
    ("sender", SENDER),
    ("recipient and classes", RECIPIENT),
    ("header filters", HEADER),
    ("domains", DOMAINS),
    ("sizes", SIZES),
    ("types", TYPES),
    ("names, dispositions, charsets", NAMES),
    ("positions", POSITIONS),
    ("origin", ORIGIN),
    ("kinds of mail", KINDS),
    ("several filters", SEVERAL),
    ("default parts", DEFAULTS),
    ("order and final", ORDER),
    ("ignore_mail", IGNORE),
    ("keep", KEEP),
    ("modes", MODES),
    ("sealed", SEALED),
    ("bulk and dkim", EXEMPT),
];

const OUTCOMES: &[(&str, &[Row])] = &[
    ("chains", CHAINS),
    ("faults", FAULTS),
    ("reasons", REASONS),
    ("required", REQUIRED),
    ("scopes", SCOPES),
];

#[rustfmt::skip]
const SENDER: &[Row] = &[
    ("plain", "", r"disclaim | match.sender = '@example\.org$'", "disclaim 1"),
    ("plain", "", r"disclaim | match.sender = '@example\.com$'", "disclaim: no sender"),
    ("plain", "ANNA@EXAMPLE.ORG > bo@example.com", r"disclaim | match.sender = '^anna@'", "disclaim 1"),
    ("plain", "ANNA@EXAMPLE.ORG > bo@example.com", r"disclaim | match.sender = '(?-i)^anna@'", "disclaim: no sender"),
    ("plain", "", r"disclaim | match.sender = ['^x@', '^anna@']", "disclaim 1"),
    ("plain", "", r"disclaim | match.sender = ['^x@', '^y@']", "disclaim: no sender"),
    ("plain", "<> > bo@example.com", r"disclaim | match.sender = '^$' | match.bulk = true", "disclaim 1"),
    ("plain", "<> > bo@example.com", r"disclaim | match.sender = '.' | match.bulk = true", "disclaim: no sender"),
    ("plain", "", r"disclaim | match.sender = '^$'", "disclaim: no sender"),
    ("plain", "", r"disclaim | unless.sender = '^anna@'", "disclaim: not sender"),
    ("plain", "", r"disclaim | unless.sender = '^eve@'", "disclaim 1"),
    ("plain", "<> > bo@example.com", r"zip | unless.sender = '^$'", "zip: not sender"),
    ("From: eve@example.net & plain", "", r"disclaim | match.sender = '^eve@'", "disclaim: no sender"),
];

#[rustfmt::skip]
const RECIPIENT: &[Row] = &[
    ("plain", "", r"disclaim | match.recipient = '@example\.com$'", "disclaim 1"),
    ("plain", "", r"disclaim | match.recipient = '@example\.net$'", "disclaim: no recipient"),
    ("plain", "", r"disclaim | unless.recipient = '@example\.com$'", "disclaim: not recipient"),
    ("plain", "", r"disclaim | unless.recipient = '@example\.net$'", "disclaim 1"),
    ("To: cy@example.net & plain", "", r"disclaim | match.recipient = '^cy@'", "disclaim: no recipient"),
    ("plain", "a@x > b@in, c@out", r"disclaim | match.recipient = '@out$'", "b@in: disclaim: no recipient || c@out: disclaim 1"),
    ("plain", "a@x > b@in, c@out", r"disclaim | unless.recipient = '@in$'", "b@in: disclaim: not recipient || c@out: disclaim 1"),
    ("plain", "a@x > b@in, c@out, d@in", r"disclaim | match.recipient = '@out$'", "b@in, d@in: disclaim: no recipient || c@out: disclaim 1"),
    ("plain", "a@x > b@in, c@out", r"disclaim | match.recipient = ['@in$', '@out$']", "disclaim 1"),
    ("plain", "a@x > b@in, c@out", r"disclaim | match.recipient = 'nobody'", "disclaim: no recipient"),
    // Both tables: d@out matches and is vetoed. A class is those for whom the rule acts alike, whatever the filter.
    ("plain", "a@x > b@in, c@out, d@out", r"disclaim | match.recipient = '@out$' | unless.recipient = '^d@'",
        "b@in, d@out: disclaim: not recipient || c@out: disclaim 1"),
    // A rule whose sender or origin filters do not hold makes no class; nor does one in shadow or off.
    ("plain", "a@x > b@in, c@out", r"disclaim | match.sender = '@y$' | match.recipient = '@out$'", "disclaim: no sender"),
    ("plain", "a@x > b@in, c@out", r"disclaim | unless.sender = '@x$' | match.recipient = '@out$'", "disclaim: not sender"),
    ("plain", "a@x > b@in, c@out [client=192.0.2.1]", r"disclaim | match.client = '10.0.0.0/8' | match.recipient = '@out$'", "disclaim: no client"),
    ("plain", "a@x > b@in, c@out", r"disclaim | match.helo = 'x' | match.recipient = '@out$'", "disclaim: no helo"),
    ("plain", "a@x > b@in, c@out", r#"disclaim | mode = "shadow" | match.recipient = '@out$'"#, "disclaim ~1"),
    ("plain", "a@x > b@in, c@in", r#"disclaim | mode = "shadow" | match.recipient = '@out$'"#, "disclaim: no recipient"),
    ("plain", "a@x > b@in, c@out", r#"disclaim | mode = "off" | match.recipient = '@out$'"#, "disclaim: off"),
    // A filter on the mail is not known at RCPT: its rule makes classes whether it will hold or not.
    ("plain", "a@x > b@in, c@out", r"disclaim | match.header.Subject = 'nothing' | match.recipient = '@out$'",
        "b@in: disclaim: no header.subject || c@out: disclaim: no header.subject"),
    ("mixed(plain,csv@a.csv)", "a@x > b@in, c@out, d@mid", r"disclaim | match.recipient = '@out$' ;; zip | unless.recipient = '@in$'",
        "b@in: disclaim: no recipient | zip: not recipient || c@out: disclaim 1 | zip 2 || d@mid: disclaim: no recipient | zip 2"),
];

#[rustfmt::skip]
const DOMAINS: &[Row] = &[
    ("plain", "", r"disclaim | match.sender_domain = 'Example.ORG'", "disclaim 1"),
    ("plain", "", r"disclaim | match.sender_domain = '.example.org'", "disclaim 1"),
    ("plain", "", r"disclaim | match.sender_domain = '.org'", "disclaim 1"),
    ("plain", "", r"disclaim | match.sender_domain = 'org'", "disclaim: no sender_domain"),
    ("plain", "", r"disclaim | match.sender_domain = ['example.com', 'example.net']", "disclaim: no sender_domain"),
    ("plain", "a@sub.example.org > bo@example.com", r"disclaim | match.sender_domain = 'example.org'", "disclaim: no sender_domain"),
    ("plain", "a@sub.example.org > bo@example.com", r"disclaim | match.sender_domain = ['example.com', '.example.org']", "disclaim 1"),
    ("plain", "a@anexample.org > bo@example.com", r"disclaim | match.sender_domain = '.example.org'", "disclaim: no sender_domain"),
    ("plain", "a@xn--bcher-kva.example. > bo@example.com", r"disclaim | match.sender_domain = 'bücher.example'", "disclaim 1"),
    ("plain", "a@BÜCHER.example > bo@example.com", r"disclaim | match.sender_domain = 'xn--bcher-kva.example'", "disclaim 1"),
    ("plain", "<> > bo@example.com", r"zip | match.sender_domain = '.example.org'", "zip: no sender_domain"),
    ("plain", "postmaster > bo@example.com", r"disclaim | unless.sender_domain = 'postmaster'", "disclaim 1"),
    ("plain", "", r"disclaim | unless.sender_domain = 'example.org'", "disclaim: not sender_domain"),
    ("plain", "", r"disclaim | unless.sender_domain = 'example.com'", "disclaim 1"),
    ("plain", "a@x > b@in, c@sub.out", r"disclaim | match.recipient_domain = '.out'", "b@in: disclaim: no recipient_domain || c@sub.out: disclaim 1"),
    ("plain", "a@x > b@in, c@sub.out", r"disclaim | unless.recipient_domain = 'in'", "b@in: disclaim: not recipient_domain || c@sub.out: disclaim 1"),
    ("plain", "", r"disclaim | match.recipient_domain = 'example.com'", "disclaim 1"),
    ("plain", "", r"disclaim | unless.recipient_domain = 'in'", "disclaim 1"),
    ("plain", "eve@example.net > bo@example.com", r"disclaim | match.header_sender_domain = 'example.net'", "disclaim: no header_sender_domain"),
    ("Sender: team@Sub.Example.net & plain", "", r"disclaim | match.header_sender_domain = '.example.net'", "disclaim 1"),
    ("From: & plain", "", r"disclaim | unless.header_sender_domain = '.org'", "disclaim 1"),
    ("plain", "", r"disclaim | unless.header_sender_domain = '.org'", "disclaim: not header_sender_domain"),
];

#[rustfmt::skip]
const HEADER: &[Row] = &[
    ("plain", "", r"disclaim | match.header_sender = '^anna@example\.org$'", "disclaim 1"),
    ("plain", "eve@example.net > bo@example.com", r"disclaim | match.header_sender = 'eve@'", "disclaim: no header_sender"),
    ("Sender: team@example.org & plain", "", r"disclaim | match.header_sender = '^team@'", "disclaim 1"),
    ("Reply-To: team@example.org & plain", "", r"disclaim | match.header_sender = '^team@'", "disclaim: no header_sender"),
    ("From: & plain", "", r"disclaim | match.header_sender = ''", "disclaim: no header_sender"),
    ("plain", "", r"disclaim | unless.header_sender = '@example\.org$'", "disclaim: not header_sender"),
    ("plain", "", r"disclaim | unless.header_sender = '@example\.net$'", "disclaim 1"),
    ("plain", "", r"disclaim | match.header_recipient = '^bo@example\.com$'", "disclaim 1"),
    ("Cc: Cy <cy@example.net>, dee@example.net & plain", "", r"disclaim | match.header_recipient = '^dee@'", "disclaim 1"),
    ("Bcc: cy@example.net & plain", "", r"disclaim | match.header_recipient = '^cy@'", "disclaim: no header_recipient"),
    ("To: & plain", "", r"disclaim | match.header_recipient = ''", "disclaim: no header_recipient"),
    ("To: friends: cy@example.net, dee@example.net; & plain", "", r"disclaim | match.header_recipient = '^cy@'", "disclaim 1"),
    ("plain", "", r"disclaim | unless.header_recipient = '^bo@'", "disclaim: not header_recipient"),
    ("plain", "", r"disclaim | unless.header_recipient = '^cy@'", "disclaim 1"),
    ("plain", "", r"disclaim | match.header.Subject = 'offer'", "disclaim 1"),
    ("plain", "", r"disclaim | match.header.subject = '^offer$'", "disclaim 1"),
    ("plain", "", r"disclaim | match.header.Subject = 'invoice'", "disclaim: no header.subject"),
    ("plain", "", r"disclaim | match.header.X-Class = ''", "disclaim: no header.x-class"),
    ("X-Class: secret & plain", "", r"disclaim | match.header.X-Class = ''", "disclaim 1"),
    ("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= & plain", "", r"disclaim | match.header.Subject = '^GRÜSSE$|^grüße$'", "disclaim 1"),
    ("header-fields-twice.eml", "", r"disclaim | match.header.Subject = 'no such words'", "disclaim: no header.subject"),
    ("Received: one & Received: two & plain", "", r"disclaim | match.header.Received = 'two'", "disclaim 1"),
    ("plain", "", r"disclaim | unless.header.Subject = 'offer'", "disclaim: not header.subject"),
    ("plain", "", r"disclaim | unless.header.X-Class = ''", "disclaim 1"),
    ("mixed(plain,csv@a.csv)", "", r"disclaim | match.header.Content-Disposition = 'attachment'", "disclaim: no header.content-disposition"),
];

#[rustfmt::skip]
const SIZES: &[Row] = &[
    ("plain*100", "", r"disclaim | match.mail_size = '> 100'", "disclaim 1"),
    ("plain*100", "", r"disclaim | match.mail_size = '> 1K'", "disclaim: no mail_size"),
    ("plain*2000", "", r"disclaim | match.mail_size = '1K..3K'", "disclaim 1"),
    ("plain*4000", "", r"disclaim | match.mail_size = '1K..3K'", "disclaim: no mail_size"),
    ("plain*4000", "", r"disclaim | match.mail_size = ['< 1K', '> 3K']", "disclaim 1"),
    ("plain*2000", "", r"disclaim | unless.mail_size = '> 1K'", "disclaim: not mail_size"),
    ("plain*100", "", r"disclaim | unless.mail_size = '> 1K'", "disclaim 1"),
    ("mixed(plain,csv@a.csv*5000)", "", r"zip | match.part_size = '>= 5000'", "zip 2"),
    ("mixed(plain,csv@a.csv*4999)", "", r"zip | match.part_size = '>= 5000'", "zip: no part"),
    ("mixed(plain,csv@a.csv*5000,csv@b.csv*50)", "", r"zip | match.part_size = '< 100'", "zip 1,3"),
    ("mixed(plain*9,csv@a.csv*5000,csv@b.csv*50)", "", r"zip | match.part_size = ['10..100', '> 4K']", "zip 2,3"),
    ("mixed(plain,csv@a.csv*5000,csv@b.csv*50)", "", r"zip | unless.part_size = '< 100'", "zip 2"),
    ("mixed(plain,csv@a.csv*5000,csv@b.csv*50)", "", r"zip | unless.part_size = '> 1M'", "zip 2,3"),
    // A multipart has no size of its own, nor has a part whose coding is broken.
    ("mixed(plain,csv@a.csv)", "", r"keep | match.part_size = '>= 0' | options.subtree = false ;; drop | match.position = ['1', '2']", "keep 0,1,2 | drop: kept"),
    ("mixed(mixed(plain),csv@a.csv)", "", r"drop | match.part_size = '>= 0'", "drop 1.1,2"),
    ("mixed(plain*200,broken@a.pdf)", "", r"zip | match.part_size = '>= 0' | match.position = 'attachment'", "zip: no part"),
    ("plain-utf8-base64.eml", "", r"disclaim | match.part_size = '> 1M'", "disclaim: no part"),
];

#[rustfmt::skip]
const TYPES: &[Row] = &[
    ("mixed(plain,pdf@a.pdf,csv@b.csv)", "", r"zip | match.type = '^application/pdf$'", "zip 2"),
    ("mixed(plain,pdf@a.pdf,csv@b.csv)", "", r"zip | match.type = ['pdf$', 'csv$']", "zip 2,3"),
    ("mixed(plain,pdf@a.pdf,csv@b.csv)", "", r"zip | match.type = '^image/'", "zip: no part"),
    ("mixed(plain,pdf@a.pdf,csv@b.csv)", "", r"zip | unless.type = 'pdf'", "zip 3"),
    ("mixed(plain,pdf@a.pdf,csv@b.csv)", "", r"zip | unless.type = 'image'", "zip 2,3"),
    ("bare", "", r"disclaim | match.type = '^text/plain$'", "disclaim 1"),
    ("mixed(alt(plain,html),csv@a.csv)", "", r"zip | match.type = '^multipart/'", "zip: no part"),
    ("mixed(alt(plain,html),csv@a.csv)", "", r"drop | match.type = '^multipart/alternative'", "drop 1"),
    ("mixed(alt(plain,html),csv@a.csv)", "", r"drop | match.type = 'alternative|csv'", "drop 1,2"),
    ("mixed(alt(plain,html),pdf@a.pdf)", "", r"disclaim | match.type_path = '> multipart/alternative > text/html$'", "disclaim 1.2"),
    ("mixed(alt(plain,html),html)", "", r"disclaim | match.type_path = '^multipart/mixed > text/html$'", "disclaim 2"),
    ("alt(plain,html)", "", r"disclaim | match.type_path = '^multipart/mixed'", "disclaim: no part"),
    ("plain", "", r"disclaim | match.type_path = '^text/plain$'", "disclaim 1"),
    ("mixed(alt(plain,html),html)", "", r"disclaim | unless.type_path = 'alternative'", "disclaim 2"),
    ("mixed(alt(plain,html),html)", "", r"disclaim | unless.type_path = 'related'", "disclaim 1.1,1.2,2"),
    ("mixed(plain,eml@m.eml)", "", r"zip | match.type_path = 'rfc822 >'", "zip: no part"),
    ("mixed(plain,eml@m.eml)", "", r"zip | match.type = 'message/rfc822'", "zip 2"),
];

#[rustfmt::skip]
const NAMES: &[Row] = &[
    ("mixed(plain,pdf@Report.PDF,csv@b.csv)", "", r"zip | match.filename = '\.pdf$'", "zip 2"),
    ("mixed(plain,pdf@Report.PDF,csv@b.csv)", "", r"zip | match.filename = '\.exe$'", "zip: no part"),
    ("mixed(plain,pdf@,csv@b.csv)", "", r"zip | match.filename = ''", "zip 3"),
    ("mixed(plain,pdf@a.pdf,csv@b.csv)", "", r"zip | unless.filename = '\.pdf$'", "zip 3"),
    ("mixed(plain,pdf@a.pdf,csv@)", "", r"zip | unless.filename = ''", "zip 3"),
    ("name-rfc2231-utf8.eml", "", r"zip | match.filename = 'ü|ä|ö|ß|é|—|–|[^\x00-\x7f]'", "zip 2"),
    ("name-rfc2047-in-parameter.eml", "", r"zip | match.filename = '=\?'", "zip: no part"),
    ("name-name-and-filename-differ.eml", "", r"zip | match.filename = '.' | match.position = 'attachment'", "zip 2"),
    ("mixed(plain,pdf@a.pdf,png^b.png)", "", r"zip | match.disposition = '^inline$'", "zip 3"),
    ("mixed(plain,pdf@a.pdf,png^b.png)", "", r"zip | match.disposition = '^attachment$'", "zip 2"),
    ("mixed(plain,pdf@a.pdf,png^b.png)", "", r"zip | match.disposition = ''", "zip 2,3"),
    ("mixed(plain,pdf)", "", r"zip | match.disposition = ''", "zip: no part"),
    ("mixed(plain,pdf@a.pdf,png^b.png)", "", r"zip | unless.disposition = 'inline'", "zip 2"),
    ("mixed(plain,pdf@a.pdf,png^b.png)", "", r"zip | unless.disposition = 'none'", "zip 2,3"),
    ("alt(latin1,html)", "", r"disclaim | match.charset = '^iso-8859-1$'", "disclaim 1"),
    ("alt(latin1,html)", "", r"disclaim | match.charset = ['utf', 'ascii']", "disclaim 2"),
    ("alt(latin1,html)", "", r"disclaim | match.charset = '^koi8-r$'", "disclaim: no part"),
    ("bare", "", r"disclaim | match.charset = ''", "disclaim: no part"),
    ("alt(latin1,html)", "", r"disclaim | unless.charset = 'latin|8859'", "disclaim 2"),
    ("alt(latin1,html)", "", r"disclaim | unless.charset = 'koi'", "disclaim 1,2"),
    ("bare", "", r"disclaim | unless.charset = ''", "disclaim 1"),
];

#[rustfmt::skip]
const POSITIONS: &[Row] = &[
    ("mixed(alt(plain,html),pdf@a.pdf)", "", r"disclaim | match.position = 'body'", "disclaim 1.1,1.2"),
    ("mixed(pdf@a.pdf,csv@b.csv)", "", r"disclaim | match.position = 'body'", "disclaim: no part"),
    ("mixed(plain@notes.txt,plain^notes.txt)", "", r"disclaim | match.position = 'body'", "disclaim 2"),
    ("mixed(plain@notes.txt,plain^notes.txt)", "", r"disclaim | match.position = 'attachment'", "disclaim 1"),
    ("mixed(plain,pdf@a.pdf,png)", "", r"zip | match.position = 'attachment'", "zip 2"),
    ("mixed(plain,pdf@a.pdf,png)", "", r"zip | match.position = 'inline'", "zip 3"),
    ("mixed(related(html~logo,png^logo.png#logo),pdf@a.pdf)", "", r"zip | match.position = 'inline'", "zip 1.2"),
    ("mixed(related(html~logo,png^logo.png#logo),pdf@a.pdf)", "", r"zip | match.position = 'attachment'", "zip 2"),
    ("mixed(plain,pdf@a.pdf,csv@b.csv)", "", r"zip | match.position = 'first'", "zip 1"),
    ("mixed(plain,pdf@a.pdf,mixed(csv@b.csv,bin@c))", "", r"zip | match.position = 'last'", "zip 3.2"),
    ("pdf@a.pdf", "", r"zip | match.position = 'root'", "zip 1"),
    ("mixed(plain,pdf@a.pdf)", "", r"zip | match.position = 'root'", "zip: no part"),
    ("mixed(plain,pdf@a.pdf)", "", r"keep | match.position = 'root' | options.subtree = false", "keep 0"),
    ("mixed(alt(plain,html),pdf@a.pdf)", "", r"disclaim | match.position = '1.2'", "disclaim 1.2"),
    ("mixed(alt(plain,html),pdf@a.pdf)", "", r"disclaim | match.position = '1.3'", "disclaim: no part"),
    ("mixed(alt(plain,html),pdf@a.pdf)", "", r"disclaim | match.position = '1'", "disclaim: no part"),
    ("mixed(alt(plain,html),pdf@a.pdf)", "", r"drop | match.position = '1'", "drop 1"),
    ("plain", "", r"disclaim | match.position = '1'", "disclaim 1"),
    ("mixed(plain,pdf@a.pdf,csv@b.csv)", "", r"zip | match.position = ['2', 'last']", "zip 2,3"),
    ("mixed(plain,pdf@a.pdf,csv@b.csv)", "", r"zip | unless.position = 'last'", "zip 2"),
    ("mixed(plain,pdf@a.pdf,csv@b.csv)", "", r"zip | unless.position = '4'", "zip 2,3"),
    ("mixed(alt(plain,html),pdf@a.pdf)", "", r"disclaim | unless.position = '1.1'", "disclaim 1.2"),
    // The first leaf of an empty multipart is that multipart.
    ("structure-rfc822-nested-three-deep.eml", "", r"zip | match.position = '2.1'", "zip: no part"),
];

#[rustfmt::skip]
const ORIGIN: &[Row] = &[
    ("plain", "[client=192.0.2.7]", r"disclaim | match.client = '192.0.2.0/24'", "disclaim 1"),
    ("plain", "[client=198.51.100.7]", r"disclaim | match.client = '192.0.2.0/24'", "disclaim: no client"),
    ("plain", "[client=192.0.2.7]", r"disclaim | match.client = ['2001:db8::/32', '192.0.2.7']", "disclaim 1"),
    ("plain", "[client=::ffff:192.0.2.7]", r"disclaim | match.client = '192.0.2.0/24'", "disclaim 1"),
    ("plain", "[client=2001:db8::1]", r"disclaim | match.client = '2001:db8::/32'", "disclaim 1"),
    ("plain", "", r"disclaim | match.client = ['0.0.0.0/0', '::/0']", "disclaim: no client"),
    ("plain", "[client=192.0.2.7]", r"disclaim | unless.client = '192.0.2.0/24'", "disclaim: not client"),
    ("plain", "", r"disclaim | unless.client = '0.0.0.0/0'", "disclaim 1"),
    ("plain", "[listener=lan]", r"disclaim | match.listener = 'lan'", "disclaim 1"),
    ("plain", "[listener=lan2]", r"disclaim | match.listener = 'lan'", "disclaim: no listener"),
    ("plain", "[listener=LAN]", r"disclaim | match.listener = 'lan'", "disclaim: no listener"),
    ("plain", "[listener=wan]", r"disclaim | match.listener = ['lan', 'wan']", "disclaim 1"),
    ("plain", "", r"disclaim | match.listener = 'lan'", "disclaim: no listener"),
    ("plain", "[listener=lan]", r"disclaim | unless.listener = 'lan'", "disclaim: not listener"),
    ("plain", "", r"disclaim | unless.listener = 'lan'", "disclaim 1"),
    ("plain", "[helo=mx.example.org]", r"disclaim | match.helo = '\.example\.org$'", "disclaim 1"),
    ("plain", "[helo=mx.example.net]", r"disclaim | match.helo = '\.example\.org$'", "disclaim: no helo"),
    ("plain", "", r"disclaim | match.helo = ''", "disclaim: no helo"),
    ("plain", "[helo=mx.example.org]", r"disclaim | unless.helo = '^mx'", "disclaim: not helo"),
    ("plain", "", r"disclaim | unless.helo = ''", "disclaim 1"),
    ("plain", "[auth=anna]", r"disclaim | match.auth_user = '^anna$'", "disclaim 1"),
    ("plain", "[auth=joanna]", r"disclaim | match.auth_user = '^anna$'", "disclaim: no auth_user"),
    ("plain", "", r"disclaim | match.auth_user = ''", "disclaim: no auth_user"),
    ("plain", "[auth=anna]", r"disclaim | unless.auth_user = 'a'", "disclaim: not auth_user"),
    ("plain", "", r"disclaim | unless.auth_user = ''", "disclaim 1"),
];

#[rustfmt::skip]
const KINDS: &[Row] = &[
    ("plain", "", "disclaim | match.bulk = true", "disclaim: no bulk"),
    ("plain", "", "disclaim | match.bulk = false", "disclaim 1"),
    ("plain", "", "disclaim | match.bulk = [true, false]", "disclaim 1"),
    ("List-Id: <l.example.org> & plain", "", "disclaim | match.bulk = [true, false]", "disclaim 1"),
    ("List-Id: <l.example.org> & plain", "", "disclaim | match.bulk = [false]", "disclaim: no bulk"),
    ("List-Id: <l.example.org> & plain", "", "disclaim | match.bulk = true", "disclaim 1"),
    ("List-Unsubscribe: <mailto:l@example.org> & plain", "", "disclaim | match.bulk = false", "disclaim: no bulk"),
    ("Precedence: bulk & plain", "", "disclaim | match.bulk = true", "disclaim 1"),
    ("Precedence: Junk & plain", "", "disclaim | match.bulk = true", "disclaim 1"),
    ("Precedence: first-class & plain", "", "disclaim | match.bulk = true", "disclaim: no bulk"),
    ("Auto-Submitted: auto-replied & plain", "", "disclaim | match.bulk = true", "disclaim 1"),
    ("Auto-Submitted: no & plain", "", "disclaim | match.bulk = true", "disclaim: no bulk"),
    ("Auto-Submitted: notification & plain", "", "disclaim | match.bulk = true", "disclaim 1"),
    ("plain", "<> > bo@example.com", "disclaim | match.bulk = true", "disclaim 1"),
    ("report(plain,status)", "", "disclaim | match.bulk = true", "disclaim 1"),
    ("Listing: x & plain", "", "disclaim | match.bulk = true", "disclaim: no bulk"),
    ("List-Id: <l.example.org> & plain", "", "disclaim | unless.bulk = true", "disclaim: not bulk"),
    ("plain", "", "disclaim | unless.bulk = true", "disclaim 1"),
    ("plain", "", "disclaim | unless.bulk = false", "disclaim: not bulk"),
    ("signed(plain,sig)", "", "copy | match.signed = true", "copy mail"),
    ("plain", "", "copy | match.signed = true", "copy: no signed"),
    ("plain", "", "copy | match.signed = false", "copy mail"),
    ("clearsigned", "", "copy | match.signed = true", "copy mail"),
    ("opaque-signed", "", "copy | match.signed = true", "copy mail"),
    ("mixed(signed(plain,sig),plain)", "", "copy | match.signed = false", "copy: no signed"),
    ("encrypted(version,bin)", "", "copy | match.signed = true", "copy: no signed"),
    ("signed(plain,sig)", "", "copy | unless.signed = true", "copy: not signed"),
    ("plain", "", "copy | unless.signed = true", "copy mail"),
    ("encrypted(version,bin)", "", "copy | match.encrypted = true", "copy mail"),
    ("p7m", "", "copy | match.encrypted = true", "copy mail"),
    ("armoured", "", "copy | match.encrypted = true", "copy mail"),
    ("plain", "", "copy | match.encrypted = true", "copy: no encrypted"),
    ("plain", "", "copy | match.encrypted = false", "copy mail"),
    ("signed(plain,sig)", "", "copy | match.encrypted = true", "copy: no encrypted"),
    ("p7m", "", "copy | unless.encrypted = true", "copy: not encrypted"),
    ("plain", "", "copy | unless.encrypted = true", "copy mail"),
    ("structure-last-boundary-missing.eml", "", "copy | match.malformed = true", "copy mail"),
    ("mixed(plain,pdf@a.pdf)", "", "copy | match.malformed = true", "copy: no malformed"),
    ("mixed(plain,pdf@a.pdf)", "", "copy | match.malformed = false", "copy mail"),
    ("structure-last-boundary-missing.eml", "", "copy | unless.malformed = true", "copy: not malformed"),
    ("plain", "", "copy | unless.malformed = true", "copy mail"),
    ("opaque", "", "copy | match.malformed = true", "copy mail"),
];

#[rustfmt::skip]
const SEVERAL: &[Row] = &[
    // All keys of match must hold, and hold of the same part.
    ("plain", "", r"disclaim | match.sender = 'anna' | match.header.Subject = 'offer'", "disclaim 1"),
    ("plain", "", r"disclaim | match.sender = 'anna' | match.header.Subject = 'invoice'", "disclaim: no header.subject"),
    ("plain", "", r"disclaim | match.sender = 'eve' | match.header.Subject = 'offer'", "disclaim: no sender"),
    ("mixed(plain,pdf@a.pdf,csv@b.csv)", "", r"zip | match.type = 'pdf' | match.filename = 'a\.pdf'", "zip 2"),
    ("mixed(plain,pdf@a.pdf,csv@b.csv)", "", r"zip | match.type = 'pdf' | match.filename = 'b\.csv'", "zip: no part"),
    ("mixed(plain,pdf@a.pdf,csv@b.csv)", "", r"zip | match.type = 'pdf' | match.sender = 'eve'", "zip: no sender"),
    // Any key of unless vetoes.
    ("plain", "", r"disclaim | unless.sender = 'eve' | unless.header.Subject = 'offer'", "disclaim: not header.subject"),
    ("plain", "", r"disclaim | unless.sender = 'anna' | unless.header.Subject = 'invoice'", "disclaim: not sender"),
    ("plain", "", r"disclaim | unless.sender = 'eve' | unless.header.Subject = 'invoice'", "disclaim 1"),
    ("mixed(plain,pdf@a.pdf,csv@b.csv,bin@c)", "", r"zip | unless.type = 'pdf' | unless.filename = 'csv'", "zip 4"),
    // match and unless together.
    ("plain", "", r"disclaim | match.sender = 'anna' | unless.header.Subject = 'offer'", "disclaim: not header.subject"),
    ("mixed(plain,pdf@a.pdf,csv@b.csv)", "", r"zip | match.position = 'attachment' | unless.type = 'pdf'", "zip 3"),
    ("mixed(plain,pdf@a.pdf)", "", r"zip | match.position = 'attachment' | unless.type = 'pdf'", "zip: no part"),
    ("mixed(plain,pdf@a.pdf)", "", r"zip | unless.type = 'pdf'", "zip: no part"),
    // Inline tables mean the same as dotted keys.
    ("mixed(plain,pdf@a.pdf,csv@b.csv)", "", r"zip | match = { type = 'pdf', sender = 'anna' } | unless = { bulk = true }", "zip 2"),
    ("plain", "", r"disclaim | match = { header = { Subject = 'offer', From = 'Berg' } }", "disclaim 1"),
    // Filters judge the mail as it came.
    ("plain", "", r"tag ;; disclaim | match.header.X-Tag = 'yes'", "tag mail | disclaim: no header.x-tag"),
    ("mixed(plain,csv@a.csv)", "", r"zip ;; copy | match.mail_size = '> 1K'", "zip 2 | copy mail"),
];

#[rustfmt::skip]
const DEFAULTS: &[Row] = &[
    ("plain", "", "disclaim", "disclaim 1"),
    ("alt(plain,html)", "", "disclaim", "disclaim 1,2"),
    ("mixed(plain,pdf@a.pdf,plain)", "", "disclaim", "disclaim 1,3"),
    ("alt(plain,related(html~l,png^l.png#l),cal)", "", "disclaim", "disclaim 1,2.1"),
    ("amp-newsletter.eml", "", "disclaim", "disclaim 1,3"),
    ("mixed(plain,plain@b.txt,html^c.html,eml)", "", "disclaim", "disclaim 1"),
    ("pdf@a.pdf", "", "disclaim", "disclaim mail"),
    ("mixed(plain,csv@a.csv,png^b.png,bin)", "", "zip", "zip 2,3"),
    ("mixed(plain,cal@i.ics,eml@m.eml,keys@k.asc,sig,csv@a.csv)", "", "zip", "zip 6"),
    ("mixed(plain,cal@i.ics,eml@m.eml,keys@k.asc)", "", r"zip | match.position = 'attachment'", "zip 2,3,4"),
    ("mixed(related(html~l,png@l.png#l),csv@a.csv)", "", "zip", "zip 2"),
    ("mixed(related(html~l,png@l.png#l),csv@a.csv)", "", r"zip | match.position = 'attachment'", "zip 2"),
    ("csv@a.csv", "", "zip", "zip 1"),
    ("plain", "", "zip", "zip mail"),
    ("mixed(alt(plain,html),pdf@a.pdf)", "", "keep", "keep 0,1,1.1,1.2,2"),
    ("mixed(plain,pdf@a.pdf)", "", "ignore_mail", "ignore_mail"),
    ("tnef-winmail.eml", "", "zip", "zip mail"),
];

#[rustfmt::skip]
const ORDER: &[Row] = &[
    ("mixed(plain,csv@a.csv)", "", "disclaim ;; zip", "disclaim 1 | zip 2"),
    ("mixed(plain,csv@a.csv)", "", "zip ;; disclaim", "zip 2 | disclaim 1"),
    ("plain", "", r"disclaim | match.sender = 'anna' | final = true ;; copy", "disclaim 1 | copy: behind 1"),
    ("plain", "", r"disclaim | match.sender = 'eve' | final = true ;; copy", "disclaim: no sender | copy mail"),
    ("plain", "", r"disclaim | unless.sender = 'anna' | final = true ;; copy", "disclaim: not sender | copy mail"),
    // Edited or not: a rule that matched and skips ends the walk too.
    ("signed(plain,sig)", "", r"disclaim | match.sender = 'anna' | final = true ;; copy", "disclaim: sealed | copy: behind 1"),
    ("List-Id: <l> & plain", "", r"disclaim | match.sender = 'anna' | final = true ;; copy", "disclaim: exempt | copy: behind 1"),
    ("pdf@a.pdf", "", r"disclaim | match.sender = 'anna' | final = true ;; copy", "disclaim mail | copy: behind 1"),
    // With part filters it must have taken a part.
    ("mixed(plain,csv@a.csv)", "", r"zip | match.type = 'csv' | final = true ;; copy", "zip 2 | copy: behind 1"),
    ("mixed(plain,csv@a.csv)", "", r"zip | match.type = 'pdf' | final = true ;; copy", "zip: no part | copy mail"),
    ("mixed(plain,csv@a.csv)", "", r"zip | unless.type = 'csv' | final = true ;; copy", "zip: no part | copy mail"),
    // Per class.
    ("plain", "a@x > b@in, c@out", r"disclaim | match.recipient = '@out$' | final = true ;; copy",
        "b@in: disclaim: no recipient | copy mail || c@out: disclaim 1 | copy: behind 1"),
    ("plain", "", r#"disclaim | match.sender = 'anna' | final = true | mode = "shadow" ;; copy"#, "disclaim ~1 | copy mail"),
    ("plain", "", r#"disclaim | match.sender = 'anna' | final = true | mode = "off" ;; copy"#, "disclaim: off | copy mail"),
    ("mixed(plain,csv@a.csv)", "", r"keep | match.type = 'plain' | final = true ;; zip", "keep 0,1 | zip: behind 1"),
    ("plain", "", r"tag | match.sender = 'anna' | final = true ;; copy | match.sender = 'anna' | final = true ;; disclaim", "tag mail | copy: behind 1 | disclaim: behind 1"),
];

#[rustfmt::skip]
const IGNORE: &[Row] = &[
    ("plain", "", r"ignore_mail | match.sender = 'anna' ;; disclaim", "ignore_mail | disclaim: behind 1"),
    ("plain", "", r"ignore_mail | match.sender = 'eve' ;; disclaim", "ignore_mail: no sender | disclaim 1"),
    ("plain", "", r"ignore_mail | unless.sender = 'anna' ;; disclaim", "ignore_mail: not sender | disclaim 1"),
    ("plain", "", r"disclaim ;; ignore_mail | match.sender = 'anna' ;; tag", "disclaim: ignored | ignore_mail | tag: behind 2"),
    ("plain", "", r"copy ;; disclaim ;; ignore_mail | match.sender = 'anna' ;; copy", "copy mail | disclaim: ignored | ignore_mail | copy: behind 3"),
    ("plain", "", r"whole ;; seal ;; ignore_mail | match.sender = 'anna'", "whole: ignored | seal: ignored | ignore_mail"),
    ("mixed(plain,csv@a.csv)", "", r"keep | match.type = 'plain' ;; zip ;; ignore_mail | match.sender = 'anna'", "keep 0,1 | zip: ignored | ignore_mail"),
    ("signed(plain,sig)", "", r#"disclaim | on_sealed = "reject" ;; ignore_mail | match.sender = 'anna'"#, "disclaim: ignored | ignore_mail"),
    ("signed(plain,sig)", "", r"disclaim ;; ignore_mail | match.sender = 'anna'", "disclaim: sealed | ignore_mail"),
    ("mixed(plain,csv@a.csv)", "", r"ignore_mail | match.type = 'csv' ;; disclaim", "ignore_mail | disclaim: behind 1"),
    ("mixed(plain,csv@a.csv)", "", r"ignore_mail | match.type = '^multipart' ;; disclaim", "ignore_mail | disclaim: behind 1"),
    ("mixed(plain,csv@a.csv)", "", r"ignore_mail | match.type = 'pdf' ;; disclaim", "ignore_mail: no part | disclaim 1"),
    ("pdf@a.pdf", "", r"ignore_mail | unless.type = 'pdf' ;; copy", "ignore_mail: no part | copy mail"),
    ("plain", "a@x > b@in, c@out", r"disclaim ;; ignore_mail | match.recipient = '@in$'", "b@in: disclaim: ignored | ignore_mail || c@out: disclaim 1 | ignore_mail: no recipient"),
    ("plain", "", r#"disclaim ;; ignore_mail | match.sender = 'anna' | mode = "shadow""#, "disclaim 1 | ignore_mail: shadow"),
    ("plain", "", r#"disclaim ;; ignore_mail | match.sender = 'anna' | mode = "off""#, "disclaim 1 | ignore_mail: off"),
    ("List-Id: <l> & plain", "", r"ignore_mail | match.bulk = true", "ignore_mail"),
];

#[rustfmt::skip]
const KEEP: &[Row] = &[
    ("mixed(plain,csv@a.csv)", "", r"keep | match.position = 'body' ;; disclaim", "keep 0,1 | disclaim: kept"),
    ("mixed(plain,csv@a.csv)", "", r"keep | match.position = 'body' ;; banner | options.subject_tag = '[E]'", "keep 0,1 | banner mail -1:kept"),
    ("mixed(plain,csv@a.csv)", "", r"keep | match.position = 'body' ;; zip", "keep 0,1 | zip 2"),
    ("mixed(plain,csv@a.csv,csv@b.csv)", "", r"keep | match.filename = 'a\.csv' ;; zip", "keep 0,2 | zip 3 -2:kept"),
    ("alt(plain,html)", "", r"keep | match.type = 'html' ;; disclaim", "keep 0,2 | disclaim 1 -2:kept"),
    ("mixed(plain,csv@a.csv)", "", r"keep | match.filename = 'z' ;; zip", "keep: no part | zip 2"),
    ("mixed(plain,csv@a.csv)", "", "disclaim ;; keep | match.position = 'body' ;; zip", "disclaim 1 | keep 0,1 | zip 2"),
    // What is below: with subtree (the default) and without.
    ("mixed(plain,mixed(csv@a.csv,pdf@b.pdf))", "", r"keep | match.position = '2' ;; zip", "keep 0,2,2.1,2.2 | zip: kept"),
    ("mixed(plain,mixed(csv@a.csv,pdf@b.pdf))", "", r"keep | match.position = '2' | options.subtree = false ;; zip", "keep 0,2 | zip 2.1,2.2"),
    ("mixed(plain,mixed(csv@a.csv,pdf@b.pdf))", "", r"keep | match.position = '2' | options.subtree = false ;; drop | match.position = '2'", "keep 0,2 | drop: kept"),
    // The multiparts around a kept part are closed: they may not leave whole.
    ("mixed(plain,mixed(csv@a.csv,pdf@b.pdf))", "", r"keep | match.filename = 'a' ;; drop | match.position = '2'", "keep 0,2,2.1 | drop: kept"),
    ("mixed(plain,mixed(csv@a.csv,pdf@b.pdf))", "", r"keep | match.filename = 'a' ;; drop", "keep 0,2,2.1 | drop 2.2 -2.1:kept"),
    ("mixed(plain,mixed(csv@a.csv),mixed(pdf@b.pdf))", "", r"keep | match.filename = 'a' ;; drop | match.type = 'mixed' | unless.position = 'root'", "keep 0,2,2.1 | drop 3 -2:kept"),
    ("mixed(plain,csv@a.csv)", "", "keep ;; disclaim ;; zip", "keep 0,1,2 | disclaim: kept | zip: kept"),
    ("mixed(plain,csv@a.csv)", "", "keep | options.subtree = false ;; disclaim", "keep 0 | disclaim 1"),
    ("mixed(plain,csv@a.csv)", "", r#"keep | mode = "shadow" ;; disclaim"#, "keep: shadow | disclaim 1"),
    ("mixed(plain,csv@a.csv)", "", r#"keep | mode = "off" ;; disclaim"#, "keep: off | disclaim 1"),
    ("mixed(plain,csv@a.csv)", "a@x > b@in, c@out", r"keep | match.recipient = '@in$' ;; zip", "b@in: keep 0,1,2 | zip: kept || c@out: keep: no recipient | zip 2"),
    ("mixed(plain,csv@a.csv)", "", "keep ;; tag", "keep 0,1,2 | tag mail"),
    ("mixed(plain,csv@a.csv)", "", "keep ;; copy", "keep 0,1,2 | copy mail"),
    ("mixed(plain,eml@m.eml)", "", r"keep | match.type = 'rfc822' ;; zip | match.type = 'rfc822'", "keep 0,2 | zip: kept"),
];

#[rustfmt::skip]
const MODES: &[Row] = &[
    ("plain", "", r#"disclaim | mode = "enforce""#, "disclaim 1"),
    ("plain", "", r#"disclaim | mode = "shadow""#, "disclaim ~1"),
    ("plain", "", r#"disclaim | mode = "off""#, "disclaim: off"),
    ("plain", "", r#"copy | mode = "shadow""#, "copy: shadow"),
    ("plain", "", r#"disclaim | mode = "shadow" | match.sender = 'eve'"#, "disclaim: no sender"),
    ("signed(plain,sig)", "", r#"disclaim | mode = "shadow""#, "disclaim: sealed"),
    ("signed(plain,sig)", "", r#"disclaim | mode = "shadow" | on_sealed = "reject""#, "disclaim: shadow"),
];

#[rustfmt::skip]
const SEALED: &[Row] = &[
    ("signed(plain,sig)", "", "disclaim", "disclaim: sealed"),
    ("mixed(signed(plain,sig),plain)", "", "disclaim", "disclaim 2 -1.1:sealed"),
    ("mixed(signed(alt(plain,html),sig),csv@a.csv)", "", "disclaim ;; zip", "disclaim: sealed | zip 2"),
    ("signed(mixed(plain,csv@a.csv),sig)", "", "zip", "zip: sealed"),
    ("clearsigned", "", "disclaim", "disclaim: sealed"),
    ("mixed(clearsigned,csv@a.csv)", "", "disclaim ;; zip", "disclaim: sealed | zip 2"),
    ("armoured", "", "disclaim", "disclaim: sealed"),
    // Sealed content whose text nobody sees.
    ("encrypted(version,bin)", "", "disclaim", "disclaim: sealed"),
    ("encrypted(version,bin)", "", "zip", "zip: sealed"),
    ("p7m", "", "disclaim", "disclaim: sealed"),
    ("p7m", "", "zip", "zip: sealed"),
    ("opaque-signed", "", "disclaim", "disclaim: sealed"),
    ("smime-p7m-as-octet-stream.eml", "", "disclaim ;; zip", "disclaim: sealed | zip: sealed"),
    ("mixed(encrypted(version,bin),plain)", "", "disclaim", "disclaim 2"),
    ("signed(plain,sig)", "", "zip", "zip mail"),
    // What edits fields too has those.
    ("signed(plain,sig)", "", "banner | options.subject_tag = '[E]'", "banner mail -1:sealed"),
    ("signed(plain,sig)", "", r#"banner | options.subject_tag = '[E]' | on_sealed = "reject""#, "banner: reject sealed"),
    // reject
    ("signed(plain,sig)", "", r#"disclaim | on_sealed = "reject""#, "disclaim: reject sealed"),
    ("encrypted(version,bin)", "", r#"disclaim | on_sealed = "reject""#, "disclaim: reject sealed"),
    ("p7m", "", r#"disclaim | on_sealed = "reject""#, "disclaim: reject sealed"),
    ("mixed(signed(plain,sig),plain)", "", r#"disclaim | on_sealed = "reject""#, "disclaim: reject sealed"),
    ("plain", "", r#"disclaim | on_sealed = "reject""#, "disclaim 1"),
    ("signed(plain,sig)", "", r#"disclaim | on_sealed = "skip""#, "disclaim: sealed"),
    ("mixed(signed(plain,sig),csv@a.csv)", "", r#"zip | on_sealed = "reject""#, "zip 2"),
    ("signed(plain,sig)", "", r#"disclaim | on_sealed = "reject" | match.sender = 'eve'"#, "disclaim: no sender"),
    // A sealed part may be moved or removed whole by a rule that names it; nothing inside it.
    ("mixed(plain,p7m@smime.p7m)", "", r"zip | match.filename = 'p7m'", "zip 2"),
    ("mixed(plain,p7m@smime.p7m)", "", "zip", "zip: sealed"),
    ("p7m", "", r"zip | match.filename = 'p7m'", "zip: sealed"),
    ("mixed(plain,signed(plain,sig))", "", r"drop | match.type = '^multipart/signed'", "drop 2"),
    ("mixed(plain,signed(mixed(plain,csv@a.csv),sig))", "", r"drop | match.filename = 'csv'", "drop: sealed"),
    ("mixed(plain,signed(mixed(plain,csv@a.csv),sig))", "", r"zip | match.filename = 'csv'", "zip: sealed"),
    ("mixed(plain,clearsigned@s.txt)", "", r"disclaim | match.filename = 's\.txt'", "disclaim: sealed"),
    // Fields outside of it stay editable, and copies may be made of it.
    ("signed(plain,sig)", "", "tag", "tag mail"),
    ("signed(plain,sig)", "", "copy", "copy mail"),
    ("signed(plain,sig)", "", "keep ;; ignore_mail", "keep 0,1,2 | ignore_mail"),
];

#[rustfmt::skip]
const EXEMPT: &[Row] = &[
    ("List-Id: <l.example.org> & plain", "", "banner | options.subject_tag = '[E]'", "banner 1"),
    ("List-Id: <l.example.org> & plain", "", "banner | options.subject_tag = '[E]' | match.bulk = true", "banner 1"),
    ("List-Id: <l> & plain", "", "disclaim", "disclaim: exempt"),
    ("Precedence: bulk & mixed(plain,csv@a.csv)", "", "zip", "zip: exempt"),
    ("plain", "<> > bo@example.com", "disclaim", "disclaim: exempt"),
    ("Auto-Submitted: auto-generated & plain", "", "disclaim", "disclaim: exempt"),
    ("report(plain,status,eml)", "", "disclaim ;; zip", "disclaim: exempt | zip: exempt"),
    // Naming bulk switches the default off, in either table.
    ("List-Id: <l> & plain", "", "disclaim | match.bulk = true", "disclaim 1"),
    ("List-Id: <l> & plain", "", "disclaim | unless.bulk = false", "disclaim 1"),
    ("List-Id: <l> & plain", "", "disclaim | unless.bulk = true", "disclaim: not bulk"),
    // Others are not exempt, a remover for reports only.
    ("List-Id: <l> & plain", "", "tag ;; copy", "tag mail | copy mail"),
    ("List-Id: <l> & mixed(plain,csv@a.csv)", "", "drop", "drop 2"),
    ("report(plain,csv@a.csv)", "", "drop", "drop: exempt"),
    ("report(plain,csv@a.csv)", "", "drop | match.bulk = true", "drop 2"),
    // on_dkim
    ("DKIM-Signature: v=1 & plain", "", "disclaim", "disclaim 1"),
    ("DKIM-Signature: v=1 & plain", "", r#"disclaim | on_dkim = "edit""#, "disclaim 1"),
    ("DKIM-Signature: v=1 & plain", "", r#"disclaim | on_dkim = "skip""#, "disclaim: dkim"),
    ("plain", "", r#"disclaim | on_dkim = "skip""#, "disclaim 1"),
    ("DKIM-Signature: v=1 & plain", "", r#"disclaim | on_dkim = "strip""#, "disclaim 1"),
    ("DKIM-Signature: v=1 & plain", "", r#"disclaim | on_dkim = "skip" | match.sender = 'eve'"#, "disclaim: no sender"),
    ("DKIM-Signature: v=1 & List-Id: <l> & plain", "", r#"disclaim | on_dkim = "skip""#, "disclaim: exempt"),
];

#[rustfmt::skip]
const CHAINS: &[Row] = &[
    ("plain", "", "disclaim", "disclaim edited 1 = plain"),
    ("plain", "", "disclaim ;; disclaim", "disclaim edited 1 | disclaim edited 1 = plain"),
    ("plain", "", "disclaim | match.sender = 'eve'", "disclaim: no sender"),
    ("mixed(plain,csv@a.csv,csv@b.csv)", "", "disclaim ;; zip", "disclaim edited 1 | zip edited 2,3 = mixed(plain,zip)"),
    ("mixed(csv@a.csv,plain,csv@b.csv)", "", "zip", "zip edited 1,3 = mixed(zip,plain)"),
    ("mixed(csv@a.csv,plain,csv@b.csv)", "", r#"zip | options.placement = "end""#, "zip edited 1,3 = mixed(plain,zip)"),
    ("csv@a.csv", "", "zip", "zip edited 1 = zip"),
    // A part that an edit changed goes into the archive as changed.
    ("mixed(plain,plain@a.txt*900)", "", r"disclaim | match.filename = 'a\.txt' ;; zip", "disclaim edited 2 | zip edited 2 = mixed(plain,zip)"),
    // A part that was taken or removed is gone for later rules; what mimicry made is seen by none.
    ("mixed(plain,csv@a.csv)", "", "zip ;; drop", "zip edited 2 | drop: kept = mixed(plain,zip)"),
    ("mixed(plain,csv@a.csv)", "", "drop ;; zip", "drop edited 2 | zip: kept = mixed(plain)"),
    ("mixed(plain,csv@a.csv,pdf@b.pdf)", "", r"zip | match.type = 'csv' ;; drop", "zip edited 2 | drop edited 3 = mixed(plain,zip)"),
    ("mixed(plain,csv@a.csv)", "", r"zip ;; zip | match.type = 'zip'", "zip edited 2 | zip: no part = mixed(plain,zip)"),
    ("mixed(plain,mixed(csv@a.csv,pdf@b.pdf))", "", r"drop | match.type = '^multipart' | match.position = '2' ;; zip", "drop edited 2 | zip: kept = mixed(plain)"),
    ("mixed(plain,mixed(csv@a.csv))", "", "drop", "drop edited 2.1 = mixed(plain)"),
    ("mixed(plain,mixed(mixed(csv@a.csv)))", "", "drop", "drop edited 2.1.1 = mixed(plain)"),
    ("mixed(plain,mixed(csv@a.csv))", "", r"drop | match.position = ['2', '2.1']", "drop edited 2 = mixed(plain)"),
    // keep
    ("mixed(plain,mixed(csv@a.csv,pdf@b.pdf))", "", r"keep | match.filename = 'a' ;; drop", "keep 0,2,2.1 | drop edited 2.2 = mixed(plain,mixed(csv))"),
    ("mixed(plain,mixed(csv@a.csv,pdf@b.pdf))", "", r"keep | match.position = '2' | options.subtree = false ;; drop | match.filename = 'b'", "keep 0,2 | drop edited 2.2 = mixed(plain,mixed(csv))"),
    ("mixed(plain,mixed(csv@a.csv,pdf@b.pdf))", "", r"keep | match.position = '2' | options.subtree = false ;; drop", "keep 0,2 | drop: kept"),
    ("mixed(plain,mixed(csv@a.csv,pdf@b.pdf))", "", r"keep | match.position = '2' | options.subtree = false ;; zip", "keep 0,2 | zip edited 2.1,2.2 = mixed(plain,mixed(zip))"),
    ("mixed(plain,mixed(csv@a.csv,pdf@b.pdf))", "", r#"keep | match.position = '2' | options.subtree = false ;; zip | options.placement = "end""#, "keep 0,2 | zip: kept"),
    // ignore_mail and final
    ("plain", "", r"copy ;; disclaim ;; ignore_mail | match.sender = 'anna'", "copy done | disclaim: ignored | ignore_mail"),
    ("plain", "a@x > b@in, c@out", r"disclaim | unless.recipient = '@in$'", "b@in: disclaim: not recipient || c@out: disclaim edited 1 = plain"),
    // shadow
    ("plain", "", r#"disclaim | mode = "shadow" ;; tag"#, "~disclaim edited 1 | tag edited 1 = plain X-Tag"),
    ("mixed(plain,csv@a.csv)", "", r#"drop | mode = "shadow" ;; zip"#, "~drop edited 2 | zip edited 2 = mixed(plain,zip)"),
    ("pdf@a.pdf", "", r#"disclaim | mode = "shadow""#, "~disclaim: no-body"),
    ("plain", "", r#"fail | mode = "shadow" | options.fault = "temporary""#, "~fail: fault"),
    ("plain", "", r#"fail | mode = "shadow" | options.fault = "reject""#, "~fail: fault"),
    // dkim
    ("X-DKIM: 1 & plain", "", r#"disclaim | on_dkim = "strip""#, "disclaim edited 1 = plain X-DKIM"),
];

#[rustfmt::skip]
const FAULTS: &[Row] = &[
    ("plain", "", "fail", "fail: fault"),
    ("plain", "", r#"fail | on_error = "pass""#, "fail: fault"),
    ("plain", "", r#"fail | on_error = "defer""#, "defer by 1"),
    ("plain", "", r#"fail | on_error = "reject""#, "reject by 1"),
    // A temporary fault is always a 4xx.
    ("plain", "", r#"fail | options.fault = "temporary" | on_error = "pass""#, "defer by 1"),
    ("plain", "", r#"fail | options.fault = "temporary" | on_error = "reject""#, "defer by 1"),
    ("plain", "", r#"fail | options.fault = "inapplicable" | on_error = "reject""#, "fail: limit"),
    ("plain", "", r#"fail | options.fault = "defer" | on_error = "pass""#, "defer by 1"),
    ("plain", "", r#"fail | options.fault = "reject" | on_error = "pass""#, "reject by 1"),
    ("plain", "", r"fail | match.sender = 'eve' | options.fault = 'temporary'", "fail: no sender"),
    // A failing rule's edits go as a unit, those of others stay.
    ("plain", "", "fail | options.late = true", "fail: fault"),
    ("plain", "", "disclaim ;; fail | options.late = true", "disclaim edited 1 | fail: fault = plain"),
    ("plain", "", "tag ;; fail | options.late = true ;; disclaim", "tag edited 1 | fail: fault | disclaim edited 1 = plain X-Tag"),
    ("plain", "", "tag ;; fail | options.late = true | options.fault = 'inapplicable'", "tag edited 1 | fail: limit = plain X-Tag"),
    ("plain", "", r#"copy ;; fail | on_error = "defer""#, "defer by 2"),
    // A part that was taken is accounted for, or the rule fails.
    ("mixed(plain,csv@a.csv)", "", "take", "take edited 2 = mixed(plain) X-Taken"),
    ("mixed(plain,csv@a.csv)", "", "take | options.account = 'released'", "take: no-saving"),
    ("mixed(plain,csv@a.csv)", "", "take | options.account = 'forgotten'", "take: fault"),
    ("mixed(plain,csv@a.csv)", "", r#"take | options.account = 'forgotten' | on_error = "defer""#, "defer by 1"),
    // A single-part mail whose only part is taken and not replaced, and the last child of the root.
    ("csv@a.csv", "", "take", "take: fault"),
    ("mixed(csv@a.csv)", "", "drop", "defer by 1"),
    ("mixed(csv@a.csv)", "", r#"drop | on_error = "pass""#, "drop: fault"),
    // What cannot be proved is not sent: the strictest of the rules that edited decides.
    ("plain", "", "wrong", "wrong: fault"),
    ("plain", "", r#"wrong | on_error = "defer""#, "defer by 1"),
    ("plain", "", r#"wrong | on_error = "reject""#, "reject by 1"),
    ("plain", "", "tag ;; wrong", "tag: fault | wrong: fault"),
    ("plain", "", r#"tag | on_error = "reject" ;; wrong"#, "reject by 1"),
    ("plain", "", r#"disclaim | match.sender = 'eve' | on_error = "reject" ;; wrong | on_error = "defer""#, "defer by 2"),
    ("plain", "", "wrong ;; seal", "wrong: fault | seal edited 1 = plain X-Whole"),
    ("plain", "", r#"wrong | mode = "shadow" ;; tag"#, "~wrong edited 1 | tag edited 1 = plain X-Tag"),
    // An edit that is not reported does not count.
    ("plain", "", "silent", "silent: no-body"),
    ("plain", "", "tag ;; silent", "tag edited 1 | silent: no-body = plain X-Tag"),
];

#[rustfmt::skip]
const REASONS: &[Row] = &[
    ("pdf@a.pdf", "", "disclaim", "disclaim: no-body"),
    ("mixed(csv@a.csv,plain@b.txt)", "", "disclaim", "disclaim: no-body"),
    ("pdf@a.pdf", "", r"disclaim | match.position = 'attachment'", "disclaim: no-body"),
    ("html-frameset.eml", "", r#"disclaim | options.html = "<p>x</p>" | options.fallback = "skip""#, "disclaim: no-body"),
    ("klingon", "", r#"disclaim | options.text = "x" | options.fallback = "skip""#, "disclaim: charset"),
    ("klingon", "", r#"disclaim | options.text = "x""#, "disclaim edited 1 = mixed(plain,plain)"),
    ("klingon", "", r#"disclaim | options.text = "x" | options.fallback = "defer""#, "defer by 1"),
    ("klingon", "", r#"disclaim | options.text = "x" | options.fallback = "reject""#, "reject by 1"),
    ("klingon", "", r#"disclaim | options.text = "x" | options.fallback = ["skip", "reject"]"#, "disclaim: charset"),
    ("broken-base64-truncated-attachment.eml", "", "zip", "zip: malformed"),
    ("mixed(plain,broken@a.pdf)", "", "zip", "zip: malformed"),
    ("mixed(plain,broken@a.pdf,csv@b.csv)", "", "zip", "zip edited 3 = mixed(plain,pdf,zip)"),
    ("opaque", "", r#"disclaim | match.position = 'root' | options.text = "x" | options.fallback = "skip""#, "disclaim: malformed"),
    ("opaque", "", r"zip | match.position = 'root'", "zip: malformed"),
    ("plain", "", "zip", "zip: below-threshold"),
    ("mixed(plain,csv@a.csv)", "", "zip | options.min_parts = 2", "zip: below-threshold"),
    ("mixed(plain,csv@a.csv)", "", "zip | options.min_total = '1M'", "zip: below-threshold"),
    ("mixed(plain,csv@a.csv)", "", "zip | options.min_part = '1M'", "zip: below-threshold"),
    ("mixed(plain,csv@a.csv)", "", "zip | options.exclude = '.csv'", "zip: below-threshold"),
    ("mixed(plain,csv@a.csv*20)", "", "zip", "zip: no-saving"),
    ("mixed(plain,csv@a.csv)", "", "zip | options.min_saving = 99", "zip: no-saving"),
    // A line that fits until it must be stuffed for format=flowed.
    ("mixed(flowed,csv@a.csv)", "", "LONG", "disclaim: limit"),
    ("plain", "", "LONG", "disclaim edited 1 = plain"),
];

/// A text that must be in every mail: what has no room for it gets it as a part of its own, or does not leave.
#[rustfmt::skip]
const REQUIRED: &[Row] = &[
    ("pdf@a.pdf", "", r#"disclaim | options.fallback = ["attach", "reject"]"#, "disclaim edited 1 = mixed(pdf,plain)"),
    ("mixed(pdf@scan.pdf)", "", r#"disclaim | options.fallback = ["attach", "reject"]"#, "disclaim edited 0 = mixed(pdf,plain)"),
    ("mixed(pdf@scan.pdf)", "", r#"disclaim | options.fallback = "reject""#, "reject by 1"),
    ("mixed(pdf@scan.pdf)", "", r#"disclaim | options.fallback = "defer""#, "defer by 1"),
    ("mixed(pdf@scan.pdf)", "", r#"disclaim | on_error = "reject""#, "disclaim edited 0 = mixed(pdf,plain)"),
    ("mixed(pdf@scan.pdf)", "", r#"disclaim | on_error = "defer" | options.place = "top""#, "disclaim edited 0 = mixed(plain,pdf)"),
    ("mixed(pdf@scan.pdf)", "", r#"disclaim | on_error = "pass""#, "disclaim: no-body"),
    ("mixed(pdf@scan.pdf)", "", r#"disclaim | on_error = "reject" | options.fallback = ["attach", "skip"]"#, "disclaim edited 0 = mixed(pdf,plain)"),
    ("mixed(pdf@scan.pdf)", "", r#"disclaim | on_error = "reject" | options.fallback = "skip""#, "disclaim: no-body"),
    ("mixed(pdf@scan.pdf)", "", r#"disclaim | options.fallback = ["skip", "reject"]"#, "disclaim: no-body"),
    ("png^a.png", "", r#"disclaim | options.fallback = ["attach", "reject"]"#, "disclaim edited 1 = mixed(png,plain)"),
    ("calendar-reply-root.eml", "", r#"disclaim | options.fallback = "reject""#, "reject by 1"),
    // A filter that says what the default says does not let mail without a body pass; one that names other parts means these.
    ("mixed(pdf@scan.pdf)", "", r#"disclaim | match.position = "body" | options.fallback = "reject""#, "reject by 1"),
    ("mixed(pdf@scan.pdf)", "", r#"disclaim | match.position = "body" | options.fallback = ["attach", "reject"]"#, "disclaim edited 0 = mixed(pdf,plain)"),
    ("mixed(pdf@scan.pdf)", "", r#"disclaim | match.filename = 'log' | options.fallback = "reject""#, "disclaim: no part"),
    ("mixed(pdf@scan.pdf)", "", r#"disclaim | match.sender = 'eve' | options.fallback = "reject""#, "disclaim: no sender"),
    // What was not looked into.
    ("opaque", "", r#"disclaim | options.fallback = ["attach", "reject"]"#, "disclaim edited 1 = mixed(mixed,plain)"),
    ("opaque", "", r#"disclaim | on_error = "defer""#, "disclaim edited 1 = mixed(mixed,plain)"),
    ("opaque", "", "disclaim", "disclaim edited 1 = mixed(mixed,plain)"),
    ("opaque", "", r#"disclaim | options.fallback = "reject""#, "reject by 1"),
    ("opaque", "", r#"disclaim | options.fallback = "skip""#, "disclaim: malformed"),
    // Bulk mail: only if the rule says so itself.
    ("Precedence: bulk & plain", "", "disclaim", "disclaim: exempt"),
    ("Precedence: bulk & plain", "", r#"disclaim | on_error = "reject""#, "disclaim edited 1 = plain"),
    ("Precedence: bulk & plain", "", r#"disclaim | options.fallback = ["attach", "defer"]"#, "disclaim edited 1 = plain"),
    ("Precedence: bulk & plain", "", r#"disclaim | on_error = "reject" | unless.bulk = true"#, "disclaim: not bulk"),
    ("plain", "<> > bo@example.com", r#"disclaim | on_error = "reject""#, "disclaim edited 1 = plain"),
    ("Precedence: bulk & mixed(plain,csv@a.csv)", "", r#"zip | on_error = "reject""#, "zip: exempt"),
    // Sealed content: what the rule says of it, or else beside it.
    ("signed(plain,sig)", "", r#"disclaim | on_error = "reject""#, "disclaim edited 0 = mixed(signed(plain,pgp-signature),plain)"),
    ("signed(plain,sig)", "", r#"disclaim | options.fallback = "reject""#, "reject by 1"),
    ("signed(plain,sig)", "", r#"disclaim | options.fallback = "defer""#, "defer by 1"),
    ("signed(plain,sig)", "", r#"disclaim | on_error = "reject" | on_sealed = "skip""#, "disclaim: sealed"),
    ("signed(plain,sig)", "", r#"disclaim | options.fallback = "reject" | on_sealed = "wrap""#, "disclaim edited 0 = mixed(signed(plain,pgp-signature),plain)"),
    ("signed(plain,sig)", "", r#"disclaim | options.fallback = "reject" | on_sealed = "reject""#, "reject by 1"),
    ("p7m", "", r#"disclaim | options.fallback = "reject""#, "reject by 1"),
    // What rules above keep or took.
    ("plain", "", r#"keep ;; disclaim | options.fallback = "reject""#, "reject by 2"),
    ("mixed(plain,csv@a.csv)", "", r#"keep | match.position = "body" ;; disclaim | on_error = "reject""#, "keep 0,1 | disclaim edited 0 = mixed(plain,csv,plain)"),
    ("mixed(plain,csv@a.csv)", "", r#"drop | match.position = "body" ;; disclaim | options.fallback = "reject""#, "reject by 2"),
    // The mail's own text is there, and whoever says itself that this is enough.
    ("klingon", "", r#"disclaim | options.text = "x" | on_error = "reject" | options.fallback = "attach""#, "disclaim edited 1 = mixed(plain,plain)"),
    ("klingon", "", r#"disclaim | options.text = "x" | on_error = "defer" | options.fallback = []"#, "defer by 1"),
    ("plain", "", r#"disclaim | options.fallback = "reject" ;; wrong"#, "reject by 1"),
    ("plain", "", r#"disclaim | mode = "shadow" | options.fallback = "reject""#, "~disclaim edited 1"),
    ("mixed(pdf@scan.pdf)", "", r#"disclaim | mode = "shadow" | options.fallback = "reject""#, "~disclaim: fault"),
    // The banner: the text, not the tag.
    ("mixed(pdf@scan.pdf)", "", r#"banner | options.text = "x" | options.fallback = "reject""#, "reject by 1"),
    ("mixed(pdf@scan.pdf)", "", r#"banner | options.subject_tag = "[x]" | on_error = "reject""#, "banner edited 0 = mixed(pdf)"),
    ("signed(plain,sig)", "", r#"banner | options.text = "x" | on_error = "reject""#, "banner edited 0 = mixed(plain,signed(plain,pgp-signature))"),
    ("plain", "", r#"keep ;; banner | options.text = "x" | options.fallback = "reject""#, "reject by 2"),
];

#[rustfmt::skip]
const SCOPES: &[Row] = &[
    // Scopes run in their order whatever the file's; within one the file's order rules.
    ("plain", "", "seal ;; whole ;; tag ;; copy", "seal edited 1 | whole edited 1 | tag edited 1 | copy done = plain X-Whole X-Whole X-Tag"),
    ("plain", "", "whole ;; disclaim", "whole edited 1 | disclaim edited 1 = plain X-Whole"),
    ("signed(plain,sig)", "", "tag ;; seal", "tag edited 0 | seal edited 0 = signed(plain,pgp-signature) X-Whole X-Tag"),
    ("plain", "", r#"whole | mode = "shadow" ;; tag"#, "~whole edited 1 | tag edited 1 = plain X-Tag"),
    ("plain", "", r#"whole | match.sender = 'eve' ;; seal"#, "whole: no sender | seal edited 1 = plain X-Whole"),
    ("mixed(plain,csv@a.csv)", "", "drop ;; whole", "drop edited 2 | whole edited 0 = mixed(plain) X-Whole"),
];

#[test]
fn plans() {
    check(PLANS, |notation, mail| {
        let config = rules(notation);
        show_plans(&config, mail)
    });
}

#[test]
fn outcomes() {
    let long = format!(
        "disclaim | options.text = \">{}\" | options.html = \"<p>x</p>\" | options.fallback = \"skip\"",
        "x".repeat(997)
    );
    check(OUTCOMES, |notation, mail| {
        let config = rules(if notation == "LONG" { &long } else { notation });
        show_outcomes(&config, mail)
    });
}

/// Shows all rows that fail, whole, and not only the first.
fn check(tables: &[(&str, &[Row])], outcome: impl Fn(&str, &mimicry_core::mail::Mail) -> String) {
    let mut failures = String::new();
    for (table, rows) in tables {
        for (notation, envelope, rules, expected) in *rows {
            let found = outcome(rules, &mail(notation, envelope));
            if found != *expected {
                failures += &format!(
                    "{table}: {notation} ({envelope}) {rules}\n    expected  {expected}\n    found     {found}\n"
                );
            }
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

#[test]
fn every_filter_and_every_reason_has_its_rows() {
    let plans = || PLANS.iter().flat_map(|(_, rows)| *rows);
    let outcomes = || OUTCOMES.iter().flat_map(|(_, rows)| *rows);
    assert!(plans().count() + outcomes().count() >= 170);
    let rows: BTreeSet<&Row> = plans().chain(outcomes()).collect();
    assert_eq!(
        rows.len(),
        plans().count() + outcomes().count(),
        "a row stands there twice"
    );
    for filter in FILTERS {
        let (matching, unless) = (
            format!("match.{}", filter.name),
            format!("unless.{}", filter.name),
        );
        let denied = |row: &Row, sign: &str| match filter.level {
            Level::Part => row.3.contains("no part"),
            _ => row.3.contains(&format!("{sign} {}", filter.name)),
        };
        let named =
            |key: &str| -> Vec<&Row> { plans().filter(|row| row.2.contains(key)).collect() };
        let (in_match, in_unless) = (named(&matching), named(&unless));
        assert!(
            in_match.iter().any(|row| denied(row, "no")),
            "no row shows that {matching} fails"
        );
        assert!(
            in_match.iter().any(|row| !denied(row, "no")),
            "no row shows that {matching} holds"
        );
        assert!(in_unless.len() >= 2, "too few rows with {unless}");
        assert!(
            in_unless.iter().any(|row| !row.3.contains(": not ")),
            "no row shows that {unless} lets a rule pass"
        );
    }
    // The first is given by the daemon to a mail that killed workers, the second by options of plugins to come; the tests of
    // dkim_sign and arc_seal, which need keys, have the others.
    let elsewhere = [
        Reason::Poison,
        Reason::Duplicate,
        Reason::NoKey,
        Reason::Arc,
    ];
    for (reason, _) in Reason::ALL
        .iter()
        .filter(|(reason, _)| !elsewhere.contains(reason))
    {
        let code = format!(": {}", reason.code());
        let mut all = plans().chain(outcomes());
        assert!(
            all.any(|row| row.3.contains(&code)),
            "no row shows the reason {reason}"
        );
    }
}

// man: mimicry-plugins(7) "Then no mail for which the rule's filters hold leaves without it, unless the configuration says so in
// so many words"
#[test]
fn no_mail_of_the_corpus_leaves_without_a_required_text() {
    for settings in [
        r#"on_error = "reject""#,
        r#"on_error = "defer""#,
        r#"on_error = "reject" | match.position = "body""#,
        r#"on_error = "reject" | options.place = "below-reply" | options.once = "per-thread""#,
        r#"options.fallback = "reject" | options.place = "top""#,
        r#"options.fallback = ["attach", "defer"] | on_sealed = "reject""#,
    ] {
        for plugin in ["disclaim", "banner"] {
            let is_banner = plugin == "banner";
            if is_banner && (settings.contains("place") || settings.contains("body")) {
                continue;
            }
            let config = rules(&format!(
                r#"{plugin} | options.text = "OURS 12345" | options.html = "<p>OURS 12345</p>" | {settings}"#
            ));
            let mut edited = 0;
            for (name, octets) in corpus_mails() {
                let mail = mail_of(octets, "");
                let Ok(applied) = common::apply(&config, &mail) else {
                    continue;
                };
                let after = applied.message.unwrap_or_else(|| {
                    panic!("{plugin} {settings}: {name}: {:?}", applied.reports)
                });
                let edits = mimicry_core::message::edit::EditSet::new(&after);
                let has_it = after.leaves().any(|part| {
                    let text = edits
                        .content(part.id())
                        .ok()
                        .and_then(|content| content.text().ok());
                    text.is_some_and(|text| text.text().contains("OURS 12345"))
                });
                assert!(has_it, "{plugin} {settings}: {name}");
                edited += 1;
            }
            assert!(edited > 200, "{plugin} {settings}: {edited}");
        }
    }
}

#[test]
fn edits_of_one_body_chain_in_the_order_of_the_file() {
    for (rules_, expected) in [
        (
            r#"disclaim | options.text = "one" ;; disclaim | options.text = "two""#,
            "Hello\r\n\r\none\r\n\r\ntwo\r\n",
        ),
        (
            r#"disclaim | options.text = "two" ;; disclaim | options.text = "one""#,
            "Hello\r\n\r\ntwo\r\n\r\none\r\n",
        ),
        (
            r#"disclaim | options.text = "one" ;; disclaim | options.text = "top" | options.place = "top""#,
            "top\r\n\r\nHello\r\n\r\none\r\n",
        ),
        (
            r#"disclaim | options.text = "one" ;; fail | options.late = true ;; disclaim | options.text = "two""#,
            "Hello\r\n\r\none\r\n\r\ntwo\r\n",
        ),
        (
            r#"disclaim | options.text = "one" | mode = "shadow" ;; disclaim | options.text = "two""#,
            "Hello\r\n\r\ntwo\r\n",
        ),
    ] {
        let config = rules(rules_);
        let mail = mail("plain", "");
        let applied = apply(&config, &mail).unwrap();
        let body = applied.message.unwrap().root().body().to_vec();
        assert_eq!(String::from_utf8(body).unwrap(), expected, "{rules_}");
    }
}

#[test]
fn a_later_scope_sees_what_the_earlier_ones_made() {
    let config = rules("seal ;; copy ;; disclaim ;; tag");
    let mail = mail("plain", "");
    let applied = apply(&config, &mail).unwrap();
    let message = applied.message.unwrap();
    let field = message.root().field("x-whole").unwrap();
    let seen: usize = field.decoded().trim().parse().unwrap();
    assert_eq!(seen, message.raw().len() - field.raw().len());
}

#[test]
fn strip_removes_every_dkim_signature_of_a_mail_that_it_edits_and_of_no_other() {
    let fields = "DKIM-Signature: v=1; a=x & DKIM-Signature: v=1; a=y";
    for (tree, rule, left) in [
        ("plain", r#"disclaim | on_dkim = "strip""#, 0),
        ("plain", r#"disclaim | on_dkim = "edit""#, 1),
        ("mixed(plain,csv@a.csv*20)", r#"zip | on_dkim = "strip""#, 1),
    ] {
        let config = rules(rule);
        let mail = mail(&format!("{fields} & {tree}"), "");
        let applied = apply(&config, &mail).unwrap();
        let message = applied.message.as_ref().unwrap_or(&mail.message);
        let found = message
            .root()
            .fields()
            .filter(|field| field.is("dkim-signature"))
            .count();
        assert_eq!(found, left, "{rule}");
    }
}

#[test]
fn a_panic_is_left_to_the_worker() {
    let config = rules("fail | options.fault = 'panic'");
    let mail = mail("plain", "");
    let outcome = catch_unwind(AssertUnwindSafe(|| apply(&config, &mail)));
    assert!(outcome.is_err());
}

#[test]
fn classes_with_the_same_effect_are_known() {
    let config = rules(
        r"disclaim | match.recipient = '@out$' ;; copy | unless.recipient = '^d@' ;; zip | match.recipient = '^e@'",
    );
    let mail = mail(
        "mixed(plain,csv@a.csv)",
        "a@x > b@in, c@out, d@out, e@in, f@out",
    );
    let plans = plans_of(&config, &mail);
    let members: Vec<&[usize]> = plans
        .iter()
        .map(|plan| plan.recipients.as_slice())
        .collect();
    assert_eq!(members, [&[0][..], &[1, 4], &[2], &[3]]);
    assert!(plans[1].same_effect(&plans[1]));
    assert!(!plans[0].same_effect(&plans[1]));
    let config = rules(r"keep | match.recipient = '@in$' | match.filename = 'z' ;; disclaim");
    let plans = plans_of(&config, &mail);
    assert_eq!(plans.len(), 2);
    assert!(plans[0].same_effect(&plans[1]));
}

// T182
#[test]
fn classes_share_what_says_nothing_of_them() {
    for (notation, shared, begun) in [
        // A tag is the same for all: one run for three classes, and nobody is shown to it.
        ("tag", true, "tag:0"),
        // Whatever does not say that it reads no recipients runs for each class, with those of the class.
        ("whole", false, "other:1 other:1 other:2"),
        (
            "tag ;; whole",
            false,
            "tag:0 other:1 tag:0 other:1 tag:0 other:2",
        ),
        // What looks at the mail as it came runs once, with all.
        ("copy ;; tag", true, "other:4 tag:0"),
    ] {
        // Two rules that make classes and do nothing.
        let classes = r"keep | match.recipient = '^b@' | match.filename = 'z' ;; keep | match.recipient = '^c@' | match.filename = 'z'";
        let config = rules(&format!("{classes} ;; {notation}"));
        let mail = mail("plain", "a@x > b@in, c@in, d@out, e@out");
        BEGUN.take();
        let judged = judge(&config, &mail);
        let results: Vec<_> = judged.iter().map(|class| &class.result).collect();
        assert_eq!(results.len(), 3, "{notation}");
        assert!(results.iter().all(|result| result.is_ok()), "{notation}");
        let seen: Vec<String> = BEGUN
            .take()
            .iter()
            .map(|(name, count)| format!("{name}:{count}"))
            .collect();
        assert_eq!(seen.join(" "), begun, "{notation}");
        for other in &results[1..] {
            assert_eq!(Rc::ptr_eq(results[0], other), shared, "{notation}");
        }
    }
}

// T182
#[test]
fn plugins_say_whether_their_texts_name_recipients() {
    for (rule, reads) in [
        ("disclaim", false),
        (
            "disclaim | options.text = '{{ subject }}' | options.html = '{{ sender }} {{ header.to }}'",
            false,
        ),
        (
            "disclaim | options.text = 'x' | options.html = '{{ recipients }}'",
            true,
        ),
        (
            "disclaim | options.text = '{% set x = recipients %}{{ x[0].local }}'",
            true,
        ),
        ("banner | options.text = 'x'", false),
        ("banner | options.text = '{{ recipients|length }}'", true),
        ("banner | options.header = 'X: {{ recipients }}'", true),
        ("header | options.add.X = '{{ sender }}'", false),
        ("header | options.insert.X = '{{ recipients }}'", true),
        ("header | options.append_subject = '{{ recipients }}'", true),
        ("zip", false),
        ("zip | options.name = '{{ recipients[0].local }}.zip'", true),
        (
            "tar_gzip | options.note = 'text' | options.note_text = '{{ recipients }}'",
            true,
        ),
        ("remove", false),
        ("remove | options.keep = '/srv/{{ recipient.local }}'", true),
        ("remove | options.note_name = '{{ recipients }}'", true),
        ("archive | options.dir = '/srv/{{ sender.local }}'", false),
        (
            "archive | options.dir = '/srv/{{ recipient.domain }}'",
            true,
        ),
    ] {
        let config = rules(rule);
        assert_eq!(
            config.policy.rules[0].plugin.reads_recipients(),
            reads,
            "{rule}"
        );
    }
}

/// The mode above all tables bounds the mode of each rule; on_error is a default only.
#[test]
fn settings_for_all_rules() {
    for (source, expected) in [
        (
            "mode = \"shadow\"\n[[rule]]\nname = \"a\"\nplugin = \"tag\"\n",
            "~tag edited 1",
        ),
        (
            "mode = \"off\"\n[[rule]]\nname = \"a\"\nplugin = \"tag\"\nmode = \"enforce\"\n",
            "tag: off",
        ),
        (
            "on_error = \"reject\"\n[[rule]]\nname = \"a\"\nplugin = \"fail\"\n",
            "reject by 1",
        ),
        (
            "on_error = \"reject\"\n[[rule]]\nname = \"a\"\nplugin = \"fail\"\non_error = \"defer\"\n",
            "defer by 1",
        ),
        (
            "rules = [\"b\"]\n[[rule]]\nname = \"a\"\nplugin = \"fail\"\n[[rule]]\nname = \"b\"\nplugin = \"copy\"\n",
            "copy done",
        ),
    ] {
        let config = load(source);
        let mail = mail("plain", "");
        assert_eq!(show_outcomes(&config, &mail), expected, "{source}");
    }
}

/// Whatever the mail: a rule that matched and changed nothing says why, the same plan comes twice, and the mail that
/// comes out differs from the one that went in only if a rule says that it edited.
#[test]
fn every_mail_that_was_not_changed_has_a_reason() {
    let config = rules(
        "copy ;; disclaim ;; zip ;; take ;; drop | on_error = \"pass\" ;; tag | mode = \"shadow\"",
    );
    for (name, raw) in corpus_mails() {
        let mail = mail_of(raw, "");
        let (plan, applied) = apply_planned(&config, &mail);
        let applied = applied.unwrap();
        assert_eq!(plan.steps, plans_of(&config, &mail)[0].steps, "{name}");
        let mut edited = false;
        let decisions = plan.decisions(&config.policy, &Facts::of(&mail));
        let rules = config.policy.rules.iter().enumerate();
        for (step, (at, rule)) in decisions.iter().zip(rules) {
            let report = &applied.reports[at];
            edited |= matches!(report, engine::Report::Edited { .. });
            let silent =
                report.reason(step).is_none() && !matches!(report, engine::Report::Edited { .. });
            assert!(
                !silent || rule.kind.name() == "copy",
                "{name}: {} says nothing",
                rule.name
            );
        }
        assert_eq!(applied.message.is_some(), edited, "{name}");
    }
}

/// The mails of the notation are what they look like.
#[test]
fn the_notation_makes_sound_mails() {
    for (_, rows) in PLANS.iter().chain(OUTCOMES) {
        for (notation, ..) in rows
            .iter()
            .filter(|row| !row.0.ends_with(".eml") && !row.0.contains("opaque"))
        {
            let message = Message::scan(octets(notation), &Limits::default());
            assert!(!message.malformed(), "{notation}");
        }
    }
}
