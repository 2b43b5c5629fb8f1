//! Our connection against scripted next hops: over TCP, unix sockets and TLS, by SMTP and LMTP.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mimicry_core::config::relay::Fingerprint;
use mimicry_core::config::typed::{Login, Tls as Setting};
use mimicry_core::envelope::Path;
use mimicry_core::extension::Extensions;
use mimicry_core::origin::Origin;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

use super::super::conformance::{PATIENCE, Subject, every_row, route};
use super::super::hostile_octets::only_clean_mail_leaves;
use super::super::scripted::{Act, EHLO, Script, Scripted, Stage, Tls, one_act};
use super::super::{Answers, Keys, NextHop, Opening, Pool, Size, Watch};
use super::*;

fn say(text: &str) -> Act {
    Act::Say(text.as_bytes().to_vec())
}

fn script(decide: impl Fn(Stage) -> Option<Act> + Send + Sync + 'static) -> Script {
    Box::new(move |_, stage| decide(stage))
}

fn that_works() -> Script {
    script(|_| None)
}

/// What a next hop shows of itself, and who trusts it.
struct Pki {
    directory: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    fn new() -> Pki {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(params, key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
        Pki {
            directory,
            authority,
        }
    }

    /// The certificate of a server, signed by the authority or by itself.
    fn server(
        &self,
        name: &str,
        is_self_signed: bool,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Arc<rustls::ServerConfig> {
        self.shown(name, is_self_signed, change).0
    }

    /// As [`Pki::server`], and what its certificate is pinned by.
    fn shown(
        &self,
        name: &str,
        is_self_signed: bool,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (Arc<rustls::ServerConfig>, Fingerprint) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_string()]).unwrap();
        change(&mut params);
        let certificate = match is_self_signed {
            true => params.self_signed(&key),
            false => params.signed_by(&key, &self.authority),
        }
        .unwrap();
        let pin = Fingerprint(Sha256::digest(certificate.der()).into());
        (config_of(&certificate, &key), pin)
    }

    fn good(&self) -> Arc<rustls::ServerConfig> {
        self.server("127.0.0.1", false, |_| {})
    }

    fn route(&self, next_hop: &str, tls: Setting) -> Route {
        Route {
            tls,
            ca_file: Some(self.directory.path().join("ca.pem")),
            ..route(next_hop)
        }
    }
}

fn config_of(certificate: &rcgen::Certificate, key: &KeyPair) -> Arc<rustls::ServerConfig> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    Arc::new(config)
}

/// As the daemon does it: through a pool, with keys that were read from files.
fn pool(route: &Route) -> Pool {
    let mut keys = Keys::default();
    keys.add(route).unwrap();
    let mut pool = Pool::new(Arc::new(keys));
    pool.resolve(route).unwrap();
    pool
}

fn opening<'o>(origin: &'o Origin, sender: &'o Path) -> Opening<'o> {
    Opening {
        origin,
        sender,
        params: b"",
        size: Size::Unknown,
        limit: None,
    }
}

/// One mail to one recipient.
fn deliver(pool: &mut Pool, route: &Route) -> Answer {
    let (origin, sender) = (Origin::default(), Path::new("a@b"));
    let mut line = match pool.begin(route, &opening(&origin, &sender)) {
        Ok(line) => line,
        Err(answer) => return answer,
    };
    let answer = line.rcpt(&Path::new("c@d"), b"");
    assert!(answer.is_done(), "{answer:?}");
    let answers = line.data(b"Subject: x\r\n\r\n.\r\n"[..].into(), &mut || Watch::Stays);
    pool.give(line);
    answers.only()
}

/// A client of this kind and the next hop that fits it.
enum Kind {
    Tcp,
    Unix,
    StartTls,
    Implicit,
}

struct Ours {
    kind: Kind,
    protocol: Protocol,
    pki: Pki,
    config: Arc<ClientConfig>,
    server: Arc<rustls::ServerConfig>,
    sockets: AtomicUsize,
}

