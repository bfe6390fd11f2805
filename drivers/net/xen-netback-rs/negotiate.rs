// SPDX-License-Identifier: GPL-2.0

//! What a frontend asks for in xenstore, and what follows from it.
//!
//! Every function takes `read`, which returns the value of a key in the directory that the
//! function is about, or [`None`] when there is no such key.
//!
//! A key without a default has to be there and has to be right. A key with a default may be
//! missing, and counts as missing when it holds no number.

use crate::{
    guest_rx::plan::Headroom,
    guest_tx::credit::Limit,
    wire::GsoKind, //
};

const RX_COPY: &str = "request-rx-copy";
const QUEUES: &str = "multi-queue-num-queues";
const RX_NOTIFY: &str = "feature-rx-notify";
const SG: &str = "feature-sg";
const GSO_V4: &str = "feature-gso-tcpv4";
const GSO_V6: &str = "feature-gso-tcpv6";
const NO_CHECKSUM_V4: &str = "feature-no-csum-offload";
const CHECKSUM_V6: &str = "feature-ipv6-csum-offload";
const XDP_HEADROOM: &str = "xdp-headroom";
const MULTICAST_CONTROL: &str = "request-multicast-control";
const TX_RING: &str = "tx-ring-ref";
const RX_RING: &str = "rx-ring-ref";
const PORT: &str = "event-channel";
const TX_PORT: &str = "event-channel-tx";
const RX_PORT: &str = "event-channel-rx";
const CONTROL_RING: &str = "ctrl-ring-ref";
const CONTROL_PORT: &str = "event-channel-ctrl";
const HANDLE: &str = "handle";
const MAC: &str = "mac";
const RATE: &str = "rate";

/// A key which does not allow to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadKey {
    /// The key, relative to its directory.
    pub(crate) key: &'static str,
    pub(crate) problem: Problem,
}

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    Missing,
    Empty,
    Malformed,
    OutOfRange,
    /// The frontend wants its packets in a way which does not exist any more.
    Unsupported,
}

impl Problem {
    /// Completes a sentence that starts with the key.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Missing => "is missing",
            Self::Empty => "is empty",
            Self::Malformed => "is malformed",
            Self::OutOfRange => "is out of range",
            Self::Unsupported => "asks for what is not supported",
        }
    }

    fn of(self, key: &'static str) -> BadKey {
        BadKey { key, problem: self }
    }
}

/// What the guest can receive, and so what the interface may leave to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offloads {
    /// Packets of more than one slot.
    pub(crate) sg: bool,
    /// Packets to be cut; never without `sg`.
    pub(crate) gso_v4: bool,
    pub(crate) gso_v6: bool,
    /// Packets with a blank checksum.
    pub(crate) checksum_v4: bool,
    pub(crate) checksum_v6: bool,
}

impl Offloads {
    /// What holds while no frontend has said anything.
    pub(crate) const UNKNOWN: Self = Self {
        sg: true,
        gso_v4: false,
        gso_v6: false,
        checksum_v4: true,
        checksum_v6: false,
    };

    /// Whether the guest receives packets of this kind which are still to be cut.
    pub(crate) fn takes(self, kind: GsoKind) -> bool {
        match kind {
            GsoKind::TcpV4 => self.gso_v4,
            GsoKind::TcpV6 => self.gso_v6,
        }
    }

    /// The largest MTU which the guest can receive, in bytes.
    pub(crate) fn max_mtu(self) -> u32 {
        if self.sg {
            // The size of a packet is 16 bits wide and includes a tagged Ethernet header.
            65535 - 18
        } else {
            1500
        }
    }
}

/// What holds for all queues from one connection to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreement {
    /// Queues, at least one.
    pub(crate) queues: u32,
    pub(crate) offloads: Offloads,
    /// The guest tells when it has posted requests; otherwise the ring has to be polled.
    pub(crate) rx_notify: bool,
    /// The ring by which the guest configures the interface, if it has one.
    pub(crate) control: Option<ControlKeys>,
}

/// What the control ring is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ControlKeys {
    pub(crate) ring_ref: u32,
    pub(crate) port: u32,
}

