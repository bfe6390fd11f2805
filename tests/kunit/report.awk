# SPDX-License-Identifier: GPL-2.0
# Reads the console of one KUnit boot of the kernel `kernel` (see init) and prints a line per suite and per check, failures with the log lines that
# explain them, and "N passed, N failed" at the end. Exit status 1 unless every test and check passed.

# A line of the kernel log which says that something went wrong, in the words of the kernel's own detectors.
function complaint(line) {
	return line ~ /BUG[: ]|WARNING: |Oops|Kernel panic|INFO: task |INFO: rcu|INFO: trying to register|UBSAN: |ODEBUG: |KFENCE|general protection fault|refcount_t: |ref_tracker: |corruption|unregister_netdevice: waiting|stalled pool|bad page|Bad page|soft lockup|hogged CPU|unable to handle|allocation failure/
}

function check(good, name, why) {
	if (good) {
		passed++
		print "ok    " name
	} else {
		failed++
		print "FAIL  " name (why == "" ? "" : ": " why)
	}
}

# Prints at most `most` of the collected lines.
function show(lines, count, most, i) {
	for (i = 1; i <= count && i <= most; i++)
		print "        " lines[i]
	if (count > most)
		print "        (" count - most " more lines in the log)"
}

function close_suite() {
	if (suite == "")
		return
	suites++
	if (suite_done != suite_plan) {
		suite_failed++
		failed++
		print "  FAIL  " suite ": " suite_done + 0 " of " suite_plan " tests reported; the next one did not come back"
	}
	print (suite_failed ? "FAIL  " : "ok    ") suite " (" suite_done + 0 " tests" (suite_skipped ? ", " suite_skipped " skipped" : "") ")"
	suite = ""
	note_count = 0
}

{
	sub(/\r+$/, "")
	if ($0 ~ /^\(XEN\)/)
		next
	tail[++tail_count % 15] = $0
	sub(/^\[ *[0-9]+\.[0-9]+\] /, "")
}

$1 == "tier:" {
	seen[$2] = 1
	if ($2 == "load")
		loading = 1
	else if ($2 == "loaded") {
		close_suite()
		loading = 0
	} else if ($3 == "failed:") {
		why[$2] = $0
		sub(/^tier: [a-z]+ failed: /, "", why[$2])
	} else if ($2 == "debug_locks" || $2 == "tainted")
		value[$2] = $3
	else if ($2 == "leak" && $3 != "boot") {
		sub(/^tier: leak /, "")
		leak[++leak_count] = $0
		if ($0 ~ /unreferenced object/)
			lost++
	}
	next
}

# What the kernel says before the module is there is not the module's, except that it died.
complaint($0) && (seen["load"] || /Kernel panic/) {
	context = ++complaints == 1 ? 24 : 8
}
context > 0 && $0 !~ /^(R[ABDS1][XPIPX0-9]: |FS: |CS: |CR2: |Code: |Hardware name: |Tainted: |Modules linked in:|---)/ {
	context--
	log_line[++log_count] = $0
}

!loading { next }

/^ *# Subtest: / {
	close_suite()
	suite = $NF
	suite_plan = suite_done = suite_failed = suite_skipped = note_count = 0
	next
}
suite == "" { next }
/^ +1\.\.[0-9]+$/ {
	suite_plan = $1
	sub(/^1\.\./, "", suite_plan)
	next
}
/^ +(not )?ok [0-9]+ / {
	suite_done++
	if ($1 == "not") {
		suite_failed++
		failed++
		print "  FAIL  " suite "." $4
		show(notes, note_count, 20)
	} else if (/# SKIP/) {
		suite_skipped++
	} else
		passed++
	note_count = 0
	next
}
/^(not )?ok [0-9]+ / {
	if ($1 == "not" && !suite_failed) {
		suite_failed++
		failed++
		print "  FAIL  " suite ": the suite failed as a whole"
		show(notes, note_count, 20)
	}
	close_suite()
	next
}
!/\.speed: / { notes[++note_count] = $0 }

END {
	close_suite()
	if (!seen["load"])
		check(0, "boot", "boot" in why ? why["boot"] : "the debug kernel did not reach the tests")
	else
		check(!("load" in why) && seen["loaded"], "module loads",
			"load" in why ? why["load"] : "it did not come back")
	if (seen["loaded"]) {
		check(suites > 0, "suites found", "no KUnit suite ran")
		check(!("unload" in why) && seen["unloaded"], "module unloads",
			"unload" in why ? why["unload"] : "it did not come back")
	}
	check(!complaints, "kernel log clean", complaints " complaints")
	show(log_line, log_count, 60)
	if (seen["end"]) {
		if (kernel != "kasan")
			check(value["debug_locks"] == 1, "lockdep alive at the end", "debug_locks is " value["debug_locks"])
		# Bits 5, 7 and 9: bad page, oops, warning.
		check(int(value["tainted"] / 32) % 2 + int(value["tainted"] / 128) % 2 + int(value["tainted"] / 512) % 2 == 0,
			"no warning, oops or bad page", "the kernel's taint mask is " value["tainted"])
		if (kernel != "kasan")
			check(!lost, "nothing leaked", lost " objects (kmemleak)")
		show(leak, leak_count, 40)
	} else {
		check(0, "run ends", "the kernel hung or died" (complaints ? "" : "; its last lines:"))
		for (i = tail_count - 14; !complaints && i <= tail_count; i++)
			if (i > 0)
				print "        " tail[i % 15]
	}
	print passed + 0 " passed, " failed + 0 " failed"
	exit failed ? 1 : 0
}
