//! Banks as a table of one-liners: what the file says, who sends what to whom, and the bank path and settings that follow.
//!
//! Longer than 600 lines: a list of cases, one behind the other.

use std::path::Path as FilePath;

use super::select::Selection;
use super::*;
use crate::config::tests::REGISTRY;
use crate::config::{Config, parse};
use crate::envelope::{Envelope, Path};
use crate::mail::{Mail, Moment};
use crate::message::{Limits as MessageLimits, Message};
use crate::origin::Origin;
use crate::rule::facts::Facts;
use crate::rule::reach::Named;

mod missed;
mod oracle;

/// What stands above the banks of each case.
const HEAD: &str = r#"
rules = ["one", "two", "for_r"]
variables = { company = "Base", city = "Bonn" }
[relay]
next_hop = "smtp://base"
[limits]
mail = "10M"
[[listen]]
name = "in"
address = "127.0.0.1:1"
xforward_clients = ["127.0.0.0/8"]
auth_clients = ["127.0.0.0/8"]
[[listen]]
name = "out"
address = "127.0.0.1:2"
[[rule]]
name = "one"
plugin = "guard"
[[rule]]
name = "two"
plugin = "stamp"
mode = "shadow"
[[rule]]
name = "three"
plugin = "stamp"
on_error = "defer"
[[rule]]
name = "four"
plugin = "guard"
[[rule]]
name = "for_r"
plugin = "guard"
match = { recipient = '^r@' }
[[rule]]
name = "x_for_s"
plugin = "guard"
match = { recipient = '^s@', sender = '@x$' }
[[bank]]
name = "rest"
when = { sender = 'nobody knows' }
rules = ["three", "four", "x_for_s"]
"#;

