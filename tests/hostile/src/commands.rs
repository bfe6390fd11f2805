// SPDX-License-Identifier: GPL-2.0

//! The commands by which the frontend is driven: one JSON object in, one out.
//!
//! A command names itself in `do`. The answer has what it returns, or `error`; and in `violations` the
//! rules that the backend has broken meanwhile, if any, each as `[name, detail]`. Bytes are hexadecimal.
//!
//! | `do` | arguments | returns |
//! |---|---|---|
//! | `rings` | `queues`, `split`, `control`, `start` | `keys`: what has to be written for fresh rings |
//! | `release` | | |
//! | `read` | `key` | `value` |
//! | `write` | `keys`: an object; null removes one | |
//! | `expect` | `headrooms` | |
//! | `post` | `queue`, `count`, `quiet`, or `bad` with `gref` | `posted` |
//! | `send` | `queue`, `packets`, `seconds` | `statuses`: a list for each packet, null when late |
//! | `receive` | `queues`, `count`, `seconds`, `refill` | `packets` |
//! | `trickle` | `queue`, `count`, `window`, `seconds` | `packets`: length, first bytes and slots of each |
//! | `control` | `kind`, `data`, `page`, `seconds` | `status` and `data`, null when late |
//! | `indices` | `ring`, `queue` | `shared`: the four in the page; `own`: requests, responses read |
//! | `peek` | a page, `offset`, `len` | `bytes` |
//! | `poke` | a page, `offset`, `bytes` | |
//! | `grant` | `bytes`, `writable` | `gref` |
//! | `revoke` | a page | |
//! | `notify` | `ring`, `queue`, `count` | |
//! | `storm` | `ring`, `queue` | sends events in the background |
//! | `overfill` | `ring`, `queue`, `groups` | keeps the ring full of requests, in the background |
//! | `flip` | a page, `offset`, `values` | writes bytes in turn, in the background |
//! | `rewrite` | `key`, `values` | writes a node in turn, in the background |
//! | `calm` | | `rounds`: how often each did its work; nothing is in the background any more |
//! | `listen` | `ring`, `queue`, `seconds` | `heard`: events so far |
//! | `exchange` | ends, `window`, `most`, `seconds` | `back`: packets that went to the host and came back |
//! | `fuzz` | ends, a world, `seed`, `first`, `rounds`, `seconds` | `rounds`, `actions`, `connections`, `faults`; `failed`: `round` and `why` |
//! | `round` | a world, `seed`, `number` | `round`: the actions that follow from the seed |
//! | `replay` | ends, a world, `round` | as `fuzz` |
//!
//! A page is `gref` for one from `grant`; `ring` and `queue` for a ring; with `buffer` the one of that
//! number behind the ring. Ends are `mac` and `address`, `host_mac` and `host`: those of the guest, and those of
//! the host, which answers echo requests. A world is `queues`, `alone` and `toolstack`, a shell command
//! that sets a new interface up, as [`World`](crate::action::World) has them.

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{
        Duration,
        Instant, //
    },
};

use serde_json::{
    json,
    Value, //
};

use crate::{
    ffi::Page,
    frontend::Frontend,
    json::{
        bytes,
        hex,
        Arguments, //
    },
    queue::{
        Claims,
        Outgoing,
        Received,
        Slot, //
    },
    rounds,
    wire::{
        Extra,
        PAGE, //
    },
};

/// Bytes of a packet by which it is told from others.
const HEAD: usize = 64;

/// Executes one command.
pub fn execute(frontend: &mut Frontend, line: &str) -> Value {
    let mut answer = match serde_json::from_str(line) {
        Err(error) => json!({ "error": error.to_string() }),
        Ok(command) => {
            run(frontend, &Arguments(&command)).unwrap_or_else(|error| json!({ "error": error }))
        }
    };
    let violations = frontend.findings.take();
    if !violations.is_empty() {
        let pairs = violations.iter();
        let pairs = pairs.map(|one| json!([format!("{:?}", one.rule), one.detail]));
        answer["violations"] = pairs.collect();
    }
    answer
}

pub(crate) fn io_error(error: io::Error) -> String {
    error.to_string()
}

