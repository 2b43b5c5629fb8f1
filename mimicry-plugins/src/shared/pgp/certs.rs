//! The certificates of recipients: out of files, by address.
//!
//! An address is found as a user id of a certificate has it, whatever the case; then without its subaddress (`anna+news@`); then by its
//! domain, if the rule names a certificate for the whole of it. User ids count only while the certificate itself binds them.
//!
//! Must never: take an address from anything but a user id that is valid at the time.

use std::collections::{BTreeMap, HashSet};

use mimicry_core::domain::{compared, compared_address, compared_path, without_detail};
use mimicry_core::envelope::Path;
use mimicry_core::plugin::{KeyInUse, KeyUse, OptionError};
use sequoia_openpgp::cert::CertParser;
use sequoia_openpgp::cert::amalgamation::{ValidAmalgamation, ValidateAmalgamation};
use sequoia_openpgp::packet::{Signature, UserID};
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::types::{RevocationStatus, SignatureType};
use sequoia_openpgp::{Cert, Packet, PacketPile};

use super::judge::{Demands, Purpose, Usable, describe};
use crate::shared::found::Held;

/// Certificates, and which are of whom.
#[derive(Debug)]
pub struct Certs {
    demands: Demands,
    all: Vec<Cert>,
    /// Places, by address as it is compared.
    by_address: BTreeMap<String, Vec<usize>>,
    /// Places, by domain as domains are compared.
    by_domain: BTreeMap<String, Vec<usize>>,
    unread: Vec<String>,
}

const BEGIN: &[u8] = b"-----BEGIN PGP ";

/// What cannot be read takes longer than what can, and is no file of keys where there is so much of it.
const MOST_UNREAD: usize = 10_000;

/// What a file of keys holds, at least one thing.
#[derive(Debug)]
pub struct Read {
    pub certs: Vec<Cert>,
    /// Of these certificates, or of some in other files.
    revocations: Vec<Signature>,
    /// Things in it that cannot be read, such as keys of the last century.
    unread: usize,
}

/// The certificates in a file: binary or armoured, one or many, also one block of armour after the other.
pub fn read(octets: &[u8]) -> Result<Read, String> {
    if octets.get(8..12) == Some(b"KBXf") {
        return Err("is a keybox of GnuPG, which no other program reads".into());
    }
    let (mut certs, mut unread) = (Vec::new(), 0usize);
    for parser in blocks(octets).into_iter().map(CertParser::from_bytes) {
        match parser {
            Ok(parser) => {
                for cert in parser {
                    match cert {
                        Ok(cert) => certs.push(cert),
                        Err(_) => unread = unread.saturating_add(1),
                    }
                    if unread > MOST_UNREAD {
                        break;
                    }
                }
            }
            Err(_) => unread = unread.saturating_add(1),
        }
        if unread > MOST_UNREAD {
            return Err(format!(
                "holds more than {MOST_UNREAD} things that are no keys"
            ));
        }
    }
    // What is no key may be the word of an owner that his is none any more.
    let revocations = match unread {
        0 => Vec::new(),
        _ => revocations(octets),
    };
    match (certs.is_empty(), revocations.is_empty()) {
        (true, true) => Err("holds no OpenPGP key".into()),
        _ => Ok(Read {
            certs: (certs.into_iter())
                .map(|cert| with_revocations(cert, &revocations))
                .collect(),
            unread: unread.saturating_sub(revocations.len()),
            revocations,
        }),
    }
}

/// The blocks of armour in a file, or the whole of it.
fn blocks(octets: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = memchr::memmem::find_iter(octets, BEGIN).collect();
    let ends = starts.iter().skip(1).copied().chain([octets.len()]);
    match starts.is_empty() {
        true => vec![octets],
        false => (starts.iter().zip(ends))
            .filter_map(|(start, end)| octets.get(*start..end))
            .collect(),
    }
}

/// The certificates of revocation that stand without their key, as `gpg --gen-revoke` makes them. Whether one was made by the key that it
/// names is seen when it is joined to that.
fn revocations(octets: &[u8]) -> Vec<Signature> {
    let piles = blocks(octets).into_iter().map(PacketPile::from_bytes);
    let packets = piles.flatten().flat_map(PacketPile::into_children);
    let signatures = packets.filter_map(|packet| match packet {
        Packet::Signature(signature) => Some(signature),
        _ => None,
    });
    signatures
        .filter(|signature| signature.typ() == SignatureType::KeyRevocation)
        .collect()
}

/// The certificate with those of the revocations that name it.
fn with_revocations(cert: Cert, revocations: &[Signature]) -> Cert {
    let handle = cert.key_handle();
    let names_it = |signature: &&Signature| {
        let issuers = signature.get_issuers();
        issuers.iter().any(|issuer| issuer.aliases(&handle))
    };
    let own: Vec<Signature> = revocations.iter().filter(names_it).cloned().collect();
    match own.is_empty() {
        true => cert,
        false => match cert.clone().insert_packets(own) {
            Ok((revoked, _)) => revoked,
            Err(_) => cert,
        },
    }
}

