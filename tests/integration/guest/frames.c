// SPDX-License-Identifier: GPL-2.0
/*
 * Ethernet frames as they are, with what is said about their checksums and segments, in dom0 and
 * in guests.
 *
 *   frames send INTERFACE           sends what its input describes: a line "PROTOCOL SAID FRAME" a frame
 *   frames catch INTERFACE SOURCE   prints the frames from a hardware address, a line "SAID TAG FRAME"
 *                                   each, in the background until one of the ethertype END comes, or a
 *                                   minute has passed. Returns when it listens.
 *
 * All words are in hexadecimal. SAID is a struct virtio_net_hdr, little-endian; PROTOCOL is what the
 * frame is sent as, which may differ from the ethertype in it; TAG is the VLAN tag which the stack
 * has taken out of the frame, or "-".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ETH_P_ALL 3
#define END 0x88b6
#define SAID 10
#define LONGEST 70000

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return 1;
}

/* Returns the number of bytes that the text stands for, or -1. */
static int parse(const char *hex, uint8_t *bytes, int room)
{
	int length = strlen(hex) / 2;

	if (length > room)
		return -1;
	for (int i = 0; i < length; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &bytes[i]) != 1)
			return -1;
	return length;
}

static void print(const uint8_t *bytes, int length)
{
	for (int i = 0; i < length; i++)
		printf("%02x", bytes[i]);
}

static int open_socket(const char *interface, int protocol, struct sockaddr_ll *address)
{
	int yes = 1, fd = socket(AF_PACKET, SOCK_RAW, 0);

	*address = (struct sockaddr_ll){
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = if_nametoindex(interface),
	};
	if (fd < 0 || !address->sll_ifindex ||
	    setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &yes, sizeof(yes)))
		return -1;
	return fd;
}

static int send_frames(const char *interface)
{
	static char line[2 * LONGEST];
	static uint8_t bytes[SAID + LONGEST];
	struct sockaddr_ll to;
	int fd = open_socket(interface, 0, &to);

	if (fd < 0)
		return fail(interface);
	for (int number = 1; fgets(line, sizeof(line), stdin); number++) {
		char *protocol = strtok(line, " \n"), *said = strtok(NULL, " \n"), *frame = strtok(NULL, " \n");
		int length = frame ? parse(frame, bytes + SAID, LONGEST) : -1;

		if (length < 0 || parse(said, bytes, SAID) != SAID) {
			fprintf(stderr, "line %d is none\n", number);
			return 1;
		}
		to.sll_protocol = htons(strtoul(protocol, NULL, 16));
		if (sendto(fd, bytes, SAID + length, 0, (struct sockaddr *)&to, sizeof(to)) < 0) {
			fprintf(stderr, "line %d: %s\n", number, strerror(errno));
			return 1;
		}
	}
	return 0;
}

/* Prints the next frame if it is from the source; returns whether there may be more. */
static int catch_one(int fd, const uint8_t *source)
{
	static uint8_t bytes[SAID + LONGEST];
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	} control;
	struct sockaddr_ll from;
	struct iovec vector = { bytes, sizeof(bytes) };
	struct msghdr message = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &vector, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	int length = recvmsg(fd, &message, 0) - SAID;
	const uint8_t *frame = bytes + SAID;

	if (length < 14 || from.sll_pkttype == PACKET_OUTGOING || memcmp(frame + 6, source, 6))
		return 1;
	if (frame[12] << 8 == (END & 0xff00) && frame[13] == (END & 0xff)) {
		printf("end\n");
		return 0;
	}
	print(bytes, SAID);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		const struct tpacket_auxdata *aux = (const void *)CMSG_DATA(c);

		if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
			continue;
		if (aux->tp_status & TP_STATUS_VLAN_VALID)
			printf(" %04x%04x ", aux->tp_vlan_tpid, aux->tp_vlan_tci);
		else
			printf(" - ");
	}
	print(frame, length);
	printf("\n");
	return 1;
}

static int catch_frames(const char *interface, const char *source_text)
{
	struct sockaddr_ll at;
	uint8_t source[6];
	int yes = 1, room = 16 << 20, fd = open_socket(interface, ETH_P_ALL, &at);

	if (fd < 0 || parse(source_text, source, 6) != 6 ||
	    setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &yes, sizeof(yes)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)))
		return fail(interface);
	if (fork())
		return 0;
	alarm(60);
	while (catch_one(fd, source))
		;
	return 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 1 << 18);
	if (argc == 3 && !strcmp(argv[1], "send"))
		return send_frames(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "catch"))
		return catch_frames(argv[2], argv[3]);
	fprintf(stderr, "usage: frames send INTERFACE, or frames catch INTERFACE SOURCE\n");
	return 2;
}