fn run(frontend: &mut Frontend, command: &Arguments<'_>) -> Result<Value, String> {
    let done = json!({});
    Ok(match command.text("do")? {
        "rings" => rings(frontend, command)?,
        "release" => {
            frontend.release();
            done
        }
        "read" => {
            let value = frontend.read(command.text("key")?).map_err(io_error)?;
            json!({ "value": value })
        }
        "write" => {
            write(frontend, command)?;
            done
        }
        "expect" => {
            let headrooms = command.list("headrooms").iter().filter_map(Value::as_u64);
            frontend.expect_headrooms(headrooms.filter_map(|one| one.try_into().ok()).collect());
            done
        }
        "post" => {
            let count = command.number("count", u32::MAX)?;
            let queue = queue(frontend, command)?;
            let posted = match command.maybe("bad")? {
                None => frontend.post(queue, count, command.flag("quiet")),
                Some(bad) => frontend.post_bad(queue, count, bad, command.number("gref", 0)?),
            };
            json!({ "posted": posted.map_err(io_error)? })
        }
        "send" => send(frontend, command)?,
        "receive" => receive(frontend, command)?,
        "trickle" => trickle(frontend, command)?,
        "control" => control(frontend, command)?,
        "indices" => indices(frontend, command)?,
        "peek" => {
            let (offset, len) = (command.number("offset", 0)?, command.number("len", 4)?);
            within(offset, len)?;
            let mut bytes = vec![0; len];
            page(frontend, command)?.read(offset, &mut bytes);
            json!({ "bytes": hex(&bytes) })
        }
        "poke" => {
            let (offset, bytes) = (command.number("offset", 0)?, command.bytes("bytes")?);
            within(offset, bytes.len())?;
            page(frontend, command)?.write(offset, &bytes);
            done
        }
        "grant" => {
            let content = command.bytes("bytes")?;
            let gref = frontend
                .grant(&content, command.flag("writable"))
                .map_err(io_error)?;
            json!({ "gref": gref })
        }
        "revoke" => {
            revoke(frontend, command)?;
            done
        }
        "notify" => {
            let port = port(frontend, command)?;
            for _ in 0..command.number("count", 1)? {
                frontend.notify(port).map_err(io_error)?;
            }
            done
        }
        "storm" => {
            frontend.storm(port(frontend, command)?);
            done
        }
        "overfill" => {
            overfill(frontend, command)?;
            done
        }
        "flip" => {
            let offset = command.number("offset", 0)?;
            let values: Option<Vec<_>> = command.list("values").iter().map(bytes).collect();
            let values = values
                .filter(|values| !values.is_empty())
                .ok_or("values are missing")?;
            for value in &values {
                within(offset, value.len())?;
            }
            let page = page(frontend, command)?.clone();
            frontend.flip(page, offset, values);
            done
        }
        "rewrite" => {
            let values = command.list("values").iter().filter_map(Value::as_str);
            let values: Vec<_> = values.map(str::to_owned).collect();
            if values.is_empty() {
                return Err("values are missing".to_owned());
            }
            frontend.rewrite(command.text("key")?, values);
            done
        }
        "calm" => json!({ "rounds": frontend.background.stop().map_err(io_error)? }),
        "listen" => {
            let end = Instant::now() + time(command, 0.0)?;
            while frontend
                .listen(end.saturating_duration_since(Instant::now()))
                .map_err(io_error)?
            {}
            json!({ "heard": frontend.heard(port(frontend, command)?) })
        }
        "exchange" => rounds::exchange(frontend, command)?,
        "fuzz" => rounds::fuzz(frontend, command)?,
        "round" => rounds::round(command)?,
        "replay" => rounds::replay(frontend, command)?,
        other => return Err(format!("there is no command {other}")),
    })
}

fn within(offset: usize, len: usize) -> Result<(), String> {
    match offset.checked_add(len) {
        Some(end) if end <= PAGE => Ok(()),
        _ => Err(format!("{len} bytes at {offset} are not in a page")),
    }
}

pub(crate) fn time(command: &Arguments<'_>, default: f64) -> Result<Duration, String> {
    Ok(Duration::from_secs_f64(
        command.seconds("seconds", default)?,
    ))
}

fn queue(frontend: &Frontend, command: &Arguments<'_>) -> Result<usize, String> {
    let queue = command.number("queue", 0)?;
    if queue < frontend.queues.len() {
        Ok(queue)
    } else {
        Err(format!("there is no queue {queue}"))
    }
}

fn port(frontend: &Frontend, command: &Arguments<'_>) -> Result<u32, String> {
    let ring = command.text("ring")?;
    let port = frontend.port(ring, command.number("queue", 0)?);
    port.ok_or_else(|| format!("there is no ring {ring}"))
}

