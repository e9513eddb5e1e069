//! Why a handshake message, or a request, was refused: a stable code and a sentence.

use std::fmt;

use davey::errors::{
    CreateKeyPackageError, GetPairwiseFingerprintError, GetVerificationCodeError, InitError, PendingGroupError,
    ProcessCommitError, ProcessProposalsError, ProcessWelcomeError, ReinitError, SetExternalSenderError,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Bytes that are not what they should be.
    Malformed,
    /// There is no group yet: no external sender, or nobody was let in.
    NoGroup,
    /// Only before a group exists, or only once.
    InGroup,
    WrongGroup,
    WrongEpoch,
    /// Not sent by who may send it.
    WrongSender,
    /// Somebody is added, or a member of the group, who is not known to be in the room.
    UnexpectedUser,
    /// A group in which a user would be twice, or somebody would be no user.
    BadRoster,
    /// A commit to something that was not proposed here.
    NotProposed,
    /// MLS itself refuses it: a wrong signature, key or tag.
    Forged,
    UnknownUser,
    BadKey,
    /// None of the others: storage or randomness failed.
    Failed,
}

impl Reason {
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoGroup => "no_group",
            Self::InGroup => "in_group",
            Self::WrongGroup => "wrong_group",
            Self::WrongEpoch => "wrong_epoch",
            Self::WrongSender => "wrong_sender",
            Self::UnexpectedUser => "unexpected_user",
            Self::BadRoster => "bad_roster",
            Self::NotProposed => "not_proposed",
            Self::Forged => "forged",
            Self::UnknownUser => "unknown_user",
            Self::BadKey => "bad_key",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaveError {
    pub reason: Reason,
    pub sentence: String,
}

impl DaveError {
    pub fn new(reason: Reason, sentence: impl fmt::Display) -> Self {
        Self { reason, sentence: sentence.to_string() }
    }
}

impl fmt::Display for DaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for DaveError {}

/// `From` for each of davey's errors, by a function that finds the reason.
macro_rules! reasons {
    ($($error:ty => $reason:expr;)*) => {$(
        impl From<$error> for DaveError {
            fn from(error: $error) -> Self {
                let reason: fn(&$error) -> Reason = $reason;
                Self::new(reason(&error), error)
            }
        }
    )*};
}

reasons! {
    InitError => |_| Reason::BadKey;
    CreateKeyPackageError => |_| Reason::Failed;
    ReinitError => |error| match error {
        ReinitError::PendingGroup(PendingGroupError::NoExternalSender) => Reason::NoGroup,
        _ => Reason::Failed,
    };
    SetExternalSenderError => |error| match error {
        SetExternalSenderError::AlreadyInGroup => Reason::InGroup,
        SetExternalSenderError::DeserializeExternalSender(_) => Reason::Malformed,
        _ => Reason::Failed,
    };
    ProcessProposalsError => |error| match error {
        ProcessProposalsError::NoGroup => Reason::NoGroup,
        ProcessProposalsError::EpochMismatch => Reason::WrongEpoch,
        ProcessProposalsError::UnexpectedSenderType => Reason::WrongSender,
        ProcessProposalsError::UnexpectedUser(_) => Reason::UnexpectedUser,
        ProcessProposalsError::InvalidRoster(_) => Reason::BadRoster,
        ProcessProposalsError::MessageProcessingFailed(_) => Reason::Forged,
        ProcessProposalsError::RemovingPendingProposalFailed(_) => Reason::NotProposed,
        ProcessProposalsError::StorePendingProposalFailed(_)
        | ProcessProposalsError::RemovingPendingCommitFailed(_)
        | ProcessProposalsError::CommitToPendingProposalsFailed(_) => Reason::Failed,
        _ => Reason::Malformed,
    };
    ProcessCommitError => |error| match error {
        ProcessCommitError::NoQueuedProposals
        | ProcessCommitError::UnexpectedNonRefProposal
        | ProcessCommitError::NoPendingCommit => Reason::NotProposed,
        ProcessCommitError::CommitBeforeWelcome => Reason::NoGroup,
        ProcessCommitError::MessageForDifferentGroup => Reason::WrongGroup,
        ProcessCommitError::EpochMismatch => Reason::WrongEpoch,
        ProcessCommitError::UnexpectedSenderType => Reason::WrongSender,
        ProcessCommitError::InvalidRoster(_) => Reason::BadRoster,
        ProcessCommitError::ProcessingMessageFailed(_) | ProcessCommitError::OwnCommitMismatch => Reason::Forged,
        ProcessCommitError::MergingPendingCommitFailed(_) | ProcessCommitError::MergingStagedCommitFailed(_) => {
            Reason::Failed
        }
        _ => Reason::Malformed,
    };
    ProcessWelcomeError => |error| match error {
        ProcessWelcomeError::AlreadyInGroup => Reason::InGroup,
        ProcessWelcomeError::NoExternalSender => Reason::NoGroup,
        ProcessWelcomeError::UnexpectedGroupId => Reason::WrongGroup,
        ProcessWelcomeError::UnexpectedExternalSender => Reason::WrongSender,
        ProcessWelcomeError::UnrecognizedUser(_) => Reason::UnexpectedUser,
        ProcessWelcomeError::InvalidRoster(_) => Reason::BadRoster,
        ProcessWelcomeError::CreatingStagedWelcomeFailed(_) => Reason::Forged,
        ProcessWelcomeError::DeletingPendingGroupFailed(_) => Reason::Failed,
        _ => Reason::Malformed,
    };
    GetVerificationCodeError => |error| match error {
        GetVerificationCodeError::GettingPairwiseFingerprint(GetPairwiseFingerprintError::UserNotInGroup) => {
            Reason::UnknownUser
        }
        GetVerificationCodeError::GettingPairwiseFingerprint(GetPairwiseFingerprintError::NoEstablishedGroup) => {
            Reason::NoGroup
        }
        _ => Reason::Failed,
    };
}
