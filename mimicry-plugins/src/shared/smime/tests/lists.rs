//! For which certificates a revocation list speaks.

use openssl::x509::X509;

use super::super::scope::usable_lists;
use super::*;

/// `issuingDistributionPoint`.
const IDP: &str = "2.5.29.28";

/// What such a list does not name is not good, it is unknown (RFC 5280 sections 5.2 and 6.3.3).
#[test]
fn a_list_that_says_of_no_certificate_that_it_is_good_is_a_mistake() {
    let root = root("R");
    let part = "holds a partitioned CRL of R that says of no certificate whether it is good: its issuing distribution point is for some reasons, for other issuers, for attribute certificates or without a full name";
    let delta = "holds a delta CRL of R: only what changed since another list";
    let unknown = "holds a revocation list of R with a critical extension that is not known here";
    #[rustfmt::skip]
    let table: &[(&str, bool, &[u8], Option<&str>)] = &[
        ("2.5.29.27", true, b"\x02\x01\x01", Some(delta)),
        ("2.5.29.27", false, b"\x02\x01\x01", Some(delta)),
        (IDP, true, b"\x30\x00", None),
        (IDP, true, b"\x30\x03\x81\x01\xff", None), // onlyContainsUserCerts
        (IDP, true, b"\x30\x03\x82\x01\xff", None), // onlyContainsCACerts
        (IDP, true, b"\x30\x06\x81\x01\xff\x82\x01\xff", Some(part)),
        (IDP, true, b"\x30\x06\x82\x01\xff\x81\x01\xff", Some(part)),
        (IDP, true, b"\x30\x04\x83\x02\x06\x40", Some(part)), // onlySomeReasons
        (IDP, true, b"\x30\x03\x84\x01\xff", Some(part)), // indirectCRL
        (IDP, false, b"\x30\x03\x84\x01\xff", Some(part)),
        (IDP, true, b"\x30\x03\x84\x01\x00", None),
        (IDP, true, b"\x30\x03\x85\x01\xff", Some(part)), // onlyContainsAttributeCerts
        (IDP, true, b"\x30\x0d\xa0\x0b\xa0\x09\x86\x07http://", None), // a full name
        (IDP, true, b"\x30\x04\xa0\x02\xa1\x00", Some(part)), // nameRelativeToCRLIssuer
        (IDP, true, b"\x30\x03\x86\x01\xff", Some(part)),
        (IDP, true, b"\x30\x09\x81", Some(part)),
        ("1.3.6.1.4.1.55555.1", true, b"\x05\x00", Some(unknown)),
        ("1.3.6.1.4.1.55555.1", false, b"\x05\x00", None),
        ("2.5.29.46", false, b"\x30\x00", None), // freshestCRL: where there are deltas to this whole one
    ];
    for (oid, is_critical, content, expected) in table {
        let list = root.list_with(&[], NOW, NOW + DAY, Some((oid, *is_critical, content)));
        for octets in [list.to_der().unwrap(), list.to_pem().unwrap()] {
            let found = usable_lists(&octets).err().map(|unfit| unfit.message);
            assert_eq!(found.as_deref(), *expected, "{oid} {content:x?}");
            assert_eq!(lists(&octets).map(|all| all.len()), Ok(1));
        }
    }
    let whole = root.list(&[&root.x509], NOW, NOW + DAY).to_pem().unwrap();
    assert_eq!(usable_lists(&whole).map(|all| all.len()), Ok(1));
    let delta = ("2.5.29.27", true, &b"\x02\x01\x01"[..]);
    let part = root.list_with(&[], NOW, NOW + DAY, Some(delta));
    let both = [whole, part.to_pem().unwrap()].concat();
    assert!(usable_lists(&both).is_err(), "one of two in a file");
}

