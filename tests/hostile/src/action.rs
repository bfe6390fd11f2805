// SPDX-License-Identifier: GPL-2.0

//! What a frontend does when it is left to itself, as data: made from a seed, played, kept in a file.

use serde::{
    Deserialize,
    Serialize, //
};

use crate::wire;

/// The bytes of an Ethernet frame without its checksum, at least.
const SMALLEST_FRAME: u16 = 60;
/// The most slots that honest frontends use.
const MOST_SLOTS: u8 = 19;
/// Questions on the control ring have numbers from 1 to this one.
const LAST_QUESTION: u16 = 7;

/// A ring of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ring {
    /// From the guest.
    Tx,
    /// To the guest.
    Rx,
    /// Configuration.
    Control,
}

impl Ring {
    /// What commands call it.
    pub fn name(self) -> &'static str {
        self.kind().name
    }

    /// Its entries.
    pub fn kind(self) -> wire::Kind {
        match self {
            Self::Tx => wire::TX,
            Self::Rx => wire::RX,
            Self::Control => wire::CONTROL,
        }
    }
}

/// How a frontend connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Queue pairs.
    pub queues: u8,
    /// A port for each direction.
    pub split: bool,
    /// There is a control ring.
    pub control: bool,
    /// It takes packets of several slots, segmentation and blank checksums.
    pub offloads: bool,
    /// It tells about new buffers.
    pub notifies: bool,
    /// The indices of its rings begin where they soon wrap.
    pub wraps: bool,
}

/// The page that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// The one that it should.
    Right,
    /// One that may not be written.
    ReadOnly,
    /// The ring from the guest itself.
    Ring,
    /// Another request's.
    Another,
    /// One whose grant was taken back.
    Revoked,
    /// Any number.
    Number(u32),
}

/// A field of a request that does not say what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Claim {
    /// The page.
    Page(Target),
    /// The offset.
    Offset(u16),
    /// The size.
    Size(u16),
    /// The flags.
    Flags(u16),
    /// The id.
    Id(u16),
}

/// What is in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// An echo request to the host, which answers it.
    Ping,
    /// A TCP segment, its checksum blank.
    Tcp,
    /// Bytes that follow from this number.
    Noise(u64),
}

/// What a node says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Text {
    /// This.
    Is(String),
    /// The number of a page.
    Page(Target),
    /// The number of a port of the first queue, or of the control ring.
    Port(Ring),
    /// There is no such node.
    Missing,
}

/// A packet from the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// The queue.
    pub queue: u8,
    /// Its content.
    pub frame: Frame,
    /// Bytes.
    pub size: u16,
    /// The slots that it is cut into.
    pub slots: u8,
    /// Flags besides those that follow from the rest.
    pub flags: u16,
    /// Extras.
    pub extras: Vec<[u8; 8]>,
    /// What the request of a slot does not say truly.
    pub claims: Vec<(u8, Claim)>,
}

/// One thing that a frontend does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Sends a packet.
    Send(Packet),
    /// Posts buffers.
    Post {
        /// The queue.
        queue: u8,
        /// How many.
        count: u8,
        /// The backend is not told, even if it has asked for that.
        quiet: bool,
    },
    /// Posts one buffer with this page.
    Buffer {
        /// The queue.
        queue: u8,
        /// Its page.
        page: Target,
    },
    /// Reads the responses that are there.
    Collect {
        /// The queue.
        queue: u8,
    },
    /// Asks something on the control ring; a page of this byte takes the place of the first word.
    Ask {
        /// What is asked for.
        kind: u16,
        /// Its parameters.
        data: [u32; 3],
        /// The page's content.
        page: Option<u8>,
    },
    /// Asks for headroom before packets.
    Headroom(u16),
    /// Closes in order, and connects again.
    Reconnect(Layout),
    /// Leaves the backend so many milliseconds.
    Wait(u8),

    /// Publishes an entry of these bytes.
    Entry {
        /// The ring.
        ring: Ring,
        /// The queue.
        queue: u8,
        /// The entry.
        bytes: [u8; 16],
    },
    /// Writes into an entry, whether it is in use or not.
    Scribble {
        /// The ring.
        ring: Ring,
        /// The queue.
        queue: u8,
        /// Where in the page.
        at: u16,
        /// What.
        word: u32,
    },
    /// Adds something to an index in the page: 0 to 3 for req_prod, req_event, rsp_prod, rsp_event.
    Index {
        /// The ring.
        ring: Ring,
        /// The queue.
        queue: u8,
        /// The index.
        which: u8,
        /// What.
        by: i32,
    },
    /// Sends events, whether there is a reason or not.
    Notify {
        /// The ring.
        ring: Ring,
        /// The queue.
        queue: u8,
        /// How many.
        count: u8,
    },
    /// Sends events without end.
    Storm {
        /// The ring.
        ring: Ring,
        /// The queue.
        queue: u8,
    },
    /// Writes two words in turn into an entry, without end.
    Flip {
        /// The ring.
        ring: Ring,
        /// The queue.
        queue: u8,
        /// Where in the page.
        at: u16,
        /// The words.
        words: [u32; 2],
    },
    /// Writes two texts in turn to a node, without end.
    Rewrite {
        /// The node.
        key: String,
        /// The texts.
        texts: [String; 2],
    },
    /// Ends what goes on without end.
    Calm,
    /// Writes a node.
    Write {
        /// The node.
        key: String,
        /// What.
        text: Text,
    },
    /// Takes back the grant of a buffer that may be in use.
    Revoke {
        /// The ring.
        ring: Ring,
        /// The queue.
        queue: u8,
        /// The buffer.
        buffer: u8,
    },
    /// Makes other rings and tells of them, while the backend has the old ones.
    Rings(Layout),
    /// Gives rings, buffers and ports back while the backend has them.
    Release,
    /// The frontend's directory goes.
    Vanish,
}

impl Action {
    /// Whether no honest frontend does that. Some that only look odd, such as superfluous extras, are not among these.
    pub fn is_hostile(&self) -> bool {
        match self {
            Self::Send(packet) => {
                packet.size < SMALLEST_FRAME
                    || packet.slots > MOST_SLOTS
                    || !packet.claims.is_empty()
            }
            Self::Post { quiet, .. } => *quiet,
            Self::Ask { kind, .. } => *kind == 0 || *kind > LAST_QUESTION,
            Self::Collect { .. }
            | Self::Headroom(_)
            | Self::Reconnect(_)
            | Self::Wait(_)
            | Self::Calm => false,
            Self::Buffer { page, .. } => *page != Target::Right,
            _ => true,
        }
    }
}

/// A connection, and what is done with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// Nothing in it is a fault.
    pub honest: bool,
    /// How it begins and ends.
    pub layout: Layout,
    /// So many packets are published together; 0 is as good as 1.
    #[serde(default)]
    pub batch: u8,
    /// What happens in between.
    pub actions: Vec<Action>,
}

/// Where a round is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct World {
    /// The most queues that are offered.
    pub queues: u8,
    /// The domain has no other frontends. They would have the numbers of pages that one gives back
    /// while the backend still uses them.
    pub alone: bool,
    /// The device can be made again when its directory is gone.
    pub toolstack: bool,
}
