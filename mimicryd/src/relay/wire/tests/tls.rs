//! TLS to scripted next hops: certificates, pins, and STARTTLS that fails.

use super::*;

/// T118, T204: what each setting makes of each server, in words.
#[test]
fn t118_certificates() {
    let pki = Pki::new();
    let other = Pki::new();
    let long_ago = |params: &mut CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    };
    for (what, server, why) in [
        ("good", pki.good(), None),
        (
            "expired",
            pki.server("127.0.0.1", false, long_ago),
            Some("is not valid: it has expired"),
        ),
        (
            "of another name",
            pki.server("mx.example.org", false, |_| {}),
            Some("is not valid: it is for mx.example.org and not for 127.0.0.1"),
        ),
        (
            "self-signed",
            pki.server("127.0.0.1", true, |_| {}),
            Some("(see ca_file in mimicry.toml(5))"),
        ),
        (
            "of another authority",
            other.good(),
            Some("is not valid: its signature is not that of the authority that it names"),
        ),
    ] {
        for (scheme, tls) in [
            ("smtp", Tls::Offered(Arc::clone(&server))),
            ("lmtp", Tls::Offered(Arc::clone(&server))),
            ("smtps", Tls::Implicit(server)),
        ] {
            for setting in [Setting::May, Setting::Encrypt, Setting::Verify] {
                let next_hop = Scripted::with(that_works(), tls.clone());
                let route = pki.route(&format!("{scheme}://{}", next_hop.address), setting);
                let answer = deliver(&mut pool(&route), &route);
                let seen = next_hop.seen();
                let text = answer.reply.to_string();
                match why.filter(|_| setting == Setting::Verify) {
                    Some(why) => {
                        assert!(
                            text.starts_with("451 4.7.5 ") && text.contains(why),
                            "{what} {scheme}: {text}"
                        );
                        assert_eq!((answer.cause, seen.dots), (Cause::Tls, 0), "{what}");
                    }
                    None => assert_eq!(text, "250 2.0.0 taken", "{what} {scheme} {setting:?}"),
                }
                assert_eq!(seen.connections, 1, "nothing goes in the clear");
            }
        }
    }
}

/// man: mimicry.toml(5) "The next hop's own certificate will do if it is signed by itself and not marked as one of an authority."
#[test]
fn t118_the_certificate_of_the_server_itself() {
    let directory = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_string()]).unwrap();
    params.is_ca = IsCa::ExplicitNoCa;
    let certificate = params.self_signed(&key).unwrap();
    let path = directory.path().join("own.pem");
    std::fs::write(&path, certificate.pem()).unwrap();
    let next_hop = Scripted::with(that_works(), Tls::Offered(config_of(&certificate, &key)));
    let route = Route {
        tls: Setting::Verify,
        ca_file: Some(path),
        ..route(&format!("smtp://{}", next_hop.address))
    };
    let answer = deliver(&mut pool(&route), &route);
    assert_eq!(answer.reply.to_string(), "250 2.0.0 taken");
}

/// T190: the certificate that is named, whatever it says of itself, and no other; by the chain it would not do.
#[test]
fn t190_certificates_that_are_pinned() {
    let pki = Pki::new();
    let long_ago = |params: &mut CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    };
    let (own, shown) = pki.shown("mx.example.org", true, long_ago);
    let (next, next_shown) = pki.shown("127.0.0.1", false, |_| {});
    let other = Fingerprint([7; 32]);
    let refused = format!("its SHA-256 is {shown}, which tls_fingerprint does not name");
    for (server, pins, expected) in [
        (&own, vec![shown], "250 2.0.0 taken"),
        // While one certificate takes the place of another.
        (&own, vec![next_shown, shown], "250 2.0.0 taken"),
        (&next, vec![next_shown, shown], "250 2.0.0 taken"),
        (&own, vec![other], refused.as_str()),
        // It descends from an authority that is trusted, and is not the one that is named.
        (&next, vec![shown], "does not name"),
    ] {
        for (scheme, tls) in [
            ("smtp", Tls::Offered(Arc::clone(server))),
            ("lmtp", Tls::Offered(Arc::clone(server))),
            ("smtps", Tls::Implicit(Arc::clone(server))),
        ] {
            for setting in [Setting::Encrypt, Setting::Verify] {
                let script = script(|stage| {
                    let offer = EHLO.replace("250 PIPELINING", "250-STARTTLS\r\n250 AUTH PLAIN");
                    matches!(stage, Stage::Ehlo | Stage::NextEhlo).then(|| say(&offer))
                });
                let next_hop = Scripted::with(script, tls.clone());
                let route = Route {
                    pins: pins.clone(),
                    ..pki.route(&format!("{scheme}://{}", next_hop.address), setting)
                };
                let route = with_login(route, pki.directory.path());
                let answer = deliver(&mut pool(&route), &route);
                let text = answer.reply.to_string();
                let is_done = expected.starts_with("250");
                assert!(text.contains(expected), "{scheme} {setting:?}: {text}");
                let seen = next_hop.seen();
                assert_eq!(seen.dots, usize::from(is_done), "{scheme}");
                let has_password = seen.commands.iter().any(|line| line.starts_with("AUTH"));
                assert_eq!(has_password, is_done, "{scheme}: {text}");
            }
        }
    }
}

