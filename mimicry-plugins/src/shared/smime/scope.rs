//! For which certificates of its issuer a revocation list speaks (RFC 5280 section 6.3.3). Of the others it says nothing, and there its
//! silence would be taken for "good".
//!
//! Must never: take a list for whole that it cannot read to the end of its extensions.
//!
//! Known limits: a list for some reasons, of other issuers, of attribute certificates, or of what changed since another is not used at all.

use openssl::x509::{X509Crl, X509CrlRef, X509Ref};

use super::certificate::name;
use super::der::{BOOLEAN, OF_CERTIFICATE, OF_LIST, SEQUENCE, elements, expect, extensions};
use super::read::{Unfit, lists};

const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 20];
const DELTA: &[u8] = &[0x55, 0x1d, 27];
const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 28];
const DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 31];
const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 35];

/// `[0]`: the distribution point of either extension, and in it its full name.
const FIRST: u8 = 0xa0;
const ONLY_USERS: u8 = 0x81;
const ONLY_AUTHORITIES: u8 = 0x82;
const INDIRECT: u8 = 0x84;
const ONLY_ATTRIBUTES: u8 = 0x85;

/// The tag and the content of a GeneralName.
type Name = (u8, Vec<u8>);

/// For which certificates a list speaks; by default for all of its issuer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// `Some` = for those that one of these distribution points is named in.
    points: Option<Vec<Name>>,
    /// `Some` = for those that are, or are not, of an authority.
    is_authority: Option<bool>,
}

/// The revocation lists of a file, at least one, of each of which it is known for which certificates it speaks.
pub fn usable_lists(octets: &[u8]) -> Result<Vec<X509Crl>, Unfit> {
    let lists = lists(octets)?;
    lists
        .iter()
        .try_for_each(|list| Scope::of(list).map(|_| ()))?;
    Ok(lists)
}

impl Scope {
    /// `Err` = it is of no use here, or nobody here can tell.
    pub fn of(list: &X509CrlRef) -> Result<Scope, Unfit> {
        let unread = || Unfit::new("holds a revocation list that cannot be read", "");
        let der = list.to_der().map_err(|_| unread())?;
        let issuer = name(list.issuer_name());
        let mut scope = Scope::default();
        for extension in extensions(&der, OF_LIST).ok_or_else(unread)? {
            match extension.oid {
                CRL_NUMBER | AUTHORITY_KEY => {}
                // Whether they are marked as critical or not, as they must be.
                DELTA => {
                    return Err(Unfit::new(
                        format!(
                            "holds a delta CRL of {issuer}: only what changed since another list"
                        ),
                        "name the whole list of the issuer, its base CRL",
                    ));
                }
                ISSUING_DISTRIBUTION_POINT => {
                    let only = issuing_point(extension.value);
                    let is_first = |_: &Scope| scope == Scope::default();
                    scope = only.filter(is_first).ok_or_else(|| {
                        Unfit::new(
                            format!(
                                "holds a partitioned CRL of {issuer} that says of no certificate whether it is good: its issuing distribution point is for some reasons, for other issuers, for attribute certificates or without a full name"
                            ),
                            "name the whole list of the issuer; without one, leave it out: an issuer without a list is not asked",
                        )
                    })?;
                }
                _ if extension.is_critical => {
                    return Err(Unfit::new(
                        format!(
                            "holds a revocation list of {issuer} with a critical extension that is not known here"
                        ),
                        "such a list must not be used (RFC 5280 section 5.2)",
                    ));
                }
                _ => {}
            }
        }
        Ok(scope)
    }

    /// Does it speak for this certificate of its issuer. What of the certificate cannot be read is not in it.
    pub fn holds(&self, certificate: &X509Ref) -> bool {
        if *self == Scope::default() {
            return true;
        }
        let der = certificate.to_der().unwrap_or_default();
        let found = extensions(&der, OF_CERTIFICATE).unwrap_or_default();
        let value = |oid: &[u8]| {
            let mut of_kind = found.iter().filter(|extension| extension.oid == oid);
            of_kind.next().map(|extension| extension.value)
        };
        let is_authority = || value(BASIC_CONSTRAINTS).and_then(is_authority) == Some(true);
        let names = || value(DISTRIBUTION_POINTS).and_then(distribution_points);
        let is_of_kind = |wanted| wanted == is_authority();
        let has_one = |points: &Vec<Name>| {
            let names = names().unwrap_or_default();
            names.iter().any(|name| points.contains(name))
        };
        self.is_authority.is_none_or(is_of_kind) && self.points.as_ref().is_none_or(has_one)
    }
}

/// Of the value of an issuing distribution point. `None` = it says what nothing is made of here.
fn issuing_point(value: &[u8]) -> Option<Scope> {
    let mut scope = Scope::default();
    for (tag, content) in elements(expect(value, SEQUENCE)?.0)? {
        // What is false is no DER where it is the default, but it is no other meaning either.
        let is_set = content != [0];
        match tag {
            FIRST => scope.points = Some(full_name(content)?),
            ONLY_USERS if is_set && scope.is_authority.is_none() => {
                scope.is_authority = Some(false);
            }
            ONLY_AUTHORITIES if is_set && scope.is_authority.is_none() => {
                scope.is_authority = Some(true);
            }
            ONLY_USERS | ONLY_AUTHORITIES | INDIRECT | ONLY_ATTRIBUTES if !is_set => {}
            // Also onlySomeReasons, and what is not known.
            _ => return None,
        }
    }
    Some(scope)
}

/// The names of those points of a certificate that are for all reasons and for lists of its issuer.
fn distribution_points(value: &[u8]) -> Option<Vec<Name>> {
    let mut names = Vec::new();
    for (tag, point) in elements(expect(value, SEQUENCE)?.0)? {
        let point = (tag == SEQUENCE).then(|| elements(point))??;
        if let [(FIRST, content)] = *point.as_slice() {
            names.extend(full_name(content).unwrap_or_default());
        }
    }
    Some(names)
}

/// `None` = it is a name relative to the issuer.
fn full_name(point: &[u8]) -> Option<Vec<Name>> {
    let names = elements(expect(point, FIRST)?.0)?;
    let each = names.into_iter();
    Some(each.map(|(tag, content)| (tag, content.to_vec())).collect())
}

fn is_authority(value: &[u8]) -> Option<bool> {
    let all = elements(expect(value, SEQUENCE)?.0)?;
    let first = all.first();
    Some(first.is_some_and(|(tag, content)| *tag == BOOLEAN && *content != [0]))
}
