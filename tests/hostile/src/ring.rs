// SPDX-License-Identifier: GPL-2.0

//! The frontend's end of a ring.

use std::{
    io,
    sync::{
        atomic::{
            fence,
            Ordering, //
        },
        Arc, //
    },
};

use crate::{
    ffi::{
        Page,
        Sharer, //
    },
    wire::{
        Kind,
        RING_HEADER, //
    },
};

/// Where the indices lie in the page.
const REQ_PROD: usize = 0;
const REQ_EVENT: usize = 4;
const RSP_PROD: usize = 8;
const RSP_EVENT: usize = 12;

/// Where the slot of an index lies in the page.
fn place(kind: Kind, index: u32) -> usize {
    RING_HEADER + (index & (kind.entries - 1)) as usize * kind.entry
}

/// A ring as its frontend sees it. It knows by itself how far its requests go: what stands in the
/// shared page is never read back.
pub struct Ring {
    page: Arc<Page>,
    kind: Kind,
    /// Requests are written up to here.
    next: u32,
    /// Requests are published up to here.
    prod: u32,
    /// The last event that was asked for.
    rsp_event: u32,
}

impl Ring {
    /// An empty ring in a page of its own, whose indices begin at `start`: 0 with most frontends.
    pub fn new(kind: Kind, sharer: &Sharer, start: u32) -> io::Result<Self> {
        let page = Arc::new(sharer.share(true)?);
        let event = start.wrapping_add(1);
        for (at, index) in [
            (REQ_PROD, start),
            (REQ_EVENT, event),
            (RSP_PROD, start),
            (RSP_EVENT, event),
        ] {
            page.set_word(at, index);
        }
        Ok(Self {
            page,
            kind,
            next: start,
            prod: start,
            rsp_event: event,
        })
    }

    /// The page, for who wants to write to it as no frontend does.
    pub fn page(&self) -> &Arc<Page> {
        &self.page
    }

    /// What the ring is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Requests that fit when the responses have been read up to `cons`.
    pub fn room(&self, cons: u32) -> u32 {
        self.kind
            .entries
            .saturating_sub(self.next.wrapping_sub(cons))
    }

    /// The index of the next request.
    pub fn next(&self) -> u32 {
        self.next
    }

    fn at(&self, index: u32) -> usize {
        place(self.kind, index)
    }

    /// Puts `groups` of requests on the ring in turn, as long as a whole one fits, and publishes them,
    /// each time that it is called. What was answered is never read, but how far the answers go.
    pub fn filler(&self, groups: Vec<Vec<Vec<u8>>>) -> impl FnMut() {
        let (page, kind, mut prod) = (self.page.clone(), self.kind, self.prod);
        let mut turn = (0..groups.len()).cycle();
        let mut group = turn.next();
        move || {
            let end = page.word(RSP_PROD).wrapping_add(kind.entries);
            while let Some(requests) = group.map(|group| &groups[group]) {
                if (end.wrapping_sub(prod) as usize) < requests.len() {
                    break;
                }
                for request in requests {
                    page.write(place(kind, prod), request);
                    prod = prod.wrapping_add(1);
                }
                group = turn.next();
            }
            fence(Ordering::SeqCst);
            page.set_word(REQ_PROD, prod);
        }
    }

    /// Writes the next request.
    pub fn put(&mut self, request: &[u8]) {
        self.page.write(self.at(self.next), request);
        self.next = self.next.wrapping_add(1);
    }

    /// Publishes the requests; returns whether the backend has asked to be told.
    pub fn publish(&mut self) -> bool {
        let before = self.prod;
        self.prod = self.next;
        fence(Ordering::SeqCst);
        self.page.set_word(REQ_PROD, self.prod);
        fence(Ordering::SeqCst);
        let event = self.page.word(REQ_EVENT);
        self.prod.wrapping_sub(event) < self.prod.wrapping_sub(before)
    }

    /// Responses are there up to this index.
    pub fn responses(&self) -> u32 {
        let prod = self.page.word(RSP_PROD);
        fence(Ordering::SeqCst);
        prod
    }

    /// Reads the beginning of a response.
    pub fn response<const N: usize>(&self, index: u32) -> [u8; N] {
        self.page.array(self.at(index))
    }

    /// Asks to be told when the response at `cons` is there; returns how far they go by now.
    pub fn ask_event(&mut self, cons: u32) -> u32 {
        self.rsp_event = cons.wrapping_add(1);
        self.page.set_word(RSP_EVENT, self.rsp_event);
        fence(Ordering::SeqCst);
        self.responses()
    }

    /// The last event that was asked for.
    pub fn rsp_event(&self) -> u32 {
        self.rsp_event
    }

    /// The indices in the page: req_prod, req_event, rsp_prod, rsp_event.
    pub fn indices(&self) -> [u32; 4] {
        [REQ_PROD, REQ_EVENT, RSP_PROD, RSP_EVENT].map(|at| self.page.word(at))
    }
}
