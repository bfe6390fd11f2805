// SPDX-License-Identifier: GPL-2.0

//! Every request of the control ring with the values at its edges.

use proptest::prelude::*;

use super::request;
use crate::{
    steering::{Algorithm, HashKinds, Settings},
    wire::{ControlRequest, Refusal},
};

const GET_FLAGS: u16 = 1;
const SET_FLAGS: u16 = 2;
const SET_KEY: u16 = 3;
const GET_MAPPING_SIZE: u16 = 4;
const SET_MAPPING_SIZE: u16 = 5;
const SET_MAPPING: u16 = 6;
const SET_ALGORITHM: u16 = 7;

const INVALID: Result<u32, Refusal> = Err(Refusal::InvalidParameter);
const UNSUPPORTED: Result<u32, Refusal> = Err(Refusal::NotSupported);

/// A grant that cannot be read.
const BAD: u32 = 666;

/// A guest with four queues, and a page of memory under every grant but one.
struct Guest {
    settings: Settings,
    page: Vec<u8>,
    /// Grants and lengths that were read.
    reads: Vec<(u32, usize)>,
}

impl Guest {
    fn new() -> Self {
        Self {
            settings: Settings::NONE,
            page: (0..=255).cycle().take(4096).collect(),
            reads: Vec::new(),
        }
    }

    fn with_algorithm() -> Self {
        let mut guest = Self::new();
        assert_eq!(guest.ask(SET_ALGORITHM, [1, 0, 0]), Ok(0));
        guest
    }

    fn ask(&mut self, kind: u16, data: [u32; 3]) -> Result<u32, Refusal> {
        let request = ControlRequest { id: 1, kind, data };
        let before = self.settings;
        let (page, reads) = (&self.page, &mut self.reads);
        let result = request::serve(&mut self.settings, 4, &request, |gref, to| {
            reads.push((gref, to.len()));
            to.copy_from_slice(&page[..to.len()]);
            gref != BAD
        });
        if result.is_err() {
            assert_eq!(self.settings, before, "refused, and changed all the same");
        }
        result
    }

    /// Puts entries of a mapping into the page.
    fn write(&mut self, entries: &[u32]) {
        for (bytes, entry) in self.page.chunks_exact_mut(4).zip(entries) {
            bytes.copy_from_slice(&entry.to_ne_bytes());
        }
    }

    fn mapping(&self) -> Vec<u16> {
        self.settings.mapping.entries().to_vec()
    }
}

#[test]
fn algorithm() {
    let mut guest = Guest::new();
    assert_eq!(guest.ask(SET_ALGORITHM, [0, 9, 9]), Ok(0));
    assert_eq!(guest.settings, Settings::NONE);
    assert_eq!(guest.ask(SET_ALGORITHM, [1, 9, 9]), Ok(0));
    assert_eq!(guest.settings.algorithm, Algorithm::Toeplitz);
    for bad in [2, 3, 0x1_0001, u32::MAX] {
        assert_eq!(guest.ask(SET_ALGORITHM, [bad, 0, 0]), INVALID);
    }
    assert_eq!(guest.settings.algorithm, Algorithm::Toeplitz);
}

#[test]
fn flags() {
    let mut guest = Guest::new();
    assert_eq!(guest.ask(GET_FLAGS, [0; 3]), UNSUPPORTED);
    for flags in [0, 1, 0xf, 0x10] {
        assert_eq!(guest.ask(SET_FLAGS, [flags, 0, 0]), INVALID, "no algorithm");
    }
    let mut guest = Guest::with_algorithm();
    for flags in 0..=0xf {
        assert_eq!(guest.ask(SET_FLAGS, [flags, 0, 0]), Ok(0));
        assert_eq!(guest.settings.kinds.to_wire(), flags);
        // What there is, not what is set.
        assert_eq!(guest.ask(GET_FLAGS, [u32::MAX; 3]), Ok(0xf));
    }
    for flags in [0x10, 0x1f, 1 << 31, u32::MAX] {
        assert_eq!(guest.ask(SET_FLAGS, [flags, 0, 0]), INVALID);
        assert_eq!(guest.settings.kinds, HashKinds::ALL);
    }
    // They come back with the algorithm.
    assert_eq!(guest.ask(SET_ALGORITHM, [0; 3]), Ok(0));
    assert_eq!(guest.ask(GET_FLAGS, [0; 3]), UNSUPPORTED);
    assert_eq!(guest.settings.kinds, HashKinds::ALL);
}

#[test]
fn key() {
    let mut guest = Guest::new();
    for len in [40, 1, 39, 0, 20] {
        assert_eq!(guest.ask(SET_KEY, [77, len, 9]), Ok(0));
        assert_eq!(guest.reads.pop(), Some((77, len as usize)));
        let mut expected = [0; 40];
        expected[..len as usize].copy_from_slice(&guest.page[..len as usize]);
        assert_eq!(guest.settings.key, expected);
    }
    for len in [41, 64, 4096, 0x1_0000, 0x1_0008, u32::MAX] {
        assert_eq!(guest.ask(SET_KEY, [77, len, 0]), INVALID);
        assert_eq!(guest.reads.pop(), None, "nothing is read in vain");
    }
    assert_eq!(guest.ask(SET_KEY, [BAD, 40, 0]), INVALID);
}

