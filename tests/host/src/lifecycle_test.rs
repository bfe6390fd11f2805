// SPDX-License-Identifier: GPL-2.0

//! The life cycle against the protocol's table, and every short history of a device.

use crate::lifecycle::*;

use State::*;

/// What a device was told, in words: `connect`, `disconnect`, `refresh`, `settle`, `reconfigure`, `reject N`, or the
/// number of a published state.
struct Recorder {
    log: Vec<String>,
    connects: bool,
    online: bool,
    connected: bool,
    /// The connection was found broken.
    broken: bool,
}

impl Recorder {
    fn new() -> Self {
        Self {
            log: Vec::new(),
            connects: true,
            online: true,
            connected: false,
            broken: false,
        }
    }

    fn note(&mut self, entry: impl Into<String>) {
        assert!(self.log.len() < 100, "never arrives");
        self.log.push(entry.into());
    }

    fn take(&mut self) -> String {
        std::mem::take(&mut self.log).join(" ")
    }
}

impl Device for Recorder {
    fn connect(&mut self) -> bool {
        assert!(!self.connected, "connected twice");
        self.connected = self.connects;
        self.note("connect");
        self.connects
    }

    fn disconnect(&mut self) {
        assert!(self.connected, "disconnected without a connection");
        self.connected = false;
        self.broken = false;
        self.note("disconnect");
    }

    fn publish(&mut self, state: State) {
        if self.broken {
            assert_eq!(state, Closing, "a broken connection is shown as one");
        } else {
            assert_eq!(
                self.connected,
                state == Connected,
                "publishes what is not so"
            );
        }
        self.note((state as u32).to_string());
    }

    fn refresh(&mut self) {
        assert!(self.connected, "refreshed without a connection");
        self.note("refresh");
    }

    fn settle(&mut self) {
        self.note("settle");
    }

    fn reconfigure(&mut self) {
        self.note("reconfigure");
    }

    fn reject(&mut self, frontend: u32) {
        self.note(format!("reject {frontend}"));
    }

    fn online(&mut self) -> bool {
        self.note("online?");
        self.online
    }
}

/// A device that got to `state` in the usual way, with the hotplug script done.
fn device_in(state: State) -> (Lifecycle, Recorder) {
    let (mut lifecycle, mut device) = (Lifecycle::new(), Recorder::new());
    if state != Initialising {
        lifecycle.go(InitWait, &mut device);
    }
    if matches!(state, Connected | Closing | Closed) {
        lifecycle.go(Connected, &mut device);
        lifecycle.hotplug_connected(&mut device);
    }
    if state != InitWait {
        lifecycle.go(state, &mut device);
    }
    assert_eq!(lifecycle.is_connected(), state == Connected);
    device.take();
    (lifecycle, device)
}

const GOALS: [State; 4] = [InitWait, Connected, Closing, Closed];

/// From a state, for each of the goals, the one step towards it.
#[rustfmt::skip]
const TABLE: [(State, [&str; 4]); 5] = [
    //              InitWait        Connected    Closing         Closed
    (Initialising, ["2",            "2",         "2",            "6"]),
    (InitWait,     ["",             "connect 4", "5",            "5"]),
    (Connected,    ["disconnect 5", "",          "disconnect 5", "disconnect 5"]),
    (Closing,      ["6",            "6",         "",             "6"]),
    (Closed,       ["2",            "2",         "5",            ""]),
];

fn published(step: &str) -> Option<State> {
    let number = step.rsplit(' ').next()?;
    GOALS
        .into_iter()
        .find(|state| (*state as u32).to_string() == number)
}

