/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: what is left of the throughput, how long are the waits and how evenly is it shared when
 * there are more threads than connections?
 *
 *	baseline.mutex_pool/crowd   the plain twin: mutex, condition variable, whoever runs first takes
 *	baseline.fair_pool/crowd    the same, handed to the one who waits longest
 *	pool/crowd                  weir
 *
 * Matrix: 8 threads on 2 connections without a hold and with 10 us; 32 on 8 with 10 us. A hold of
 * away:0 burns processor, one of away:1 sleeps, as a caller does whose server is at work. A slice
 * of time each; harness/crowd.h says what the counters are and what the ideal is.
 */
#include "harness/bench.h"
#include "harness/crowd.h"
#include "harness/kind.h"

static void before(struct bench *b)
{
	crowd_before(b, b->kind,
	             (struct crowd_shape){.connections = (unsigned)b->arg[0],
	                                  .hold_ns = b->arg[1] * 1000,
	                                  .away = b->arg[2] != 0});
}

void bench_cases(void)
{
	static const struct bench_case shapes[] = {
		{.threads = {8}, .row = {{2, 0, 0}, {2, 10, 0}, {2, 10, 1}}, .rows = 3},
		{.threads = {32}, .row = {{8, 10, 0}, {8, 10, 1}}, .rows = 2},
	};
	static const struct {
		const char *name;
		const struct bench_kind *kind;
	} kinds[] = {{"baseline.mutex_pool/crowd", &kind_mutex},
	             {"baseline.fair_pool/crowd", &kind_fair},
	             {"pool/crowd", &kind_weir}};

	for (int s = 0; s < 2; s++) {
		for (int k = 0; k < 3; k++) {
			struct bench_case c = shapes[s];

			c.name = kinds[k].name;
			c.before = before;
			c.kind = kinds[k].kind;
			c.body = crowd_body;
			c.after = crowd_after;
			c.arg_name[0] = "connections";
			c.arg_name[1] = "hold_us";
			c.arg_name[2] = "away";
			c.iterations = 1;
			bench_register(&c);
		}
	}
}
