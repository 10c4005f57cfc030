/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: what does one slow replica do to reads?
 *
 *	router/two                 reads over two replicas that take 1 ms
 *	router/three               over three
 *	router/three_one_slow      over three, of which one takes 10 ms
 *	baseline.round_robin/three_one_slow   the same, each in turn
 *
 * 32 threads read, sleep 1 ms with the connection and 4 ms without it. The first part of a slice is
 * not counted: it takes some tenths of a second to see that one is slow. Counters: how long a
 * connection was out (read_p50 and so on); share, by how much the most and the least served replica
 * differ, in parts of the mean; slow, the slow one's part of the reads.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include <weir/weir.h>

#include "base/clock.h"
#include "cli/hist.h"
#include "harness/bench.h"
#include "support/fake_cluster.h"

#define THREADS 32
#define REPLICAS 3
#define WELL_NS INT64_C(1000000)
#define SLOW_NS INT64_C(10000000)
#define PAUSE_NS INT64_C(4000000)

struct balance {
	struct fake_cluster cluster;
	weir_router *router;
	int replicas, slow; /* the number of the slow one; 0: none */
	int64_t counts_ns, ends_ns;
	_Atomic uint64_t served[1 + REPLICAS];
	_Atomic int done;
	struct cli_hist read[THREADS];
};

static void sleep_for(int64_t ns)
{
	nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

static void read_once(struct bench *b, struct balance *s)
{
	weir_conn *c = NULL;
	int64_t began_ns;
	int host;

	if (weir_checkout(s->router, WEIR_READ, &c, NULL) != WEIR_OK)
		return;
	began_ns = wi_now_ns();
	host = fake_host_of(c);
	sleep_for(host == s->slow ? SLOW_NS : WELL_NS);
	weir_checkin(&c);
	if (began_ns >= s->counts_ns) {
		cli_hist_add(&s->read[b->thread], wi_now_ns() - began_ns);
		atomic_fetch_add(&s->served[host], 1);
	}
	sleep_for(PAUSE_NS);
}

static void tell(struct bench *b, struct balance *s)
{
	uint64_t most = 0, least = UINT64_MAX, all = 0;

	for (int i = 1; i < THREADS; i++)
		cli_hist_merge(&s->read[0], &s->read[i]);
	for (int i = 1; i <= s->replicas; i++) {
		uint64_t n = atomic_load(&s->served[i]);

		most = n > most ? n : most;
		least = n < least ? n : least;
		all += n;
	}
	bench_durations(b, "read", &s->read[0]);
	if (!all)
		return;
	bench_sum(b, "share", (double)(most - least) * s->replicas / (double)all);
	if (s->slow)
		bench_sum(b, "slow", (double)atomic_load(&s->served[s->slow]) / (double)all);
}

static void reads(struct bench *b)
{
	struct balance *s = bench_shared(b);

	prctl(PR_SET_TIMERSLACK, 1UL);
	while (bench_keep_running(b))
		while (wi_now_ns() < s->ends_ns)
			read_once(b, s);
	atomic_fetch_add(&s->done, 1);
	if (b->thread)
		return;
	while (atomic_load(&s->done) < THREADS)
		sleep_for(WELL_NS);
	tell(b, s);
}

static void open_with(struct bench *b, int replicas, bool slow, weir_balance how)
{
	struct balance *s = calloc(1, sizeof(*s));
	int64_t now_ns;
	weir_options o;

	if (!s) {
		bench_skip(b, "no memory");
		return;
	}
	bench_share(b, s);
	weir_options_init(&o);
	o.pool_min = o.pool_max = THREADS;
	o.balance = how;
	s->replicas = replicas;
	s->slow = slow ? replicas : 0;
	fake_cluster_init(&s->cluster, 1 + replicas);
	if (fake_cluster_open(&s->cluster, &o, &s->router, NULL) != WEIR_OK ||
	    weir_router_probe(s->router, 10000) != WEIR_OK)
		bench_skip(b, "no router");
	now_ns = wi_now_ns();
	s->counts_ns = now_ns + bench_slice_ns() / 2;
	s->ends_ns = now_ns + bench_slice_ns();
}

static void two(struct bench *b)
{
	open_with(b, 2, false, WEIR_BALANCE_P2C);
}

static void three(struct bench *b)
{
	open_with(b, 3, false, WEIR_BALANCE_P2C);
}

static void one_slow(struct bench *b)
{
	open_with(b, 3, true, WEIR_BALANCE_P2C);
}

static void in_turn(struct bench *b)
{
	open_with(b, 3, true, WEIR_BALANCE_ROUND_ROBIN);
}

static void after(struct bench *b)
{
	struct balance *s = bench_shared(b);

	if (!s)
		return;
	if (s->router && weir_router_close(&s->router, 10000) != WEIR_OK)
		return;
	fake_cluster_fini(&s->cluster);
	free(s);
}

void bench_cases(void)
{
	static const struct {
		const char *name;
		void (*before)(struct bench *b);
	} kinds[] = {{"router/two", two},
	             {"router/three", three},
	             {"router/three_one_slow", one_slow},
	             {"baseline.round_robin/three_one_slow", in_turn}};

	for (int i = 0; i < 4; i++)
		bench_register(&(struct bench_case){.name = kinds[i].name,
		                                    .body = reads,
		                                    .before = kinds[i].before,
		                                    .after = after,
		                                    .threads = {THREADS},
		                                    .iterations = 1});
}