impl Ours {
    fn new(kind: Kind, protocol: Protocol) -> Ours {
        let pki = Pki::new();
        let ca_file = pki.directory.path().join("ca.pem");
        Ours {
            kind,
            protocol,
            config: Arc::new(super::super::tls::valid_certificates(Some(&ca_file)).unwrap()),
            server: pki.good(),
            pki,
            sockets: AtomicUsize::new(0),
        }
    }
}

impl Subject for Ours {
    fn meet(&self, script: Script) -> (Scripted, Result<Box<dyn NextHop>, Answer>) {
        let number = self.sockets.fetch_add(1, Ordering::Relaxed);
        let path = self.pki.directory.path().join(number.to_string());
        let scripted = match self.kind {
            Kind::Tcp => Scripted::start(script),
            Kind::Unix => Scripted::on_unix(&path, script),
            Kind::StartTls => Scripted::with(script, Tls::Offered(Arc::clone(&self.server))),
            Kind::Implicit => Scripted::with(script, Tls::Implicit(Arc::clone(&self.server))),
        };
        let scheme = match (&self.kind, self.protocol) {
            (Kind::Implicit, _) => "smtps",
            (_, Protocol::Smtp) => "smtp",
            (_, Protocol::Lmtp) => "lmtp",
        };
        let tls = match self.kind {
            Kind::Tcp | Kind::Unix => Setting::None,
            Kind::StartTls | Kind::Implicit => Setting::Verify,
        };
        let terms = Terms {
            route: &Route {
                tls,
                ..route(&format!("{scheme}://{}", scripted.address))
            },
            protocol: self.protocol,
            place: match self.kind {
                Kind::Unix => ServerAddress::Unix(&path),
                _ => ServerAddress::Tcp(scripted.address),
            },
            name: Some(ServerName::from(scripted.address.ip())),
            tls: Some(Arc::clone(&self.config)),
            limit: None,
        };
        let hop = WireHop::connect(&terms).map(|hop| Box::new(hop) as Box<dyn NextHop>);
        (scripted, hop)
    }

    fn says_helo(&self) -> bool {
        // Where TLS must be, a server without EHLO cannot offer it.
        self.protocol == Protocol::Smtp && !matches!(self.kind, Kind::StartTls)
    }

    fn says_ehlo_twice(&self) -> bool {
        matches!(self.kind, Kind::StartTls)
    }
}

#[test]
fn t94_to_t120_conformance_of_smtp_over_tcp() {
    every_row(&Ours::new(Kind::Tcp, Protocol::Smtp));
}

#[test]
fn t94_to_t120_conformance_of_smtp_over_a_unix_socket() {
    every_row(&Ours::new(Kind::Unix, Protocol::Smtp));
}

#[test]
fn t94_to_t120_conformance_of_smtp_behind_starttls() {
    every_row(&Ours::new(Kind::StartTls, Protocol::Smtp));
}

#[test]
fn t94_to_t120_conformance_of_smtps() {
    every_row(&Ours::new(Kind::Implicit, Protocol::Smtp));
}

#[test]
fn t94_to_t120_conformance_of_lmtp_over_tcp() {
    every_row(&Ours::new(Kind::Tcp, Protocol::Lmtp));
}

#[test]
fn t94_to_t120_conformance_of_lmtp_over_a_unix_socket() {
    every_row(&Ours::new(Kind::Unix, Protocol::Lmtp));
}

#[test]
fn t94_to_t120_conformance_of_lmtp_behind_starttls() {
    every_row(&Ours::new(Kind::StartTls, Protocol::Lmtp));
}

#[test]
fn t175_only_clean_mail_leaves() {
    for (kind, protocol) in [
        (Kind::Tcp, Protocol::Smtp),
        (Kind::Unix, Protocol::Smtp),
        (Kind::StartTls, Protocol::Smtp),
        (Kind::Implicit, Protocol::Smtp),
        (Kind::Tcp, Protocol::Lmtp),
        (Kind::Unix, Protocol::Lmtp),
        (Kind::StartTls, Protocol::Lmtp),
    ] {
        only_clean_mail_leaves(&Ours::new(kind, protocol));
    }
}

