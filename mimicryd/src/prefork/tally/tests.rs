use super::*;

#[test]
fn what_is_counted_is_read() {
    let tally = Tally::of_names(&["in", "out"], &["a", "b c"], &["smtp://h:25"]);
    tally.count(1, Counter::Sessions, 2);
    tally.count(1, Counter::ConnectionRefused, 3);
    tally.count(7, Counter::Sessions, 1);
    tally.ended(0, Outcome::Refused);
    tally.rule("b c", Did::Unchanged, Some(Reason::Fault));
    tally.rule("b c", Did::Edited, None);
    tally.rule("nobody", Did::Edited, None);
    for code in [250, 250, 451, 599, 199, 354, 600, 0] {
        tally.replied("smtp://h:25", code);
    }
    tally.replied("smtp://other:25", 250);
    tally.relayed("smtp://h:25", Duration::from_millis(3), 70);
    tally.died(Death::Signal(9));
    tally.died(Death::Signal(64));
    tally.died(Death::Exit(71));
    tally.set(Gauge::WorkersMax, 5);
    tally.happened(Occasion::Upgraded);
    let listeners: Vec<_> = tally.listeners().collect();
    assert_eq!(listeners[0].get(Counter::Sessions), 0);
    assert_eq!(listeners[1].get(Counter::Sessions), 2);
    assert_eq!(listeners[1].get(Counter::ConnectionRefused), 3);
    assert_eq!(
        Outcome::ALL.map(|outcome| listeners[0].ended(outcome)),
        [0, 0, 1]
    );
    let rules: Vec<_> = tally.rules().collect();
    assert_eq!((rules[0].name, rules[1].name), ("a", "b c"));
    assert_eq!(Did::ALL.map(|did| rules[1].did(did)), [1, 0, 1, 0, 0]);
    assert_eq!(rules[1].reasons().collect::<Vec<_>>(), [(Reason::Fault, 1)]);
    assert_eq!(rules[0].reasons().count(), 0);
    let hop = tally.next_hops().next().unwrap();
    assert_eq!(
        hop.replies().collect::<Vec<_>>(),
        [(250, 2), (451, 1), (599, 1)]
    );
    assert_eq!((hop.sent(), hop.relaying().count()), (70, 1));
    assert_eq!(tally.deaths(), [(0, 1), (9, 1), (64, 1)]);
    assert_eq!(tally.gauge(Gauge::WorkersMax), 5);
    assert_eq!(tally.occasions(Occasion::Upgraded), 1);
    assert_eq!(tally.occasions(Occasion::Born), 0);
}

#[test]
fn a_mail_ends_as_its_worst_reply_says() {
    for (codes, outcome) in [
        (&[250][..], Outcome::Accepted),
        (&[], Outcome::Accepted),
        (&[250, 550], Outcome::Refused),
        (&[550, 250], Outcome::Refused),
        (&[550, 451, 550], Outcome::Deferred),
        (&[451, 250], Outcome::Deferred),
    ] {
        assert_eq!(Outcome::of(codes.iter().copied()), outcome, "{codes:?}");
    }
}

impl Tally {
    pub fn of_names(listeners: &[&str], rules: &[&str], next_hops: &[&str]) -> Tally {
        let mut next = FIRST;
        let mut named = |names: &[&str], rows: usize| {
            let places = names.iter().map(|name| {
                let first = next;
                next += rows;
                (name.to_string(), first)
            });
            places.collect::<Vec<_>>()
        };
        let labels = Labels {
            listeners: named(listeners, LISTENER_ROWS),
            rules: named(rules, RULE_ROWS),
            next_hops: named(next_hops, NEXT_HOP_ROWS),
        };
        Tally {
            rows: Rc::new(Rows::new(next).unwrap()),
            labels: Rc::new(labels),
        }
    }

    pub fn of_nothing() -> Tally {
        Tally::of_names(&[], &[], &[])
    }
}