/// Banks; facts (l listener, c client, a user, f sender, t recipient, h header sender); the path and settings that follow.
const CASES: &[(&str, &str, &str)] = &[
    // No bank.
    ("", "f=a@x t=r@y", "base"),
    (
        "",
        "f=a@x",
        "base next_hop=\"smtp://base\" limits.mail=\"10M\" mode=\"enforce\"",
    ),
    // Each selector, holding and not.
    ("A when.sender='@x$'", "f=a@x", "base/A"),
    ("A when.sender='@x$'", "f=a@y", "base"),
    ("A when.sender='@X$'", "f=a@x", "base/A"),
    ("A when.sender='(?-i)@X$'", "f=a@x", "base"),
    ("A when.sender='^$'", "f=", "base/A"),
    ("A when.sender=['@y$','@x$']", "f=a@x", "base/A"),
    ("A when.recipient='^r@'", "f=a@x t=r@y", "base/A"),
    ("A when.recipient='^r@'", "f=a@x t=s@y", "base"),
    ("A when.listener='in'", "l=in f=a@x", "base/A"),
    ("A when.listener='in'", "l=out f=a@x", "base"),
    ("A when.listener='in'", "f=a@x", "base"),
    ("A when.listener=['in','out']", "l=out f=a@x", "base/A"),
    ("A when.client='10.0.0.0/8'", "c=10.1.2.3 f=a@x", "base/A"),
    ("A when.client='10.0.0.0/8'", "c=11.1.2.3 f=a@x", "base"),
    ("A when.client='10.0.0.0/8'", "f=a@x", "base"),
    (
        "A when.client='10.0.0.0/8'",
        "c=::ffff:10.1.2.3 f=a@x",
        "base/A",
    ),
    (
        "A when.client=['10.0.0.0/8','2001:db8::/32']",
        "c=2001:db8::1 f=a@x",
        "base/A",
    ),
    ("A when.auth_user='^boss$'", "a=boss f=a@x", "base/A"),
    ("A when.auth_user='^boss$'", "a=bosses f=a@x", "base"),
    ("A when.auth_user='^boss$'", "f=a@x", "base"),
    ("A when.header_sender='@x$'", "f=a@y h=a@x", "base/A"),
    ("A when.header_sender='@x$'", "f=a@x h=a@y", "base"),
    ("A when.header_sender='@x$'", "f=a@x h=", "base"),
    // All must hold.
    (
        "A when={sender='@x$',recipient='^r@'}",
        "f=a@x t=r@y",
        "base/A",
    ),
    (
        "A when={sender='@x$',recipient='^r@'}",
        "f=a@x t=s@y",
        "base",
    ),
    (
        "A when={sender='@x$',recipient='^r@'}",
        "f=a@y t=r@y",
        "base",
    ),
    (
        "A when={listener='in',header_sender='@x$'}",
        "l=in f=a@y h=b@x",
        "base/A",
    ),
    (
        "A when={listener='in',header_sender='@x$'}",
        "l=out f=a@y h=b@x",
        "base",
    ),
    // Several banks, in the order of the file.
    (
        "A when.sender='@x$' | B when.recipient='^r@'",
        "f=a@x t=r@y",
        "base/A/B",
    ),
    (
        "A when.recipient='^r@' | B when.sender='@x$'",
        "f=a@x t=r@y",
        "base/A/B",
    ),
    (
        "A when.header_sender='@x$' | B when.sender='@x$'",
        "f=a@x h=a@x",
        "base/A/B",
    ),
    (
        "A when.sender='@x$' | B when.sender='@y$' | C when.sender='a@'",
        "f=a@x",
        "base/A/C",
    ),
    // Values replace.
    (
        "A when.sender='@x$' next_hop='smtp://a'",
        "f=a@x",
        "base/A next_hop=\"smtp://a\"",
    ),
    (
        "A when.sender='@x$' next_hop='smtp://a'",
        "f=a@y",
        "base next_hop=\"smtp://base\"",
    ),
    (
        "A when.sender='@x$' next_hop='smtp://a' | B when.sender='a@' next_hop='smtp://b'",
        "f=a@x",
        "base/A/B next_hop=\"smtp://b\"",
    ),
    (
        "A when.sender='@x$' next_hop='smtp://a' | B when.sender='a@'",
        "f=a@x",
        "base/A/B next_hop=\"smtp://a\"",
    ),
    (
        "A when.recipient='^r@' next_hop='smtp://a'",
        "f=a@x t=r@y",
        "base/A next_hop=\"smtp://a\"",
    ),
    (
        "A when.sender='@x$' trace=false",
        "f=a@x",
        "base/A trace=false",
    ),
    (
        "A when.sender='@x$' bare_newline='reject'",
        "f=a@x",
        "base/A bare_newline=\"reject\"",
    ),
    (
        "A when.listener='in' hide_extensions=['DSN','SIZE']",
        "l=in f=a@x",
        "base/A hide_extensions=[\"DSN\", \"SIZE\"]",
    ),
    (
        "A when.listener='in' hostname='mx.a'",
        "l=in f=a@x",
        "base/A hostname=\"mx.a\"",
    ),
    // Tables merge key by key.
    (
        "A when.sender='@x$' limits={hops=7}",
        "f=a@x",
        "base/A limits.hops=7 limits.mail=\"10M\" limits.depth=100",
    ),
    (
        "A when.sender='@x$' limits={mail='20M',hops=7} | B when.sender='a@' limits={mail='5M'}",
        "f=a@x",
        "base/A/B limits.mail=\"5M\" limits.hops=7",
    ),
    (
        "A when.sender='@x$' limits={mail='20M'} | B when.sender='a@' limits={hops=8}",
        "f=a@x",
        "base/A/B limits.mail=\"20M\" limits.hops=8",
    ),
    (
        "A when.client='10.0.0.0/8' limits={idle_timeout='90s'}",
        "c=10.0.0.1 f=a@x",
        "base/A limits.idle_timeout=\"90s\"",
    ),
    (
        "A when.sender='@x$' variables={company='A'}",
        "f=a@x",
        "base/A variables.company=\"A\" variables.city=\"Bonn\"",
    ),
    (
        "A when.sender='@x$' variables={phone='1'}",
        "f=a@x",
        "base/A variables.company=\"Base\" variables.phone=\"1\"",
    ),
    (
        "A when.sender='@x$' variables={phone='1'}",
        "f=a@y",
        "base variables.phone=-",
    ),
    (
        "A when.sender='@x$' variables={company='A'} | B when.recipient='^r@' variables={company='B'}",
        "f=a@x t=r@y",
        "base/A/B variables.company=\"B\"",
    ),
    (
        "A when.sender='@x$' variables={company='A'} | B when.recipient='^r@' variables={company='B'}",
        "f=a@x t=s@y",
        "base/A variables.company=\"A\"",
    ),
    // Rules: replaced, added to, always in the order of the file.
    (
        "A when.sender='@x$' rules=['three']",
        "f=a@x",
        "base/A rules=[\"three\"]",
    ),
    ("A when.sender='@x$' rules=[]", "f=a@x", "base/A rules=[]"),
    (
        "A when.sender='@x$' rules_add=['four','three']",
        "f=a@x",
        "base/A rules=[\"one\", \"two\", \"three\", \"four\", \"for_r\"]",
    ),
    (
        "A when.sender='@x$' rules=['four'] rules_add=['one']",
        "f=a@x",
        "base/A rules=[\"one\", \"four\"]",
    ),
    (
        "A when.sender='@x$' rules=['four'] | B when.sender='a@' rules_add=['three']",
        "f=a@x",
        "base/A/B rules=[\"three\", \"four\"]",
    ),
    (
        "A when.sender='@x$' rules_add=['four'] | B when.sender='a@' rules=['three']",
        "f=a@x",
        "base/A/B rules=[\"three\"]",
    ),
    (
        "A when.sender='@x$' rules_add=['one']",
        "f=a@x",
        "base/A rules=[\"one\", \"two\", \"for_r\"]",
    ),
    (
        "A when.sender='@x$' rules=['four']",
        "f=a@y",
        "base rules=[\"one\", \"two\", \"for_r\"]",
    ),
    // Mode is a bound, that of a bank in place of the base's; a rule's own stays.
    (
        "A when.sender='@x$' mode='shadow'",
        "f=a@x",
        "base/A one=shadow two=shadow",
    ),
    (
        "A when.sender='@x$' mode='off'",
        "f=a@x",
        "base/A one=off two=off",
    ),
    (
        "A when.sender='@x$' mode='shadow' | B when.sender='a@' mode='enforce'",
        "f=a@x",
        "base/A/B one=enforce two=shadow",
    ),
    (
        "A when.sender='@x$' mode='shadow'",
        "f=a@y",
        "base one=enforce",
    ),
    // on_error: the rule's own, the bank's, the plugin's.
    (
        "A when.sender='@x$' on_error='reject' rules_add=['three']",
        "f=a@x",
        "base/A one!reject two!reject three!defer",
    ),
    (
        "A when.sender='@x$' rules_add=['three']",
        "f=a@x",
        "base/A one!defer two!pass three!defer",
    ),
    // Included banks lie below, their `when` does not count, and the path does not name them.
    (
        "S next_hop='smtp://s' | A when.sender='@x$' include='S'",
        "f=a@x",
        "base/A next_hop=\"smtp://s\"",
    ),
    (
        "S next_hop='smtp://s' | A when.sender='@x$' include='S' next_hop='smtp://a'",
        "f=a@x",
        "base/A next_hop=\"smtp://a\"",
    ),
    (
        "A when.sender='@x$' include='S' | S when.sender='@y$' next_hop='smtp://s'",
        "f=a@x",
        "base/A next_hop=\"smtp://s\"",
    ),
    (
        "A when.sender='@x$' include=['S','T'] | S next_hop='smtp://s' | T next_hop='smtp://t'",
        "f=a@x",
        "base/A next_hop=\"smtp://t\"",
    ),
    (
        "A when.sender='@x$' include='S' | S include='T' trace=false | T next_hop='smtp://t' trace=true",
        "f=a@x",
        "base/A next_hop=\"smtp://t\" trace=false",
    ),
    (
        "A when.sender='@x$' include='S' rules_add=['four'] | S rules=['three']",
        "f=a@x",
        "base/A rules=[\"three\", \"four\"]",
    ),
    (
        "A when.sender='@x$' include='S' rules=['four'] | S rules_add=['three']",
        "f=a@x",
        "base/A rules=[\"four\"]",
    ),
    (
        "A when.sender='@x$' include='S' variables={company='A'} | S variables={company='S',phone='2'}",
        "f=a@x",
        "base/A variables.company=\"A\" variables.phone=\"2\"",
    ),
    // Where a setting is from.
    (
        "A when.sender='@x$' limits={hops=7}",
        "f=a@x",
        "base/A limits.hops@A limits.mail@base limits.depth@default next_hop@base",
    ),
    (
        "S trace=false | A when.sender='@x$' include='S' rules_add=['four']",
        "f=a@x",
        "base/A trace@S,_included_by_A rules@base_+_A",
    ),
    (
        "A when.sender='@x$' rules=['one']",
        "f=a@x",
        "base/A rules@A variables.city@base",
    ),
];

