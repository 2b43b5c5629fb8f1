//! Secret keys of senders: read and unlocked when the configuration is loaded, by address or domain.
//!
//! Must never: show what is in a file, in an error or in `Debug`, or leave a key locked that a worker would have to unlock.

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::BASE64;
use mimicry_core::domain::compared_address;
use mimicry_core::message::PartId;
use mimicry_core::message::edit::EditSet;
use mimicry_core::plugin::{Fault, KeyFile, KeyInUse, KeyUse, OptionError, Secret};
use sequoia_openpgp::cert::amalgamation::ValidAmalgamation;
use sequoia_openpgp::cert::amalgamation::key::PrimaryKey;
use sequoia_openpgp::crypto::{KeyPair, Password};
use sequoia_openpgp::packet::key::SecretKeyMaterial;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::{Cert, Packet};

use super::certs::{self, email};
use super::judge::{Demands, Purpose, describe};

/// What signs for an address or a domain.
pub struct Signer {
    /// Without its secret half.
    cert: Cert,
    /// By fingerprint.
    pairs: BTreeMap<String, KeyPair>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.cert.fingerprint())
    }
}

/// All that sign, by address or domain as they are compared.
#[derive(Debug)]
pub struct Signers {
    demands: Demands,
    by_name: BTreeMap<String, Signer>,
}

impl Signers {
    /// Of the files of an option, each beside the address or domain that it signs for.
    pub fn of(
        option: &'static str,
        files: &[KeyFile],
        passphrase: Option<&Secret>,
        demands: Demands,
        errors: &mut Vec<OptionError>,
    ) -> Signers {
        let mut by_name = BTreeMap::new();
        for file in files {
            let shown = file.path.display();
            let mut wrong =
                |message: String, help: &str| errors.push(OptionError::new(option, message, help));
            if !is_name(&file.name) {
                let help = "write an address, or the part of one behind the @";
                wrong(
                    format!("`{}` is neither an address nor a domain", file.name),
                    help,
                );
                continue;
            }
            match signer(file.content.reveal(), passphrase) {
                Ok(signer) => {
                    if by_name
                        .insert(compared_address(&file.name), signer)
                        .is_some()
                    {
                        let message = format!("{shown} is a second key of {}", file.name);
                        wrong(message, "one key signs for a name");
                    }
                }
                Err((why, help)) => wrong(format!("{shown} {why}"), help),
            }
        }
        Signers { demands, by_name }
    }

    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Of an author: by his address, then by his domain.
    pub fn of_author(&self, address: &str) -> Option<&Signer> {
        let address = compared_address(address);
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        self.by_name
            .get(&address)
            .or_else(|| self.by_name.get(domain))
    }

    /// The key that signs at a time, or why none does: the last that was made.
    pub fn pair<'s>(&'s self, signer: &'s Signer, now: i64) -> Result<&'s KeyPair, String> {
        self.pair_of(signer, now).map_err(|why| {
            let key = signer.cert.fingerprint();
            format!("the mail cannot be signed: the key {key} {why}")
        })
    }

    /// The same; what is wrong goes behind the name of the key.
    fn pair_of<'s>(&'s self, signer: &'s Signer, now: i64) -> Result<&'s KeyPair, String> {
        let keys = self.demands.keys(&signer.cert, Purpose::Sign, now)?;
        let own = keys.iter().filter_map(|key| {
            let pair = signer.pairs.get(&key.key().fingerprint().to_hex())?;
            Some((key.key().creation_time(), pair))
        });
        let last = own.max_by_key(|(made, _)| *made);
        last.map(|(_, pair)| pair)
            .ok_or_else(|| "has a signing key whose secret half is not in the file".into())
    }

    /// What may be said of them.
    pub fn in_use(&self, now: i64) -> Vec<KeyInUse> {
        let each = self.by_name.iter().map(|(name, signer)| {
            let pair = self.pair_of(signer, now);
            KeyInUse {
                owners: vec![name.clone()],
                name: signer.cert.fingerprint().to_hex(),
                kind: match &pair {
                    Ok(pair) => describe(pair.public()),
                    Err(_) => describe(signer.cert.primary_key().key()),
                },
                used: KeyUse::Sign,
                record: None,
                expires: self.demands.ends(&signer.cert, Purpose::Sign, now),
                unfit: pair.err(),
            }
        });
        each.collect()
    }
}

impl Signer {
    pub fn fingerprint(&self) -> String {
        self.cert.fingerprint().to_hex()
    }

    pub fn cert(&self) -> &Cert {
        &self.cert
    }
}

const GNUPG: &str =
    "gpg --export-secret-keys --armor ADDRESS > FILE makes one; FILE must be of mode 0600 or 0640";

