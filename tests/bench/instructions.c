// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin for QEMU: counts the instructions that the emulated machine executes, by their place.
 *
 *   -plugin instructions.so,socket=PATH
 *
 * It listens on a Unix socket. A client sends one byte and gets an answer that ends with an empty line:
 *
 *   t    four numbers: what Xen, kernels, modules of kernels and user space have executed so far
 *   b    one line "ADDRESS COUNT" for every block of code, with the instructions executed since the last b
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The part of QEMU's plugin interface, version 4, that is used here. */
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_scoreboard;
typedef struct {
	struct qemu_plugin_scoreboard *score;
	size_t offset;
} qemu_plugin_u64;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
typedef void (*qemu_plugin_vcpu_tb_trans_cb_t)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, qemu_plugin_vcpu_tb_trans_cb_t cb);
void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(struct qemu_plugin_tb *tb, enum qemu_plugin_op op,
						       qemu_plugin_u64 entry, uint64_t imm);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t element_size);
uint64_t qemu_plugin_u64_sum(qemu_plugin_u64 entry);

#define EXPORT __attribute__((visibility("default")))

EXPORT int qemu_plugin_version = 4;

enum place { XEN, KERNEL, MODULE, USER, PLACES };

/* Blocks that are told apart, of which one has all that come too late: more than a run has. */
#define BLOCKS (1 << 19)

static struct qemu_plugin_scoreboard *blocks;
static uint64_t addresses[BLOCKS], seen[BLOCKS];
static uint32_t table[2 * BLOCKS], used = 1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static enum place place(uint64_t address)
{
	if (address >> 47 == 0)
		return USER;
	if (address >= 0xffffffffc0000000)
		return MODULE;
	if (address >= 0xffffffff80000000)
		return KERNEL;
	/* Xen has what is below the direct map of a kernel. */
	return address < 0xffff880000000000 ? XEN : KERNEL;
}

/* The number of the block at an address. */
static uint32_t block(uint64_t address)
{
	uint32_t at = (address * 0x9e3779b97f4a7c15) >> 44, number;

	pthread_mutex_lock(&lock);
	while (table[at] && addresses[table[at]] != address)
		at = (at + 1) % (2 * BLOCKS);
	if (!table[at] && used < BLOCKS) {
		addresses[used] = address;
		table[at] = __atomic_fetch_add(&used, 1, __ATOMIC_RELEASE);
	}
	number = table[at];
	pthread_mutex_unlock(&lock);
	return number;
}

static qemu_plugin_u64 counter(uint32_t number)
{
	return (qemu_plugin_u64){ blocks, number * sizeof(uint64_t) };
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, QEMU_PLUGIN_INLINE_ADD_U64,
							  counter(block(qemu_plugin_tb_vaddr(tb))),
							  qemu_plugin_tb_n_insns(tb));
}

static void answer_totals(FILE *client)
{
	uint32_t end = __atomic_load_n(&used, __ATOMIC_ACQUIRE);
	uint64_t totals[PLACES] = { 0 };

	for (uint32_t i = 0; i < end; i++)
		totals[place(addresses[i])] += qemu_plugin_u64_sum(counter(i));
	for (int i = 0; i < PLACES; i++)
		fprintf(client, "%llu ", (unsigned long long)totals[i]);
	fprintf(client, "\n");
}

static void answer_blocks(FILE *client)
{
	uint32_t end = __atomic_load_n(&used, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < end; i++) {
		uint64_t now = qemu_plugin_u64_sum(counter(i));

		if (now != seen[i])
			fprintf(client, "%llx %llu\n", (unsigned long long)addresses[i],
				(unsigned long long)(now - seen[i]));
		seen[i] = now;
	}
}

static void *serve(void *listener)
{
	for (;;) {
		int fd = accept((intptr_t)listener, NULL, NULL);
		FILE *client = fd < 0 ? NULL : fdopen(fd, "r+");
		int request;

		if (!client)
			return NULL;
		while ((request = fgetc(client)) != EOF) {
			if (request == 't')
				answer_totals(client);
			else
				answer_blocks(client);
			fputc('\n', client);
			fflush(client);
		}
		fclose(client);
	}
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	pthread_t thread;

	(void)info;
	if (argc != 1 || strncmp(argv[0], "socket=", 7) || strlen(argv[0] + 7) >= sizeof(at.sun_path))
		return -1;
	strcpy(at.sun_path, argv[0] + 7);
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 1))
		return -1;
	blocks = qemu_plugin_scoreboard_new(BLOCKS * sizeof(uint64_t));
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return pthread_create(&thread, NULL, serve, (void *)(intptr_t)listener) ? -1 : 0;
}
