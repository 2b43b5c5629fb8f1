//! What indices find, against each rule and each bank judged by itself, over random configurations and mails.

use std::path::Path as FilePath;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::select::{Known, Selection};
use super::super::*;
use crate::config::tests::REGISTRY;
use crate::config::{Config, parse};
use crate::envelope::{Envelope, Path};
use crate::mail::{Mail, Moment};
use crate::message::{Limits as MessageLimits, Message};
use crate::origin::Origin;
use crate::rule::facts::Facts;
use crate::rule::filter::Filter;
use crate::rule::index::{Asked, Shortlist};
use crate::rule::plan::{plan_class, signature};
use crate::rule::reach::Named;

/// Filters, by the level at which they are known.
const BEFORE_RCPT: &[&str] = &[
    "sender = '@a\\.example$'",
    "sender = ['^anna@', 'BÜCHER\\.example$']",
    "sender = '.'",
    "sender = '^$'",
    "sender = '\\d+@(a|b)\\.example$'",
    "sender_domain = 'a.example'",
    "sender_domain = ['.b.example', 'bücher.example']",
    "sender_domain = 'file:domains.txt'",
    "listener = 'in'",
    "listener = ['in', 'out']",
    "client = '192.0.2.0/24'",
    "auth_user = 'anna'",
    "recipient = '@a\\.example$'",
    "recipient = ['^tom@', '@xn--bcher-kva\\.example$']",
    "recipient = '[0-9]'",
    "recipient_domain = '.a.example'",
    "recipient_domain = ['b.example', 'c.example']",
];

const OF_HEADER: &[&str] = &[
    "header_sender = 'anna@'",
    "header_sender_domain = '.example'",
    "header_sender_domain = 'b.example'",
];

const OF_MAIL: &[&str] = &[
    "helo = 'mx\\.'",
    "header_recipient = '@c\\.example'",
    "header.Subject = '\\[urgent\\]'",
    "header.X-A = ''",
    "header.Subject = '^re:|K'",
    "mail_size = '> 200'",
    "bulk = true",
    "malformed = true",
    "filename = '\\.exe$'",
    "filename = ['\\.csv$', '^a']",
    "type = '^text/html$'",
    "type_path = 'mixed > text'",
    "position = 'attachment'",
    "disposition = '^inline$'",
    "charset = 'utf'",
    "part_size = '> 1'",
];

fn some(pool: Vec<&'static str>, most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(pool), 0..=most).prop_map(|mut list| {
        // A key may be there once.
        let mut keys = std::collections::BTreeSet::new();
        list.retain(|filter: &&str| {
            let key = filter.split(" = ").next().unwrap_or_default();
            keys.insert(key.split('.').next().unwrap_or_default())
        });
        list
    })
}

fn of_rules() -> Vec<&'static str> {
    [BEFORE_RCPT, OF_HEADER, OF_MAIL].concat()
}

prop_compose! {
    fn rule()(
        plugin in prop::sample::select(vec!["stamp", "stamp", "stamp", "guard", "ignore_all"]),
        matching in some(of_rules(), 3),
        unless in some(of_rules(), 2),
        mode in prop::sample::select(vec!["enforce", "enforce", "shadow", "off"]),
        is_final in prop::bool::weighted(0.1),
    ) -> String {
        format!(
            "plugin = '{plugin}'\nmode = '{mode}'\nfinal = {is_final}\nmatch = {{ {} }}\nunless = {{ {} }}\n",
            matching.join(", "),
            unless.join(", "),
        )
    }
}

prop_compose! {
    fn bank()(
        when in some([BEFORE_RCPT, OF_HEADER].concat(), 3),
        only_header in some(OF_HEADER.to_vec(), 2),
        sets in prop::sample::select(vec!["variables.a = 'x'", "mode = 'shadow'", "rules_add = 'r0'", "rules = ['r0', 'r1']"]),
    ) -> String {
        let when = if when.is_empty() { only_header } else { when };
        let when = if when.is_empty() { vec!["sender = 'x'"] } else { when };
        format!("{sets}\nwhen = {{ {} }}\n", when.join(", "))
    }
}