fn parsed(banks: &str) -> Config {
    let mut source = HEAD.to_string();
    for bank in banks
        .split(" | ")
        .map(str::trim)
        .filter(|bank| !bank.is_empty())
    {
        let mut words = bank.split(' ');
        let name = words.next().unwrap();
        source.push_str(&format!("[[bank]]\nname = \"{name}\"\n"));
        words.for_each(|word| source.push_str(&format!("{word}\n")));
    }
    let read = |_: &FilePath| Err(std::io::ErrorKind::NotFound.into());
    let config = parse(&source, FilePath::new("/m.toml"), REGISTRY, &read);
    config.unwrap_or_else(|mistakes| panic!("{banks}\n{mistakes}"))
}

fn mail(who: &str) -> Mail {
    let fact = |key: &str| {
        let mut words = who.split(' ');
        words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    };
    let header = fact("h").map_or(String::new(), |from| format!("From: <{from}>\r\n"));
    let recipients = who.split(' ').filter_map(|word| word.strip_prefix("t="));
    Mail {
        origin: Origin {
            client: fact("c").map(|client| client.parse().unwrap()),
            listener: fact("l").map(String::from),
            auth_user: fact("a").map(String::from),
            ..Origin::default()
        },
        envelope: Envelope::new(fact("f").unwrap_or_default(), recipients),
        message: Message::scan(
            format!("{header}\r\nx\r\n").into_bytes(),
            &MessageLimits::default(),
        ),
        received: Moment::default(),
    }
}

