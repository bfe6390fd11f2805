# SPDX-License-Identifier: GPL-2.0
"""Trace events tell what happens to an interface, and every dropped packet has a reason."""

import re
import struct
import time
from pathlib import Path

from rig import driver, guest, vif
from rig.checks import run as command
from rig.frontend import NAME, Frontend, Rings
from rig.trace import Losses
from rig.traffic import ping, rain

LIMIT = 150
ONLY_WITH = "rust"
EXPECTED_MESSAGES = (r"vif-0-0|vif0\.0|vif \S+: ",)
OURS = "xen_netback_rs"
# With these a scenario need not wait long for a guest to stall.
DRAIN, STALL = 300, 1500
# Packets per second to a guest that does not take them: few enough to be recorded.
RATE = 400
# Flags of requests, and where the test keeps its frame: behind the slots of the ring page.
CSUM_BLANK, DATA_VALIDATED, EXTRA_INFO = 1, 2, 8
FRAME = 3200


def flows(t, trace):
    """A guest attaches, stalls, receives again, and goes."""
    link = vif.attach(guest.get("pv1"), number=2)
    queues = Path("/sys/module/xen_netback_rs/parameters/max_queues").read_text().strip()
    t.equal("attach", trace.seen("netback_attach"), [f"dev={link.name} queues={queues}"])
    t.equal("connect", trace.seen("netback_connect"), [f"dev={link.name} queues=1"])
    ping(link.address, count=3)
    copies = trace.seen("netback_copy")
    for way in ("to-guest", "from-guest"):
        t.check(f"copies {way}", any(re.fullmatch(rf"dev={link.name} queue=0 {way} packets=[1-9]\d* operations=[1-9]\d*", one)
                                     for one in copies), copies[:5])
    trace.clear()

    link.guest.pause()
    with rain(link.address, per_second=RATE):
        t.eventually("expire", 15, lambda: trace.seen("netback_expire"))
        t.check("of which packet", re.fullmatch(rf"dev={link.name} queue=0 len=\d+", trace.seen("netback_expire")[0]))
        t.eventually("expired packets are dropped because the ring is full", 5, lambda: "FULL_RING" in trace.reasons())
        t.eventually("stall", 10, lambda: trace.seen("netback_stall"))
        t.check("of which queue", re.fullmatch(rf"dev={link.name} queue=0 slots=\d+", trace.seen("netback_stall")[0]))
        t.eventually("what waited then is purged", 3, lambda: "QUEUE_PURGE" in trace.reasons() and trace.reasons())
    link.guest.unpause()
    t.eventually("recover", 10, lambda: trace.seen("netback_recover") == [f"dev={link.name} queue=0"])
    link.wait_connected()
    link.detach()
    t.equal("disconnect", trace.seen("netback_disconnect"), [f"dev={link.name} queues=1"])
    trace.clear()


def bad_packets(t, trace):
    """A frontend in dom0 sends what cannot be delivered, and at last what it must not."""
    rings, frontend = Rings(), Frontend()
    frontend.wait(2)
    frontend.publish(rings.keys())
    frontend.switch(4)
    frontend.wait(4)
    Path(f"/proc/sys/net/ipv6/conf/{NAME}/disable_ipv6").write_text("1")
    command("ip", "link", "set", NAME, "up")
    page, own = rings.pages[0], rings.references[0]
    # Of a protocol that nobody knows.
    page[FRAME:FRAME + 14] = bytes.fromhex("feffffffffff 00163e000001 88b5")
    sent = 0

    def send(*slots):
        nonlocal sent
        for slot in slots:
            page[64 + 12 * sent:64 + 12 * sent + len(slot)] = slot
            sent += 1
        page[0:4] = struct.pack("=I", sent)
        rings.notify()

    def request(gref, flags, offset=FRAME):
        return struct.pack("=IHHHH", gref, offset, flags, sent, 60)

    def expect(what, reason, *slots):
        trace.clear()
        send(*slots)
        t.eventually(f"{what}: {reason}", 5, lambda: trace.reasons() == {reason})
        t.equal("answered", struct.unpack_from("=I", page, 8)[0], sent)

    expect("an unknown protocol is nobody's", "UNHANDLED_PROTO", request(own, 0))
    expect("a page that was not granted", "SKB_UCOPY_FAULT", request(60000, 0))
    expect("a blank checksum of no protocol", "DEV_HDR", request(own, CSUM_BLANK | DATA_VALIDATED))
    gso = struct.pack("=BBHBBH", 1, 0, 1448, 1, 0, 0) + bytes(4)
    expect("segments of no protocol", "SKB_BAD_GSO", request(own, CSUM_BLANK | DATA_VALIDATED | EXTRA_INFO), gso)
    send(request(own, 0, offset=4090))
    t.eventually("fault", 5, lambda: trace.seen("netback_fault") == [f'dev={NAME} fault="slot crosses page boundary"'])
    frontend.remove()
    rings.close()


def run(t):
    driver.unload("rust")
    driver.unload("c")
    driver.load("rust", f"rx_drain_timeout_msecs={DRAIN}", f"rx_stall_timeout_msecs={STALL}")
    with Losses(OURS) as trace:
        flows(t, trace)
        time.sleep(0.2)
        bad_packets(t, trace)