/// T95: the server knows nothing but what RFC 821 says.
#[test]
fn t95_helo_where_ehlo_is_not_known() {
    let ours = Ours::new(Kind::Tcp, Protocol::Smtp);
    for refusal in ["500 what?\r\n", "502 5.5.1 no\r\n", "550 no\r\n"] {
        let (next_hop, hop) = ours.meet(one_act(Stage::Ehlo, say(refusal)));
        let mut hop = hop.unwrap();
        assert_eq!(hop.capabilities(), &Extensions::NONE);
        assert!(hop.mail(&Path::new("a@b"), b"").is_done());
        assert_eq!(
            next_hop.seen().commands[..2],
            ["EHLO client.example\r\n", "HELO client.example\r\n"]
        );
    }
    // LMTP has nothing older.
    let ours = Ours::new(Kind::Tcp, Protocol::Lmtp);
    let (next_hop, hop) = ours.meet(one_act(Stage::Ehlo, say("500 what?\r\n")));
    assert_eq!(hop.err().unwrap().reply.code(), 451);
    assert_eq!(next_hop.seen().commands, ["LHLO client.example\r\n"]);
}

/// What three recipients of one LMTP transaction are told.
fn to_three(script: Script) -> (Scripted, Answers, bool) {
    let ours = Ours::new(Kind::Unix, Protocol::Lmtp);
    let (next_hop, hop) = ours.meet(script);
    let mut hop = hop.unwrap();
    assert!(hop.replies_per_recipient());
    assert!(hop.mail(&Path::new("a@b"), b"").is_done());
    for name in ["one", "two", "three"] {
        assert!(hop.rcpt(&Path::new(name), b"").is_done());
    }
    let answers = hop.data(b"x\r\n"[..].into(), &mut || Watch::Stays);
    std::thread::sleep(Duration::from_millis(20));
    let usable = hop.is_usable();
    (next_hop, answers, usable)
}

/// T74: each recipient has its own reply, and what breaks the line breaks it for those whose reply is missing.
#[test]
fn t74_a_reply_for_each_recipient() {
    for (first, second, third, expected, usable) in [
        (
            "250 2.0.0 a",
            "250 2.0.0 b",
            "250 2.0.0 c",
            "250 2.0.0 a|250 2.0.0 b|250 2.0.0 c",
            true,
        ),
        (
            "250 2.0.0 a",
            "550 5.2.1 b",
            "452 4.2.2 c",
            "250 2.0.0 a|550 5.2.1 b|452 4.2.2 c",
            true,
        ),
        (
            "550 5.2.1 a",
            "550-5.2.1 b\r\n550 5.2.1 bb",
            "250 2.0.0 c",
            "550 5.2.1 a|550 5.2.1 b / bb|250 2.0.0 c",
            true,
        ),
        (
            "250 2.0.0 a",
            "421 4.3.2 closing",
            "250 2.0.0 c",
            "250 2.0.0 a|451 4.3.2 closing|451 4.4.2 ?",
            false,
        ),
        (
            "250 2.0.0 a",
            "junk",
            "250 2.0.0 c",
            "250 2.0.0 a|451 4.5.0 ?|451 4.5.0 ?",
            false,
        ),
        (
            "250 2.0.0 a",
            "354 go on",
            "250 2.0.0 c",
            "250 2.0.0 a|451 4.5.0 ?|451 4.5.0 ?",
            false,
        ),
        (
            "250-2.0.0 a",
            "550 5.2.1 b",
            "250 2.0.0 c",
            "451 4.5.0 ?|451 4.5.0 ?|451 4.5.0 ?",
            false,
        ),
        (
            "250 2.0.0 a",
            "250 2.0.0 b",
            "250 2.0.0 c\r\n250 2.0.0 d",
            "250 2.0.0 a|250 2.0.0 b|250 2.0.0 c",
            false,
        ),
    ] {
        let lines = [first, second, third].map(|line| format!("{line}\r\n"));
        let (_next_hop, answers, is_usable) = to_three(script(move |stage| {
            Some(say(&lines[match stage {
                Stage::Dot => 0,
                Stage::NextDot(recipient) => recipient,
                _ => return None,
            }]))
        }));
        let found: Vec<String> = answers
            .iter()
            .map(|answer| {
                let reply = answer.reply.to_string();
                assert_eq!(
                    answer.is_doubtful,
                    answer.cause != Cause::Said,
                    "{first} {second}: {reply}"
                );
                match answer.cause {
                    Cause::Said => reply,
                    _ => format!("{} ?", &reply[..9]),
                }
            })
            .collect();
        assert_eq!(found.join("|"), expected);
        assert_eq!(is_usable, usable, "{expected}");
    }
}