/// The banks in the end, by way of all the moments at which they are asked for.
fn walk(config: &Config, mail: &Mail) -> Choice {
    let (origin, sender) = (&mail.origin, &mail.envelope.sender);
    let recipient = mail.envelope.recipients.first().map(|one| &one.path);
    let facts = Facts::of(mail);
    let at_rcpt = Known {
        recipient,
        ..Known::at_mail(origin, sender)
    };
    let moments = [
        Known::at_connect(origin),
        Known::at_mail(origin, sender),
        at_rcpt,
        Known {
            facts: Some(&facts),
            ..at_rcpt
        },
    ];
    let choices = moments.map(|known| config.banks.choose(&known));
    for pair in choices.windows(2) {
        let [before, after] = pair else {
            unreachable!()
        };
        assert!(
            before
                .applied
                .iter()
                .all(|bank| after.applied.contains(bank)),
            "what applies stays: {choices:?}"
        );
    }
    for (at, choice) in choices.iter().enumerate() {
        let all = config.banks.all().iter().enumerate();
        let judged = all.map(|(place, bank)| (place, bank.judge(&moments[at])));
        let (mut holds, mut pending) = (Vec::new(), Vec::new());
        for (place, selection) in judged {
            match selection {
                Selection::Holds => holds.push(place),
                Selection::Pending => pending.push(place),
                Selection::Fails(_) | Selection::Never => {}
            }
        }
        assert_eq!(choice.applied, holds, "each by itself");
        if at >= 2 {
            let of_index: Vec<usize> = config.banks.pending(choice).collect();
            let of_index: std::collections::BTreeSet<usize> = of_index.into_iter().collect();
            assert!(of_index.into_iter().eq(pending), "each by itself");
        }
    }
    let [.., at_rcpt, last] = &choices;
    let known = Known {
        facts: Some(&facts),
        ..moments[2]
    };
    let completed = config.banks.complete(at_rcpt, &known);
    assert_eq!(completed.applied, last.applied);
    completed
}

