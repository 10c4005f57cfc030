/* SPDX-License-Identifier: BSD-2-Clause */
/* Waiting for an answer on the holder's own thread, with its own deadline. */
#include <poll.h>

#include "base/clock.h"
#include "pool/pool.h"

enum wi_step wi_conn_await(struct weir_conn *c, struct wi_answer *answer, int64_t deadline_ns,
                           struct wi_failure *failure)
{
	const struct wi_driver *d = c->pool->driver;
	const struct wi_world *w = c->pool->core.world;

	for (;;) {
		enum wi_step step = d->answer_step(c->link, answer, failure);
		struct pollfd p = {.fd = d->fd(c->link),
		                   .events = step == WI_STEP_WRITE ? POLLIN | POLLOUT : POLLIN};
		int64_t due;

		if (step == WI_STEP_DONE || step == WI_STEP_FAILED || w->now() >= deadline_ns)
			return step;
		due = d->due(c->link);
		poll(&p, 1, wi_poll_ms(w->now(), due < deadline_ns ? due : deadline_ns));
	}
}
