// SPDX-License-Identifier: GPL-2.0

//! The guest's end of a ring, as correct and as sparing as the protocol allows: it posts one request
//! at a time, notifies only if asked, and sleeps until it is notified.

use std::{
    rc::Rc,
    sync::Arc, //
};

use kernel::{
    bindings::Line,
    io::SharedPage, //
};
use loom::sync::atomic::{
    fence,
    Ordering, //
};

const REQ_PROD: usize = 0;
const REQ_EVENT: usize = 1;
const RSP_PROD: usize = 2;
const RSP_EVENT: usize = 3;

/// One ring.
#[derive(Clone)]
pub(crate) struct Frontend {
    page: Arc<SharedPage>,
    line: Rc<Line>,
    req_prod: u32,
    rsp_cons: u32,
}

impl Frontend {
    pub(crate) fn new(page: &Arc<SharedPage>, line: &Rc<Line>, start: u32) -> Self {
        Self {
            page: page.clone(),
            line: line.clone(),
            req_prod: start,
            rsp_cons: start,
        }
    }

    fn load(&self, place: usize) -> u32 {
        self.page.index(place).load(Ordering::Relaxed)
    }

    fn store(&self, place: usize, value: u32) {
        self.page.index(place).store(value, Ordering::Relaxed);
    }

    /// Posts a request with the id `id`, and notifies the backend if it has asked for that.
    pub(crate) fn post(&mut self, id: u16) {
        let [id0, id1] = id.to_ne_bytes();
        self.page.write(self.req_prod, [id0, id1, 0, 0, 0, 0, 0, 0]);
        let old = self.req_prod;
        let new = old.wrapping_add(1);
        self.req_prod = new;
        fence(Ordering::Release);
        self.store(REQ_PROD, new);
        fence(Ordering::SeqCst);
        if new.wrapping_sub(self.load(REQ_EVENT)) < new.wrapping_sub(old) {
            self.line.notify_backend();
        }
    }

    /// Waits for the next response, and returns its id.
    pub(crate) fn wait(&mut self) -> u16 {
        while self.load(RSP_PROD) == self.rsp_cons {
            self.store(RSP_EVENT, self.rsp_cons.wrapping_add(1));
            fence(Ordering::SeqCst);
            if self.load(RSP_PROD) != self.rsp_cons {
                break;
            }
            self.line.wait_for_backend();
        }
        fence(Ordering::Acquire);
        let [id0, id1] = self.page.read(self.rsp_cons);
        self.rsp_cons = self.rsp_cons.wrapping_add(1);
        u16::from_ne_bytes([id0, id1])
    }
}