fn source(rules: &[String], banks: &[String]) -> String {
    let mut text = "rules = ['r0', 'r1', 'r2']\n[[listen]]\nname = 'in'\naddress = '127.0.0.1:1'\nauth_clients = '127.0.0.1'\nxforward_clients = '127.0.0.1'\n\
        [[listen]]\nname = 'out'\naddress = '127.0.0.1:2'\n".to_string();
    for (number, rule) in rules.iter().enumerate() {
        text.push_str(&format!("[[rule]]\nname = 'r{number}'\n{rule}"));
    }
    for (number, bank) in banks.iter().enumerate() {
        text.push_str(&format!("[[bank]]\nname = 'b{number}'\n{bank}"));
    }
    text
}

/// `None` = the rules stand in each other's way.
fn parsed(rules: &[String], banks: &[String]) -> Option<Config> {
    let read = |path: &FilePath| match path.to_str() {
        Some("/domains.txt") => Ok(b"# ours\na.example\n.c.example\n".to_vec()),
        _ => Err(std::io::ErrorKind::NotFound.into()),
    };
    let source = source(rules, banks);
    match parse(&source, FilePath::new("/m.toml"), REGISTRY, &read) {
        Ok(config) => Some(config),
        Err(mistakes) => {
            let shown = mistakes.to_string();
            // Any other mistake is one of this test.
            let known = ["never reached", "acts on the mail", "stands below"];
            assert!(
                known.iter().any(|known| shown.contains(known)),
                "{shown}\n{source}"
            );
            None
        }
    }
}

prop_compose! {
    fn mail()(
        sender in prop::sample::select(vec!["", "anna@a.example", "7@b.example", "x@bücher.example", "x@sub.b.example", "anna@xn--bcher-kva.example", "postmaster"]),
        recipients in prop::collection::vec(
            prop::sample::select(vec!["tom@a.example", "7@b.example", "x@sub.a.example", "x@bücher.example", "x@c.example", "y@d.example"]), 1..5),
        (listener, client) in prop::sample::select(vec![("in", "192.0.2.7"), ("out", "10.0.0.1")]),
        auth in prop::option::of(Just("anna")),
        from in prop::sample::select(vec!["anna@a.example", "b@b.example", "x@bücher.example, y@c.test", "none"]),
        subject in prop::sample::select(vec!["x", "[URGENT] now", "Re: y", "\u{212a}"]),
        body in prop::sample::select(vec![
            "Content-Type: text/plain; charset=utf-8\r\n\r\nx\r\n",
            "X-A: 1\r\nAuto-Submitted: auto-replied\r\n\r\nx\r\n",
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\nContent-Disposition: attachment; filename=a.csv\r\n\r\n1,2\r\n--b--\r\n",
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\nx\r\n--b\r\nContent-Disposition: inline; filename*=zz''%ff.exe\r\n\r\n1\r\n--b--\r\n",
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n--b\r\n\r\nhidden\r\n--b--\r\n",
        ]),
    ) -> Mail {
        Mail {
            origin: Origin {
                client: client.parse().ok(),
                listener: Some(listener.into()),
                auth_user: auth.map(String::from),
                helo: Some(b"mx.a.example".to_vec()),
                ..Origin::default()
            },
            envelope: Envelope::new(sender, recipients),
            message: Message::scan(
                format!("From: {from}\r\nTo: x@c.example\r\nSubject: {subject}\r\n{body}").into_bytes(),
                &MessageLimits::default(),
            ),
            received: Moment::default(),
        }
    }
}

/// The banks, each judged by itself.
fn each_bank(banks: &Banks, known: &Known<'_>) -> (Vec<usize>, Vec<usize>) {
    let of = |wanted: Selection| {
        let all = banks.all().iter().enumerate();
        let chosen = all.filter(|(_, bank)| bank.judge(known) == wanted);
        chosen.map(|(place, _)| place).collect()
    };
    (of(Selection::Holds), of(Selection::Pending))
}

fn check_banks(config: &Config, mail: &Mail) -> Result<(), TestCaseError> {
    let (banks, facts) = (&config.banks, Facts::of(mail));
    let (origin, sender) = (&mail.origin, &mail.envelope.sender);
    for known in [Known::at_connect(origin), Known::at_mail(origin, sender)] {
        prop_assert_eq!(banks.choose(&known).applied, each_bank(banks, &known).0);
    }
    for recipient in &mail.envelope.recipients {
        let at_rcpt = Known::at_rcpt(origin, sender, &recipient.path);
        let (holds, pending) = each_bank(banks, &at_rcpt);
        let choice = banks.choose(&at_rcpt);
        let found: BTreeSet<usize> = banks.pending(&choice).collect();
        prop_assert_eq!(&choice.applied, &holds);
        prop_assert!(found.into_iter().eq(pending));
        let in_the_end = Known {
            facts: Some(&facts),
            ..at_rcpt
        };
        let holds = each_bank(banks, &in_the_end).0;
        prop_assert_eq!(&banks.complete(&choice, &in_the_end).applied, &holds);
        prop_assert_eq!(&banks.choose(&in_the_end).applied, &holds);
    }
    Ok(())
}

