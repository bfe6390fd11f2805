# SPDX-License-Identifier: GPL-2.0
"""Boots a kernel in QEMU without hardware virtualisation, as Xen's dom0 or alone.

Runs inside the build root. What a run needs goes into a small second disk (a tar archive), which
the initramfs unpacks to /rig; dom0 answers on its second serial port with one JSON object a line.
"""

import json
import os
import queue
import shutil
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
SCENARIOS = TESTS / "scenarios"
RECORDS = TESTS.parent / "conformance/records"
ATTACKS = TESTS.parent / "hostile/attacks"
CORPUS = TESTS.parent / "hostile/corpus"
XNB = Path("/xnb")

# What dom0 loads besides the driver under test, with what these depend on.
MODULES = """virtio_blk ext4 xen-netback xen-netfront xen-gntdev xen-evtchn xen-privcmd xenfs
    xen-gntalloc xen-blkback xen-blkfront overlay bridge openvswitch bonding macvlan netconsole tun veth
    dummy 8021q sch_tbf sch_netem""".split()


class Kernel:
    """A kernel that can be booted: its image and its modules."""

    def __init__(self, name):
        self.name = name
        if name == "stock":
            self.modules_root = XNB / "stock/usr"
            self.release = os.environ["KREL"]
            self.image = self.modules_root / "lib/modules" / self.release / "vmlinuz"
        else:
            part = XNB / f"{name}-kernel"
            self.modules_root = part / "modules"
            self.release = (part / "release").read_text().strip()
            self.image = part / "vmlinuz"

    def module_files(self):
        """The files of MODULES and of what they depend on; none for what is built in."""
        files = set()
        for module in MODULES:
            shown = subprocess.run(
                ["modprobe", "-d", self.modules_root, "-S", self.release, "--show-depends", module],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            files.update(line.split()[1] for line in shown.stdout.splitlines()
                         if line.startswith("insmod "))
        return [Path(file) for file in sorted(files)]

    def initramfs(self, folder):
        """Writes the initramfs for this kernel; returns its path."""
        tree = folder / "initramfs"
        modules = tree / "lib/modules" / self.release
        for name in ("bin", "proc", "sys", "dev", "root", "rig"):
            (tree / name).mkdir(parents=True)
        modules.mkdir(parents=True)
        shutil.copy(XNB / "dom0/usr/bin/busybox", tree / "bin")
        shutil.copy(TESTS / "dom0/initramfs-init", tree / "init")
        for file in self.module_files():
            if file.suffix == ".xz":
                with open(modules / file.stem, "wb") as out:
                    subprocess.run(["xz", "-dc", file], stdout=out, check=True)
            else:
                shutil.copy(file, modules)
        for listing in (self.modules_root / "lib/modules" / self.release).glob("modules.builtin*"):
            shutil.copy(listing, modules)
        (modules / "modules.order").touch()
        subprocess.run(["depmod", "-b", tree, self.release], check=True)
        image = folder / "initramfs.img"
        with open(image, "wb") as out:
            subprocess.run("find . | cpio -o -H newc --quiet", shell=True, cwd=tree, stdout=out, check=True)
        return image


class Machine:
    """One boot. `events()` yields what dom0 reports until it has ended or the time is over.

    With `instruction_time` the machine's time goes by what its processors execute, one after the other: an instruction
    takes two nanoseconds, whichever it is and whatever else this computer does."""

    def __init__(self, kernel, job, files=(), log=None, xen=True, dom0_vcpus=1, interactive=False, qemu_options=(),
                 instruction_time=False):
        self.log = Path(log)
        self.folder = Path(tempfile.mkdtemp(prefix="boot.", dir=XNB / "cache/run"))
        self.reports = queue.Queue()
        disk = self.folder / "files.tar"
        (self.folder / "job.json").write_text(json.dumps(job))
        with tarfile.open(disk, "w") as tar:
            tar.add(TESTS / "dom0", "dom0")
            for folder in (SCENARIOS, RECORDS, ATTACKS, CORPUS):
                tar.add(folder, folder.name)
            tar.add(XNB / "guest", "guest")
            tar.add(TESTS / "guest", "guest-files")
            stock = XNB / "stock/usr/lib/modules" / os.environ["KREL"]
            tar.add(stock / "vmlinuz", "guest/vmlinuz")
            for module in ("xen-evtchn", "xen-gntalloc"):
                tar.add(stock / f"kernel/drivers/xen/{module}.ko.xz", f"guest/{module}.ko.xz")
            # For a driver domain, which has dom0's modules.
            tar.add(kernel.image, "dom0-vmlinuz")
            tar.add(self.folder / "job.json", "job.json")
            for file in files:
                tar.add(file, Path(file).name)
        # A virtio disk is a whole number of sectors, which tar's blocks are.
        initramfs = kernel.initramfs(self.folder)
        clock = ["-accel", "tcg,thread=single", "-icount", "shift=1"] if instruction_time else [
            "-accel", "tcg,thread=multi"]
        qemu = ["qemu-system-x86_64", *clock, "-cpu", os.environ["QEMU_CPU"],
                "-m", "4G", "-smp", "2", "-display", "none", "-monitor", "none", "-no-reboot",
                "-nic", "none",
                "-drive", "file=/xnb/dom0-disk/disk,if=virtio,format=raw,snapshot=on,cache=unsafe",
                "-drive", f"file={disk},if=virtio,format=raw,read-only=on",
                # The root of a driver domain.
                "-drive", "file=/xnb/dom0-disk/disk,if=virtio,format=raw,read-only=on"]
        self.console = self.folder / "console"
        qemu += ["-chardev", f"socket,id=console,path={self.console},server=on,wait=off,logfile={self.log}",
                 "-serial", "chardev:console", "-serial", "mon:stdio" if interactive else "stdio"]
        self.log.unlink(missing_ok=True)
        options = "ignore_loglevel mitigations=off oops=panic panic=1 kunit.enable=0"
        if xen:
            qemu += ["-kernel", XNB / "stock/xen", "-append",
                     f"dom0_mem=1400M,max:1400M dom0_max_vcpus={dom0_vcpus} console=com1 "
                     "com1=115200,8n1 noreboot=1 loglvl=warning guest_loglvl=error",
                     "-initrd", f"{kernel.image} console=hvc0 {options},{initramfs}"]
        else:
            qemu += ["-kernel", kernel.image, "-append", f"console=ttyS0 {options}",
                     "-initrd", initramfs]
        qemu += qemu_options
        streams = {} if interactive else {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(qemu, **streams)
        if not interactive:
            threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            try:
                self.reports.put(json.loads(line))
            except ValueError:
                pass  # The firmware greets on every serial port.
        self.reports.put(None)

    def events(self, boot_limit=400):
        """Yields dom0's reports. Each tells how long the next may take; the first is due within
        `boot_limit` seconds. The last one is {"event": "lost", "why": ...} unless dom0 said "end"."""
        limit = boot_limit
        start = time.monotonic()
        while True:
            try:
                report = self.reports.get(timeout=limit)
            except queue.Empty:
                self._ask_xen()
                yield {"event": "lost", "why": f"nothing heard from dom0 for {limit} s"}
                return
            if report is None:
                yield {"event": "lost", "why": f"the machine stopped after {time.monotonic() - start:.0f} s"}
                return
            yield report
            if report["event"] == "end":
                return
            limit = report.get("limit", limit)

    def _ask_xen(self):
        """Has Xen write into the log where dom0's processors are, and what its domains wait for."""
        with socket.socket(socket.AF_UNIX) as console:
            console.connect(str(self.console))
            # Three times Ctrl-a makes the console Xen's, whose keys are single letters.
            for keys in (b"\x01\x01\x01", b"0", b"q"):
                console.sendall(keys)
                time.sleep(5)

    def close(self):
        """Ends QEMU, and removes what this run wrote except its log."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def console_tail(log, lines=15):
    """The end of a console log, without empty lines."""
    text = Path(log).read_text(errors="replace") if Path(log).exists() else ""
    return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]
