//! For tests: mails through rules with keys, and what the owners of the keys make of the results.

use std::path::Path as FilePath;
use std::time::SystemTime;

use mimicry_core::config::{self, Config};
use mimicry_core::engine::{Applied, Report};
use mimicry_core::envelope::Envelope;
use mimicry_core::mail::{Mail, Moment};
use mimicry_core::message::{Limits, Message};
use mimicry_core::origin::Origin;
use mimicry_core::plugin::Effects;
use mimicry_core::rule::plan::Decision;
use sequoia_openpgp::crypto::SessionKey;
use sequoia_openpgp::packet::{PKESK, SKESK};
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::parse::stream::{
    DecryptionHelper, DecryptorBuilder, DetachedVerifierBuilder, MessageLayer, MessageStructure,
    VerificationHelper,
};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::types::SymmetricAlgorithm;
use sequoia_openpgp::{Cert, KeyHandle, Packet, PacketPile, Result};

use super::super::time;
use crate::REGISTRY;
use crate::shared::judged;

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/pgp/");

/// 2026-06-15.
pub const NOW: i64 = 1_781_481_600;

pub fn load(source: &str) -> std::result::Result<Config, String> {
    let read = |path: &FilePath| std::fs::read(format!("{KEYS}{}", path.display()));
    config::parse(source, FilePath::new("t.toml"), REGISTRY, &read)
        .map_err(|mistakes| mistakes.list[0].message.clone())
}

pub fn load_error(source: &str) -> String {
    load(source).err().unwrap_or_default()
}

fn mail(text: &str, recipients: &[&str]) -> Mail {
    Mail {
        origin: Origin {
            client: Some("127.0.0.1".parse().unwrap()),
            ..Origin::default()
        },
        envelope: Envelope::new("anna@example.org", recipients.iter().copied()),
        received: Moment {
            unix: NOW,
            offset: 0,
        },
        ..judged::mail(text.replace('\n', "\r\n").as_bytes())
    }
}

/// What comes out, and what the only rule said: its first words, or its reason.
pub fn run(source: &str, text: &str) -> (Message, String) {
    let config = load(source).unwrap();
    let mail = mail(text, &["bo@example.com"]);
    let (plan, applied) = judged::only(&config, &mail, Effects::Real.into());
    let Applied { message, reports } = applied.unwrap();
    let said = match (&reports[0], plan.steps.get(0)) {
        (Report::Edited { notes, .. }, _) => notes.join("; "),
        (Report::Unchanged { reason, .. }, _) => reason.to_string(),
        (_, Some(Decision::Skip(reason))) => reason.to_string(),
        other => format!("{other:?}"),
    };
    (message.unwrap_or(mail.message), said)
}

/// For each class: what comes out, or the reply.
pub fn run_for(
    source: &str,
    text: &str,
    recipients: &[&str],
) -> Vec<std::result::Result<Message, String>> {
    let config = load(source).unwrap();
    let mail = mail(text, recipients);
    let judged = judged::judge(&config, &mail, Effects::Real.into());
    let each = judged.iter().map(|judged| match judged.result.as_ref() {
        Ok(applied) => {
            let message = applied.message.as_ref().unwrap_or(&mail.message);
            let raw = message.raw().to_vec();
            Ok(Message::scan(raw, &Limits::default()))
        }
        Err(stopped) => Err(stopped.reply().to_string()),
    });
    each.collect()
}

pub fn stopped(source: &str, text: &str, recipient: &str) -> String {
    let mut all = run_for(source, text, &[recipient]);
    all.remove(0).err().unwrap_or_default()
}

fn cert(name: &str) -> Cert {
    Cert::from_bytes(&std::fs::read(format!("{KEYS}{name}.asc")).unwrap()).unwrap()
}

/// The owner of a secret key, who knows Anna's.
struct Owner {
    key: Cert,
    is_signed: bool,
}

impl VerificationHelper for Owner {
    fn get_certs(&mut self, _: &[KeyHandle]) -> Result<Vec<Cert>> {
        Ok(vec![cert("anna")])
    }

    fn check(&mut self, structure: MessageStructure<'_>) -> Result<()> {
        for layer in structure {
            if let MessageLayer::SignatureGroup { results } = layer {
                self.is_signed = results.iter().any(|result| result.is_ok());
                assert!(results.iter().all(|result| result.is_ok()), "{results:?}");
            }
        }
        Ok(())
    }
}

impl DecryptionHelper for Owner {
    fn decrypt(
        &mut self,
        pkesks: &[PKESK],
        _: &[SKESK],
        algorithm: Option<SymmetricAlgorithm>,
        decrypt: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) -> Result<Option<Cert>> {
        for key in self.key.keys().unencrypted_secret() {
            let mut pair = key.key().clone().into_keypair()?;
            for pkesk in pkesks {
                if let Some((algorithm, session)) = pkesk.decrypt(&mut pair, algorithm)
                    && decrypt(algorithm, &session)
                {
                    return Ok(None);
                }
            }
        }
        panic!("no key opens it");
    }
}

/// What is in a message of armour.
pub fn opened_text(armour: &[u8], owner: &str) -> String {
    opened_armour(armour, owner).0
}

/// What is in a mail, and whether it is signed.
pub fn opened(message: &Message, owner: &str) -> (String, bool) {
    opened_armour(armour(message), owner)
}

fn opened_armour(armour: &[u8], owner: &str) -> (String, bool) {
    let policy = StandardPolicy::new();
    let owner = Owner {
        key: cert(&format!("{owner}.secret")),
        is_signed: false,
    };
    let mut decryptor = DecryptorBuilder::from_bytes(armour)
        .unwrap()
        .with_policy(&policy, at(), owner)
        .unwrap();
    let mut inner = Vec::new();
    std::io::Read::read_to_end(&mut decryptor, &mut inner).unwrap();
    let is_signed = decryptor.helper_ref().is_signed;
    (String::from_utf8(inner).unwrap(), is_signed)
}

fn armour(message: &Message) -> &[u8] {
    message.root().children().nth(1).unwrap().body()
}

fn at() -> Option<SystemTime> {
    Some(time(NOW))
}

/// Does a message name the keys that it is encrypted to.
pub fn names_keys(message: &Message) -> bool {
    let pile = PacketPile::from_bytes(armour(message)).unwrap();
    let recipients = pile.children().filter_map(|packet| match packet {
        Packet::PKESK(pkesk) => Some(pkesk.recipient().is_some()),
        _ => None,
    });
    let named: Vec<bool> = recipients.collect();
    assert!(!named.is_empty() && named.iter().all(|one| *one == named[0]));
    named[0]
}

/// What was signed, and how the header should name the hash.
pub fn verified(message: &Message, owner: &str) -> (String, String) {
    let policy = StandardPolicy::new();
    let mut parts = message.root().children();
    let (first, second) = (parts.next().unwrap(), parts.next().unwrap());
    let helper = Owner {
        key: cert(owner),
        is_signed: false,
    };
    let mut verifier = DetachedVerifierBuilder::from_bytes(second.body())
        .unwrap()
        .with_policy(&policy, at(), helper)
        .unwrap();
    verifier.verify_bytes(first.raw()).unwrap();
    assert!(verifier.helper_ref().is_signed);
    let hash = match Packet::from_bytes(second.body()).unwrap() {
        Packet::Signature(signature) => signature.hash_algo().to_string(),
        other => panic!("{other:?}"),
    };
    let micalg = format!("pgp-{}", hash.to_lowercase());
    (String::from_utf8(first.raw().to_vec()).unwrap(), micalg)
}