/// All rules of a policy are candidates.
fn plainly(number: usize) -> Arc<Shortlist> {
    let nothing = Arc::new(Index::of(
        (0u32..)
            .zip(vec![&Filters::default(); number])
            .map(|(place, filters)| (place, filters, true)),
        Entries::All,
    ));
    let numbers = (0u32..).take(number).collect();
    Arc::new(Shortlist::new(&nothing, numbers))
}

/// The truth of each rule that depends on the recipient and may act, by all that is known at RCPT.
fn truths(rules: &[Arc<Rule>], mail: &Mail, recipient: &Path) -> Vec<bool> {
    let (origin, sender) = (&mail.origin, &mail.envelope.sender);
    let holds = |filter: &Filter| match filter.level() {
        Level::Recipient => Some(filter.holds_for_recipient(recipient)),
        Level::Origin | Level::Sender => Some(filter.holds_before_recipients(origin, sender)),
        Level::Mail | Level::Part => None,
    };
    let truth = |rule: &Arc<Rule>| {
        let fails = rule.matching.iter().any(|one| holds(one) == Some(false));
        let vetoed = rule.unless.iter().any(|one| holds(one) == Some(true));
        !fails && !vetoed
    };
    rules.iter().map(truth).collect()
}

/// Two recipients are in one class if, and only if, no rule tells them apart.
fn check_classes(config: &Config, mail: &Mail) -> Result<(), TestCaseError> {
    let memo = Memo::default();
    let known: Vec<_> = (mail.envelope.recipients.iter())
        .map(|one| {
            let (signature, standing) = memo.class(&config.banks, &Named::of(mail, &one.path));
            let truths = truths(&standing.candidates.rules, mail, &one.path);
            (signature, truths)
        })
        .collect();
    for (ours, our_truths) in &known {
        for (theirs, their_truths) in &known {
            let alike = ours.choice == theirs.choice && our_truths == their_truths;
            prop_assert_eq!(ours == theirs, alike);
        }
    }
    Ok(())
}

fn check_rules(config: &Config, mail: &Mail) -> Result<usize, TestCaseError> {
    let (memo, facts) = (Memo::default(), Facts::of(mail));
    let mut saved = 0;
    for class in memo.classes(&config.banks, mail) {
        let standing = memo.standing(&config.banks, &class.choice);
        let policy = &standing.settings.policy;
        let plain = Policy {
            shortlist: plainly(policy.rules.len()),
            ..(**policy).clone()
        };
        let found = plan_class(policy, &facts, class.recipients.clone());
        let expected = plan_class(&plain, &facts, class.recipients.clone());
        prop_assert_eq!(
            found.decisions(policy, &facts),
            expected.decisions(&plain, &facts)
        );
        prop_assert!(found.same_effect(&expected) && found.ended_by == expected.ended_by);
        saved += expected.steps.iter().count() - found.steps.iter().count();
        // And the classes.
        let candidates = &standing.candidates;
        let all = plainly(candidates.rules.len());
        for recipient in &mail.envelope.recipients {
            let sign = |shortlist: &Shortlist| {
                let rules = candidates.rules.as_slice();
                signature((rules, shortlist), &Named::of(mail, &recipient.path))
            };
            prop_assert_eq!(sign(&candidates.shortlist), sign(&all));
        }
    }
    Ok(saved)
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn an_index_finds_what_a_walk_through_all_finds(
        rules in prop::collection::vec(rule(), 3..12),
        banks in prop::collection::vec(bank(), 0..8),
        mails in prop::collection::vec(mail(), 1..6),
    ) {
        let config = parsed(&rules, &banks);
        prop_assume!(config.is_some());
        let Some(config) = config else { unreachable!() };
        for mail in &mails {
            check_banks(&config, mail)?;
            check_rules(&config, mail)?;
            check_classes(&config, mail)?;
        }
    }
}

