//! Addresses beyond ASCII, and whether the issuers may give them.

use super::super::mailbox::may_vouch;
use super::*;

/// An otherName of this kind, by its object identifier.
fn other_name(oid: &[u8], tag: u8, text: &str) -> Vec<u8> {
    let value = element(0xa0, &element(tag, text.as_bytes()));
    element(0xa0, &[element(0x06, oid), value].concat())
}

/// `id-on-SmtpUTF8Mailbox`.
const MAILBOX: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x08\x09";
/// User principal name.
const UPN: &[u8] = b"\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03";

fn names(issuer: &Made, names: &[u8]) -> Made {
    let names = element(0x30, names);
    issuer.issue(Says {
        emails: &[],
        more: &[("2.5.29.17", &names)],
        ..Says::default()
    })
}

#[test]
fn an_address_beyond_ascii_is_read() {
    let house = house();
    let jose = "josé@partner.example";
    let utf8 = |text| other_name(MAILBOX, 0x0c, text);
    let plain = |text: &str| element(0x81, text.as_bytes());
    #[rustfmt::skip]
    let table: &[(Vec<u8>, &[&str])] = &[
        (utf8(jose), &[jose]),
        (utf8("José.O'Neil+x@Partner.Example"), &["josé.o'neil+x@partner.example"]),
        (utf8("用户@xn--bcher-kva.example"), &["用户@xn--bcher-kva.example"]),
        ([utf8(jose), plain("jose@partner.example")].concat(), &["jose@partner.example", jose]),
        ([utf8(jose), utf8(jose)].concat(), &[jose]),
        // One of ASCII has the other form, also if it is that in small letters only.
        (utf8("bob@partner.example"), &[]),
        (utf8("\u{212a}im@partner.example"), &[]),
        (utf8("\u{212a}ím@partner.example"), &[]),
        (utf8("\u{130}é@partner.example"), &[]),
        // The domain is in A-labels.
        (utf8("josé@bücher.example"), &[]),
        (utf8("josé@"), &[]),
        (utf8("josé"), &[]),
        (utf8("josé@a@partner.example"), &[]),
        (utf8("\"josé\"@partner.example"), &[]),
        (utf8("José <josé@partner.example"), &[]),
        (utf8("jos\u{85}é@partner.example"), &[]),
        (utf8("josé\0@partner.example"), &[]),
        (other_name(MAILBOX, 0x16, jose), &[]),
        (other_name(UPN, 0x0c, jose), &[]),
        (element(0xa0, b"\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x09\xa0\x05\x0c\x03\xc3@a"), &[]), // no UTF-8
    ];
    for (written, expected) in table {
        let made = names(&house.below, written);
        assert_eq!(read(&made).addresses, *expected, "{written:x?}");
    }
}

#[test]
fn an_address_beyond_ascii_is_held_against_the_name_constraints() {
    let house = house();
    let (ours, bucher) = ("josé@partner.example", "josé@xn--bcher-kva.example");
    let subtree = |base: &[u8]| element(0x30, base);
    let email = |text: &str| subtree(&element(0x81, text.as_bytes()));
    let dns = subtree(&element(0x82, b"other.example"));
    let other = subtree(&other_name(MAILBOX, 0x0c, ours));
    let permitted = |bases: &[Vec<u8>]| element(0xa0, &bases.concat());
    let excluded = |bases: &[Vec<u8>]| element(0xa1, &bases.concat());
    #[rustfmt::skip]
    let table: &[(&str, Vec<u8>, &str, bool)] = &[
        ("about hosts", permitted(&[dns]), ours, true),
        ("its domain", permitted(&[email("Partner.Example")]), ours, true),
        ("one of two", permitted(&[email("a.example"), email("partner.example")]), ours, true),
        ("those below", permitted(&[email(".example")]), ours, true),
        ("another excluded", excluded(&[email("a.example")]), ours, true),
        ("another", permitted(&[email("a.example")]), ours, false),
        ("those below, and not itself", permitted(&[email(".partner.example")]), ours, false),
        ("not at a dot", permitted(&[email("ner.example")]), ours, false),
        ("an address in ASCII", permitted(&[email("jose@partner.example")]), ours, false),
        ("excluded", excluded(&[email("partner.example")]), ours, false),
        ("excluded from above", excluded(&[email(".example")]), ours, false),
        ("both", [permitted(&[email("partner.example")]), excluded(&[email("partner.example")])].concat(), ours, false),
        ("excluded by its A-label", excluded(&[email("xn--bcher-kva.example")]), bucher, false),
        ("excluded by an address", excluded(&[email("x@xn--bcher-kva.example")]), bucher, false),
        ("in the same form", excluded(&[other]), bucher, false),
    ];
    for (what, constraints, address, is_good) in table {
        let constraints = element(0x30, constraints);
        let below = house.root.issue(Says {
            more: &[("2.5.29.30", &constraints)],
            ..authority("Bound Issuer")
        });
        let made = names(&below, &other_name(MAILBOX, 0x0c, address));
        let trust = Trust::new(
            vec![house.root.x509.clone()],
            vec![below.x509.clone()],
            Vec::new(),
        );
        assert_eq!(may_vouch(&below.x509, address), *is_good, "{what}");
        // OpenSSL itself refuses all that a domain with a dot before it permits.
        let is_used = *is_good && *what != "those below";
        for asked in [Some(*address), None] {
            let verdict = trust.judge(&read(&made), Use::Encrypt, asked, NOW);
            assert_eq!(verdict.is_ok(), is_used, "{what}: {verdict:?}");
        }
    }
    let jose = names(&house.below, &other_name(MAILBOX, 0x0c, ours));
    assert_eq!(verdict(&house.trust(), &jose, ours), "good");
}
