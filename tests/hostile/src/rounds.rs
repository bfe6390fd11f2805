// SPDX-License-Identifier: GPL-2.0

//! The commands by which a frontend is left to itself.

use std::{
    fs::OpenOptions,
    io::Write,
    time::Instant, //
};

use serde_json::{
    json,
    Value, //
};

use crate::{
    action::{
        Round,
        World, //
    },
    commands::{
        io_error,
        time, //
    },
    exchange,
    frontend::Frontend,
    json::Arguments,
    ping::Ends,
    player::Player,
    random,
};

/// Numbers between separators, in a radix.
fn numbers<const N: usize>(text: &str, separator: char, radix: u32) -> Option<[u8; N]> {
    let numbers: Option<Vec<u8>> = text
        .split(separator)
        .map(|number| u8::from_str_radix(number, radix).ok())
        .collect();
    numbers?.try_into().ok()
}

fn ends(command: &Arguments<'_>) -> Result<Ends, String> {
    let mac =
        |name| numbers(command.text(name)?, ':', 16).ok_or(format!("{name} is no MAC address"));
    let address =
        |name| numbers(command.text(name)?, '.', 10).ok_or(format!("{name} is no address"));
    Ok(Ends {
        mac: mac("mac")?,
        address: address("address")?,
        host_mac: mac("host_mac")?,
        host: address("host")?,
    })
}

fn world(command: &Arguments<'_>) -> Result<World, String> {
    Ok(World {
        queues: command.number("queues", 1)?,
        alone: command.flag("alone"),
        toolstack: command.get("toolstack").is_some(),
    })
}

fn player<'a>(frontend: &'a mut Frontend, command: &Arguments<'_>) -> Result<Player<'a>, String> {
    let toolstack = command.text("toolstack").ok().map(str::to_owned);
    Player::new(frontend, ends(command)?, toolstack)
}

/// What `player` has done, and what has failed in which round.
fn told(player: &Player<'_>, rounds: u64, failed: Option<(u64, String)>) -> Value {
    json!({
        "rounds": rounds,
        "actions": player.done.actions,
        "hostile": player.done.hostile,
        "connections": player.connections,
        "faults": player.faults,
        "failed": failed.map(|(round, why)| json!({ "round": round, "why": why })),
    })
}

/// Packets to the host and back.
pub fn exchange(frontend: &mut Frontend, command: &Arguments<'_>) -> Result<Value, String> {
    let end = Instant::now() + time(command, 5.0)?;
    let (window, most) = (
        command.number("window", 1)?,
        command.number("most", u64::MAX)?,
    );
    let back =
        exchange::exchange(frontend, &ends(command)?, window, most, end).map_err(io_error)?;
    Ok(json!({ "back": back }))
}

/// Plays rounds of a seed until the time is over, or until one fails.
pub fn fuzz(frontend: &mut Frontend, command: &Arguments<'_>) -> Result<Value, String> {
    let (seed, first) = (command.number("seed", 0)?, command.number("first", 0u64)?);
    let most = command.number("rounds", u64::MAX)?;
    let world = world(command)?;
    let end = Instant::now() + time(command, 5.0)?;
    // Tells whoever reads the log of a machine that has died what it has died of.
    let mut journal = OpenOptions::new().write(true).open("/dev/kmsg").ok();
    let mut player = player(frontend, command)?;
    let mut rounds = 0;
    loop {
        // It proves the round before, too.
        let number = first + rounds;
        let round = random::round(seed, number, world);
        if let Err(why) = player.prove(round.layout) {
            return Ok(told(&player, rounds, Some((number.saturating_sub(1), why))));
        }
        if rounds >= most || Instant::now() > end {
            return Ok(told(&player, rounds, None));
        }
        if let Some(journal) = &mut journal {
            // It may be refused: the kernel limits what programs write.
            let line = format!("frontend: seed {seed} round {number}\n");
            let _ = journal.write_all(line.as_bytes());
        }
        if let Err(why) = player.play(&round, end) {
            return Ok(told(&player, rounds, Some((number, why))));
        }
        rounds += 1;
    }
}

/// The actions of a round.
pub fn round(command: &Arguments<'_>) -> Result<Value, String> {
    let (seed, number) = (command.number("seed", 0)?, command.number("number", 0)?);
    Ok(json!({ "round": random::round(seed, number, world(command)?) }))
}

/// Plays one round as it is given.
pub fn replay(frontend: &mut Frontend, command: &Arguments<'_>) -> Result<Value, String> {
    let round = command.get("round").ok_or("round is missing")?;
    let round: Round = serde_json::from_value(round.clone()).map_err(|error| error.to_string())?;
    let end = Instant::now() + time(command, 5.0)?;
    let mut player = player(frontend, command)?;
    let played = player
        .prove(round.layout)
        .and_then(|()| player.play(&round, end))
        .and_then(|()| player.prove(round.layout));
    let failed = played.err().map(|why| (0, why));
    Ok(told(&player, u64::from(failed.is_none()), failed))
}
