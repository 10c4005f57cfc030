/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Warm pairs and nothing else, for who counts what they execute (count.py):
 *
 *	pairs pool|router_write|router_read N [sealed]
 *
 * Opens a pool or a router of three hosts over the fake driver, warms up, and makes N pairs in
 * the function measured_pairs. With `sealed` the kernel ends the process (SIGSYS) at the first
 * system call of this thread within them.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <weir/weir.h>

#include "base/line.h"
#include "harness/bench.h"
#include "harness/fake_pool.h"
#include "support/fake_cluster.h"

#define CONNECTIONS 8
#define WARM_UP 10000

static struct fake_pool *fake;
static struct fake_cluster cluster;
static weir_router *router;

static void fail(const char *what)
{
	fprintf(stderr, "pairs: %s\n", what);
	exit(1);
}

/* ---- the pairs: inlined into the measured loop, so that it calls weir and nothing else ---- */

static inline void pool_pair(void)
{
	weir_conn *c;

	if (weir_pool_checkout(fake->pool, 1000, &c, NULL) != WEIR_OK)
		fail("checkout");
	weir_checkin(&c);
}

static inline void router_pair(weir_intent intent)
{
	weir_conn *c;

	if (weir_checkout(router, intent, &c, NULL) != WEIR_OK)
		fail("checkout");
	weir_checkin(&c);
}

static inline __attribute__((always_inline)) void pairs(const char *what, long n)
{
	if (what[0] == 'p')
		for (; n; n--)
			pool_pair();
	else if (what[strlen("router_")] == 'w')
		for (; n; n--)
			router_pair(WEIR_WRITE);
	else
		for (; n; n--)
			router_pair(WEIR_READ);
}

static WI_NOINLINE void warm_up(const char *what)
{
	pairs(what, WARM_UP);
}

/* Inlined nowhere, so that its name is in the profile. */
static WI_NOINLINE void measured_pairs(const char *what, long n)
{
	pairs(what, n);
}

/* ---- around them ---- */

static void open_router(void)
{
	weir_host_stats stats[3];
	unsigned idle = 0;
	weir_options o;

	weir_options_init(&o);
	o.pool_min = o.pool_max = CONNECTIONS;
	fake_cluster_init(&cluster, 3);
	if (fake_cluster_open(&cluster, &o, &router, NULL) != WEIR_OK)
		fail("no router");
	for (int i = 0; i < 1000 && idle < 3 * CONNECTIONS; i++) {
		if (weir_router_probe(router, 10000) != WEIR_OK)
			fail("no probe");
		idle = 0;
		weir_router_stats_get(router, stats, 3);
		for (int k = 0; k < 3; k++)
			idle += stats[k].pool.idle;
	}
}

/* From here on only writing and ending are allowed to this thread. */
static void seal(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = {WI_ARRAY_LEN(rules), rules};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) {
		printf("skipped: no seccomp filter here: %s\n", strerror(errno));
		exit(77);
	}
}

int main(int argc, char **argv)
{
	long n = argc >= 3 ? strtol(argv[2], NULL, 10) : 0;

	if (n <= 0 || (strncmp(argv[1], "router_", 7) != 0 && strcmp(argv[1], "pool") != 0))
		fail("pool|router_write|router_read N [sealed]");
	if (argv[1][0] == 'p')
		fake = fake_pool_open(CONNECTIONS);
	else
		open_router();
	warm_up(argv[1]);
	if (argc > 3)
		seal();
	measured_pairs(argv[1], n);
	if (write(STDOUT_FILENO, "done\n", 5) != 5)
		_exit(1);
	_exit(0); /* nothing is taken down: a sealed thread could not */
}
