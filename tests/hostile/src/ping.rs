// SPDX-License-Identifier: GPL-2.0

//! Frames between the guest and the host.

use crate::wire::ETHERNET_HEADER;

const IP_HEADER: usize = 20;
const ICMP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;
/// Bytes before the content of an echo request.
pub const PING_HEADER: usize = ETHERNET_HEADER + IP_HEADER + ICMP_HEADER;
/// Bytes before the content of a TCP segment.
pub const TCP_HEADERS: usize = ETHERNET_HEADER + IP_HEADER + TCP_HEADER;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const ECHO_REPLY: u8 = 0;
const ECHO: u8 = 8;

/// The addresses of both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The guest's MAC address.
    pub mac: [u8; 6],
    /// The guest's IPv4 address.
    pub address: [u8; 4],
    /// The host's MAC address.
    pub host_mac: [u8; 6],
    /// The host's IPv4 address.
    pub host: [u8; 4],
}

/// The Internet checksum.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([
            pair[0],
            pair.get(1).copied().unwrap_or(0),
        ]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

impl Ends {
    /// A frame to the host with this segment.
    fn frame(&self, protocol: u8, segment: &[u8]) -> Vec<u8> {
        let mut frame = [self.host_mac, self.mac].concat();
        frame.extend([8, 0]);
        let len = (IP_HEADER + segment.len()) as u16;
        let mut header = vec![0x45, 0];
        header.extend(len.to_be_bytes());
        header.extend([0, 1, 0x40, 0, 64, protocol, 0, 0]);
        header.extend(self.address);
        header.extend(self.host);
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        frame.extend(header);
        frame.extend(segment);
        frame
    }

    /// An echo request of `size` bytes, as far as it has room for its headers.
    pub fn ping(&self, number: u32, size: usize) -> Vec<u8> {
        let mut segment = vec![ECHO, 0, 0, 0];
        segment.extend(number.to_be_bytes());
        let content = size.saturating_sub(PING_HEADER);
        segment.extend((0..content).map(|at| at as u8 ^ number as u8));
        let sum = checksum(&segment);
        segment[2..4].copy_from_slice(&sum.to_be_bytes());
        self.frame(ICMP, &segment)
    }

    /// The number of the echo request that a frame answers: it has come back byte by byte.
    pub fn pong(&self, frame: &[u8]) -> Option<u32> {
        let at = ETHERNET_HEADER + IP_HEADER;
        let len = (frame.len().checked_sub(ETHERNET_HEADER)? as u16).to_be_bytes();
        let is_reply = frame.get(12..14)? == [8, 0]
            && frame.get(16..18)? == len
            && *frame.get(ETHERNET_HEADER + 9)? == ICMP
            && *frame.get(at)? == ECHO_REPLY;
        let number = u32::from_be_bytes(frame.get(at + 4..at + 8)?.try_into().ok()?);
        let asked = self.ping(number, frame.len());
        let whole = is_reply && asked.len() == frame.len() && asked[at + 4..] == frame[at + 4..];
        whole.then_some(number)
    }

    /// A TCP segment of `size` bytes with a blank checksum, to a port where nobody listens.
    pub fn tcp(&self, size: usize) -> Vec<u8> {
        let mut segment = vec![0x12, 0x34, 0, 9];
        segment.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 4, 0, 0, 0, 0, 0]);
        segment.resize(
            (size.saturating_sub(ETHERNET_HEADER + IP_HEADER)).max(TCP_HEADER),
            7,
        );
        let mut pseudo = [self.address, self.host].concat();
        pseudo.extend([0, TCP]);
        pseudo.extend((segment.len() as u16).to_be_bytes());
        let sum = !checksum(&pseudo);
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        self.frame(TCP, &segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: Ends = Ends {
        mac: [0, 0x16, 0x3e, 0, 0, 1],
        address: [10, 7, 1, 2],
        host_mac: [0xfe; 6],
        host: [10, 7, 1, 1],
    };

    /// The answer to a frame.
    fn answer(mut frame: Vec<u8>) -> Vec<u8> {
        frame[ETHERNET_HEADER + IP_HEADER] = ECHO_REPLY;
        frame
    }

    #[test]
    fn checksums_are_right() {
        for size in [42, 43, 98, 1514] {
            let frame = ENDS.ping(7, size);
            assert_eq!(frame.len(), size);
            assert_eq!(checksum(&frame[14..34]), 0, "IP");
            assert_eq!(checksum(&frame[34..]), 0, "ICMP");
        }
        let frame = ENDS.tcp(1000);
        let mut pseudo = [ENDS.address, ENDS.host].concat();
        pseudo.extend([0, TCP, 3, 0xc6]);
        assert_eq!(frame.len(), 1000);
        assert_eq!(
            !checksum(&pseudo),
            u16::from_be_bytes([frame[50], frame[51]])
        );
    }

    #[test]
    fn an_answer_is_known_by_every_byte() {
        let frame = answer(ENDS.ping(70000, 200));
        assert_eq!(ENDS.pong(&frame), Some(70000));
        assert_eq!(ENDS.pong(&ENDS.ping(70000, 200)), None, "a request");
        assert_eq!(ENDS.pong(&frame[..199]), None, "too short");
        for at in [13, 23, 34, 41, 42, 199] {
            let mut wrong = frame.clone();
            wrong[at] ^= 1;
            assert_eq!(ENDS.pong(&wrong), None, "byte {at}");
        }
    }
}