#[test]
fn table() {
    for (from, _) in TABLE {
        for (column, goal) in GOALS.into_iter().enumerate() {
            let mut expected = Vec::new();
            let mut state = from;
            loop {
                let (_, steps) = TABLE.into_iter().find(|row| row.0 == state).expect("a row");
                let Some(next) = published(steps[column]) else {
                    break;
                };
                expected.push(steps[column]);
                state = next;
            }
            assert_eq!(state, goal);
            assert!(expected.len() <= 6);

            let (mut lifecycle, mut device) = device_in(from);
            lifecycle.go(goal, &mut device);
            lifecycle.hotplug_connected(&mut device);
            assert_eq!(
                device.take(),
                expected.join(" "),
                "from {from:?} to {goal:?}"
            );
            assert_eq!(lifecycle.is_connected(), goal == Connected);

            lifecycle.go(goal, &mut device);
            assert_eq!(device.take(), "", "arriving twice");
        }
    }
}

#[test]
fn nothing_leads_back_to_the_start() {
    for (from, _) in TABLE {
        let (mut lifecycle, mut device) = device_in(from);
        lifecycle.go(Initialising, &mut device);
        assert_eq!(device.take(), "");
    }
}

#[test]
fn follows_the_frontend() {
    let follow = |from, frontend, online| {
        let (mut lifecycle, mut device) = device_in(from);
        device.online = online;
        let fate = lifecycle.frontend_changed(frontend, &mut device);
        lifecycle.hotplug_connected(&mut device);
        (device.take(), fate)
    };
    let keeps = |log: &str| (log.to_string(), Fate::Keep);
    let goes = |log: &str| (log.to_string(), Fate::Unregister);

    assert_eq!(follow(Connected, 0, true), goes("disconnect 5 6"));
    assert_eq!(follow(Closed, 0, true), goes(""));
    assert_eq!(follow(Closed, 1, true), keeps("2"));
    assert_eq!(follow(Connected, 1, true), keeps("disconnect 5 6 2"));
    assert_eq!(follow(Connected, 2, true), keeps("reject 2 disconnect 5"));
    assert_eq!(follow(InitWait, 3, true), keeps(""));
    assert_eq!(follow(Connected, 3, true), keeps(""));
    assert_eq!(follow(InitWait, 4, true), keeps("connect 4"));
    assert_eq!(follow(Connected, 4, true), keeps("refresh settle"));
    assert_eq!(follow(Connected, 5, true), keeps("disconnect 5"));
    assert_eq!(follow(Connected, 6, true), keeps("disconnect 5 6 online?"));
    assert_eq!(follow(Connected, 6, false), goes("disconnect 5 6 online?"));
    assert_eq!(follow(Closing, 6, true), keeps("6 online?"));
    assert_eq!(follow(Connected, 7, true), keeps("refresh reconfigure"));
    assert_eq!(follow(InitWait, 7, true), keeps("reconfigure"));
    assert_eq!(follow(Closed, 7, true), keeps("reconfigure"));
    assert_eq!(follow(Connected, 8, true), keeps("reject 8 disconnect 5"));
    assert_eq!(
        follow(Connected, u32::MAX, true),
        keeps("reject 4294967295 disconnect 5")
    );
}

#[test]
fn reconfigured_stays_shown_for_connected() {
    let (mut lifecycle, mut device) = device_in(Connected);
    for _ in 0..2 {
        let _ = lifecycle.frontend_changed(7, &mut device);
        lifecycle.hotplug_connected(&mut device);
        assert_eq!(device.take(), "refresh reconfigure");
        let _ = lifecycle.frontend_changed(4, &mut device);
        assert_eq!(device.take(), "refresh settle");
    }

    // Where it stands for nothing else, the state is shown again.
    let (mut lifecycle, mut device) = device_in(InitWait);
    let _ = lifecycle.frontend_changed(7, &mut device);
    assert_eq!(device.take(), "reconfigure");
    let _ = lifecycle.frontend_changed(1, &mut device);
    assert_eq!(device.take(), "2");

    // Other ways to go on.
    for (frontend, expected) in [
        (5, "disconnect 5"),
        (6, "disconnect 5 6 online?"),
        (1, "disconnect 5 6 2"),
    ] {
        let (mut lifecycle, mut device) = device_in(Connected);
        let _ = lifecycle.frontend_changed(7, &mut device);
        assert_eq!(device.take(), "refresh reconfigure");
        let _ = lifecycle.frontend_changed(frontend, &mut device);
        assert_eq!(device.take(), expected);
    }
}