#[test]
fn rules_and_banks_of_others_are_not_visited() {
    let number = 500;
    let rules: Vec<String> = (0..number)
        .map(|tenant| match tenant % 4 {
            0 => format!("plugin = 'stamp'\nmatch = {{ sender = '@t{tenant}\\.example$' }}\n"),
            1 => {
                format!("plugin = 'stamp'\nmatch = {{ recipient_domain = '.t{tenant}.example' }}\n")
            }
            2 => format!("plugin = 'stamp'\nmatch = {{ header.Subject = 'ticket {tenant}!' }}\n"),
            _ => format!("plugin = 'stamp'\nmatch = {{ filename = 'file{tenant}\\.csv$' }}\n"),
        })
        .collect();
    let banks: Vec<String> = (0..number)
        .map(|tenant| match tenant % 2 {
            0 => format!("variables.a = 'x'\nwhen.sender_domain = 't{tenant}.example'\n"),
            _ => format!(
                "variables.a = 'x'\nwhen = {{ header_sender = '@t{tenant}\\.', listener = 'in' }}\n"
            ),
        })
        .collect();
    let mut text = source(&rules, &banks);
    text = text.replace("rules = ['r0', 'r1', 'r2']\n", "");
    let read = |_: &FilePath| Err(std::io::ErrorKind::NotFound.into());
    let config = parse(&text, FilePath::new("/m.toml"), REGISTRY, &read).unwrap();
    let mail = Mail {
        origin: Origin::default(),
        envelope: Envelope::new("anna@t8.example", ["tom@a.t9.example"]),
        message: Message::scan(
            b"Subject: ticket 10!\r\nContent-Disposition: attachment; filename=file11.csv\r\n\r\nx\r\n".to_vec(),
            &MessageLimits::default(),
        ),
        received: Moment::default(),
    };
    let facts = Facts::of(&mail);
    let visited: Vec<usize> = plan_class(&config.policy, &facts, vec![0])
        .steps
        .iter()
        .map(|(rule, _)| rule)
        .collect();
    assert_eq!(visited, [8, 9, 10, 11]);
    let (origin, sender) = (&mail.origin, &mail.envelope.sender);
    let known = Known::at_rcpt(origin, sender, &mail.envelope.recipients[0].path);
    assert_eq!(config.banks.choose(&known).applied, [8]);
    let saved = check_rules(&config, &mail).unwrap();
    assert_eq!(saved, number - 4);
}

/// Of rules where only `unless` names recipients, those that a recipient is kept from are asked at its RCPT, and no others.
#[test]
fn rules_that_leave_out_other_recipients_are_not_visited() {
    let number = 500;
    let rules: Vec<String> = (0..number)
        .map(|tenant| match tenant % 3 {
            0 => format!(
                "plugin = 'stamp'\nmatch = {{ header.Subject = 'ticket {tenant}!' }}\nunless = {{ recipient = '@t{tenant}\\.example$' }}\n"
            ),
            1 => format!(
                "plugin = 'stamp'\nunless = {{ recipient_domain = '.t{tenant}.example', recipient = 'boss{tenant}@' }}\n"
            ),
            _ => format!(
                "plugin = 'stamp'\nmatch = {{ sender_domain = 's{tenant}.example' }}\nunless = {{ recipient_domain = 'x.example' }}\n"
            ),
        })
        .collect();
    let mut text = source(&rules, &[]);
    text = text.replace("rules = ['r0', 'r1', 'r2']\n", "");
    let read = |_: &FilePath| Err(std::io::ErrorKind::NotFound.into());
    let config = parse(&text, FilePath::new("/m.toml"), REGISTRY, &read).unwrap();
    let visited = |recipient: &str| {
        let standing = config.banks.standing_of_base().unwrap();
        standing.candidates.shortlist.candidates(&Asked {
            origin: &Origin::default(),
            sender: Some(&Path::new("anna@s5.example")),
            recipients: &[&Path::new(recipient)],
            facts: None,
        })
    };
    for (recipient, expected) in [
        ("tom@t6.example", vec![5, 6]),
        ("boss4@a.t7.example", vec![4, 5, 7]),
        ("tom@x.example", vec![5]),
        ("tom@y.example", vec![5]),
    ] {
        assert_eq!(visited(recipient), expected, "{recipient}");
    }
}
