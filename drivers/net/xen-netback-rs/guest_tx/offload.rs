// SPDX-License-Identifier: GPL-2.0

//! What the stack is told about a packet from the guest.

use kernel::{
    net::{
        napi,
        skbuff::{
            self,
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
    stats::Stats,
    wire::{
        Checksum,
        GsoKind, //
    }, //
};

/// Makes a frame of `skb`, whose bytes are in place, described by what the guest said of it as far as
/// that holds.
///
/// An error means that the packet must not be passed on; it was dropped.
pub(crate) fn describe<'a>(
    cx: &mut napi::Context<'a>,
    mut skb: Unshared,
    packet: &Packet,
    stats: &Stats,
) -> Result<Frame<'a>> {
    let len = skb.len();
    skb.make_linear(len.min(copy::LINEAR))?;
    // Before the Ethernet header is taken off.
    let verified = packet
        .gso
        .map(|claim| gso::verify(claim, skb.linear(), len).ok_or(EPROTO))
        .transpose()?;
    if let Some(verified) = verified {
        skb.make_linear(verified.header_len)?;
    }
    let mut skb = cx.frame(skb)?;

    match (packet.checksum, packet.gso.is_some()) {
        (Checksum::Blank, _) => skb.setup_partial_checksum(false)?,
        (_, true) => {
            // Cutting a packet makes new checksums out of a blank one.
            stats.gso_checksum_fixup.add(1);
            skb.setup_partial_checksum(true)?;
        }
        (Checksum::Valid, false) => skb.set_checksum_valid(),
        (Checksum::Unverified, false) => {}
    }
    skb.probe_transport_header();

    if let (Some(claim), Some(verified)) = (packet.gso, verified) {
        let kind = match claim.kind {
            GsoKind::TcpV4 => skbuff::GsoKind::TcpV4,
            GsoKind::TcpV6 => skbuff::GsoKind::TcpV6,
        };
        let gso = skbuff::Gso {
            kind,
            size: claim.size,
        };
        skb.set_gso(gso, verified.segments)?;
    }
    if let Some(hash) = packet.hash {
        skb.set_hash(skbuff::Hash {
            value: hash.value,
            l4: hash.kind.covers_ports(),
        });
    }
    Ok(skb)
}