#[test]
fn mapping_size() {
    let mut guest = Guest::new();
    for size in [0, 1, 127, 128, 4] {
        assert_eq!(guest.ask(SET_MAPPING_SIZE, [size, 0, 0]), Ok(0));
        assert_eq!(guest.mapping(), vec![0; size as usize]);
        assert_eq!(guest.ask(GET_MAPPING_SIZE, [1, 2, 3]), Ok(128));
    }
    for size in [129, 256, 0x1_0000, u32::MAX] {
        assert_eq!(guest.ask(SET_MAPPING_SIZE, [size, 0, 0]), INVALID);
        assert_eq!(guest.mapping().len(), 4);
    }
    // A new size begins with the first queue everywhere.
    guest.write(&[3; 4]);
    assert_eq!(guest.ask(SET_MAPPING, [77, 4, 0]), Ok(0));
    assert_eq!(guest.mapping(), [3; 4]);
    for size in [2, 4] {
        assert_eq!(guest.ask(SET_MAPPING_SIZE, [size, 0, 0]), Ok(0));
        assert_eq!(guest.mapping(), vec![0; size as usize]);
    }
}

#[test]
fn mapping() {
    let mut guest = Guest::new();
    assert_eq!(guest.ask(SET_MAPPING, [77, 1, 0]), INVALID, "there is none");
    assert_eq!(guest.ask(SET_MAPPING, [77, 0, 0]), Ok(0));
    assert_eq!(guest.ask(SET_MAPPING_SIZE, [128, 0, 0]), Ok(0));

    let all: Vec<u32> = (0..128).map(|i| i % 4).collect();
    guest.write(&all);
    assert_eq!(guest.ask(SET_MAPPING, [77, 128, 0]), Ok(0));
    assert_eq!(guest.reads.pop(), Some((77, 512)));
    let mut expected: Vec<u16> = (0..128).map(|i| i % 4).collect();
    assert_eq!(guest.mapping(), expected);

    guest.write(&[3, 2]);
    assert_eq!(guest.ask(SET_MAPPING, [77, 2, 126]), Ok(0));
    expected[126..].copy_from_slice(&[3, 2]);
    assert_eq!(guest.mapping(), expected);
    assert_eq!(guest.ask(SET_MAPPING, [77, 1, 127]), Ok(0));
    expected[127] = 3;
    assert_eq!(guest.mapping(), expected);
    assert_eq!(guest.ask(SET_MAPPING, [77, 0, 128]), Ok(0));
    assert_eq!(guest.ask(SET_MAPPING, [77, 0, 0]), Ok(0));
    guest.reads.clear();

    for (len, first) in [
        (2, u32::MAX),
        (1, u32::MAX),
        (u32::MAX, 1),
        (u32::MAX, 2),
        (u32::MAX, 0),
        (2, 127),
        (1, 128),
        (0, 129),
        (129, 0),
        (1024, 0),
        (1025, 0),
        (0x4000_0000, 0),
        (0x4000_0001, 0),
        (128, 0xffff_ff80),
    ] {
        assert_eq!(
            guest.ask(SET_MAPPING, [77, len, first]),
            INVALID,
            "{len} {first}"
        );
        assert_eq!(guest.reads.pop(), None, "nothing is read in vain");
    }
    for bad in [4, 5, 0xffff, 0x1_0000, 0x1_0001, u32::MAX] {
        guest.write(&[0, 1, bad]);
        assert_eq!(
            guest.ask(SET_MAPPING, [77, 3, 0]),
            INVALID,
            "there is no queue {bad}"
        );
        assert_eq!(guest.ask(SET_MAPPING, [77, 2, 126]), Ok(0));
        expected[126..].copy_from_slice(&[0, 1]);
        assert_eq!(guest.mapping(), expected);
    }
    guest.write(&[0; 128]);
    assert_eq!(guest.ask(SET_MAPPING, [BAD, 128, 0]), INVALID);
    assert_eq!(guest.mapping(), expected);
}

#[test]
fn unknown_requests() {
    for kind in [0, 8, 9, 10, 11, 0x100, 0x101, u16::MAX] {
        let mut guest = Guest::with_algorithm();
        assert_eq!(guest.ask(kind, [1, 1, 1]), UNSUPPORTED);
        assert_eq!(guest.reads.pop(), None);
    }
}

proptest! {
    /// Whatever the guest asks in whatever order, the settings make sense.
    #[test]
    fn any_requests(
        requests in proptest::collection::vec(
            (0..12u16, prop::array::uniform3(prop_oneof![0..6u32, 120..132u32, any::<u32>()])),
            0..40,
        ),
        page in proptest::collection::vec(prop_oneof![4 => 0..4u32, 1 => any::<u32>()], 128),
    ) {
        let mut guest = Guest::new();
        guest.write(&page);
        for (kind, data) in requests {
            let _ = guest.ask(kind, data);
            prop_assert!(guest.mapping().iter().all(|queue| *queue < 4));
            prop_assert!(guest.settings.kinds.to_wire() < 16);
            for (_, len) in guest.reads.drain(..) {
                prop_assert!(len <= 512);
            }
        }
    }
}