#[test]
fn banks_are_selected_and_laid_over_each_other() {
    assert!(CASES.len() >= 60);
    for (banks, who, expected) in CASES {
        let config = parsed(banks);
        let choice = walk(&config, &mail(who));
        let effective = config.banks.effective(&choice.applied);
        let account = config.banks.account(&choice.applied);
        let mut rest = *expected;
        let (path, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        assert_eq!(effective.path, path, "{banks} for {who}");
        rest = behind;
        while !rest.is_empty() {
            // Values of lists have blanks in them.
            let end = match rest.find("=[") {
                Some(at) if !rest[..at].contains(' ') => rest.find(']').unwrap() + 1,
                _ => rest.find(' ').unwrap_or(rest.len()),
            };
            let (word, behind) = rest.split_at(end);
            rest = behind.trim_start();
            let context = format!("{word}: {banks} for {who}");
            let shown = |name: &str| account.iter().find(|one| one.name == name);
            let at = word.find(['=', '!', '@']).unwrap();
            let (name, value) = (&word[..at], &word[at + 1..]);
            match (&word[at..=at], effective.policy.rule(name)) {
                ("=", Some(rule)) => {
                    assert_eq!(
                        format!("{:?}", rule.mode).to_lowercase(),
                        value,
                        "{context}"
                    );
                }
                ("!", Some(rule)) => assert_eq!(rule.on_error.word(), value, "{context}"),
                ("=", None) if value == "-" => assert_eq!(shown(name), None, "{context}"),
                ("=", None) => {
                    let shown = shown(name).unwrap().value.replace(":25\"", "\"");
                    assert_eq!(shown, value, "{context}");
                }
                _ => assert_eq!(
                    shown(name).unwrap().from.replace(' ', "_"),
                    value,
                    "{context}"
                ),
            }
        }
    }
}

/// What is shown is what is in force.
#[test]
fn the_account_agrees_with_the_settings() {
    for (banks, who, _) in CASES {
        let config = parsed(banks);
        let applied = walk(&config, &mail(who)).applied;
        let effective = config.banks.effective(&applied);
        let account = config.banks.account(&applied);
        let value = |name: &str| {
            let shown = account.iter().find(|one| one.name == name);
            shown.map(|one| one.value.clone())
        };
        let hop = effective.next_hop.as_ref().map(|hop| format!("\"{hop}\""));
        assert_eq!(value("next_hop"), hop);
        assert_eq!(value("trace"), Some(effective.trace.to_string()));
        assert_eq!(
            value("limits.hops"),
            Some(effective.limits.hops.to_string())
        );
        let names: Vec<String> = effective
            .policy
            .rules
            .iter()
            .map(|rule| format!("{:?}", rule.name))
            .collect();
        assert_eq!(value("rules"), Some(format!("[{}]", names.join(", "))));
        for (name, text) in &effective.policy.variables {
            assert_eq!(
                value(&format!("variables.{name}")),
                Some(format!("{text:?}"))
            );
        }
    }
}

#[test]
fn classes() {
    for (banks, who, expected) in [
        // Without banks as the rules have it.
        ("", "f=a@x t=r@y t=s@y t=r@z", "r@y,r@z s@y"),
        ("", "f=a@x t=s@y t=u@y", "s@y,u@y"),
        // A bank by recipient makes a class, also one that sets nothing that differs.
        (
            "A when.recipient='@z$'",
            "f=a@x t=s@y t=u@z t=v@z",
            "s@y u@z,v@z",
        ),
        (
            "A when.recipient='@z$' next_hop='smtp://a'",
            "f=a@x t=s@y t=u@z",
            "s@y u@z",
        ),
        // Not if another of its selectors does not hold.
        (
            "A when={recipient='@z$',sender='@w$'}",
            "f=a@x t=s@y t=u@z",
            "s@y,u@z",
        ),
        // A bank by sender makes none, but its rules may.
        ("A when.sender='@x$'", "f=a@x t=s@y t=u@z", "s@y,u@z"),
        (
            "A when.sender='@x$' rules=['x_for_s']",
            "f=a@x t=s@y t=u@z t=r@y",
            "s@y u@z,r@y",
        ),
        (
            "A when.sender='@x$' rules=[]",
            "f=a@x t=r@y t=u@z",
            "r@y,u@z",
        ),
        (
            "A when.sender='@x$' mode='shadow'",
            "f=a@x t=r@y t=u@z",
            "r@y,u@z",
        ),
        // A bank by header may bring rules into force when the classes are made already.
        (
            "A when.header_sender='@x$' rules_add=['x_for_s']",
            "f=a@x t=s@y t=u@z",
            "s@y u@z",
        ),
        (
            "A when.header_sender='@x$' rules_add=['x_for_s']",
            "f=a@w t=s@y t=u@z",
            "s@y,u@z",
        ),
        (
            "S rules_add=['x_for_s'] | A when.header_sender='@x$' include='S'",
            "f=a@x t=s@y t=u@z",
            "s@y u@z",
        ),
        // It may also bring rules to act that only look on.
        (
            "A when.sender='@x$' mode='shadow' | B when.header_sender='@x$' mode='enforce'",
            "f=a@x t=r@y t=u@z",
            "r@y u@z",
        ),
        // And it may itself depend on the recipient.
        (
            "A when={header_sender='@x$',recipient='@z$'} variables={company='A'}",
            "f=a@x t=s@y t=u@z",
            "s@y u@z",
        ),
    ] {
        let config = parsed(banks);
        let mail = mail(who);
        let memo = Memo::default();
        let classes = memo.classes(&config.banks, &mail);
        let shown: Vec<String> = classes
            .iter()
            .map(|class| {
                let paths = class.recipients.iter();
                let paths = paths.map(|index| mail.envelope.recipients[*index].path.to_string());
                paths.collect::<Vec<_>>().join(",")
            })
            .collect();
        assert_eq!(shown.join(" "), expected, "{banks} for {who}");
    }
}

#[test]
fn a_list_of_banks_is_worked_out_once_and_by_itself() {
    let config = parsed("A when.sender='@x$' next_hop='smtp://a' | B when.header_sender='@x$'");
    let memo = Memo::default();
    let at = |sender: &str| {
        let path = Path::new(sender);
        let choice = config
            .banks
            .choose(&Known::at_mail(&Origin::default(), &path));
        memo.standing(&config.banks, &choice)
    };
    let (first, other, again) = (at("a@x"), at("a@y"), at("b@x"));
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(first.settings.path, "base/A");
    assert_eq!(other.settings.path, "base");
    // Whether banks are still to come makes no difference to what holds so far.
    let settled = Choice {
        applied: vec![1],
        ..Choice::default()
    };
    let settled = memo.standing(&config.banks, &settled).settings.path.clone();
    assert_eq!(settled, "base/A");
}

#[test]
fn the_memory_is_bounded() {
    let banks: Vec<String> = (0..11)
        .map(|number| format!("B{number} when.recipient='{number}'"))
        .collect();
    let config = parsed(&banks.join(" | "));
    let memo = Memo::default();
    for number in 0..3000u32 {
        let recipient: String = (0..11)
            .filter(|bit| number >> bit & 1 == 1)
            .map(|bit| format!("{bit}_"))
            .collect();
        let sender = Path::new("a@x");
        let named = Named {
            origin: &Origin::default(),
            sender: &sender,
            recipient: &Path::new(recipient.as_str()),
            now: 0,
        };
        let (_, standing) = memo.class(&config.banks, &named);
        let choice = config.banks.choose(&Known::at_rcpt(
            &Origin::default(),
            &sender,
            &Path::new(recipient.as_str()),
        ));
        assert_eq!(standing.settings.path, config.banks.path(&choice.applied));
    }
    assert!(memo.len() <= 1024);
}

#[test]
fn lists_of_many_rules_are_bounded_by_their_rules() {
    const RULES: usize = 10_000;
    const BANKS: u32 = 7;
    let names: Vec<String> = (0..RULES).map(|number| format!("'r{number}'")).collect();
    let mut source = format!("rules = [{}]\n", names.join(","));
    let added = (0..BANKS).map(|number| format!("'x{number}'"));
    for name in names.iter().cloned().chain(added) {
        source += &format!("[[rule]]\nname={name}\nplugin='guard'\n");
    }
    // Each list of banks has a list of rules of its own.
    for number in 0..BANKS {
        source += &format!(
            "[[bank]]\nname='B{number}'\nwhen.recipient='{number}'\nrules_add=['x{number}']\n"
        );
    }
    let read = |_: &FilePath| Err(std::io::ErrorKind::NotFound.into());
    let config = parse(&source, FilePath::new("/m.toml"), REGISTRY, &read).unwrap();
    let memo = Memo::default();
    let a_rule = &config.policy.rules[RULES - 1];
    let before = Arc::strong_count(a_rule);
    let mut most = 0;
    for number in 0..1u32 << BANKS {
        let banks = (0..BANKS).filter(|bank| number >> bank & 1 == 1);
        let applied: Vec<usize> = banks.map(|bank| bank as usize).collect();
        let choice = Choice {
            applied: applied.clone(),
            ..Choice::default()
        };
        let standing = memo.standing(&config.banks, &choice);
        assert_eq!(standing.settings.policy.rules.len(), RULES + applied.len());
        most = most.max(Arc::strong_count(a_rule) - before);
    }
    // As many lists as the bound has room for, and not all 127.
    assert_eq!(most, memo::MOST_RULES / RULES);
}

#[test]
fn every_next_hop_and_the_largest_mail_are_known_beforehand() {
    let config = parsed(
        "A when.sender='@x$' next_hop='smtp://a' limits={mail='20M'} | B when.listener='in' next_hop='smtp://a' limits={mail='5M'} | C when.recipient='r' next_hop='maildir:///c'",
    );
    let hops: Vec<String> = config
        .banks
        .next_hops()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(hops, ["smtp://base:25", "smtp://a:25", "maildir:///c"]);
    for (listener, largest) in [("in", 20 << 20), ("out", 20 << 20)] {
        let origin = Origin {
            listener: Some(listener.into()),
            ..Origin::default()
        };
        assert_eq!(config.banks.largest_mail_from(&origin), largest);
    }
    let small = parsed("B when.listener='in' limits={mail='5M'}");
    let origin = Origin {
        listener: Some("in".into()),
        ..Origin::default()
    };
    assert_eq!(small.banks.largest_mail_from(&origin), 5 << 20);
}

#[test]
fn a_rule_may_act_if_any_mail_can_have_it() {
    for (banks, acting) in [
        ("", "one three four for_r x_for_s"),
        (
            "A when.sender='@x$' mode='shadow'",
            "one three four for_r x_for_s",
        ),
        (
            "A when.sender='@x$' rules_add=['two']",
            "one three four for_r x_for_s",
        ),
    ] {
        let config = parsed(banks);
        let names = ["one", "two", "three", "four", "for_r", "x_for_s"];
        let found: Vec<&str> = names
            .into_iter()
            .filter(|name| config.banks.acting_names().contains(*name))
            .collect();
        assert_eq!(found.join(" "), acting, "{banks}");
    }
    let source = |mode: &str, bank: &str| {
        format!(
            "mode = \"{mode}\"\nrules = \"a\"\n[[rule]]\nname = \"a\"\nplugin = \"guard\"\n[[rule]]\nname = \"b\"\nplugin = \"guard\"\n{bank}"
        )
    };
    for (mode, bank, acting) in [
        ("enforce", "", "a"),
        ("shadow", "", ""),
        (
            "shadow",
            "[[bank]]\nname = \"x\"\nwhen.sender = \"x\"\nmode = \"enforce\"\n",
            "a",
        ),
        (
            "enforce",
            "[[bank]]\nname = \"x\"\nwhen.sender = \"x\"\nrules_add = \"b\"\n",
            "a b",
        ),
    ] {
        let read = |_: &FilePath| Err(std::io::ErrorKind::NotFound.into());
        let config = parse(
            &source(mode, bank),
            FilePath::new("/m.toml"),
            REGISTRY,
            &read,
        )
        .unwrap();
        let found: Vec<&str> = ["a", "b"]
            .into_iter()
            .filter(|name| config.banks.acting_names().contains(*name))
            .collect();
        assert_eq!(found.join(" "), acting, "{mode} {bank}");
    }
}
