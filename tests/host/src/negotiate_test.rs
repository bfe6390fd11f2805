// SPDX-License-Identifier: GPL-2.0

//! What a frontend may write, and what may be missing.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use crate::{guest_rx::plan::Headroom, guest_tx::credit::Limit, negotiate::*, wire::GsoKind};

/// A directory in xenstore.
#[derive(Clone)]
struct Directory(HashMap<&'static str, Vec<u8>>);

impl Directory {
    fn with(mut self, key: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.0.insert(key, value.as_ref().to_vec());
        self
    }

    fn without(mut self, key: &'static str) -> Self {
        self.0.remove(key);
        self
    }

    fn read(&self) -> impl FnMut(&'static str) -> Option<Vec<u8>> + '_ {
        |key| self.0.get(key).cloned()
    }

    fn agreement(&self) -> Result<Agreement, BadKey> {
        Agreement::read(self.read(), 8)
    }

    fn queue(&self) -> Result<QueueKeys, BadKey> {
        QueueKeys::read(self.read())
    }

    fn mac(&self) -> Result<[u8; 6], BadKey> {
        mac(self.read())
    }
}

fn directory<const N: usize>(keys: [(&'static str, &'static str); N]) -> Directory {
    Directory(HashMap::new()).with_all(keys)
}

impl Directory {
    fn with_all<const N: usize>(self, keys: [(&'static str, &'static str); N]) -> Self {
        keys.into_iter()
            .fold(self, |all, (key, value)| all.with(key, value))
    }
}

/// What a Linux frontend writes.
fn linux() -> Directory {
    directory([
        ("request-rx-copy", "1"),
        ("feature-rx-notify", "1"),
        ("feature-sg", "1"),
        ("feature-gso-tcpv4", "1"),
        ("feature-gso-tcpv6", "1"),
        ("feature-ipv6-csum-offload", "1"),
    ])
}

fn queue() -> Directory {
    directory([
        ("tx-ring-ref", "768"),
        ("rx-ring-ref", "769"),
        ("event-channel", "11"),
    ])
}

/// Values which are no number, and what is wrong with them.
const BAD_NUMBERS: [(&str, Problem); 11] = [
    ("", Problem::Empty),
    (" \n\0", Problem::Empty),
    ("abc", Problem::Malformed),
    ("-1", Problem::Malformed),
    ("+1", Problem::Malformed),
    (" 1", Problem::Malformed),
    ("0x10", Problem::Malformed),
    ("1 2", Problem::Malformed),
    ("4294967296", Problem::OutOfRange),
    ("99999999999999999999999999", Problem::OutOfRange),
    ("\u{661}", Problem::Malformed),
];

fn bad<T>(key: &'static str, problem: Problem) -> Result<T, BadKey> {
    Err(BadKey { key, problem })
}

#[test]
fn full_agreement() {
    let agreement = linux().agreement().expect("all is there");
    let offloads = Offloads {
        sg: true,
        gso_v4: true,
        gso_v6: true,
        checksum_v4: true,
        checksum_v6: true,
    };
    let expected = Agreement {
        queues: 1,
        offloads,
        rx_notify: true,
        control: None,
    };
    assert_eq!(agreement, expected);
    assert_eq!(offloads.max_mtu(), 65517);
}

#[test]
fn least_agreement() {
    let agreement = directory([("request-rx-copy", "1")])
        .agreement()
        .expect("enough");
    let offloads = Offloads {
        sg: false,
        gso_v4: false,
        gso_v6: false,
        checksum_v4: true,
        checksum_v6: false,
    };
    let expected = Agreement {
        queues: 1,
        offloads,
        rx_notify: false,
        control: None,
    };
    assert_eq!(agreement, expected);
    assert_eq!(offloads.max_mtu(), 1500);
}

#[test]
fn each_flag_has_its_own_key() {
    let flags = |directory: &Directory| {
        let agreement = directory.agreement().expect("complete");
        let offloads = agreement.offloads;
        [
            offloads.sg,
            offloads.takes(GsoKind::TcpV4),
            offloads.takes(GsoKind::TcpV6),
            offloads.checksum_v4,
            offloads.checksum_v6,
            agreement.rx_notify,
        ]
    };
    let all = flags(&linux());
    let differing = |directory: &Directory| -> Vec<usize> {
        let flags = flags(directory);
        (0..flags.len())
            .filter(|at| flags[*at] != all[*at])
            .collect()
    };
    for (key, expected) in [
        // No packet that has to be cut fits into one slot.
        ("feature-sg", vec![0, 1, 2]),
        ("feature-gso-tcpv4", vec![1]),
        ("feature-gso-tcpv6", vec![2]),
        ("feature-ipv6-csum-offload", vec![4]),
        ("feature-rx-notify", vec![5]),
    ] {
        assert_eq!(differing(&linux().without(key)), expected, "{key}");
        assert_eq!(differing(&linux().with(key, "0")), expected, "{key}");
        assert_eq!(differing(&linux().with(key, "2")), [], "{key}");
        for (value, _) in BAD_NUMBERS {
            assert_eq!(
                differing(&linux().with(key, value)),
                expected,
                "{key} {value}"
            );
        }
    }
    let key = "feature-no-csum-offload";
    assert_eq!(differing(&linux().with(key, "1")), [3]);
    assert_eq!(differing(&linux().with(key, "0")), []);
    assert_eq!(differing(&linux().with(key, "no")), []);
}

#[test]
fn packets_have_to_be_copied() {
    let key = "request-rx-copy";
    assert_eq!(linux().without(key).agreement(), bad(key, Problem::Missing));
    assert_eq!(
        linux().with(key, "0").agreement(),
        bad(key, Problem::Unsupported)
    );
    for (value, problem) in BAD_NUMBERS {
        assert_eq!(
            linux().with(key, value).agreement(),
            bad(key, problem),
            "{value}"
        );
    }
}

#[test]
fn number_of_queues() {
    let key = "multi-queue-num-queues";
    let queues = |value: &str| linux().with(key, value).agreement().map(|all| all.queues);
    assert_eq!(queues("1"), Ok(1));
    assert_eq!(queues("8"), Ok(8));
    assert_eq!(queues("0"), bad(key, Problem::OutOfRange));
    assert_eq!(queues("9"), bad(key, Problem::OutOfRange));
    assert_eq!(queues("4294967295"), bad(key, Problem::OutOfRange));
    for (value, problem) in BAD_NUMBERS {
        assert_eq!(queues(value), bad(key, problem), "{value}");
    }
    let directories = |value: &str| {
        let agreement = linux().with(key, value).agreement();
        agreement.map(|all| all.queue_directories())
    };
    assert_eq!(directories("1"), Ok(false));
    assert_eq!(directories("2"), Ok(true));
}

#[test]
fn headroom_is_bounded() {
    let wanted = |value: &str| {
        let directory = linux().with("xdp-headroom", value);
        headroom(directory.read())
    };
    assert_eq!(headroom(linux().read()), Headroom::default());
    assert_eq!(wanted("256"), Headroom::new(256));
    assert_eq!(wanted("256").bytes(), 256);
    assert_eq!(wanted("65535").bytes(), 455);
    assert_eq!(wanted("65535"), wanted("4294967295"));
    for (value, _) in BAD_NUMBERS {
        assert_eq!(wanted(value), Headroom::default(), "{value}");
    }
}

#[test]
fn multicast_frames_are_filtered_on_request() {
    let requested = |directory: Directory| multicast_control(directory.read());
    let with = |value| linux().with("request-multicast-control", value);
    assert!(!requested(linux()));
    assert!(!requested(with("0")));
    assert!(requested(with("1")));
    assert!(requested(with("4294967295\n")));
    for (value, _) in BAD_NUMBERS {
        assert!(!requested(with(value)), "{value}");
    }
}

#[test]
fn limit_on_what_the_guest_sends() {
    let rate = |directory: Directory| rate(directory.read());
    let with = |value: &str| rate(directory([("rate", "")]).with("rate", value));
    let key = "rate";
    assert_eq!(rate(directory([])), Ok(None));
    assert_eq!(with("625000,50000"), Ok(Some(Limit::new(625000, 50000))));
    assert_eq!(with("625000,50000\0"), Ok(Some(Limit::new(625000, 50000))));
    assert_ne!(with("625000,50000"), with("50000,625000"));
    assert_eq!(with("0,0"), Ok(Some(Limit::new(0, 0))));
    assert_eq!(
        with("18446744073709551615,4294967295"),
        Ok(Some(Limit::new(u64::MAX, u32::MAX)))
    );
    assert_eq!(with(""), bad(key, Problem::Empty));
    for value in [
        "fast", "1", "1,", ",1", ",", "1,2,3", "1 ,2", "1, 2", "-1,2", "1,-2", "0x1,2", "1;2",
    ] {
        assert_eq!(with(value), bad(key, Problem::Malformed), "{value}");
    }
    for value in ["18446744073709551616,1", "1,4294967296"] {
        assert_eq!(with(value), bad(key, Problem::OutOfRange), "{value}");
    }
}

#[test]
fn required_keys_of_a_queue() {
    let complete = QueueKeys {
        tx_ring_ref: 768,
        rx_ring_ref: 769,
        ports: Ports::Shared(11),
    };
    assert_eq!(queue().queue(), Ok(complete));
    for key in ["tx-ring-ref", "rx-ring-ref", "event-channel"] {
        assert_eq!(queue().without(key).queue(), bad(key, Problem::Missing));
        for (value, problem) in BAD_NUMBERS {
            assert_eq!(
                queue().with(key, value).queue(),
                bad(key, problem),
                "{key} {value}"
            );
        }
    }
}

#[test]
fn values_may_end_like_a_string_or_a_line() {
    for value in ["768", "768\0", "768\n", "768 ", "768\n\0", "00768"] {
        let queue = queue().with("tx-ring-ref", value).queue();
        assert_eq!(queue.map(|keys| keys.tx_ring_ref), Ok(768), "{value:?}");
    }
}

#[test]
fn ports() {
    let (tx, rx, shared) = ("event-channel-tx", "event-channel-rx", "event-channel");
    let ports = |directory: Directory| directory.queue().map(|keys| keys.ports);
    let alone = || queue().without(shared);
    let split = Ports::Split { tx: 21, rx: 22 };

    let pair = [(tx, "21"), (rx, "22")];
    assert_eq!(ports(alone().with_all(pair)), Ok(split));
    assert_eq!(ports(queue().with_all(pair)), Ok(split));
    let same = [(tx, "21"), (rx, "21")];
    assert_eq!(ports(queue().with_all(same)), Ok(Ports::Shared(21)));
    assert_eq!(ports(queue().with(tx, "21")), Ok(Ports::Shared(11)));
    assert_eq!(ports(queue().with(rx, "22")), Ok(Ports::Shared(11)));
    assert_eq!(
        ports(queue().with_all([(tx, "x"), (rx, "22")])),
        Ok(Ports::Shared(11))
    );

    assert_eq!(ports(alone()), bad(shared, Problem::Missing));
    assert_eq!(ports(alone().with(tx, "21")), bad(shared, Problem::Missing));
    for (value, problem) in BAD_NUMBERS {
        assert_eq!(
            ports(alone().with_all([(tx, value), (rx, "22")])),
            bad(tx, problem)
        );
        assert_eq!(
            ports(alone().with_all([(tx, "21"), (rx, value)])),
            bad(rx, problem)
        );
        assert_eq!(ports(alone().with(rx, value)), bad(rx, problem));
    }
}

#[test]
fn number_of_the_device() {
    let handle = |directory: Directory| handle(directory.read());
    let key = "handle";
    assert_eq!(handle(directory([(key, "3")])), Ok(3));
    assert_eq!(handle(directory([])), bad(key, Problem::Missing));
    for (value, problem) in BAD_NUMBERS {
        assert_eq!(
            handle(directory([(key, value)])),
            bad(key, problem),
            "{value}"
        );
    }
}

#[test]
fn hardware_address() {
    let mac = |value: &str| directory([]).with("mac", value).mac();
    let expected = Ok([0x00, 0x16, 0x3e, 0x0a, 0xbc, 0xFF]);
    assert_eq!(mac("00:16:3e:0a:bc:ff"), expected);
    assert_eq!(mac("00:16:3E:0A:BC:FF\n"), expected);
    assert_eq!(mac("0:16:3e:a:bc:ff"), expected);
    assert_eq!(mac(""), bad("mac", Problem::Empty));
    assert_eq!(directory([]).mac(), bad("mac", Problem::Missing));
    for value in [
        "00:16:3e:0a:bc",
        "00:16:3e:0a:bc:",
        "00:16:3e:0a:bc:ff:00",
        "00:16:3e:0a:bc:ff:",
        "00:16:3e:0a:bc:100",
        "00:16:3e:0a:bc:fg",
        "00-16-3e-0a-bc-ff",
        "00163e0abcff",
        ":::::",
        "+1:16:3e:0a:bc:ff",
    ] {
        assert_eq!(mac(value), bad("mac", Problem::Malformed), "{value}");
    }
}

#[test]
fn problems_are_told_apart() {
    let all = [
        Problem::Missing,
        Problem::Empty,
        Problem::Malformed,
        Problem::OutOfRange,
        Problem::Unsupported,
    ];
    let texts: HashSet<_> = all.iter().map(|problem| problem.describe()).collect();
    assert_eq!(texts.len(), all.len());
}

#[test]
fn before_the_first_connection() {
    let unknown = Offloads::UNKNOWN;
    assert!(unknown.sg && unknown.checksum_v4);
    assert!(!unknown.gso_v4 && !unknown.gso_v6 && !unknown.checksum_v6);
}

proptest! {
    #[test]
    fn every_number_is_read_as_it_is(number in any::<u32>()) {
        let queue = queue().with("rx-ring-ref", number.to_string()).queue();
        prop_assert_eq!(queue.map(|keys| keys.rx_ring_ref), Ok(number));
    }

    #[test]
    fn digits_are_read_as_the_standard_library_does(digits in "[0-9]{1,14}") {
        let queue = queue().with("rx-ring-ref", &digits).queue();
        match digits.parse::<u32>() {
            Ok(number) => prop_assert_eq!(queue.map(|keys| keys.rx_ring_ref), Ok(number)),
            Err(_) => prop_assert_eq!(queue, bad("rx-ring-ref", Problem::OutOfRange)),
        }
    }

    /// Whatever a guest writes, the answer is a number in range or the key that is wrong.
    #[test]
    fn any_bytes(value in any::<Vec<u8>>()) {
        let digits = value.iter().any(u8::is_ascii_digit);
        if let Ok(agreement) = linux().with("multi-queue-num-queues", &value).agreement() {
            prop_assert!(digits && (1..=8).contains(&agreement.queues));
        }
        if queue().with("tx-ring-ref", &value).queue().is_ok() {
            prop_assert!(digits);
        }
        let _ = directory([]).with("mac", &value).mac();
        if rate(directory([]).with("rate", &value).read()).is_ok() {
            prop_assert!(digits && value.contains(&b','));
        }
    }

    #[test]
    fn every_address_is_read_as_it_is(mac in any::<[u8; 6]>()) {
        let text: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        prop_assert_eq!(directory([]).with("mac", text.join(":")).mac(), Ok(mac));
    }
}

#[test]
fn control_ring() {
    let keys = |directory: &Directory| directory.agreement().map(|agreement| agreement.control);
    let bad = |key, problem| Err(BadKey { key, problem });

    assert_eq!(keys(&linux()), Ok(None));
    // Without a ring, its port means nothing.
    assert_eq!(keys(&linux().with("event-channel-ctrl", "x")), Ok(None));
    let complete = linux()
        .with("ctrl-ring-ref", "4294967295")
        .with("event-channel-ctrl", "0");
    let expected = ControlKeys {
        ring_ref: u32::MAX,
        port: 0,
    };
    assert_eq!(keys(&complete), Ok(Some(expected)));
    for key in ["ctrl-ring-ref", "event-channel-ctrl"] {
        for (value, problem) in [
            ("", Problem::Empty),
            ("-1", Problem::Malformed),
            ("seven", Problem::Malformed),
            ("4294967296", Problem::OutOfRange),
        ] {
            assert_eq!(keys(&complete.clone().with(key, value)), bad(key, problem));
        }
    }
    let missing = complete.without("event-channel-ctrl");
    assert_eq!(keys(&missing), bad("event-channel-ctrl", Problem::Missing));
}
