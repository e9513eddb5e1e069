//! A delivery service that sends anything: the member refuses with a reason, does not panic, and stays usable.

use proptest::prelude::*;
use raccall_e2ee::{Member, Reason};

use crate::group::{BOB, CHANNEL, ExternalSender, vector};

const CAROL: u64 = 333;

/// The messages of a join: Bob lets Carol in.
struct Messages {
    bob: Member,
    carol: Member,
    proposals: Vec<u8>,
    commit_and_welcome: Vec<u8>,
}

fn messages() -> Messages {
    let sender = ExternalSender::new();
    let [mut bob, mut carol] = [BOB, CAROL].map(|user_id| Member::new(user_id, CHANNEL, None).unwrap());
    bob.set_external_sender(&sender.package()).unwrap();
    carol.set_external_sender(&sender.package()).unwrap();
    let proposals = [vec![0], vector(&sender.add(0, &carol.key_package().unwrap()))].concat();
    let commit_and_welcome = bob.process_proposals(&proposals, None).unwrap().unwrap();
    Messages { bob, carol, proposals, commit_and_welcome }
}

/// `bytes` with some replaced, then cut.
fn damaged(bytes: &[u8], changes: &[(prop::sample::Index, u8)], length: &prop::sample::Index) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (place, value) in changes {
        let at = place.index(bytes.len());
        bytes[at] = *value;
    }
    bytes.truncate(length.index(bytes.len() + 1));
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_messages_are_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        length: prop::sample::Index,
        start: prop::sample::Index,
    ) {
        let Messages { mut bob, mut carol, proposals, commit_and_welcome } = messages();
        let welcome = &commit_and_welcome[start.index(commit_and_welcome.len())..];
        for bytes in [damaged(&proposals, &changes, &length), damaged(welcome, &changes, &length)] {
            let _ = bob.process_proposals(&bytes, Some(&[BOB]));
            let _ = bob.process_commit(&bytes);
            let _ = carol.process_welcome(&bytes, None);
            let _ = Member::new(1, CHANNEL, None).unwrap().set_external_sender(&bytes);
        }
        prop_assert_eq!(carol.epoch(), None);
        prop_assert!(matches!(bob.epoch(), None | Some(1)));
        bob.reset().unwrap();
        prop_assert_eq!(bob.keys().unwrap_err().reason, Reason::NoGroup);
        prop_assert!(bob.key_package().is_ok());
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let Messages { mut bob, mut carol, .. } = messages();
        prop_assert!(bob.process_commit(&bytes).is_err());
        prop_assert!(carol.process_welcome(&bytes, None).is_err());
        prop_assert!(carol.process_proposals(&bytes, None).is_err());
        prop_assert!(Member::new(1, CHANNEL, None).unwrap().set_external_sender(&bytes).is_err());
        prop_assert!(Member::new(1, CHANNEL, Some(&bytes)).is_err() || bytes.len() == 32);
    }
}
