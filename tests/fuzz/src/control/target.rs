// SPDX-License-Identifier: GPL-2.0

//! Requests of the control ring, one after the other, and the memory that they name.
//!
//! A request is 16 bytes, behind which stand what its grant has: as many bytes as are asked for, or too
//! few, which stands for a grant that cannot be read.

use super::request::serve;
use crate::{
    steering::{
        Settings,
        MAX_MAPPING, //
    },
    wire::ControlRequest, //
};

pub(crate) fn run(data: &[u8]) {
    let Some((&queues, mut rest)) = data.split_first() else {
        return;
    };
    let queues = u16::from(queues).max(1);
    let mut settings = Settings::NONE;
    while let Some((slot, behind)) = rest.split_first_chunk::<16>() {
        rest = behind;
        let request = ControlRequest::decode(slot);
        let before = settings;
        let result = serve(&mut settings, queues, &request, |_, to| {
            let Some((page, behind)) = rest.split_at_checked(to.len()) else {
                return false;
            };
            assert!(to.len() <= 512, "more than a small piece of a page is read");
            to.copy_from_slice(page);
            rest = behind;
            true
        });
        if result.is_err() {
            assert_eq!(settings, before, "a refused request changes nothing");
        }
        let entries = settings.mapping.entries();
        assert!(entries.len() <= MAX_MAPPING);
        assert!(entries.iter().all(|queue| *queue < queues));
        let reply = request.reply(result);
        assert_eq!(reply[..4], slot[..4], "the answer names its request");
        assert_eq!(reply[4..8] == [0; 4], result.is_ok());
    }
}
