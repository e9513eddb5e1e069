//! One member's side of the group: what arrives from the delivery service goes in, answers and each epoch's keys come out.
//!
//! MLS is davey's (on OpenMLS). Slow, up to tens of milliseconds in a big room, so it belongs to a thread that no voice waits for.

use std::num::NonZeroU16;

use davey::{DaveSession, ProposalsOperationType, SigningKeyPair, generate_displayable_code};
use openmls_rust_crypto::RustCrypto;
use p256::ecdsa::SigningKey;

use crate::error::{DaveError, Reason};
use crate::keys::{EpochKeys, SECRET_BYTES};

/// Of DAVE; ciphersuite 2 of MLS.
pub const PROTOCOL_VERSION: NonZeroU16 = NonZeroU16::MIN;

/// DAVE protocol, "Sender key derivation".
const SECRET_LABEL: &str = "Discord Secure Frames v0";

/// Digits of the code that everyone in the call sees alike, and how many stand together (DAVE protocol, "Voice privacy code").
const VERIFICATION_CODE_DIGITS: u32 = 30;
const CODE_GROUP_DIGITS: u32 = 5;

/// First byte of what op 27 carries.
const APPEND: u8 = 0;
const REVOKE: u8 = 1;

pub struct Member {
    session: DaveSession,
    identity: SigningKeyPair,
    /// For exporting alone: it keeps nothing.
    crypto: RustCrypto,
}

impl Member {
    /// `identity_key`: the private P-256 key as 32 bytes; a new one without.
    pub fn new(user_id: u64, channel_id: u64, identity_key: Option<&[u8]>) -> Result<Self, DaveError> {
        let identity = match identity_key {
            Some(private) => key_pair(private)?,
            None => SigningKeyPair::generate(),
        };
        let session = DaveSession::new(PROTOCOL_VERSION, user_id, channel_id, Some(&identity))?;
        Ok(Self { session, identity, crypto: RustCrypto::default() })
    }

    /// The private key, 32 bytes, to be kept for the next call: by it the others recognise this device.
    pub fn identity_key(&self) -> &[u8] {
        &self.identity.private
    }

    pub fn user_id(&self) -> u64 {
        self.session.user_id()
    }

    /// Takes what op 25 carries: whose proposals count.
    pub fn set_external_sender(&mut self, external_sender: &[u8]) -> Result<(), DaveError> {
        Ok(self.session.set_external_sender(external_sender)?)
    }

    /// What op 26 carries. Made anew each time; the newest is the one that a welcome is for.
    pub fn key_package(&mut self) -> Result<Vec<u8>, DaveError> {
        Ok(self.session.create_key_package()?)
    }

    /// Takes what op 27 carries. Gives what op 28 has to carry, a commit and, if somebody is added, a welcome behind it; nothing when
    /// all proposals were revoked.
    ///
    /// `expected`: who may be added; everyone without.
    pub fn process_proposals(&mut self, body: &[u8], expected: Option<&[u64]>) -> Result<Option<Vec<u8>>, DaveError> {
        let (operation, proposals) = match body {
            [APPEND, rest @ ..] => (ProposalsOperationType::APPEND, rest),
            [REVOKE, rest @ ..] => (ProposalsOperationType::REVOKE, rest),
            _ => return Err(DaveError::new(Reason::Malformed, "proposals are neither appended nor revoked")),
        };
        let answer = self.session.process_proposals(operation, proposals, expected)?;
        Ok(answer.map(|answer| {
            let mut body = answer.commit;
            body.extend_from_slice(answer.welcome.as_deref().unwrap_or_default());
            body
        }))
    }

    /// Takes the commit of op 29. False when it is not for us: somebody who was not let in yet waits for a welcome.
    pub fn process_commit(&mut self, commit: &[u8]) -> Result<bool, DaveError> {
        Ok(self.session.process_commit(commit)?)
    }

    /// Takes the welcome of op 30. `recognized`: who may be in the group, ourselves included; everyone without.
    pub fn process_welcome(&mut self, welcome: &[u8], recognized: Option<&[u64]>) -> Result<(), DaveError> {
        Ok(self.session.process_welcome(welcome, recognized)?)
    }