fn page<'a>(frontend: &'a mut Frontend, command: &Arguments<'_>) -> Result<&'a Arc<Page>, String> {
    if let Some(gref) = command.maybe("gref")? {
        let page = frontend.grants.get(&gref);
        return page.ok_or_else(|| format!("{gref} was not granted"));
    }
    let ring = command.text("ring")?;
    if let Some(buffer) = command.maybe("buffer")? {
        let queue = queue(frontend, command)?;
        return frontend.queues[queue]
            .buffer(ring, buffer)
            .map_err(io_error);
    }
    let ring = frontend.ring(ring, command.number("queue", 0)?);
    ring.map(|ring| ring.page())
        .ok_or_else(|| "there is no such ring".to_owned())
}

fn revoke(frontend: &mut Frontend, command: &Arguments<'_>) -> Result<(), String> {
    if let Some(gref) = command.maybe("gref")? {
        let page = frontend.grants.remove(&gref);
        return page
            .map(drop)
            .ok_or_else(|| format!("{gref} was not granted"));
    }
    let queue = queue(frontend, command)?;
    let buffer = command
        .maybe("buffer")?
        .ok_or("a ring itself is given back by release")?;
    frontend.queues[queue].revoke(command.text("ring")?, buffer);
    Ok(())
}

fn rings(frontend: &mut Frontend, command: &Arguments<'_>) -> Result<Value, String> {
    let queues = command.number("queues", 1)?;
    let keys = frontend
        .make_rings(
            queues,
            command.flag("split"),
            command.flag("control"),
            command.number("start", 0)?,
        )
        .map_err(io_error)?;
    let keys: serde_json::Map<_, _> = keys
        .into_iter()
        .map(|(key, value)| (key, value.into()))
        .collect();
    Ok(json!({ "keys": keys }))
}

fn write(frontend: &mut Frontend, command: &Arguments<'_>) -> Result<(), String> {
    let keys = command
        .get("keys")
        .and_then(Value::as_object)
        .ok_or("keys is missing")?;
    for (key, value) in keys {
        let text = match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        frontend.write(key, text.as_deref()).map_err(io_error)?;
    }
    Ok(())
}

/// A packet from its description: `frame` and `slots`, the sizes of the pieces in which it is sent; each
/// may be an object with `size` and what the request claims instead of the truth.
fn outgoing(description: &Value) -> Result<Outgoing, String> {
    let description = Arguments(description);
    let frame = description.bytes("frame")?;
    let offset = description.number("offset", 0)?;
    let mut rest = frame.as_slice();
    let mut slots = Vec::new();
    for slot in description.list("slots") {
        let slot_size = if slot.is_u64() {
            Some(slot)
        } else {
            slot.get("size")
        };
        let size = slot_size.and_then(Value::as_u64).unwrap_or(u64::MAX);
        let at = slot.get("at").and_then(Value::as_u64).unwrap_or(offset);
        let room = (PAGE as u64).saturating_sub(at);
        let (data, left) = rest.split_at(size.min(room).min(rest.len() as u64) as usize);
        rest = left;
        let claims = slot.get("claims").unwrap_or(&Value::Null);
        let claims = Arguments(claims);
        slots.push(Slot {
            data: data.to_vec(),
            offset: at.min(PAGE as u64) as u16,
            claims: Claims {
                gref: claims.maybe("gref")?,
                offset: claims.maybe("offset")?,
                flags: claims.maybe("flags")?,
                id: claims.maybe("id")?,
                size: claims.maybe("size")?,
            },
        });
    }
    if !rest.is_empty() {
        return Err(format!("{} bytes of the frame are in no slot", rest.len()));
    }
    let mut extras = Vec::new();
    for extra in description.list("extras") {
        let extra = bytes(extra).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        extras.push(extra.ok_or("an extra is not 8 bytes")?);
    }
    Ok(Outgoing {
        slots,
        flags: description.number("flags", 0)?,
        extras,
    })
}

fn send(frontend: &mut Frontend, command: &Arguments<'_>) -> Result<Value, String> {
    let queue = queue(frontend, command)?;
    let packets = command
        .list("packets")
        .iter()
        .map(outgoing)
        .collect::<Result<Vec<_>, _>>()?;
    let end = Instant::now() + time(command, 5.0)?;
    let mut done = BTreeMap::new();
    let numbers = frontend
        .send(queue, &packets, end, &mut done)
        .map_err(io_error)?;
    frontend
        .answers(queue, &numbers, end, &mut done)
        .map_err(io_error)?;
    // What did not get onto the ring is late as well.
    let statuses = (0..packets.len()).map(|packet| done.get(numbers.get(packet)?));
    Ok(json!({ "statuses": statuses.collect::<Vec<_>>() }))
}