/// T74: the line ends between the replies, or the last one does not come.
#[test]
fn t74_replies_that_do_not_come() {
    use Cause::{Lost, Said, TimedOut};
    for (recipient, act, causes) in [
        (1, Act::Last(Vec::new()), [Said, Lost, Lost]),
        (1, Act::Last(b"250 2.0".to_vec()), [Said, Lost, Lost]),
        (2, Act::Silence, [Said, Said, TimedOut]),
    ] {
        let start = Instant::now();
        let (_next_hop, answers, _) = to_three(one_act(Stage::NextDot(recipient), act));
        let found: Vec<Cause> = answers.iter().map(|answer| answer.cause).collect();
        assert_eq!(found, causes);
        assert!(answers.of(0).unwrap().is_done() && answers.of(2).unwrap().is_doubtful);
        assert!(start.elapsed() < 3 * PATIENCE, "{:?}", start.elapsed());
    }
}

/// Recipients that were refused have no reply behind the dot.
#[test]
fn t74_only_those_that_were_accepted_have_a_reply() {
    let asked = AtomicUsize::new(0);
    let ours = Ours::new(Kind::Tcp, Protocol::Lmtp);
    let (_next_hop, hop) = ours.meet(script(move |stage| {
        let is_second = stage == Stage::Rcpt && asked.fetch_add(1, Ordering::Relaxed) == 1;
        is_second.then(|| say("550 5.1.1 no\r\n"))
    }));
    let mut hop = hop.unwrap();
    for mails in 0..2 {
        assert!(hop.mail(&Path::new("a@b"), b"").is_done());
        let accepted =
            ["one", "two", "three"].map(|name| hop.rcpt(&Path::new(name), b"").is_done());
        assert_eq!(accepted, [true, mails > 0, true]);
        let answers = hop.data(b"x\r\n"[..].into(), &mut || Watch::Stays);
        assert_eq!(answers.iter().count(), 2 + mails);
        assert!(answers.are_done() && hop.is_usable() && !hop.is_in_transaction());
    }
}

/// T118: what each setting makes of each server.
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
            Some("expired"),
        ),
        (
            "of another name",
            pki.server("mx.example.org", false, |_| {}),
            Some("not valid for name"),
        ),
        (
            "self-signed",
            pki.server("127.0.0.1", true, |_| {}),
            Some(""),
        ),
        ("of another authority", other.good(), Some("BadSignature")),
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

/// A password file for the route.
fn with_login(route: Route, directory: &std::path::Path) -> Route {
    use std::os::unix::fs::OpenOptionsExt;
    let password_file = directory.join("password");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&password_file)
        .unwrap();
    std::io::Write::write_all(&mut file, b"secret\n").unwrap();
    Route {
        login: Some(Login {
            user: "me".into(),
            password_file,
        }),
        ..route
    }
}