fn signer(octets: &[u8], passphrase: Option<&Secret>) -> Result<Signer, (String, &'static str)> {
    let found = certs::read(octets).map_err(|why| (why, GNUPG))?;
    let mut secret = found.certs.into_iter().filter(Cert::is_tsk);
    let Some(cert) = secret.next() else {
        return Err((
            "holds the public half only; the secret key is needed".into(),
            GNUPG,
        ));
    };
    if secret.next().is_some() {
        return Err((
            "holds several secret keys".into(),
            "write each into a file of its own",
        ));
    }
    let mut pairs = BTreeMap::new();
    let mut is_locked = false;
    for key in cert.keys().secret() {
        let fingerprint = key.key().fingerprint().to_hex();
        let mut own = key.key().clone();
        if let SecretKeyMaterial::Encrypted(locked) = own.secret() {
            let opened = passphrase.and_then(|passphrase| {
                let password = Password::from(passphrase.reveal());
                locked.decrypt(key.key(), &password).ok()
            });
            let Some(opened) = opened else {
                is_locked = true;
                continue;
            };
            own = own.add_secret(opened.into()).0;
        }
        if let Ok(pair) = own.into_keypair() {
            pairs.insert(fingerprint, pair);
        }
    }
    match (pairs.is_empty(), is_locked, passphrase) {
        (false, _, _) => Ok(Signer {
            cert: cert.strip_secret_key_material(),
            pairs,
        }),
        (true, true, Some(_)) => Err((
            "is not opened by the passphrase of passphrase_file".into(),
            "all keys of a rule have one passphrase",
        )),
        (true, true, None) => Err((
            "is locked by a passphrase".into(),
            "name a file with the passphrase by passphrase_file, or take it away with gpg --edit-key ADDRESS passwd",
        )),
        (true, false, _) => Err(("holds no secret key that can be used here".into(), GNUPG)),
    }
}

fn is_name(name: &str) -> bool {
    let domain = match name.rsplit_once('@') {
        Some(("", _)) => return false,
        Some((_, domain)) => domain,
        None => name,
    };
    let is_fit = |label: &str| !label.is_empty() && !label.contains(char::is_whitespace);
    domain.split('.').all(is_fit)
}

impl Signers {
    /// Adds the public key of an author, whom mail programs may then encrypt to (Autocrypt, level 1), unless the mail has one. Of the
    /// certificate there is in it what that takes, and no other address: others need not learn who else he is.
    pub fn add_autocrypt(
        &self,
        signer: &Signer,
        (author, now): (&str, i64),
        edits: &mut EditSet<'_>,
    ) -> Result<(), Fault> {
        const LINE: usize = 70;
        // A field that is larger must not be sent (Autocrypt level 1, section 2.1), and some refuse the mail.
        const MOST: usize = 10 * 1024 - 1024;
        let root = edits.message().root();
        if root.field("autocrypt").is_some() {
            return Ok(());
        }
        let Some(octets) = self.public(signer, author, now) else {
            return Ok(());
        };
        let data = BASE64.encode(&octets);
        if data.len() > MOST {
            return Ok(());
        }
        let mut value = format!("addr={author}; keydata=");
        // Blanks, at which the field is folded.
        let mut rest = data.as_str();
        while !rest.is_empty() {
            let (line, more) = rest.split_at_checked(LINE).unwrap_or((rest, ""));
            value.push(' ');
            value.push_str(line);
            rest = more;
        }
        edits.add_field_below(PartId::ROOT, "Autocrypt", &value)?;
        Ok(())
    }

    /// The certificate with one address, and those of its keys that serve to encrypt or to verify at a time. `None` = the address is no
    /// valid one of it, or nothing can be encrypted to it.
    pub(super) fn public(&self, signer: &Signer, address: &str, now: i64) -> Option<Vec<u8>> {
        let address = compared_address(address);
        let valid = self.demands.valid(&signer.cert, now).ok()?;
        let mut keys = self
            .demands
            .keys(&signer.cert, Purpose::Transport, now)
            .ok()?;
        keys.extend(self.demands.keys(&signer.cert, Purpose::Sign, now).ok()?);
        let mut own = valid.userids().revoked(false);
        let own = own.find(|one| email(one.userid()).as_ref() == Some(&address))?;
        let mut packets: Vec<Packet> = vec![
            valid.primary_key().key().clone().into(),
            own.userid().clone().into(),
            own.binding_signature().clone().into(),
        ];
        if let Ok(direct) = valid.primary_key().direct_key_signature() {
            packets.insert(1, direct.clone().into());
        }
        for key in keys.iter().filter(|key| !key.primary()) {
            packets.push(key.key().clone().role_into_subordinate().into());
            packets.push(key.binding_signature().clone().into());
        }
        Cert::from_packets(packets.into_iter())
            .ok()?
            .export_to_vec()
            .ok()
    }
}