/// RFC 5280 section 6.3.3 (b) (2).
#[test]
fn a_list_speaks_for_the_certificates_that_name_its_distribution_point() {
    let house = house();
    let uri = |uri: &str| element(0x86, uri.as_bytes());
    // The names of one point, and what else stands in it.
    let point = |names: &[u8], more: &[u8]| {
        let full = element(0xa0, &element(0xa0, names));
        [full, more.to_vec()].concat()
    };
    let in_certificate = |points: &[Vec<u8>]| {
        let each = points.iter().flat_map(|point| element(0x30, point));
        element(0x30, &each.collect::<Vec<u8>>())
    };
    let (one, two) = (uri("http://c.example/1.crl"), uri("http://c.example/2.crl"));
    let by_dns = element(0x82, b"http://c.example/1.crl");
    let both = [&one[..], &two].concat();
    let in_list = |names: &[u8], more: &[u8]| Some(element(0x30, &point(names, more)));
    let users = element(0x30, b"\x81\x01\xff");
    let authorities = element(0x30, b"\x82\x01\xff");
    let other = "cannot be checked: the revocation list of Good Issuer is for other certificates";
    let first = || vec![point(&one, b"")];
    #[rustfmt::skip]
    let table = [
        ("the same", first(), vec![in_list(&one, b"")], "good"),
        ("one of two names", first(), vec![in_list(&both, b"")], "good"),
        ("one of two points", vec![point(&two, b""), point(&one, b"")], vec![in_list(&one, b"")], "good"),
        ("the second list", first(), vec![in_list(&two, b""), in_list(&one, b"")], "good"),
        ("and for users", first(), vec![in_list(&one, b"\x81\x01\xff")], "good"),
        ("another", first(), vec![in_list(&two, b"")], other),
        ("another and the whole", first(), vec![in_list(&two, b""), None], "good"),
        ("the same text of another kind", first(), vec![in_list(&by_dns, b"")], other),
        ("none in the certificate", vec![], vec![in_list(&one, b"")], other),
        ("for some reasons", vec![point(&one, b"\x81\x02\x06\x40")], vec![in_list(&one, b"")], other),
        ("of another issuer", vec![point(&one, b"\xa2\x02\x82\x00")], vec![in_list(&one, b"")], other),
        ("for users", vec![], vec![Some(users)], "good"),
        ("for authorities", vec![], vec![Some(authorities.clone())], other),
        ("for authorities, by its name", first(), vec![in_list(&one, b"\x82\x01\xff")], other),
    ];
    let trusting = |lists| {
        let authorities = vec![house.root.x509.clone()];
        Trust::new(authorities, vec![house.below.x509.clone()], lists)
    };
    for (what, points, scopes, expected) in table {
        let points = in_certificate(&points);
        let more = [("2.5.29.31", &points[..])];
        let bob = house.below.issue(Says {
            more: if points.len() > 2 { &more } else { &[] },
            ..Says::default()
        });
        for (revoked, expected) in [
            (false, expected),
            (true, "was revoked by Good Issuer on 2026-11-28"),
        ] {
            let named: &[&X509] = if revoked { &[&bob.x509] } else { &[] };
            let list = |scope: &Option<Vec<u8>>| {
                let scope = scope.as_deref().map(|scope| (IDP, true, scope));
                house.below.list_with(named, NOW - DAY, NOW + DAY, scope)
            };
            let lists = scopes.iter().map(list).collect();
            let found = verdict(&trusting(lists), &bob, "bob@partner.example");
            assert_eq!(found, expected, "{what}");
        }
    }
    // The one between is no user, and the list of its issuer for authorities speaks for it.
    let bob = house.below.issue(Says::default());
    for (scope, expected) in [
        (authorities, "good"),
        (
            element(0x30, b"\x81\x01\xff"),
            "cannot be checked: the revocation list of Good Root is for other certificates",
        ),
    ] {
        let list = (house.root).list_with(&[], NOW - DAY, NOW + DAY, Some((IDP, true, &scope[..])));
        let found = verdict(&trusting(vec![list]), &bob, "bob@partner.example");
        assert_eq!(found, expected);
    }
}
