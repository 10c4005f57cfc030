/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Closing connections. A slot counts until the server process is gone, not until we said goodbye:
 * otherwise the server would for a moment see one connection more than the maximum. PostgreSQL
 * leaves the socket open until its process ends, so end-of-file on our duplicate of the descriptor
 * is the proof.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/probe.h"
#include "pool/busy.h"
#include "pool/hook.h"
#include "pool/pool.h"

/* A session with nothing to do goes at once, or its server is not there any more. */
#define GOODBYE_MS 5000
/* One that never was a session is soon forgotten, so that a server that comes back is soon used. */
#define GOODBYE_FRESH_MS 1000
/*
 * A server that is inside a statement notices our end only after it, so it is waited for as long as
 * a statement may take and a bit; without such a limit, for a minute. Then its slot is used again,
 * and only then can the server see more than the maximum.
 */
#define GOODBYE_UNLIMITED_MS 60000
/* While the pool itself is being closed: within the closer's own time, or a moment. */
#define LAST_GOODBYE_MS 1000
#define MOMENT_MS 25

int64_t wi_busy_goodbye_ms(const struct weir_pool *pool)
{
	int64_t statement_ms = pool->options.statement_timeout_ms;

	return (statement_ms ? statement_ms : GOODBYE_UNLIMITED_MS) + GOODBYE_MS;
}

/* Until when a pool that is being closed waits for a server's end. */
static int64_t last_goodbye_ns(const struct weir_pool *pool)
{
	int64_t now_ns = pool->core.world->now();
	int64_t most_ns = wi_deadline_after(now_ns, LAST_GOODBYE_MS);
	int64_t least_ns = wi_deadline_after(now_ns, MOMENT_MS), ns = wi_load_rlx(&pool->end_ns);

	if (ns > most_ns)
		return most_ns;
	return ns < least_ns ? least_ns : ns;
}

/* How long to wait for the server's end while the pool lives. */
static int64_t goodbye_ms(const struct weir_conn *c, weir_close why)
{
	const struct weir_pool *pool = c->pool;

	if (c->fresh)
		return GOODBYE_FRESH_MS;
	if ((wi_load_rlx(&c->notes) & WI_NOTE_CUT) ||
	    (why != WEIR_CLOSE_UNHEALTHY && why != WEIR_CLOSE_CONDEMNED && c->link &&
	     pool->driver->look(c->link) == WI_LOOK_BUSY))
		return wi_busy_goodbye_ms(pool);
	return GOODBYE_MS;
}

/*
 * Until when to wait for the server's end; asked before the driver closes the connection. hooked: a
 * user's hook may be in the middle of a statement on it.
 */
static int64_t goodbye_ns(const struct weir_conn *c, weir_close why, bool hooked)
{
	struct weir_pool *pool = c->pool;

	if (wi_load_rlx(&pool->closed))
		return last_goodbye_ns(pool);
	return wi_deadline_after(pool->core.world->now(),
	                         hooked ? wi_busy_goodbye_ms(pool) : goodbye_ms(c, why));
}

void wi_conn_close_soon(struct weir_conn *c)
{
	int64_t soon_ns = last_goodbye_ns(c->pool);

	if (soon_ns < c->deadline_ns)
		c->deadline_ns = soon_ns;
}

static void gone(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;

	wi_keeper_watch(pool->keeper, &c->watch, -1, 0);
	if (c->goodbye_fd >= 0)
		close(c->goodbye_fd);
	c->goodbye_fd = -1;
	if (c->cut_counted) {
		c->cut_counted = false;
		pool->census.cut--;
	}
	wi_store_rlx(&c->notes, 0);
	c->leak_told = false;
	wi_slot_in_hand(c, false);
	wi_slot_move(c, WI_CLOSING, WI_EMPTY);
}

static void count(struct weir_conn *c, weir_close why)
{
	struct weir_pool *pool = c->pool;

	if (c->fresh) {
		/* Never opened: counted as a connect failure, not as a connection closed. */
		c->fresh = false;
		pool->census.fresh -= c->life == WI_SETTLING;
		return;
	}
	wi_add_rlx(&pool->closed_by[why], 1);
	wi_probe_close(pool->endpoint->name, (int)why, weir_close_text(why));
	wi_pool_tell(pool, WEIR_EVENT_CLOSED, "%s", weir_close_text(why));
}

/* Whether the server is in a statement that nobody wants any more, and can be told. */
static bool is_to_be_stopped(struct weir_conn *c, weir_close why)
{
	return c->link && why != WEIR_CLOSE_UNHEALTHY && why != WEIR_CLOSE_BROKEN &&
	       c->pool->driver->look(c->link) == WI_LOOK_BUSY;
}

void wi_conn_close(struct weir_conn *c, weir_close why)
{
	struct weir_pool *pool = c->pool;
	int hooks_fd = wi_hook_leave(c);
	void *link = c->link;

	c->deadline_ns = goodbye_ns(c, why, hooks_fd >= 0);
	wi_keeper_watch(pool->keeper, &c->watch, -1, 0);
	count(c, why);
	wi_way_end(c);
	wi_free(c->answer, sizeof(*c->answer)); /* of an errand that is given up */
	c->answer = NULL;
	wi_busy_drop(c);
	if (is_to_be_stopped(c, why))
		wi_cancel_and_forget(c);
	c->link = NULL;
	c->pg = NULL;
	c->evicted = c->accused = false;
	if (pool->retiring == c) {
		pool->retiring = NULL;
		pool->replacing = false;
	}
	c->errand = WI_DO_NOTHING;
	c->goodbye_fd = link ? pool->driver->close(link) : hooks_fd;
	wi_slot_in_hand(c, true);
	wi_slot_move(c, c->life, WI_CLOSING);
	/* The server had its time with one that was cut, and the census has long left it out. */
	if (c->goodbye_fd < 0 || c->cut_counted)
		gone(c);
	else
		wi_keeper_watch(pool->keeper, &c->watch, c->goodbye_fd, EPOLLIN | EPOLLRDHUP);
}

void wi_conn_close_step(struct weir_conn *c, int64_t now_ns)
{
	char rest[16384];
	/*
	 * One read a step: a server that goes on sending must not keep the keeper from everything
	 * else.
	 */
	ssize_t n = read(c->goodbye_fd, rest, sizeof(rest));

	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		wi_keeper_watch(c->pool->keeper, &c->watch, c->goodbye_fd, EPOLLIN | EPOLLRDHUP);
	/* 0: the server is gone. -1: not yet, or the connection was reset, which is as good. */
	if (n == 0 || now_ns >= c->deadline_ns || (n < 0 && errno != EAGAIN && errno != EINTR))
		gone(c);
}
