/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: what does the warm pair cost where the kernel, or a sandbox, has no membarrier? Then
 * the caches are shared for ever and each take and put is an exchange. A seccomp filter takes
 * membarrier away from this process.
 *
 *	baseline.malloc/64         malloc(64) and free, to divide by
 *	baseline.mutex_pool/pair   the plain twin
 *	pool/pair                  weir_pool_checkout and weir_checkin over the fake driver
 *
 * Matrix: 1 thread and as many as cores.
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

#include "base/line.h"
#include "harness/bench.h"
#include "harness/kind.h"

#define CONNECTIONS 64

static void malloc_pair(struct bench *b)
{
	while (bench_keep_running(b)) {
		void *p = malloc(64);

		bench_keep(p);
		free(p);
	}
}

struct pair {
	const struct bench_kind *kind;
	void *pool;
};

static void pair(struct bench *b)
{
	struct pair *p = bench_shared(b);

	while (bench_keep_running(b))
		p->kind->put(p->pool, p->kind->take(p->pool, b->thread));
}

static void before(struct bench *b)
{
	struct pair *p = calloc(1, sizeof(*p));

	if (!p) {
		bench_skip(b, "no memory");
		return;
	}
	p->kind = b->kind;
	p->pool = kind_open(b, b->kind, CONNECTIONS);
	bench_share(b, p);
}

static void after(struct bench *b)
{
	struct pair *p = bench_shared(b);

	if (p && p->pool)
		p->kind->close(p->pool);
	free(p);
}

/* ---- the filter ---- */

static int forbidding_failed; /* errno of it */

static void forbid_membarrier(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {WI_ARRAY_LEN(rules), rules};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
		forbidding_failed = errno;
}

/*
 * Before the constructors of any library: liburcu asks for membarrier in its own, and does not
 * expect to lose it later.
 */
__attribute__((section(".preinit_array"),
               used)) static void (*const at_first)(void) = forbid_membarrier;

void bench_cases(void)
{
	if (forbidding_failed) {
		printf("skipped: no seccomp filter here: %s\n", strerror(forbidding_failed));
		exit(77);
	}
	bench_register(&(struct bench_case){
		.name = "baseline.malloc/64", .body = malloc_pair, .threads = {1, BENCH_CORES}});
	bench_register(&(struct bench_case){.name = "baseline.mutex_pool/pair",
	                                    .body = pair,
	                                    .before = before,
	                                    .kind = &kind_mutex,
	                                    .after = after,
	                                    .threads = {1, BENCH_CORES}});
	bench_register(&(struct bench_case){.name = "pool/pair",
	                                    .body = pair,
	                                    .before = before,
	                                    .kind = &kind_weir,
	                                    .after = after,
	                                    .threads = {1, BENCH_CORES}});
}