    /// The group's epoch; None before there is a group.
    pub fn epoch(&self) -> Option<u64> {
        self.session.epoch().map(|epoch| epoch.as_u64()).filter(|epoch| *epoch > 0)
    }

    /// User ids and public identity keys as the group has them, in the order of its tree: who can hear. Empty before there is a group.
    pub fn roster(&self) -> Vec<(u64, Vec<u8>)> {
        let group = self.session.group().filter(|_| self.epoch().is_some());
        let members = group.into_iter().flat_map(|group| group.members());
        members
            .filter_map(|member| Some((user_id_of(member.credential.serialized_content())?, member.signature_key)))
            .collect()
    }

    /// 30 digits in groups of five, the same for everyone in the group, and other ones for anybody who is not.
    pub fn verification_code(&self) -> Result<String, DaveError> {
        self.established()?;
        let authenticator = self.session.get_epoch_authenticator().ok_or_else(no_group)?;
        let digits = generate_displayable_code(authenticator.as_slice(), VERIFICATION_CODE_DIGITS, CODE_GROUP_DIGITS)
            .map_err(|error| DaveError::new(Reason::Failed, error))?;
        Ok(spaced(&digits))
    }

    /// 45 digits in groups of five that this member and `user_id` see alike while both have the identity keys that they claim to have.
    /// Slow on purpose, tens of milliseconds.
    pub fn fingerprint(&self, user_id: u64) -> Result<String, DaveError> {
        self.established()?;
        Ok(spaced(&self.session.get_verification_code(user_id)?))
    }

    /// The keys of this epoch.
    pub fn keys(&self) -> Result<EpochKeys, DaveError> {
        let epoch = self.established()?;
        let group = self.session.group().ok_or_else(no_group)?;
        let mut secrets = Vec::new();
        for (user_id, _) in self.roster() {
            let secret = group
                .export_secret(&self.crypto, SECRET_LABEL, &user_id.to_le_bytes(), SECRET_BYTES)
                .map_err(|error| DaveError::new(Reason::Failed, error))?;
            let secret = secret.try_into().map_err(|_| DaveError::new(Reason::Failed, "a secret has 16 bytes"))?;
            secrets.push((user_id, secret));
        }
        Ok(EpochKeys::new(epoch, self.user_id(), secrets))
    }

    /// Leaves the group and begins anew with the same identity and external sender: a key package is the next step.
    pub fn reset(&mut self) -> Result<(), DaveError> {
        let (user_id, channel_id) = (self.session.user_id(), self.session.channel_id());
        Ok(self.session.reinit(PROTOCOL_VERSION, user_id, channel_id, Some(&self.identity))?)
    }

    fn established(&self) -> Result<u64, DaveError> {
        self.epoch().ok_or_else(no_group)
    }
}

fn no_group() -> DaveError {
    DaveError::new(Reason::NoGroup, "there is no group yet")
}

fn key_pair(private: &[u8]) -> Result<SigningKeyPair, DaveError> {
    // Exactly so many: the library fills shorter ones up.
    let key = Some(private)
        .filter(|private| private.len() == 32)
        .and_then(|private| SigningKey::from_slice(private).ok())
        .ok_or_else(|| DaveError::new(Reason::BadKey, "an identity key is a private P-256 key of 32 bytes"))?;
    let public = key.verifying_key().to_encoded_point(false).as_bytes().to_vec();
    Ok(SigningKeyPair { private: private.to_vec(), public })
}

fn user_id_of(identity: &[u8]) -> Option<u64> {
    identity.try_into().ok().map(u64::from_be_bytes)
}

/// "1234567890" as "12345 67890".
fn spaced(digits: &str) -> String {
    let groups: Vec<_> = digits
        .as_bytes()
        .chunks(CODE_GROUP_DIGITS as usize)
        .map(|group| std::str::from_utf8(group).expect("digits"))
        .collect();
    groups.join(" ")
}
