// SPDX-License-Identifier: GPL-2.0

//! What goes on by itself while the frontend does something else.

use std::{
    io,
    sync::{
        atomic::{
            AtomicBool,
            Ordering, //
        },
        Arc, //
    },
    thread::{
        self,
        JoinHandle, //
    },
};

/// Jobs that repeat something in threads of their own, until they are stopped.
#[derive(Default)]
pub struct Background {
    stop: Arc<AtomicBool>,
    jobs: Vec<JoinHandle<io::Result<u64>>>,
}

impl Background {
    /// Does `step` again and again; it is told how often it was done before.
    pub fn start(&mut self, mut step: impl FnMut(u64) -> io::Result<()> + Send + 'static) {
        let stop = self.stop.clone();
        self.jobs.push(thread::spawn(move || {
            let mut done = 0;
            while !stop.load(Ordering::Relaxed) {
                step(done)?;
                done += 1;
            }
            Ok(done)
        }));
    }

    /// Stops all jobs; returns how often each did its step. The error is that of the first that failed.
    pub fn stop(&mut self) -> io::Result<Vec<u64>> {
        self.stop.store(true, Ordering::Relaxed);
        let ended: Vec<_> = self.jobs.drain(..).map(JoinHandle::join).collect();
        self.stop = Arc::default();
        let lost = |_| Err(io::Error::other("a job has panicked"));
        ended
            .into_iter()
            .map(|job| job.unwrap_or_else(lost))
            .collect()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Nobody is left who could be told.
        let _ = self.stop();
    }
}