impl Certs {
    /// Out of files, each with its name; what is wrong with all of them goes to the errors of the option. Secret halves are dropped.
    pub fn of(
        option: &'static str,
        files: &[(String, Vec<u8>)],
        demands: Demands,
        errors: &mut Vec<OptionError>,
    ) -> Certs {
        let mut certs: BTreeMap<String, Vec<Cert>> = BTreeMap::new();
        let (mut unread, mut revocations) = (Vec::new(), Vec::new());
        for (name, octets) in files {
            match read(octets) {
                Ok(found) => {
                    if found.unread > 0 {
                        let more = found.unread;
                        unread.push(format!("{more} of the keys in {name} cannot be read"));
                    }
                    revocations.extend(found.revocations);
                    for cert in found.certs {
                        let cert = cert.strip_secret_key_material();
                        let copies = certs.entry(cert.fingerprint().to_hex()).or_default();
                        copies.push(cert);
                    }
                }
                Err(why) => unread.push(format!("{name} {why}")),
            }
        }
        let all = certs.into_values().filter_map(merged);
        let all: Vec<Cert> = all
            .map(|cert| with_revocations(cert, &revocations))
            .collect();
        // Beside keys there may be something else in a directory.
        if all.is_empty() {
            let help =
                "write files that gpg --export or another OpenPGP program made, binary or armoured";
            let wrong = unread.drain(..);
            errors.extend(wrong.map(|message| OptionError::new(option, message, help)));
        }
        let mut by_address: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, cert) in all.iter().enumerate() {
            for address in addresses(cert) {
                by_address.entry(address).or_default().push(place);
            }
        }
        Certs {
            demands,
            all,
            by_address,
            by_domain: BTreeMap::new(),
            unread,
        }
    }

    /// What of the files cannot be read.
    pub fn unread(&self) -> &[String] {
        &self.unread
    }

    /// Lets a certificate, named by its fingerprint or an address, stand for all of a domain that has no other.
    pub fn stand_for(&mut self, domain: &str, name: &str) -> Result<(), String> {
        let hex: String = name.chars().filter(|c| !c.is_whitespace()).collect();
        let is_named = |cert: &Cert| cert.fingerprint().to_hex().eq_ignore_ascii_case(&hex);
        let places: Vec<usize> = match self.all.iter().position(is_named) {
            Some(place) => vec![place],
            None => (self.by_address.get(&compared_address(name)).cloned()).unwrap_or_default(),
        };
        if places.is_empty() {
            return Err(format!(
                "no certificate of keys has the fingerprint or the address {name}"
            ));
        }
        self.by_domain.insert(compared(domain), places);
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Cert> {
        self.all.iter()
    }

    /// The keys to encrypt to for a recipient, or why there is none.
    pub fn keys_of(&self, recipient: &Path, now: i64) -> Result<Vec<Usable<'_>>, String> {
        let address = compared_path(recipient);
        let mut why = None;
        let tried = [Some(address.clone()), without_detail(&address)];
        for address in tried.into_iter().flatten() {
            match self.usable(self.by_address.get(&address), Some(&address), now) {
                Ok(keys) => return Ok(keys),
                Err(wrong) => why = why.or(wrong),
            }
        }
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        // Who has a certificate of his own that is of no use is not served by another.
        if why.is_none() {
            match self.usable(self.by_domain.get(domain), None, now) {
                Ok(keys) => return Ok(keys),
                Err(wrong) => why = wrong,
            }
        }
        Err(match why {
            Some(why) => format!("the key of {recipient} {why}"),
            None => format!("there is no key of {recipient}"),
        })
    }

    /// The keys of all certificates for a purpose, or why one of them has none.
    pub fn all_keys(&self, purpose: Purpose, now: i64) -> Result<Vec<Usable<'_>>, String> {
        let mut all = Vec::new();
        for cert in &self.all {
            let keys = self.demands.keys(cert, purpose, now);
            all.extend(keys.map_err(|why| format!("the key {} {why}", cert.fingerprint()))?);
        }
        Ok(all)
    }

    /// Of all these certificates that bind the address; else what is wrong with the last that was made.
    fn usable(
        &self,
        places: Option<&Vec<usize>>,
        address: Option<&str>,
        now: i64,
    ) -> Result<Vec<Usable<'_>>, Option<String>> {
        let certs = places.into_iter().flatten();
        let mut certs: Vec<&Cert> = certs.filter_map(|place| self.all.get(*place)).collect();
        certs.sort_by_key(|cert| std::cmp::Reverse(cert.primary_key().key().creation_time()));
        let (mut keys, mut why) = (Vec::new(), None);
        for cert in certs {
            let found = match self.binds(cert, address, now) {
                Ok(()) => self.demands.keys(cert, Purpose::Transport, now),
                Err(wrong) => Err(wrong),
            };
            match found {
                Ok(found) => keys.extend(found),
                Err(wrong) => why = why.or(Some(wrong)),
            }
        }
        match keys.is_empty() {
            true => Err(why),
            false => Ok(keys),
        }
    }

    /// Is the address a valid user id at the time.
    fn binds(&self, cert: &Cert, address: Option<&str>, now: i64) -> Result<(), String> {
        let Some(address) = address else {
            return Ok(());
        };
        let valid = self.demands.valid(cert, now)?;
        // Whose address it is costs less to see than whether signatures are good, of which there may be any number.
        let mut own = cert
            .userids()
            .filter(|one| email(one.userid()).is_some_and(|email| email == address));
        let binds = own.any(|one| {
            let bound = one.with_policy(valid.policy(), valid.time());
            bound.is_ok_and(|one| !matches!(one.revocation_status(), RevocationStatus::Revoked(_)))
        });
        match binds {
            true => Ok(()),
            false => Err("no longer bears this address".into()),
        }
    }

    /// What may be said of them, as keys for a purpose.
    pub fn in_use(&self, purpose: Purpose, now: i64) -> Vec<KeyInUse> {
        let each = self.all.iter().enumerate().map(|(place, cert)| {
            let domains = self.by_domain.iter();
            let domains = domains.filter(|(_, places)| places.contains(&place));
            let domains = domains.map(|(domain, _)| format!("@{domain}"));
            let owners: Vec<String> = addresses(cert).into_iter().chain(domains).collect();
            in_use(&self.demands, cert, owners, (purpose, now))
        });
        each.collect()
    }
}