/// AUTH before lettre has the line, and on ours.
#[test]
fn logging_in() {
    const PLAIN: &str = "AUTH PLAIN AG1lAHNlY3JldA==";
    let pki = Pki::new();
    for (offer, act, expected, cause, sent) in [
        (
            "AUTH PLAIN LOGIN",
            None,
            "250 2.0.0 taken",
            Cause::Said,
            PLAIN,
        ),
        (
            "AUTH CRAM-MD5 plain",
            None,
            "250 2.0.0 taken",
            Cause::Said,
            PLAIN,
        ),
        (
            "AUTH PLAIN",
            Some(say("535 5.7.8 no\r\n")),
            "451 4.7.8 the next hop refuses our login: 535 5.7.8 no",
            Cause::Login,
            PLAIN,
        ),
        (
            "AUTH PLAIN",
            Some(say("454 4.7.0 later\r\n")),
            "451 4.7.8 the next hop refuses our login: 454 4.7.0 later",
            Cause::Login,
            PLAIN,
        ),
        // What is no success of AUTH is none.
        (
            "AUTH PLAIN",
            Some(say("250 2.0.0 ok\r\n")),
            "451 4.7.8 ",
            Cause::Login,
            PLAIN,
        ),
        (
            "AUTH PLAIN",
            Some(say("334 \r\n")),
            "451 4.5.0 ",
            Cause::NotUnderstood,
            PLAIN,
        ),
        (
            "AUTH PLAIN",
            Some(Act::Last(Vec::new())),
            "451 4.4.2 ",
            Cause::Lost,
            PLAIN,
        ),
        ("AUTH GSSAPI", None, "451 4.7.0 ", Cause::Login, ""),
        ("DSN", None, "451 4.7.0 ", Cause::Login, ""),
    ] {
        for scheme in ["smtp", "lmtp", "smtps"] {
            let ehlo = say(&format!("250-hop\r\n250 {offer}\r\n"));
            let act = act.clone();
            let script = script(move |stage| match stage {
                Stage::Ehlo | Stage::NextEhlo => Some(ehlo.clone()),
                Stage::Auth => act.clone(),
                _ => None,
            });
            let tls = match scheme {
                "smtps" => Tls::Implicit(pki.good()),
                _ => Tls::Never,
            };
            let next_hop = Scripted::with(script, tls);
            let route = pki.route(&format!("{scheme}://{}", next_hop.address), Setting::None);
            let route = with_login(route, pki.directory.path());
            let mut pool = pool(&route);
            for _ in 0..2 {
                let answer = deliver(&mut pool, &route);
                let text = answer.reply.to_string();
                assert!(text.starts_with(expected), "{offer} {scheme}: {text}");
                assert_eq!(answer.cause, cause, "{offer} {scheme}: {text}");
            }
            let seen = next_hop.seen();
            let auth: Vec<&String> = seen
                .commands
                .iter()
                .filter(|line| line.starts_with("AUTH"))
                .collect();
            let times = match (sent, cause) {
                ("", _) => 0,
                (_, Cause::Said) => 1,
                _ => 2,
            };
            assert_eq!(
                auth,
                vec![&format!("{sent}\r\n"); times],
                "{offer} {scheme}"
            );
            assert_eq!(seen.dots > 0, cause == Cause::Said, "{offer} {scheme}");
        }
    }
}

#[test]
fn logging_in_by_the_older_dialogue() {
    let directory = tempfile::tempdir().unwrap();
    for (last, expected) in [
        ("235 2.7.0 welcome\r\n", "250 2.0.0 taken"),
        ("535 5.7.8 no\r\n", "451 4.7.8 "),
    ] {
        let next_hop = Scripted::start(script(move |stage| match stage {
            Stage::Ehlo => Some(say("250-hop\r\n250 AUTH LOGIN\r\n")),
            Stage::Auth => Some(say("334 VXNlcm5hbWU6\r\n")),
            Stage::Word("bWU=") => Some(say("334 UGFzc3dvcmQ6\r\n")),
            Stage::Word("c2VjcmV0") => Some(say(last)),
            _ => None,
        }));
        let route = route(&format!("smtp://{}", next_hop.address));
        let route = with_login(route, directory.path());
        let answer = deliver(&mut pool(&route), &route);
        let text = answer.reply.to_string();
        assert!(text.starts_with(expected), "{text}");
    }
}

