//! Our connection against scripted next hops: over TCP, unix sockets and TLS, by SMTP and LMTP. One test has more than 80 lines, most
//! of which are the table of its cases.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mimicry_core::envelope::Path;
use mimicry_core::extension::Extensions;
use mimicry_core::origin::Origin;
use mimicry_core::settings::Login;
use mimicry_core::settings::fingerprint::Fingerprint;
use mimicry_core::settings::words::Tls as Setting;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

use super::super::conformance::{PATIENCE, Subject, every_row, route};
use super::super::hostile_octets::only_clean_mail_leaves;
use super::super::pool::pool_with;
use super::super::scripted::{Act, EHLO, Script, Scripted, Stage, Tls, one_act};
use super::super::{Answers, Keys, NextHop, Opening, Pool, Size, Watch};
use super::*;

mod login;
mod tls;

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
    pool_with(keys, &route.next_hop)
}

fn opening<'o>(origin: &'o Origin, sender: &'o Path) -> Opening<'o> {
    Opening {
        origin,
        sender,
        params: b"",
        recipients: &[],
        size: Size::Unknown,
        is_promised: false,
        limit: None,
        has_line: false,
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
            patience: Patience::until(None),
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
