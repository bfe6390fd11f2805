// SPDX-License-Identifier: GPL-2.0

//! What the stack is told about a packet from the guest.

use kernel::{
    net::{
        napi,
        skbuff::{
            self,
            DropReason,
            Frame,
            Unshared, //
        }, //
    },
    prelude::*, //
};

use super::{
    copy,
    gso,
    parse::Packet, //
};
use crate::{
    headers,
    stats::Stats,
    wire::{
        Checksum,
        GsoKind, //
    }, //
};

/// Why a packet cannot be described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undescribable {
    /// There is no memory to look at its headers.
    NoMemory,
    /// They contradict what the guest said of its checksum.
    BadChecksum,
    /// They contradict what the guest said of its segments.
    BadGso,
}

impl Undescribable {
    /// What those who trace losses are told.
    fn reason(self) -> DropReason {
        match self {
            Self::NoMemory => DropReason::NoMemory,
            Self::BadChecksum => DropReason::BadHeader,
            Self::BadGso => DropReason::BadGso,
        }
    }

    /// What an error of the kernel means, when it is not about memory.
    fn or_no_memory(self) -> impl Fn(Error) -> Self {
        move |error| match error {
            ENOMEM => Self::NoMemory,
            _ => self,
        }
    }
}

/// Makes a frame of `skb`, whose bytes are in place, described by what the guest said of it as far as
/// that holds.
///
/// An error means that the packet must not be passed on; it was dropped.
pub(crate) fn describe<'a>(
    cx: &mut napi::Context<'a>,
    mut skb: Unshared,
    packet: &Packet,
    stats: &Stats,
) -> Result<Frame<'a>, Undescribable> {
    let verified = match verify(&mut skb, packet) {
        Ok(verified) => verified,
        Err(error) => {
            skb.drop_any(error.reason());
            return Err(error);
        }
    };
    // Has an Ethernet header: others are no packets.
    let mut frame = cx.frame(skb).map_err(|_| Undescribable::NoMemory)?;
    match annotate(&mut frame, packet, verified, stats) {
        Ok(()) => Ok(frame),
        Err(error) => {
            frame.drop_any(error.reason());
            Err(error)
        }
    }
}

/// Makes the headers linear, and checks the guest's claim about segments; with the Ethernet header still in
/// place.
fn verify(skb: &mut Unshared, packet: &Packet) -> Result<Option<gso::Verified>, Undescribable> {
    let bad_gso = Undescribable::BadGso;
    let Some(claim) = packet.gso else {
        return make_headers_linear(skb)
            .map(|()| None)
            .map_err(bad_gso.or_no_memory());
    };
    let len = skb.len();
    // Most guests put the headers, and nothing else, into the first slot.
    if let Some(verified) = gso::verify(claim, skb.linear(), len) {
        if verified.header_len <= skb.headlen() {
            return Ok(Some(verified));
        }
    }
    let headers = match claim.kind {
        GsoKind::TcpV4 => copy::LINEAR,
        GsoKind::TcpV6 => copy::LINEAR_IPV6,
    };
    skb.make_linear(len.min(headers))
        .map_err(bad_gso.or_no_memory())?;
    let verified = gso::verify(claim, skb.linear(), len).ok_or(bad_gso)?;
    skb.make_linear(verified.header_len)
        .map_err(bad_gso.or_no_memory())?;
    Ok(Some(verified))
}

/// Makes linear what users of a packet look at: of TCP the headers and no more, so that GRO merges packets by their
/// fragments; of anything else the first bytes.
fn make_headers_linear(skb: &mut Unshared) -> Result {
    let behind_tcp = |start: &[u8]| headers::find(start)?.behind_tcp(start);
    let len = skb.len().min(copy::LINEAR);
    if skb.headlen() >= len || behind_tcp(skb.linear()).is_some_and(|end| end <= skb.headlen()) {
        return Ok(());
    }
    let mut start = [0; copy::LINEAR];
    let start = start.get_mut(..len).unwrap_or_default();
    skb.copy_bits(0, start)?;
    let end = behind_tcp(start).filter(|&end| end <= len);
    skb.make_linear(end.unwrap_or(len))
}

/// Tells the stack what the guest said.
fn annotate(
    skb: &mut Frame<'_>,
    packet: &Packet,
    verified: Option<gso::Verified>,
    stats: &Stats,
) -> Result<(), Undescribable> {
    let bad_checksum = Undescribable::BadChecksum;
    match (packet.checksum, packet.gso.is_some()) {
        (Checksum::Blank, _) => skb
            .setup_partial_checksum(false)
            .map_err(bad_checksum.or_no_memory())?,
        (_, true) => {
            // Cutting a packet makes new checksums out of a blank one.
            stats.gso_checksum_fixup.add(1);
            skb.setup_partial_checksum(true)
                .map_err(bad_checksum.or_no_memory())?;
        }
        (Checksum::Valid, false) => skb.set_checksum_valid(),
        (Checksum::Unverified, false) => {}
    }

    if let (Some(claim), Some(verified)) = (packet.gso, verified) {
        let kind = match claim.kind {
            GsoKind::TcpV4 => skbuff::GsoKind::TcpV4,
            GsoKind::TcpV6 => skbuff::GsoKind::TcpV6,
        };
        let gso = skbuff::Gso {
            kind,
            size: claim.size,
        };
        skb.set_gso(gso, verified.segments)
            .map_err(|_| Undescribable::BadGso)?;
    }
    if let Some(hash) = packet.hash {
        skb.set_hash(skbuff::Hash {
            value: hash.value,
            l4: hash.kind.covers_ports(),
        });
    }
    Ok(())
}