/// T190: whatever the configuration says, the line is asked again.
/// man: mimicry.toml(5) "A password is told only to a next hop that proves to be the one meant"
#[test]
fn a_password_is_not_sent_in_the_clear() {
    let directory = tempfile::tempdir().unwrap();
    let ours = Ours::new(Kind::Tcp, Protocol::Smtp);
    let (next_hop, hop) = {
        let offer = say("250-hop\r\n250 AUTH PLAIN\r\n");
        let scripted = Scripted::start(one_act(Stage::Ehlo, offer));
        let terms = Terms {
            route: &route("smtp://192.0.2.1"),
            protocol: Protocol::Smtp,
            place: ServerAddress::Tcp(scripted.address),
            name: None,
            tls: None,
            limit: None,
        };
        let hop = WireHop::connect(&terms);
        (scripted, hop)
    };
    drop((ours, directory));
    let mut hop = hop.unwrap();
    let answer = hop.login("me", &"secret".into(), false);
    let answer = answer.unwrap_err();
    assert_eq!(answer.cause, Cause::Login);
    assert!(
        answer
            .reply
            .to_string()
            .starts_with("451 4.7.0 the password is not sent")
    );
    assert_eq!(next_hop.seen().commands, ["EHLO client.example\r\n"]);
}

/// Each transaction has its own XFORWARD, before MAIL; a refusal of it changes no mail.
#[test]
fn xforward_goes_before_mail() {
    let origin = Origin {
        client: Some("192.0.2.7".parse().unwrap()),
        helo: Some(b"mx+1".to_vec()),
        ..Origin::default()
    };
    let sender = Path::new("a@b");
    for act in [None, Some(say("550 5.7.1 not you\r\n"))] {
        for scheme in ["smtp", "lmtp"] {
            let act = act.clone();
            let next_hop = Scripted::start(script(move |stage| match stage {
                Stage::Ehlo | Stage::NextEhlo => {
                    Some(say("250-hop\r\n250 XFORWARD NAME ADDR HELO\r\n"))
                }
                Stage::Xforward => act.clone(),
                _ => None,
            }));
            let route = route(&format!("{scheme}://{}", next_hop.address));
            let mut pool = pool(&route);
            for _ in 0..2 {
                let line = pool.begin(&route, &opening(&origin, &sender)).ok().unwrap();
                pool.give(line);
            }
            let seen = next_hop.seen();
            let transaction = [
                "XFORWARD NAME=[UNAVAILABLE] ADDR=192.0.2.7 HELO=mx+2B1\r\n",
                "MAIL FROM:<a@b>\r\n",
                "RSET\r\n",
            ];
            assert_eq!(seen.commands[1..], [transaction, transaction].concat());
        }
    }
    // One that breaks the line is the answer; an idle line that broke is replaced.
    let next_hop = Scripted::start(script(move |stage| match stage {
        Stage::Ehlo => Some(say("250-hop\r\n250 XFORWARD NAME\r\n")),
        Stage::Xforward => Some(Act::Last(Vec::new())),
        _ => None,
    }));
    let route = route(&format!("smtp://{}", next_hop.address));
    let answer = pool(&route).begin(&route, &opening(&origin, &sender)).err();
    assert_eq!(answer.unwrap().cause, Cause::Lost);
}

/// T92: nobody there, over TCP and on the file system.
#[test]
fn t92_nobody_is_there() {
    for next_hop in [
        "lmtp://127.0.0.1:1",
        "lmtp:///nowhere/lmtp",
        "smtp:///nowhere/smtp",
    ] {
        let route = route(next_hop);
        let answer = deliver(&mut pool(&route), &route);
        assert_eq!(answer.cause, Cause::Unreachable, "{next_hop}");
        assert_eq!(answer.reply.code(), 451);
    }
}