#[test]
fn failed_connect_ends_in_closing_and_can_be_repeated() {
    let (mut lifecycle, mut device) = device_in(InitWait);
    device.connects = false;
    let _ = lifecycle.frontend_changed(4, &mut device);
    assert_eq!(device.take(), "connect 5");
    let _ = lifecycle.frontend_changed(4, &mut device);
    assert_eq!(device.take(), "6 2 connect 5");

    device.connects = true;
    for frontend in [5, 6, 1, 4] {
        let _ = lifecycle.frontend_changed(frontend, &mut device);
    }
    assert_eq!(device.take(), "6 online? 2 connect");
    lifecycle.hotplug_connected(&mut device);
    assert_eq!(device.take(), "4");
}

#[test]
fn a_script_of_which_nothing_is_known_ends_the_connection() {
    let (mut lifecycle, mut device) = (Lifecycle::new(), Recorder::new());
    lifecycle.go(InitWait, &mut device);
    assert!(!lifecycle.waits_for_hotplug());
    let _ = lifecycle.frontend_changed(4, &mut device);
    assert!(lifecycle.waits_for_hotplug());
    device.take();

    lifecycle.fail(&mut device);
    assert_eq!(device.take(), "disconnect 5");
    assert!(!lifecycle.waits_for_hotplug());
    lifecycle.hotplug_connected(&mut device);
    assert_eq!(device.take(), "");
    let _ = lifecycle.frontend_changed(6, &mut device);
    let _ = lifecycle.frontend_changed(1, &mut device);
    assert_eq!(device.take(), "6 online? 2");
}

#[test]
fn hotplug_holds_back_and_shows_the_last_state() {
    let (mut lifecycle, mut device) = device_in(InitWait);
    lifecycle.hotplug_connected(&mut device);
    assert_eq!(
        device.take(),
        "",
        "the script may be faster than the frontend"
    );

    let _ = lifecycle.frontend_changed(4, &mut device);
    assert_eq!(device.take(), "connect");
    let _ = lifecycle.frontend_changed(6, &mut device);
    assert_eq!(device.take(), "disconnect online?");
    lifecycle.hotplug_connected(&mut device);
    assert_eq!(device.take(), "6");
    lifecycle.hotplug_connected(&mut device);
    assert_eq!(device.take(), "");

    let _ = lifecycle.frontend_changed(1, &mut device);
    assert_eq!(device.take(), "2", "only a connection waits for the script");
}

fn break_connection(lifecycle: &mut Lifecycle, device: &mut Recorder) {
    device.broken = device.connected;
    lifecycle.break_connection(device);
}

#[test]
fn broken_connection_is_shown_until_the_frontend_closes() {
    // Even if the hotplug script is not done, nor ever after.
    let (mut lifecycle, mut device) = device_in(InitWait);
    lifecycle.go(Connected, &mut device);
    break_connection(&mut lifecycle, &mut device);
    assert_eq!(device.take(), "connect 5");
    lifecycle.hotplug_connected(&mut device);
    let _ = lifecycle.frontend_changed(4, &mut device);
    assert_eq!(device.take(), "refresh settle");
    // A frontend may wait for the answer, and is told again afterwards.
    let _ = lifecycle.frontend_changed(7, &mut device);
    assert_eq!(device.take(), "refresh reconfigure");
    let _ = lifecycle.frontend_changed(4, &mut device);
    assert_eq!(device.take(), "refresh settle 5");
    let _ = lifecycle.frontend_changed(5, &mut device);
    assert_eq!(device.take(), "disconnect 5");
    let _ = lifecycle.frontend_changed(6, &mut device);
    let _ = lifecycle.frontend_changed(1, &mut device);
    let _ = lifecycle.frontend_changed(4, &mut device);
    lifecycle.hotplug_connected(&mut device);
    assert_eq!(device.take(), "6 online? 2 connect 4");

    // Where there is no connection, nothing is broken.
    let (mut lifecycle, mut device) = device_in(InitWait);
    break_connection(&mut lifecycle, &mut device);
    assert_eq!(device.take(), "");
}

