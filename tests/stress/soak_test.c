/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The soak: round after round a pool or a router is opened, used by threads that come and go with
 * deadlines of 0 to 2 ms and longer ones while sessions are killed and servers fail, brought to
 * rest, counted, closed (at rest, under load, or with connections out), and gone without a trace:
 * every count exact, no memory of weir's, no descriptor, no thread left, and the process no larger
 * in the end. Minutes of it by `./dev soak`, half a minute as a test.
 *
 * A pool has no resize at run time: what makes it larger and smaller here is demand, idle and
 * lifetime limits, discards, kills and failing servers.
 *
 * One line a round. A round's seed, given as TEST_STRESS_SEED, makes it the first one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "support/process.h"
#include "support/shapes.h"
#include "support/soak.h"
#include "support/watchdog.h"

#define ROUND_SECONDS 0.8
#define ROUNDS_MAX 100000
#define GROWTH_MAX (24 << 20)

/* What may not be more after a round than before. */
struct traces {
	size_t bytes;
	int descriptors, threads;
};

static uint32_t resident_kib[ROUNDS_MAX];

static struct traces traces_now(void)
{
	return (struct traces){wi_alloc_bytes(), test_descriptors(), test_thread_count()};
}

/* What ends by itself gets a moment for it: a thread that was joined may still be listed. */
static bool is_as_before(struct soak_round *r, const struct traces *before)
{
	struct traces now = traces_now();

	for (int i = 0; i < 2000 && memcmp(&now, before, sizeof(now)) != 0; i++) {
		test_nap(WI_MS);
		now = traces_now();
	}
	return soak_agree(r, "bytes of weir's memory in the end", now.bytes, before->bytes) &&
	       soak_agree(r, "descriptors in the end", (uint64_t)now.descriptors,
	                  (uint64_t)before->descriptors) &&
	       soak_agree(r, "threads in the end", (uint64_t)now.threads,
	                  (uint64_t)before->threads);
}

static bool run_round(int number, double seconds, const struct traces *before)
{
	struct soak_round r = {.seed = test_seed() + (uint64_t)number, .seconds = seconds};
	int64_t begun = wi_now_ns();
	bool ok;

	/* Neighbouring seeds are to be rounds that have nothing in common. */
	wi_rng_seed(&r.rng, r.seed * UINT64_C(0x9e3779b97f4a7c15));
	(void)wi_rng_next(&r.rng);
	test_watchdog(120 + (int)seconds, "a round of the soak");
	if (wi_rng_below(&r.rng, 5) == 0)
		soak_router_round(&r);
	else
		soak_pool_round(&r);
	ok = !r.wrong[0] && is_as_before(&r, before);
	resident_kib[number % ROUNDS_MAX] = (uint32_t)(test_resident_bytes() >> 10);
	printf("round %d seed %llu: %s; %.1f MiB, %.1f s: %s%s\n", number + 1,
	       (unsigned long long)r.seed, r.line, (double)resident_kib[number % ROUNDS_MAX] / 1024,
	       (double)(wi_now_ns() - begun) / 1e9, ok ? "ok" : "WRONG: ", r.wrong);
	fflush(stdout);
	return ok;
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint32_t median_of(const uint32_t *values, int n)
{
	uint32_t *sorted = malloc((size_t)n * sizeof(*sorted)), median;

	if (!sorted)
		return 0;
	memcpy(sorted, values, (size_t)n * sizeof(*sorted));
	qsort(sorted, (size_t)n, sizeof(*sorted), by_size);
	median = sorted[n / 2];
	free(sorted);
	return median;
}

/*
 * The second quarter of the rounds against the last one: by then allocators and stacks have what
 * they keep. Under a sanitizer the memory is mostly its own.
 */
static bool has_stayed_as_large(int rounds)
{
	int quarter = rounds / 4;
	uint32_t early, late;

	if (quarter < 4 || test_slowness() > 1)
		return true;
	early = median_of(resident_kib + quarter, quarter);
	late = median_of(resident_kib + rounds - quarter, quarter);
	printf("resident: %.1f MiB early, %.1f MiB late\n", (double)early / 1024,
	       (double)late / 1024);
	if (late <= early + early / 10 + (GROWTH_MAX >> 10))
		return true;
	printf("WRONG: the process grows\n");
	return false;
}

int main(void)
{
	double seconds = test_seconds(25), a_round = seconds / 4;
	int64_t end = wi_now_ns() + (int64_t)(seconds * 1e9);
	struct traces before;
	bool ok = soak_warm_up();
	int n = 0;

	if (a_round > ROUND_SECONDS)
		a_round = ROUND_SECONDS;
	(void)test_seed();
	before = traces_now();
	while (ok && n < ROUNDS_MAX && wi_now_ns() < end)
		ok = run_round(n++, a_round, &before);
	ok = ok && has_stayed_as_large(n);
	printf("%d rounds: %s\n", n, ok ? "ok" : "WRONG");
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
