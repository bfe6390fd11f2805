// SPDX-License-Identifier: GPL-2.0
/*
 * Traffic for the scenarios, in dom0 and in guests.
 *
 *   traffic send ADDRESS PORT BYTES SEED    a stream of bytes over TCP, which follow from the seed
 *   traffic receive PORT BYTES SEED         checks it: prints "ok BYTES", or where it is wrong
 *   traffic echo PORT                       sends every UDP packet back, until killed
 *   traffic flood ADDRESS PORT SIZE         UDP packets as fast as they go, until killed
 *   traffic rain ADDRESS PORT SIZE MICROSECONDS   a UDP packet at every interval, until killed
 *   traffic xdp INTERFACE pass|drop|return  an XDP program which ends each packet so, until killed;
 *                                           it runs in the driver, or to send packets back in the kernel
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK 65536

static uint64_t state;

/* The next word of an xorshift generator, whose state is never 0. */
static uint64_t next_word(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void fill(uint64_t *block)
{
	for (size_t i = 0; i < BLOCK / sizeof(*block); i++)
		block[i] = next_word();
}

static int fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return 1;
}

static int send_stream(const char *address, int port, uint64_t bytes)
{
	static uint64_t block[BLOCK / 8];
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1)
		return fail("address");
	for (int tries = 0; connect(fd, (struct sockaddr *)&to, sizeof(to)); tries++) {
		if (tries == 50)
			return fail("connect");
		usleep(100000);
		close(fd);
		fd = socket(AF_INET, SOCK_STREAM, 0);
	}
	while (bytes) {
		size_t want = bytes < BLOCK ? bytes : BLOCK, done = 0;

		fill(block);
		while (done < want) {
			ssize_t sent = write(fd, (char *)block + done, want - done);

			if (sent <= 0)
				return fail("write");
			done += sent;
		}
		bytes -= want;
	}
	/* The receiver closes first: then everything has arrived. */
	shutdown(fd, SHUT_WR);
	while (read(fd, block, BLOCK) > 0)
		;
	return 0;
}

static int receive_stream(int port, uint64_t bytes)
{
	static uint64_t block[BLOCK / 8], expected[BLOCK / 8];
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0), fd;
	uint64_t total = 0;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 1))
		return fail("listen");
	fd = accept(listener, NULL, NULL);
	if (fd < 0)
		return fail("accept");
	while (total < bytes) {
		size_t want = bytes - total < BLOCK ? bytes - total : BLOCK, done = 0;

		while (done < want) {
			ssize_t got = read(fd, (char *)block + done, want - done);

			if (got < 0)
				return fail("read");
			if (got == 0) {
				printf("ended after %llu of %llu bytes\n",
				       (unsigned long long)(total + done), (unsigned long long)bytes);
				return 1;
			}
			done += got;
		}
		fill(expected);
		for (size_t i = 0; i < want; i++) {
			if (((char *)block)[i] != ((char *)expected)[i]) {
				printf("byte %llu is wrong\n", (unsigned long long)(total + i));
				return 1;
			}
		}
		total += want;
	}
	printf("ok %llu\n", (unsigned long long)total);
	return 0;
}

static int echo(int port)
{
	static char packet[65536];
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_port = htons(port) }, from;
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)))
		return fail("bind");
	for (;;) {
		socklen_t size = sizeof(from);
		ssize_t got = recvfrom(fd, packet, sizeof(packet), 0, (struct sockaddr *)&from, &size);

		if (got >= 0)
			sendto(fd, packet, got, 0, (struct sockaddr *)&from, size);
	}
}

static int flood(const char *address, int port, int size, int interval)
{
	static char packet[65536];
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	/* Enough for every queue on the way: packets that wait count against their socket. */
	int buffer = 64 << 20, fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		return fail("address");
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer)))
		return fail("SO_SNDBUFFORCE");
	for (;;) {
		int failed = sendto(fd, packet, size, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to)) < 0;

		if (failed || interval)
			usleep(failed && interval < 1000 ? 1000 : interval);
	}
}

/* Prints "attached" when it is. The end of the process detaches the program. */
static int xdp(const char *interface, int action)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = action },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insns = (uintptr_t)program,
		.insn_cnt = sizeof(program) / sizeof(program[0]),
		.license = (uintptr_t)"GPL",
	};
	int fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	if (fd < 0)
		return fail("BPF_PROG_LOAD");
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = fd;
	attr.link_create.target_ifindex = if_nametoindex(interface);
	attr.link_create.attach_type = BPF_XDP;
	attr.link_create.flags = action == XDP_TX ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
	if (syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr)) < 0)
		return fail("BPF_LINK_CREATE");
	puts("attached");
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 6 && !strcmp(mode, "send")) {
		state = strtoull(argv[5], NULL, 0) | 1;
		return send_stream(argv[2], atoi(argv[3]), strtoull(argv[4], NULL, 0));
	}
	if (argc == 5 && !strcmp(mode, "receive")) {
		state = strtoull(argv[4], NULL, 0) | 1;
		return receive_stream(atoi(argv[2]), strtoull(argv[3], NULL, 0));
	}
	if (argc == 3 && !strcmp(mode, "echo"))
		return echo(atoi(argv[2]));
	if (argc == 5 && !strcmp(mode, "flood"))
		return flood(argv[2], atoi(argv[3]), atoi(argv[4]), 0);
	if (argc == 6 && !strcmp(mode, "rain"))
		return flood(argv[2], atoi(argv[3]), atoi(argv[4]), atoi(argv[5]));
	if (argc == 4 && !strcmp(mode, "xdp"))
		return xdp(argv[2], !strcmp(argv[3], "drop") ? XDP_DROP :
				    !strcmp(argv[3], "return") ? XDP_TX : XDP_PASS);
	fprintf(stderr, "usage: traffic send|receive|echo|flood|rain|xdp ...\n");
	return 2;
}
