// SPDX-License-Identifier: GPL-2.0

//! What every round keeps to, whatever its seed.

use std::collections::BTreeSet;

use super::*;

const SHARED: World = World {
    queues: 2,
    alone: false,
    toolstack: true,
};
const ALONE: World = World {
    queues: 4,
    alone: true,
    toolstack: false,
};

/// Rounds enough to see everything.
fn rounds(world: World) -> impl Iterator<Item = Round> {
    (0..200).map(move |number| round(number % 7, number, world))
}

/// The name of an action, without what it says in detail.
fn name(action: &Action) -> String {
    let text = format!("{action:?}");
    text.split([' ', '(', '{'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_seed_says_it_all() {
    for number in 0..20 {
        assert_eq!(round(5, number, SHARED), round(5, number, SHARED));
        assert_ne!(round(5, number, SHARED), round(6, number, SHARED));
        assert_ne!(round(5, number, SHARED), round(5, number + 1, SHARED));
    }
}

#[test]
fn a_round_survives_being_written_down() {
    for one in rounds(SHARED).take(30).chain(rounds(ALONE).take(30)) {
        let text = serde_json::to_string(&one).expect("a round can be written");
        assert_eq!(serde_json::from_str::<Round>(&text).ok(), Some(one));
    }
}

#[test]
fn every_action_happens() {
    let all = |world| -> BTreeSet<String> {
        let rounds = rounds(world);
        rounds
            .flat_map(|one| one.actions)
            .map(|one| name(&one))
            .collect()
    };
    let common = [
        "Ask",
        "Buffer",
        "Calm",
        "Collect",
        "Entry",
        "Flip",
        "Headroom",
        "Index",
        "Notify",
        "Post",
        "Reconnect",
        "Rewrite",
        "Scribble",
        "Send",
        "Storm",
        "Wait",
        "Write",
    ];
    let with = |more: &[&str]| -> BTreeSet<String> {
        common
            .iter()
            .chain(more)
            .map(|name| (*name).to_owned())
            .collect()
    };
    assert_eq!(all(SHARED), with(&["Vanish"]));
    assert_eq!(all(ALONE), with(&["Release", "Revoke", "Rings"]));
}

#[test]
fn what_is_hostile_is_in_no_honest_round() {
    let mut hostile = 0;
    for one in rounds(SHARED) {
        let count = one
            .actions
            .iter()
            .filter(|action| action.is_hostile())
            .count();
        assert!(!one.honest || count == 0);
        hostile += usize::from(count * 2 > one.actions.len());
    }
    assert!(hostile > 100, "most actions of {hostile} of 200 rounds");
}

/// The backend must not be made to write into pages of the other frontends in the domain.
#[test]
fn others_in_the_domain_are_spared() {
    let spared = |page: &Target| match page {
        Target::Number(number) => *number >= NO_GRANT,
        Target::Revoked => false,
        _ => true,
    };
    for action in rounds(SHARED).flat_map(|one| one.actions) {
        let fine = match &action {
            Action::Buffer { page, .. }
            | Action::Write {
                text: Text::Page(page),
                ..
            } => spared(page),
            Action::Entry {
                ring: Ring::Rx,
                bytes,
                ..
            } => u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) >= NO_GRANT,
            Action::Scribble {
                ring: Ring::Rx,
                at,
                word,
                ..
            } => at % 8 == 0 || *word >= NO_GRANT,
            Action::Flip {
                ring: Ring::Rx,
                at,
                words,
                ..
            } => at % 8 == 0 || words.iter().all(|word| *word >= NO_GRANT),
            Action::Revoke { .. } | Action::Release | Action::Rings(_) => false,
            _ => true,
        };
        assert!(fine, "{action:?}");
    }
}

/// Nothing goes on without end beyond its round's next `Calm`, and nothing lies outside of a page.
#[test]
fn places_are_in_the_ring() {
    for action in rounds(SHARED)
        .chain(rounds(ALONE))
        .flat_map(|one| one.actions)
    {
        if let Action::Scribble { ring, at, .. } | Action::Flip { ring, at, .. } = action {
            let end = RING_HEADER + ring.kind().entry * ring.kind().entries as usize;
            assert!(
                at % 4 == 0 && (RING_HEADER..end).contains(&usize::from(at)),
                "{ring:?} {at}"
            );
        }
    }
}

#[test]
fn the_corpus_can_be_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
    let mut found = 0;
    for file in std::fs::read_dir(folder).expect("there is a corpus") {
        let path = file.expect("it can be listed").path();
        let text = std::fs::read_to_string(&path).expect("it is text");
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let head = lines.next().unwrap_or_default();
        let actions: Vec<&str> = lines.collect();
        let whole = head.replacen('{', &format!("{{\"actions\": [{}], ", actions.join(",")), 1);
        let round = serde_json::from_str::<Round>(&whole);
        assert!(round.is_ok(), "{}: {round:?}", path.display());
        found += 1;
    }
    assert!(found > 0);
}
