// SPDX-License-Identifier: GPL-2.0

//! A directory in xenstore: lines of a byte for the key and its value.

use std::collections::HashMap;

use crate::negotiate::{
    handle,
    headroom,
    mac,
    multicast_control,
    rate,
    Agreement,
    BadKey,
    Ports,
    QueueKeys, //
};

const KEYS: [&str; 18] = [
    "request-rx-copy",
    "multi-queue-num-queues",
    "feature-rx-notify",
    "feature-sg",
    "feature-gso-tcpv4",
    "feature-gso-tcpv6",
    "feature-no-csum-offload",
    "feature-ipv6-csum-offload",
    "xdp-headroom",
    "request-multicast-control",
    "tx-ring-ref",
    "rx-ring-ref",
    "event-channel",
    "event-channel-tx",
    "event-channel-rx",
    "handle",
    "mac",
    "rate",
];

const MAX_QUEUES: u32 = 8;

/// A number as the standard library reads it, which takes a sign besides.
fn number(value: &[u8]) -> Option<u32> {
    let value = std::str::from_utf8(value).ok()?;
    let value = value.trim_end_matches(['\0', ' ', '\n']);
    value.parse().ok().filter(|_| !value.starts_with('+'))
}

pub(crate) fn run(data: &[u8]) {
    let directory: HashMap<_, _> = data
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split_first())
        .map(|(key, value)| (KEYS[usize::from(*key) % KEYS.len()], value))
        .collect();
    let read = |key: &'static str| directory.get(key).copied();
    let given = |key: &'static str| read(key).and_then(number);

    match Agreement::read(read, MAX_QUEUES) {
        Ok(agreement) => {
            assert!((1..=MAX_QUEUES).contains(&agreement.queues));
            assert!(given("request-rx-copy").is_some_and(|copy| copy != 0));
            assert_eq!(
                agreement.queues,
                given("multi-queue-num-queues").unwrap_or(1)
            );
            let offloads = agreement.offloads;
            assert!(offloads.sg || !(offloads.gso_v4 || offloads.gso_v6));
            assert_eq!(offloads.sg, given("feature-sg").unwrap_or(0) != 0);
            assert_eq!(
                agreement.rx_notify,
                given("feature-rx-notify").unwrap_or(0) != 0
            );
        }
        Err(BadKey { key, .. }) => assert!(KEYS.contains(&key) || key.contains("ctrl")),
    }
    match QueueKeys::read(read) {
        Ok(keys) => {
            assert_eq!(Some(keys.tx_ring_ref), given("tx-ring-ref"));
            assert_eq!(Some(keys.rx_ring_ref), given("rx-ring-ref"));
            match keys.ports {
                Ports::Split { tx, rx } => {
                    assert_eq!(Some(tx), given("event-channel-tx"));
                    assert_eq!(Some(rx), given("event-channel-rx"));
                }
                Ports::Shared(port) => assert_eq!(Some(port), given("event-channel")),
            }
        }
        Err(BadKey { key, .. }) => assert!(given(key).is_none(), "{key} is good"),
    }
    assert_eq!(handle(read).ok(), given("handle"));
    assert_eq!(
        multicast_control(read),
        given("request-multicast-control").unwrap_or(0) != 0
    );
    assert!(headroom(read).bytes() <= 455);
    let _ = rate(read);
    if let (Ok(address), Some(value)) = (mac(read), read("mac")) {
        let digits = value.iter().filter(|byte| byte.is_ascii_hexdigit()).count();
        assert!((6..=12).contains(&digits), "{address:x?}");
    }
}
