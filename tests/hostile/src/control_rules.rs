// SPDX-License-Identifier: GPL-2.0

//! The rules of the control ring.

use std::collections::VecDeque;

use crate::{
    rules::{
        published,
        Findings,
        Rule, //
    },
    wire::{
        ControlResponse,
        CONTROL, //
    },
};

/// The highest status there is.
const LAST_STATUS: u32 = 3;

/// What is outstanding on a control ring.
#[derive(Debug, Default)]
pub struct ControlRules {
    /// Responses are read up to here.
    pub cons: u32,
    /// The id and the type of each request that is not answered.
    outstanding: VecDeque<(u16, u16)>,
}

impl ControlRules {
    /// The rules of a fresh ring whose indices begin at `start`.
    pub fn starting_at(start: u32) -> Self {
        Self {
            cons: start,
            ..Self::default()
        }
    }

    /// A request is on the ring.
    pub fn asked(&mut self, id: u16, kind: u16) {
        self.outstanding.push_back((id, kind));
    }

    /// Reads what is published up to `rsp_prod`: the responses, oldest first.
    pub fn published(
        &mut self,
        rsp_prod: u32,
        mut response: impl FnMut(u32) -> ControlResponse,
        findings: &mut Findings,
    ) -> Vec<ControlResponse> {
        let req_prod = self.cons.wrapping_add(self.outstanding.len() as u32);
        let count = published(CONTROL.name, self.cons, rsp_prod, req_prod, findings);
        let mut answers = Vec::new();
        for asked in self.outstanding.drain(..count.unwrap_or(0) as usize) {
            let answer = response(self.cons);
            self.cons = self.cons.wrapping_add(1);
            findings.check(
                (answer.id, answer.kind) == asked,
                Rule::ControlMismatch,
                || format!("(id, type) {:?} answer {asked:?}", (answer.id, answer.kind)),
            );
            findings.check(answer.status <= LAST_STATUS, Rule::ControlStatus, || {
                format!("status {}", answer.status)
            });
            answers.push(answer);
        }
        answers
    }
}