impl ControlKeys {
    /// Reads the frontend's directory. A frontend without the ring says nothing; any other has to be
    /// clear.
    fn read<V: AsRef<[u8]>>(
        read: &mut impl FnMut(&'static str) -> Option<V>,
    ) -> Result<Option<Self>, BadKey> {
        let ring_ref = match required(read, CONTROL_RING, unsigned) {
            Err(bad) if bad.problem == Problem::Missing => return Ok(None),
            ring_ref => ring_ref?,
        };
        let port = required(read, CONTROL_PORT, unsigned)?;
        Ok(Some(Self { ring_ref, port }))
    }
}

impl Agreement {
    /// Reads the frontend's directory; at most `max_queues` were offered.
    pub(crate) fn read<V: AsRef<[u8]>>(
        mut read: impl FnMut(&'static str) -> Option<V>,
        max_queues: u32,
    ) -> Result<Self, BadKey> {
        let copy = required(&mut read, RX_COPY, unsigned)?;
        if copy == 0 {
            return Err(Problem::Unsupported.of(RX_COPY));
        }
        let queues = match required(&mut read, QUEUES, unsigned) {
            // A frontend which knows of one queue only says nothing; any other has to be clear.
            Err(bad) if bad.problem == Problem::Missing => 1,
            queues => queues?,
        };
        if !(1..=max_queues).contains(&queues) {
            return Err(Problem::OutOfRange.of(QUEUES));
        }
        let control = ControlKeys::read(&mut read)?;
        let mut flag = |key| optional(&mut read, key) != 0;
        let sg = flag(SG);
        Ok(Self {
            queues,
            offloads: Offloads {
                sg,
                gso_v4: sg && flag(GSO_V4),
                gso_v6: sg && flag(GSO_V6),
                checksum_v4: !flag(NO_CHECKSUM_V4),
                checksum_v6: flag(CHECKSUM_V6),
            },
            rx_notify: flag(RX_NOTIFY),
            control,
        })
    }

    /// Whether each queue has a directory `queue-N`; otherwise the only queue's keys lie in the
    /// frontend's directory.
    pub(crate) fn queue_directories(&self) -> bool {
        self.queues > 1
    }
}

/// Reads from the frontend's directory whether the guest filters multicast frames; it may change while
/// connected.
pub(crate) fn multicast_control<V: AsRef<[u8]>>(
    mut read: impl FnMut(&'static str) -> Option<V>,
) -> bool {
    optional(&mut read, MULTICAST_CONTROL) != 0
}

/// Reads the headroom from the frontend's directory; it may change while connected.
pub(crate) fn headroom<V: AsRef<[u8]>>(
    mut read: impl FnMut(&'static str) -> Option<V>,
) -> Headroom {
    Headroom::new(optional(&mut read, XDP_HEADROOM))
}

/// What one queue is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueKeys {
    pub(crate) tx_ring_ref: u32,
    pub(crate) rx_ring_ref: u32,
    pub(crate) ports: Ports,
}

/// The event channels of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ports {
    Shared(u32),
    Split { tx: u32, rx: u32 },
}

impl QueueKeys {
    /// Reads the directory of one queue.
    pub(crate) fn read<V: AsRef<[u8]>>(
        mut read: impl FnMut(&'static str) -> Option<V>,
    ) -> Result<Self, BadKey> {
        Ok(Self {
            tx_ring_ref: required(&mut read, TX_RING, unsigned)?,
            rx_ring_ref: required(&mut read, RX_RING, unsigned)?,
            ports: Ports::read(&mut read)?,
        })
    }
}

impl Ports {
    /// Takes a complete pair, which may be one port named twice, else the shared port; blames what is wrong
    /// before what is missing.
    fn read<V: AsRef<[u8]>>(
        read: &mut impl FnMut(&'static str) -> Option<V>,
    ) -> Result<Self, BadKey> {
        let tx = required(read, TX_PORT, unsigned);
        let rx = required(read, RX_PORT, unsigned);
        if let (Ok(tx), Ok(rx)) = (tx, rx) {
            return Ok(match tx == rx {
                true => Self::Shared(tx),
                false => Self::Split { tx, rx },
            });
        }
        let wrong = [tx, rx]
            .into_iter()
            .filter_map(Result::err)
            .find(|bad| bad.problem != Problem::Missing);
        required(read, PORT, unsigned)
            .map(Self::Shared)
            .map_err(|bad| wrong.unwrap_or(bad))
    }
}

/// Reads the device's number from the backend's directory.
pub(crate) fn handle<V: AsRef<[u8]>>(
    mut read: impl FnMut(&'static str) -> Option<V>,
) -> Result<u32, BadKey> {
    required(&mut read, HANDLE, unsigned)
}

/// Reads the guest's address from the backend's directory.
pub(crate) fn mac<V: AsRef<[u8]>>(
    mut read: impl FnMut(&'static str) -> Option<V>,
) -> Result<[u8; 6], BadKey> {
    required(&mut read, MAC, parse_mac)
}

/// Reads the limit of what the guest sends from the backend's directory, if there is one; it may change
/// while connected.
pub(crate) fn rate<V: AsRef<[u8]>>(
    mut read: impl FnMut(&'static str) -> Option<V>,
) -> Result<Option<Limit>, BadKey> {
    match required(&mut read, RATE, parse_rate) {
        Err(bad) if bad.problem == Problem::Missing => Ok(None),
        rate => rate.map(Some),
    }
}

fn required<V: AsRef<[u8]>, T>(
    read: &mut impl FnMut(&'static str) -> Option<V>,
    key: &'static str,
    parse: impl FnOnce(&[u8]) -> Result<T, Problem>,
) -> Result<T, BadKey> {
    read(key)
        .ok_or(Problem::Missing)
        .and_then(|value| match trim(value.as_ref()) {
            [] => Err(Problem::Empty),
            value => parse(value),
        })
        .map_err(|problem| problem.of(key))
}

fn optional<V: AsRef<[u8]>>(
    read: &mut impl FnMut(&'static str) -> Option<V>,
    key: &'static str,
) -> u32 {
    required(read, key, unsigned).unwrap_or(0)
}

/// Some frontends end their values like a string of C, or like a line.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [rest @ .., b'\0' | b' ' | b'\n'] = value {
        value = rest;
    }
    value
}

fn unsigned(value: &[u8]) -> Result<u32, Problem> {
    u32::try_from(unsigned_long(value)?).map_err(|_| Problem::OutOfRange)
}

fn unsigned_long(value: &[u8]) -> Result<u64, Problem> {
    if value.is_empty() {
        return Err(Problem::Malformed);
    }
    value.iter().try_fold(0u64, |number, byte| {
        let digit = char::from(*byte).to_digit(10).ok_or(Problem::Malformed)?;
        number
            .checked_mul(10)
            .and_then(|number| number.checked_add(digit.into()))
            .ok_or(Problem::OutOfRange)
    })
}

/// Bytes and microseconds, separated by a comma.
fn parse_rate(value: &[u8]) -> Result<Limit, Problem> {
    let mut parts = value.splitn(2, |byte| *byte == b',');
    let (Some(bytes), Some(usec)) = (parts.next(), parts.next()) else {
        return Err(Problem::Malformed);
    };
    Ok(Limit::new(unsigned_long(bytes)?, unsigned(usec)?))
}

/// Six numbers of one or two hexadecimal digits, separated by colons.
fn parse_mac(value: &[u8]) -> Result<[u8; 6], Problem> {
    let mut parts = value.split(|byte| *byte == b':');
    let mut mac = [0; 6];
    for byte in &mut mac {
        *byte = parts
            .next()
            .and_then(hexadecimal)
            .ok_or(Problem::Malformed)?;
    }
    match parts.next() {
        None => Ok(mac),
        Some(_) => Err(Problem::Malformed),
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let number = match digits {
        [low] => digit(low)?,
        [high, low] => digit(high)? << 4 | digit(low)?,
        _ => return None,
    };
    u8::try_from(number).ok()
}
