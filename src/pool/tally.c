/* SPDX-License-Identifier: BSD-2-Clause */
/* Counting statements and transactions, by what the connection was checked out for. */
#include "pool/tally.h"

#include "base/atomic.h"
#include "base/probe.h"
#include "pool/pool.h"

/* Without a router nobody said what it is for: then it may be anything, and counts as a write. */
static struct wi_work *work_of(struct weir_conn *c)
{
	weir_reason reason = (weir_reason)wi_load_rlx(&c->reason);
	bool writes = reason == WEIR_REASON_WRITE || reason == WEIR_REASON_NONE;

	return &c->pool->tallies.work[writes ? WEIR_WRITE : WEIR_READ];
}

static void count_error(struct wi_work *w, weir_status status)
{
	if (status == WEIR_RETRY)
		wi_add_rlx(&w->retryable, 1);
	else if (status == WEIR_TIMEOUT)
		wi_add_rlx(&w->timeouts, 1);
	else if (status == WEIR_OUTCOME_UNKNOWN)
		wi_add_rlx(&w->unknown, 1);
	else
		wi_add_rlx(&w->others, 1);
}

void wi_tally_query(struct weir_conn *c, int64_t began_ns, int64_t ended_ns, weir_status status,
                    const char *tag)
{
	struct weir_pool *pool = c->pool;
	const struct wi_slow_of of = {pool->ring, &pool->options, pool->endpoint->name, tag};
	struct wi_work *w = work_of(c);

	wi_add_rlx(&w->queries, 1);
	if (status != WEIR_OK)
		count_error(w, status);
	wi_hist_add(&pool->tallies.query_hist, ended_ns - began_ns);
	wi_probe_query(pool->endpoint->name, ended_ns - began_ns, (int)status, tag ? tag : "");
	wi_slow_query(&pool->vigilance.queries, &of, began_ns, ended_ns, status);
}

void wi_tally_transaction(struct weir_conn *c, enum wi_tally_end end)
{
	wi_add_rlx(&work_of(c)->ended[end], 1);
}

static weir_work read_work(const struct wi_work *w)
{
	weir_work read = {
		.queries = wi_load_rlx(&w->queries),
		.query_retryable = wi_load_rlx(&w->retryable),
		.query_timeouts = wi_load_rlx(&w->timeouts),
		.query_unknown = wi_load_rlx(&w->unknown),
		.committed = wi_load_rlx(&w->ended[WI_TALLY_COMMITTED]),
		.rolled_back = wi_load_rlx(&w->ended[WI_TALLY_ROLLED_BACK]),
		.unknown = wi_load_rlx(&w->ended[WI_TALLY_UNKNOWN]),
	};

	read.query_errors = read.query_retryable + read.query_timeouts + read.query_unknown +
	                    wi_load_rlx(&w->others);
	return read;
}

void wi_tally_read(const struct weir_pool *pool, weir_pool_stats *s)
{
	for (int i = 0; i < WEIR_INTENTS; i++)
		s->work[i] = read_work(&pool->tallies.work[i]);
	wi_hist_durations(&pool->tallies.query_hist, &s->query);
	wi_hist_histogram(&pool->tallies.query_hist, &s->query_times);
}
