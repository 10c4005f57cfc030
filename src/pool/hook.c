/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The user's own call for a new connection (on_connect), on a thread of its own.
 *
 * Whose is what. While a hook runs, the link is its thread's; the keeper only looks at the chore.
 * One that is late, or whose pool is closed, has its connection cut under it, so that what it waits
 * for fails; its slot goes its way like any other that is closed, by a descriptor of its own, and
 * the link waits on the pool's list of hooks until the hook has returned. A pool with such a list
 * is not freed.
 */
#include "pool/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/text.h"
#include "pool/chore.h"
#include "pool/pool.h"

/* Access key: (c) constant once started; (t) the thread's until done; (k) keeper's thread only. */
struct wi_hook {
	struct wi_chore chore;
	weir_connect_hook call;         /* (c) */
	void *arg;                      /* (c) */
	struct pg_conn *pg;             /* (c) */
	int64_t deadline_ns;            /* (c) */
	bool ok;                        /* (t) */
	weir_error error;               /* (t) */
	struct weir_conn *conn;         /* (k) NULL: it was left */
	void *link;                     /* (k) to be closed when it has returned, if it was left */
	const struct wi_driver *driver; /* (c) */
	int fd;                         /* (k) another hold on the socket, or -1 */
	struct wi_hook *next;           /* (k) */
};

static void run(struct wi_chore *chore)
{
	struct wi_hook *h = WI_CONTAINER_OF(chore, struct wi_hook, chore);

	h->ok = h->call(h->arg, h->pg, h->deadline_ns, &h->error);
}

static void dispose(struct wi_chore *chore)
{
	struct wi_hook *h = WI_CONTAINER_OF(chore, struct wi_hook, chore);

	wi_free(h, sizeof(*h));
}

/* The hook has returned, or never began. */
static void forget(struct weir_pool *pool, struct wi_hook *h)
{
	struct wi_hook **at = &pool->hooks;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	wi_sub_rlx(&pool->hooked, 1);
	if (h->fd >= 0)
		close(h->fd);
	wi_chore_drop(&h->chore, NULL);
}

static struct wi_hook *hook_of(const struct weir_conn *c)
{
	struct wi_hook *h = c->pool->hooks;

	while (h && h->conn != c)
		h = h->next;
	return h;
}

static void fail(struct weir_conn *c, enum wi_fault fault, const char *text)
{
	struct wi_failure f = {.fault = fault};
	struct wi_text t;

	wi_text_init(&t, f.text, sizeof(f.text));
	wi_text_add(&t, "on_connect: %s", text);
	wi_settle_hooked(c, &f);
}

void wi_hook_begin(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	struct wi_hook *h = wi_alloc(sizeof(*h));

	if (!h) {
		fail(c, WI_FAULT_MEMORY, "no memory for the call");
		return;
	}
	*h = (struct wi_hook){
		.chore = {.run = run, .dispose = dispose},
		.call = pool->options.on_connect,
		.arg = pool->options.on_connect_arg,
		.pg = pool->driver->pg(c->link),
		.deadline_ns = c->deadline_ns,
		.conn = c,
		.driver = pool->driver,
		.fd = fcntl(pool->driver->fd(c->link), F_DUPFD_CLOEXEC, 0),
		.next = pool->hooks,
	};
	pool->hooks = h;
	wi_add_rlx(&pool->hooked, 1);
	pool->driver->tidy(c->link);
	wi_keeper_watch(pool->keeper, &c->watch, -1, 0);
	if (!wi_chore_start(&h->chore, WI_CHORE_USER, pool->keeper)) {
		forget(pool, h);
		fail(c, WI_FAULT_MEMORY, "no thread for the call");
	}
}

bool wi_hook_is_rung(const struct weir_conn *c)
{
	struct wi_hook *h = c->errand == WI_DO_HOOK ? hook_of(c) : NULL;

	return h && wi_chore_poll(&h->chore) != 0;
}

/* What the hook left behind: only an idle connection outside a transaction is one to lend. */
static void returned(struct weir_conn *c, bool ok, const char *text)
{
	struct weir_pool *pool = c->pool;
	enum wi_look look;
	struct wi_failure f = {0};

	pool->driver->tidy(c->link);
	look = pool->driver->look(c->link);
	if (look == WI_LOOK_DEAD || !pool->driver->peek(c->link, &f))
		fail(c, WI_FAULT_LOST, f.text[0] ? f.text : "the connection is lost");
	else if (!ok)
		fail(c, WI_FAULT_CONFIG, text[0] ? text : "failed without a word");
	else if (look == WI_LOOK_IN_TX || look == WI_LOOK_BUSY)
		fail(c, WI_FAULT_CONFIG, "left the connection in a transaction, or busy");
	else
		wi_settle_hooked(c, NULL);
}

void wi_hook_step(struct weir_conn *c, int64_t now_ns)
{
	struct weir_pool *pool = c->pool;
	struct wi_hook *h = hook_of(c);
	char text[WEIR_ERROR_TEXT];
	bool ok;

	switch (wi_chore_poll(&h->chore)) {
	case 0:
		if (now_ns >= c->deadline_ns)
			fail(c, WI_FAULT_TIMEOUT, "has not returned in time");
		return;
	case 1:
		ok = h->ok;
		h->error.text[sizeof(h->error.text) - 1] = '\0'; /* whatever it wrote */
		wi_copy_clean(text, sizeof(text), h->error.text, pool->driver->password(c->link));
		forget(pool, h);
		returned(c, ok, text);
		return;
	default:
		forget(pool, h);
		fail(c, WI_FAULT_MEMORY, "no thread for the call");
		return;
	}
}

int wi_hook_leave(struct weir_conn *c)
{
	struct wi_hook *h = c->errand == WI_DO_HOOK ? hook_of(c) : NULL;
	int fd;

	if (!h)
		return -1;
	if (wi_chore_withdraw(&h->chore)) { /* it stood in line behind other calls that hang */
		forget(c->pool, h);
		return -1;
	}
	h->driver->cut(c->link);
	h->link = c->link;
	h->conn = NULL;
	c->link = NULL;
	fd = h->fd;
	h->fd = -1;
	return fd;
}

bool wi_hooks_run(struct weir_pool *pool)
{
	struct wi_hook *h, *next;

	for (h = pool->hooks; h; h = next) {
		int fd;

		next = h->next;
		if (h->conn || wi_chore_poll(&h->chore) == 0)
			continue;
		fd = h->driver->close(h->link);
		if (fd >= 0)
			close(fd);
		forget(pool, h);
	}
	return pool->hooks != NULL;
}
