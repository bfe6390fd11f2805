// SPDX-License-Identifier: GPL-2.0

//! What follows from a request of the control ring.
//!
//! C header: [`include/xen/interface/io/netif.h`](srctree/include/xen/interface/io/netif.h)

use crate::{
    steering::{
        Algorithm,
        HashKinds,
        Mapping,
        OutOfRange,
        Settings,
        MAX_MAPPING, //
    },
    toeplitz::KEY_LEN,
    wire::{
        ControlRequest,
        Refusal, //
    }, //
};

const GET_HASH_FLAGS: u16 = 1;
const SET_HASH_FLAGS: u16 = 2;
const SET_HASH_KEY: u16 = 3;
const GET_HASH_MAPPING_SIZE: u16 = 4;
const SET_HASH_MAPPING_SIZE: u16 = 5;
const SET_HASH_MAPPING: u16 = 6;
const SET_HASH_ALGORITHM: u16 = 7;

/// Bytes of an entry of a mapping, as the guest writes it.
const ENTRY: usize = 4;

impl From<OutOfRange> for Refusal {
    fn from(_: OutOfRange) -> Self {
        Refusal::InvalidParameter
    }
}

/// Serves a request of a guest that has `queues`, and returns what it asked for, or 0.
///
/// `read` fills the given memory from the start of the page of a grant, and returns whether it could.
/// A request that is refused changes nothing.
pub(crate) fn serve(
    settings: &mut Settings,
    queues: u16,
    request: &ControlRequest,
    read: impl FnOnce(u32, &mut [u8]) -> bool,
) -> Result<u32, Refusal> {
    let read = |gref, to: &mut [u8]| match read(gref, to) {
        true => Ok(()),
        false => Err(Refusal::InvalidParameter),
    };
    let [first, second, third] = request.data;
    match request.kind {
        GET_HASH_FLAGS => match settings.algorithm {
            Algorithm::None => return Err(Refusal::NotSupported),
            Algorithm::Toeplitz => return Ok(HashKinds::ALL.to_wire()),
        },
        SET_HASH_FLAGS => {
            if settings.algorithm == Algorithm::None {
                return Err(Refusal::InvalidParameter);
            }
            settings.kinds = HashKinds::from_wire(first).ok_or(Refusal::InvalidParameter)?;
        }
        SET_HASH_KEY => {
            let mut key = [0; KEY_LEN];
            let len = usize::try_from(second).map_err(|_| Refusal::InvalidParameter)?;
            // What a shorter key lacks is 0.
            let part = key.get_mut(..len).ok_or(Refusal::InvalidParameter)?;
            read(first, part)?;
            settings.key = key;
        }
        GET_HASH_MAPPING_SIZE => return Ok(MAX_MAPPING as u32),
        SET_HASH_MAPPING_SIZE => settings.mapping = Mapping::new(first)?,
        SET_HASH_MAPPING => {
            let mut mapping = settings.mapping;
            let part = mapping.part_mut(third, second)?;
            let mut bytes = [0; MAX_MAPPING * ENTRY];
            // As many as there can be entries.
            let bytes = bytes
                .get_mut(..part.len().saturating_mul(ENTRY))
                .unwrap_or_default();
            read(first, bytes)?;
            let mut rest = &*bytes;
            for entry in part {
                let (queue, behind) = rest.split_first_chunk().ok_or(Refusal::InvalidParameter)?;
                *entry = u16::try_from(u32::from_ne_bytes(*queue))
                    .ok()
                    .filter(|queue| *queue < queues)
                    .ok_or(Refusal::InvalidParameter)?;
                rest = behind;
            }
            settings.mapping = mapping;
        }
        SET_HASH_ALGORITHM => {
            settings.algorithm = Algorithm::from_wire(first).ok_or(Refusal::InvalidParameter)?;
        }
        // Among them the requests about grants that stay mapped, which are not offered.
        _ => return Err(Refusal::NotSupported),
    }
    Ok(0)
}
