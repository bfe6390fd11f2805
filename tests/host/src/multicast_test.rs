// SPDX-License-Identifier: GPL-2.0

//! The set of addresses against the standard library's.

use std::collections::HashSet;

use proptest::prelude::*;

use crate::multicast::*;

fn address(number: u8) -> Address {
    [0x01, 0x00, 0x5e, 0, 0, number]
}

#[test]
fn groups_are_told_from_one_and_from_all() {
    assert!(is_multicast([0x01, 0x00, 0x5e, 0, 0, 1]));
    assert!(is_multicast([0x33, 0x33, 0, 0, 0, 1]));
    assert!(is_multicast([0x01, 0x80, 0xc2, 0, 0, 0]));
    assert!(is_multicast([0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]));
    assert!(!is_multicast([0xff; 6]));
    assert!(!is_multicast([0x00, 0x16, 0x3e, 1, 2, 3]));
    assert!(!is_multicast([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff]));
}

#[test]
fn the_sixty_fifth_is_refused() {
    let mut addresses = Addresses::new();
    assert_eq!(MAX, 64);
    for number in 0..64 {
        assert_eq!(addresses.add(address(number)), Ok(()));
    }
    assert_eq!(addresses.add(address(64)), Err(Full));
    assert!(!addresses.contains(address(64)));
    // What is there already takes no place of its own.
    assert_eq!(addresses.add(address(7)), Ok(()));
    addresses.remove(address(200));
    assert_eq!(addresses.add(address(64)), Err(Full));
    addresses.remove(address(7));
    assert_eq!(addresses.add(address(64)), Ok(()));
    assert_eq!(addresses.add(address(7)), Err(Full));
}

#[test]
fn nothing_is_there_at_first() {
    let mut addresses = Addresses::new();
    assert!(!addresses.contains([0; 6]));
    addresses.remove([0; 6]);
    assert_eq!(addresses.add([0; 6]), Ok(()));
    assert!(addresses.contains([0; 6]));
    addresses.remove([0; 6]);
    assert!(!addresses.contains([0; 6]));
}

proptest! {
    #[test]
    fn any_sequence(
        events in proptest::collection::vec((prop::bool::weighted(0.7), 0..100u8), 0..400)
    ) {
        let mut addresses = Addresses::new();
        let mut model = HashSet::new();
        for (add, number) in events {
            if add {
                let fits = model.len() < MAX || model.contains(&number);
                prop_assert_eq!(addresses.add(address(number)).is_ok(), fits);
                if fits {
                    model.insert(number);
                }
            } else {
                addresses.remove(address(number));
                model.remove(&number);
            }
            for number in 0..100 {
                prop_assert_eq!(addresses.contains(address(number)), model.contains(&number));
            }
        }
    }
}