/// T190: who shows the certificate that is named and has not its key is not let in.
#[test]
fn t190_a_certificate_without_its_key() {
    let pki = Pki::new();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_string()]).unwrap();
    let named = params.self_signed(&key).unwrap();
    let pin = Fingerprint(Sha256::digest(named.der()).into());
    let foreign = KeyPair::generate().unwrap();
    let foreign = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(foreign.serialize_der()));
    let signer = ring::sign::any_supported_type(&foreign).unwrap();
    let shown = rustls::sign::CertifiedKey::new(vec![named.der().clone()], signer);
    let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(shown));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let builder =
            rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let server = builder
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(resolver.clone());
        let next_hop = Scripted::with(that_works(), Tls::Implicit(Arc::new(server)));
        let route = Route {
            pins: vec![pin],
            ..pki.route(&format!("smtps://{}", next_hop.address), Setting::Encrypt)
        };
        let answer = deliver(&mut pool(&route), &route);
        assert_eq!(answer.cause, Cause::Tls, "{}", answer.reply);
        assert_eq!(next_hop.seen().dots, 0);
    }
}

/// T118: may goes on in the clear, on a line of its own where TLS broke; encrypt and verify do not.
#[test]
fn t118_starttls_that_fails() {
    // A ServerHello of TLS 1.1.
    let mut old = b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02".to_vec();
    old.extend_from_slice(&[7; 32]);
    old.extend_from_slice(b"\x00\x00\x2f\x00");
    let offer = EHLO.replace("250 PIPELINING", "250 STARTTLS");
    let pki = Pki::new();
    for (what, stage, act, connections) in [
        ("454", Stage::StartTls, say("454 4.7.0 not now\r\n"), 2),
        ("502", Stage::StartTls, say("502 5.5.1 what?\r\n"), 2),
        ("TLS 1.1", Stage::Handshake, Act::AfterHello(old), 2),
        (
            "an alert",
            Stage::Handshake,
            Act::AfterHello(b"\x15\x03\x01\x00\x02\x02\x28".to_vec()),
            2,
        ),
        (
            "junk",
            Stage::Handshake,
            Act::AfterHello(b"250 hello\r\n".to_vec()),
            2,
        ),
        ("an end", Stage::Handshake, Act::Last(Vec::new()), 2),
        ("a reset", Stage::Handshake, Act::Reset, 2),
        ("silence", Stage::Handshake, Act::Stall, 2),
        ("no offer", Stage::Ehlo, say("250-hop\r\n250 DSN\r\n"), 1),
    ] {
        for setting in [Setting::May, Setting::Encrypt, Setting::Verify] {
            let offer = say(&offer);
            let act = act.clone();
            let next_hop = Scripted::with(
                script(move |at| match at {
                    _ if at == stage => Some(act.clone()),
                    Stage::Ehlo => Some(offer.clone()),
                    _ => None,
                }),
                Tls::Offered(pki.good()),
            );
            let route = pki.route(&format!("smtp://{}", next_hop.address), setting);
            let answer = deliver(&mut pool(&route), &route);
            let seen = next_hop.seen();
            if setting == Setting::May {
                assert_eq!(answer.reply.to_string(), "250 2.0.0 taken", "{what}");
                assert_eq!(seen.connections, connections, "{what}");
            } else {
                let text = answer.reply.to_string();
                assert!(text.starts_with("451 4.7.5 "), "{what}: {text}");
                assert_eq!((answer.cause, seen.connections), (Cause::Tls, 1), "{what}");
                assert!(
                    !seen.commands.iter().any(|line| line.starts_with("MAIL")),
                    "{what}"
                );
            }
        }
    }
}

/// T118: what stands behind the 220 in the clear is no reply of the server inside TLS; nor is what EHLO said before.
#[test]
fn t118_nothing_of_before_counts_inside_tls() {
    let pki = Pki::new();
    for injected in ["250 2.0.0 taken\r\n", "2"] {
        for setting in [Setting::May, Setting::Encrypt, Setting::Verify] {
            let next_hop = Scripted::with(
                one_act(Stage::StartTls, Act::Surplus(injected.as_bytes().to_vec())),
                Tls::Offered(pki.good()),
            );
            let route = pki.route(&format!("smtp://{}", next_hop.address), setting);
            let answer = deliver(&mut pool(&route), &route);
            assert_eq!(
                (answer.cause, answer.reply.code()),
                (Cause::OutOfStep, 451),
                "{}",
                answer.reply
            );
            assert_eq!(next_hop.seen().connections, 1, "no second try");
        }
    }
    let next_hop = Scripted::with(
        one_act(Stage::NextEhlo, say("250-hop\r\n250 SIZE 77\r\n")),
        Tls::Offered(pki.good()),
    );
    let route = pki.route(&format!("smtp://{}", next_hop.address), Setting::Verify);
    let known = pool(&route).last_known(&route).unwrap();
    assert_eq!(
        (known.size(), known.contains(Extension::Dsn)),
        (Some(77), false)
    );
}

/// A large message through TLS, octet for octet.
#[test]
fn a_large_message_through_tls() {
    let message = b"0123456789abcde\r\n.\r\n".repeat(200_000);
    for kind in [Kind::StartTls, Kind::Implicit, Kind::Unix] {
        let ours = Ours::new(kind, Protocol::Smtp);
        let (next_hop, hop) = ours.meet(that_works());
        let mut hop = hop.unwrap();
        for mails in 1..3 {
            hop.mail(&Path::new("a@b"), b"");
            hop.rcpt(&Path::new("c@d"), b"");
            let answers = hop.data(message[..].into(), &mut || Watch::Stays);
            assert!(answers.are_done(), "{answers:?}");
            let dotted = b"0123456789abcde\r\n..\r\n".repeat(200_000);
            let seen = next_hop.seen();
            let arrived = seen.messages.last().unwrap();
            assert!(arrived.strip_suffix(b".\r\n") == Some(&dotted[..]));
            assert_eq!(seen.dots, mails);
        }
    }
}