#[test]
fn failure_is_shown_at_once() {
    // A state which no frontend goes to, while nothing is published.
    let (mut lifecycle, mut device) = device_in(InitWait);
    lifecycle.go(Connected, &mut device);
    let _ = lifecycle.frontend_changed(2, &mut device);
    assert_eq!(device.take(), "connect reject 2 disconnect 5");

    // Even if the state was reached before, unseen.
    let (mut lifecycle, mut device) = device_in(InitWait);
    lifecycle.go(Connected, &mut device);
    lifecycle.go(Closing, &mut device);
    assert_eq!(device.take(), "connect disconnect");
    let _ = lifecycle.frontend_changed(8, &mut device);
    assert_eq!(device.take(), "reject 8 5");

    let (mut lifecycle, mut device) = device_in(InitWait);
    lifecycle.go(Connected, &mut device);
    device.connects = false;
    lifecycle.go(InitWait, &mut device);
    lifecycle.go(Connected, &mut device);
    assert_eq!(device.take(), "connect disconnect connect 5");
}

/// What may happen to a device.
#[derive(Clone, Copy, Debug)]
enum Event {
    Frontend(u32),
    /// The frontend goes to `Connected`, but cannot be connected to.
    BadFrontend,
    Hotplug,
    Failure,
}

/// Checks what frontends and toolstack see, whatever happens.
fn check(history: &[Event]) {
    let (mut lifecycle, mut device) = (Lifecycle::new(), Recorder::new());
    lifecycle.go(InitWait, &mut device);
    let mut shown = 1;
    let mut hotplug_done = true;
    for event in history {
        let hotplug = matches!(event, Event::Hotplug);
        device.connects = !matches!(event, Event::BadFrontend);
        match *event {
            Event::Frontend(state) => {
                let fate = lifecycle.frontend_changed(state, &mut device);
                assert_eq!(fate == Fate::Unregister, state == 0, "{history:?}");
            }
            Event::BadFrontend => {
                let _ = lifecycle.frontend_changed(4, &mut device);
            }
            Event::Hotplug => lifecycle.hotplug_connected(&mut device),
            Event::Failure => break_connection(&mut lifecycle, &mut device),
        }
        assert_eq!(lifecycle.is_connected(), device.connected, "{history:?}");
        hotplug_done |= hotplug;
        for entry in std::mem::take(&mut device.log) {
            if entry == "connect" {
                hotplug_done = false;
            }
            let Ok(state) = entry.parse::<u32>() else {
                continue;
            };
            if state == 4 {
                assert!(
                    hotplug_done,
                    "connected before the script is done: {history:?}"
                );
                assert!(shown == 2 || shown == 4 || hotplug, "{history:?}");
            }
            if shown == 4 {
                assert!(state == 4 || state == 5, "closing was skipped: {history:?}");
            }
            shown = state;
        }
    }
}

#[test]
fn every_short_history() {
    let events: Vec<_> = (0..=8)
        .map(Event::Frontend)
        .chain([Event::BadFrontend, Event::Hotplug, Event::Failure])
        .collect();
    let mut histories = vec![Vec::new()];
    for _ in 0..5 {
        histories = histories
            .iter()
            .flat_map(|history: &Vec<Event>| {
                events
                    .iter()
                    .map(|event| history.iter().copied().chain([*event]).collect())
            })
            .collect();
    }
    assert_eq!(histories.len(), 12usize.pow(5));
    histories.iter().for_each(|history| check(history));
}
