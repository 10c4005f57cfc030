/* SPDX-License-Identifier: BSD-2-Clause */
/* Waiting for an answer on the holder's own thread, with its own deadline. */
#include <poll.h>

#include "base/clock.h"
#include "pool/pool.h"

/* Waits until the next step is due; false: the deadline came first. */
static bool wait_for_step(struct weir_conn *c, enum wi_step step, int64_t deadline_ns)
{
	const struct wi_driver *d = c->pool->driver;
	const struct wi_world *w = c->pool->core.world;
	struct pollfd p = {.fd = d->fd(c->link),
	                   .events = step == WI_STEP_WRITE ? POLLIN | POLLOUT : POLLIN};
	int64_t due;

	if (w->now() >= deadline_ns)
		return false;
	due = d->due(c->link);
	poll(&p, 1, wi_poll_ms(w->now(), due < deadline_ns ? due : deadline_ns));
	return true;
}

enum wi_step wi_conn_await(struct weir_conn *c, struct wi_answer *answer, int64_t deadline_ns,
                           struct wi_failure *failure)
{
	for (;;) {
		enum wi_step step = c->pool->driver->answer_step(c->link, answer, failure);

		if (step == WI_STEP_DONE || step == WI_STEP_FAILED ||
		    !wait_for_step(c, step, deadline_ns))
			return step;
	}
}

enum wi_step wi_conn_await_results(struct weir_conn *c, const struct wi_call *calls, size_t n,
                                   struct wi_results *results, int64_t deadline_ns,
                                   struct wi_failure *failure)
{
	for (;;) {
		enum wi_step step =
			c->pool->driver->results_step(c->link, calls, n, results, failure);

		if (step == WI_STEP_DONE || step == WI_STEP_FAILED ||
		    !wait_for_step(c, step, deadline_ns))
			return step;
	}
}
