// SPDX-License-Identifier: GPL-2.0
/*
 * Loads a network path and measures it, in dom0 and in guests.
 *
 *   measure sink PORT                              takes TCP streams and counts their bytes, until killed
 *   measure source PORT SECONDS STREAMS ADDRESS... so many TCP streams to each sink: prints Mbit/s in all and
 *                                                  bytes, as the sinks have counted them
 *   measure echo PORT                              sends every UDP packet back, until killed
 *   measure pingpong PORT SECONDS ADDRESS          one UDP packet after the other to an echo: prints their number
 *                                                  per second and the median and 99th percentile of the
 *                                                  round-trip time in microseconds
 *   measure blast SECONDS STREAMS TARGET...        frames of 60 bytes as fast as they go, past the queueing
 *                                                  discipline: prints how many were sent, and
 *                                                  in how many seconds
 *
 * A TARGET of blast is INTERFACE/MAC/SOURCE/DESTINATION: where to send, and the addresses of the IPv4 packet. With
 * the destination 0.0.0.0 the header's checksum is wrong: whoever gets the frame drops it at once.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (128 << 10)
#define FRAME 60
/* Frames of one call, each of its own flow. */
#define BURST 64
/* Answers that pingpong remembers: more than any run here has. */
#define ANSWERS (1 << 20)
#define CHILDREN 512

static int fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	fflush(stdout);
	return 1;
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static int sink(int port)
{
	static char block[BLOCK];
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int yes = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 64))
		return fail("listen");
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		uint64_t total = 0;
		ssize_t got;

		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (fd < 0)
			return fail("accept");
		if (fork()) {
			close(fd);
			continue;
		}
		while ((got = read(fd, block, BLOCK)) > 0)
			total += got;
		_exit(write(fd, &total, sizeof(total)) != sizeof(total));
	}
}

/* What the processes of a run share. */
static struct shared {
	int ready;
	uint64_t end, counts[CHILDREN];
} *shared;

/* Waits until all processes of this run are as far; returns when the run ends. */
static uint64_t together(void)
{
	uint64_t end;

	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
	while (!(end = __atomic_load_n(&shared->end, __ATOMIC_SEQ_CST)))
		usleep(500);
	return end;
}

/* Runs `one` for every target and stream in a process of its own, for some seconds from when all are ready;
 * returns the sum of what they count, and in `took` how long it took until all had ended. */
static uint64_t each(int (*one)(char *target, int port, uint64_t *count), int port, int seconds, int streams,
		     int targets, char **target, uint64_t *took)
{
	int children = streams * targets, status;
	uint64_t start, total = 0;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (children > CHILDREN || shared == MAP_FAILED)
		exit(fail("so many streams"));
	for (int i = 0; i < children; i++)
		if (!fork() && !prctl(PR_SET_PDEATHSIG, SIGKILL))
			_exit(one(target[i % targets], port, &shared->counts[i]));
	while (__atomic_load_n(&shared->ready, __ATOMIC_SEQ_CST) < children) {
		if (waitpid(-1, NULL, WNOHANG) > 0)
			exit(1);
		usleep(500);
	}
	start = now();
	__atomic_store_n(&shared->end, start + seconds * 1000000000ull, __ATOMIC_SEQ_CST);
	for (int i = 0; i < children; i++)
		if (wait(&status) < 0 || status)
			exit(1);
	*took = now() - start;
	for (int i = 0; i < children; i++)
		total += shared->counts[i];
	return total;
}

static int stream(char *address, int port, uint64_t *count)
{
	static char block[BLOCK];
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	uint64_t end;

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		return fail("address");
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return fail("connect");
	memset(block, 1, BLOCK);
	end = together();
	while (now() < end)
		if (write(fd, block, BLOCK) <= 0)
			return fail("write");
	shutdown(fd, SHUT_WR);
	return read(fd, count, sizeof(*count)) == sizeof(*count) ? 0 : fail("count");
}

static int source(int port, int seconds, int streams, int targets, char **target)
{
	uint64_t took, total = each(stream, port, seconds, streams, targets, target, &took);

	printf("%.1f %llu\n", total * 8e3 / took, (unsigned long long)total);
	return 0;
}

static int echo(int port)
{
	static char packet[65536];
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) }, from;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (bind(fd, (struct sockaddr *)&at, sizeof(at)))
		return fail("bind");
	for (;;) {
		socklen_t size = sizeof(from);
		ssize_t got = recvfrom(fd, packet, sizeof(packet), 0, (struct sockaddr *)&from, &size);

		if (got >= 0)
			sendto(fd, packet, got, 0, (struct sockaddr *)&from, size);
	}
}