/// What may be said of the keys of a file that no rule names; where the secret half is there, also of what it signs with.
pub fn in_file(octets: &[u8], now: i64) -> Result<Held, String> {
    let demands = Demands::new(false);
    let found = read(octets)?;
    if found.certs.is_empty() {
        return Err("holds no OpenPGP key, but a certificate of revocation".into());
    }
    let mut held = Held {
        unread: found.unread,
        ..Held::default()
    };
    for cert in &found.certs {
        let said = |purpose| in_use(&demands, cert, addresses(cert), (purpose, now));
        let signs = cert.is_tsk().then(|| said(Purpose::Sign));
        held.is_secret |= signs.is_some();
        held.take(said(Purpose::Transport), signs);
    }
    Ok(held)
}

fn in_use(
    demands: &Demands,
    cert: &Cert,
    owners: Vec<String>,
    (purpose, now): (Purpose, i64),
) -> KeyInUse {
    let keys = demands.keys(cert, purpose, now);
    KeyInUse {
        owners,
        name: cert.fingerprint().to_hex(),
        kind: match &keys {
            Ok(keys) => keys.first().map(|key| describe(key.key())),
            Err(_) => Some(describe(cert.primary_key().key())),
        }
        .unwrap_or_default(),
        used: match purpose {
            Purpose::Sign => KeyUse::Sign,
            Purpose::Transport | Purpose::Storage => KeyUse::Encrypt,
        },
        record: None,
        expires: demands.ends(cert, purpose, now),
        unfit: keys.err(),
    }
}

/// One of many copies, each of which may have news. By pairs, and pairs of these: a thousand pieces joined one to the other would be put
/// in order as a whole a thousand times.
fn merged(mut copies: Vec<Cert>) -> Option<Cert> {
    while copies.len() > 1 {
        let mut rest = copies.into_iter();
        let mut pairs = Vec::with_capacity(rest.len() / 2);
        while let Some(one) = rest.next() {
            pairs.extend(match rest.next() {
                Some(other) => one.merge_public(other).ok(),
                None => Some(one),
            });
        }
        copies = pairs;
    }
    copies.pop()
}

/// All that its user ids have, valid or not, each once.
pub fn addresses(cert: &Cert) -> Vec<String> {
    let mut seen = HashSet::new();
    let all = cert.userids().filter_map(|one| email(one.userid()));
    all.filter(|address| seen.insert(address.clone())).collect()
}

/// The address in a user id, as it is compared.
pub fn email(userid: &UserID) -> Option<String> {
    match userid.email() {
        Ok(Some(address)) => Some(compared_address(address)),
        _ => quoted(userid.value()).map(compared_address),
    }
}

/// `"anna b"@example.org`, alone or in the brackets at the end: an address that other programs write, and Sequoia does not read.
fn quoted(userid: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(userid).ok()?.trim();
    let address = match text.strip_suffix('>') {
        Some(text) => text.rsplit_once('<')?.1,
        None => text,
    };
    let (local, domain) = address.rsplit_once('@')?;
    let is_quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let is_domain = !domain.is_empty() && !domain.contains([' ', '"', '<', '>']);
    (is_quoted && is_domain).then_some(address)
}