fn receive(frontend: &mut Frontend, command: &Arguments<'_>) -> Result<Value, String> {
    let queues: Vec<usize> = match command.get("queues") {
        None => (0..frontend.queues.len()).collect(),
        Some(_) => command
            .list("queues")
            .iter()
            .filter_map(|queue| queue.as_u64()?.try_into().ok())
            .filter(|queue| *queue < frontend.queues.len())
            .collect(),
    };
    let count = command.number("count", 1)?;
    let end = Instant::now() + time(command, 5.0)?;
    let received = frontend
        .receive(&queues, count, end, command.flag("refill"))
        .map_err(io_error)?;
    let packets: Vec<Value> = received
        .iter()
        .map(|(queue, one)| describe(*queue, one))
        .collect();
    Ok(json!({ "packets": packets }))
}

fn trickle(frontend: &mut Frontend, command: &Arguments<'_>) -> Result<Value, String> {
    let queue = queue(frontend, command)?;
    let (count, window) = (command.number("count", 1)?, command.number("window", 1)?);
    let end = Instant::now() + time(command, 5.0)?;
    let received = frontend
        .trickle(queue, count, window, end)
        .map_err(io_error)?;
    let packets = received.iter().map(|one| {
        let start = &one.frame[..one.frame.len().min(HEAD)];
        json!([one.frame.len(), hex(start), one.packet.slots()])
    });
    Ok(json!({ "packets": packets.collect::<Vec<_>>() }))
}

fn overfill(frontend: &mut Frontend, command: &Arguments<'_>) -> Result<(), String> {
    let name = command.text("ring")?;
    let ring = frontend.ring(name, command.number("queue", 0)?);
    let ring = ring.ok_or_else(|| format!("there is no ring {name}"))?;
    let group = |group: &Value| group.as_array()?.iter().map(bytes).collect();
    let groups: Option<Vec<Vec<Vec<u8>>>> = command.list("groups").iter().map(group).collect();
    let groups = groups.ok_or("groups are lists of requests")?;
    if groups
        .iter()
        .flatten()
        .any(|one| one.len() != ring.kind().entry)
    {
        return Err("a request has another size".to_owned());
    }
    let fill = ring.filler(groups);
    frontend.overfill(fill, port(frontend, command)?);
    Ok(())
}

/// A received packet for the answer.
fn describe(queue: usize, received: &Received) -> Value {
    let packet = &received.packet;
    let mut answer = json!({
        "queue": queue,
        "frame": hex(&received.frame),
        "flags": packet.flags,
        "slots": packet.slots(),
        "pieces": packet.pieces.iter().map(|piece| json!([piece.offset, piece.len])).collect::<Vec<_>>(),
    });
    for (_, extra) in &packet.extras {
        match extra {
            Extra::Gso { size, kind } => answer["gso"] = json!({ "size": size, "kind": kind }),
            Extra::Hash {
                kind,
                algorithm,
                value,
            } => {
                answer["hash"] = json!({ "kind": kind, "algorithm": algorithm, "value": value });
            }
            Extra::Xdp { headroom } => answer["xdp"] = json!({ "headroom": headroom }),
        }
    }
    answer
}

fn control(frontend: &mut Frontend, command: &Arguments<'_>) -> Result<Value, String> {
    let mut data = [0; 3];
    for (word, value) in data.iter_mut().zip(command.list("data")) {
        let value = value.as_u64().and_then(|value| value.try_into().ok());
        *word = value.ok_or("data is not three words")?;
    }
    let mut granted = None;
    if command.get("page").is_some() {
        let gref = frontend
            .grant(&command.bytes("page")?, true)
            .map_err(io_error)?;
        data[0] = gref;
        granted = Some(gref);
    }
    let end = Instant::now() + time(command, 5.0)?;
    let answer = frontend
        .ask(command.number("kind", 0)?, data, end)
        .map_err(io_error)?;
    if let Some(gref) = granted {
        frontend.grants.remove(&gref);
    }
    Ok(match answer {
        None => json!({ "status": null, "data": null }),
        Some(answer) => json!({ "status": answer.status, "data": answer.data }),
    })
}

fn indices(frontend: &mut Frontend, command: &Arguments<'_>) -> Result<Value, String> {
    let kind = command.text("ring")?;
    let queue = command.number("queue", 0)?;
    let ring = frontend.ring(kind, queue).ok_or("there is no such ring")?;
    Ok(json!({ "shared": ring.indices(), "own": [ring.next(), frontend.cons(kind, queue)] }))
}