static int by_size(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

static int pingpong(int port, int seconds, const char *address)
{
	static uint32_t times[ANSWERS];
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct timeval patience = { .tv_sec = 1 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	uint64_t begin = now(), end = begin + seconds * 1000000000ull, number = 0;
	size_t answers = 0;

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		return fail("address");
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return fail("connect");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	while (now() < end && answers < ANSWERS) {
		uint64_t start = now(), answer;

		number++;
		if (send(fd, &number, sizeof(number), 0) < 0)
			return fail("send");
		/* An answer that comes after its time is not taken for a later one's; a lost one took its time. */
		do {
			if (recv(fd, &answer, sizeof(answer), 0) < 0)
				break;
		} while (answer != number);
		times[answers++] = (now() - start) / 1000;
	}
	qsort(times, answers, sizeof(*times), by_size);
	printf("%.0f %u %u\n", answers * 1e9 / (now() - begin), times[answers / 2], times[answers * 99 / 100]);
	return 0;
}

static void fill(uint8_t *frame, int flow, const uint8_t *to, const uint8_t *from, struct in_addr source,
		 struct in_addr destination)
{
	struct iphdr *ip = (struct iphdr *)(frame + ETH_HLEN);
	struct udphdr *udp = (struct udphdr *)(ip + 1);
	uint32_t sum = 0;
	uint16_t word;

	memcpy(frame, to, ETH_ALEN);
	memcpy(frame + ETH_ALEN, from, ETH_ALEN);
	frame[12] = ETHERTYPE_IP >> 8;
	frame[13] = ETHERTYPE_IP & 0xff;
	*ip = (struct iphdr){ .version = 4, .ihl = 5, .tot_len = htons(FRAME - ETH_HLEN), .ttl = 64,
			      .protocol = IPPROTO_UDP, .saddr = source.s_addr, .daddr = destination.s_addr };
	*udp = (struct udphdr){ .source = htons(1024 + flow), .dest = htons(9),
				.len = htons(FRAME - ETH_HLEN - sizeof(*ip)) };
	if (!destination.s_addr)
		return;
	for (size_t at = 0; at < sizeof(*ip); at += 2) {
		memcpy(&word, (uint8_t *)ip + at, 2);
		sum += word;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = ~(sum + (sum >> 16));
}

static int frames(char *target, int unused, uint64_t *count)
{
	static uint8_t frame[BURST][FRAME] __attribute__((aligned(4)));
	struct sockaddr_ll at = { .sll_family = AF_PACKET };
	socklen_t size = sizeof(at);
	struct iovec piece[BURST];
	struct mmsghdr burst[BURST] = { 0 };
	char interface[IFNAMSIZ], source[16], destination[16];
	struct in_addr addresses[2];
	uint8_t to[ETH_ALEN];
	uint64_t end;
	int yes = 1, fd = socket(AF_PACKET, SOCK_RAW, 0);

	(void)unused;
	if (sscanf(target, "%15[^/]/%hhx:%hhx:%hhx:%hhx:%hhx:%hhx/%15[^/]/%15s", interface, &to[0], &to[1], &to[2],
		   &to[3], &to[4], &to[5], source, destination) != 9 ||
	    inet_pton(AF_INET, source, &addresses[0]) != 1 || inet_pton(AF_INET, destination, &addresses[1]) != 1)
		return fail("target");
	at.sll_ifindex = if_nametoindex(interface);
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof(yes)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) || getsockname(fd, (struct sockaddr *)&at, &size))
		return fail("interface");
	for (int i = 0; i < BURST; i++) {
		fill(frame[i], i, to, at.sll_addr, addresses[0], addresses[1]);
		piece[i] = (struct iovec){ .iov_base = frame[i], .iov_len = FRAME };
		burst[i].msg_hdr = (struct msghdr){ .msg_iov = &piece[i], .msg_iovlen = 1 };
	}
	end = together();
	while (now() < end) {
		int sent = sendmmsg(fd, burst, BURST, 0);

		/* A device whose queue is full says so by ENOBUFS. */
		if (sent > 0)
			*count += sent;
		else
			usleep(50);
	}
	return 0;
}

static int blast(int seconds, int streams, int targets, char **target)
{
	uint64_t took, total = each(frames, 0, seconds, streams, targets, target, &took);

	printf("%llu %.3f\n", (unsigned long long)total, took / 1e9);
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (argc == 3 && !strcmp(mode, "sink"))
		return sink(atoi(argv[2]));
	if (argc == 3 && !strcmp(mode, "echo"))
		return echo(atoi(argv[2]));
	if (argc > 5 && !strcmp(mode, "source"))
		return source(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), argc - 5, argv + 5);
	if (argc == 5 && !strcmp(mode, "pingpong"))
		return pingpong(atoi(argv[2]), atoi(argv[3]), argv[4]);
	if (argc > 4 && !strcmp(mode, "blast"))
		return blast(atoi(argv[2]), atoi(argv[3]), argc - 4, argv + 4);
	fprintf(stderr, "usage: measure sink|source|echo|pingpong|blast ...\n");
	return 2;
}
