/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What comes back busy. The keeper reads what is there and throws it away. If that is not all, it
 * has a cancel request sent and reads on, until nothing is owed any more; then the connection is
 * rolled back and reset as any other. All of that within cancel_timeout_ms, or it is closed.
 *
 * The request. libpq's call blocks, so it is a chore, on a thread of its own. The request goes to
 * the server on a connection of its own, and names a session, not a statement: whatever that
 * session is doing when it arrives is hit. So a connection for which a request is under way is
 * neither handed out nor sent a statement. It goes on only when the call has returned with success,
 * which is when the server has signalled the session and closed the request's connection; when all
 * of the answer was read; and when it has answered one statement more. If the call fails, or does
 * not end in time, nobody knows whether the request is still on its way: the connection is closed,
 * and a request that comes late finds no session with that key. (The key is a random number of 32
 * bits: a process with the same pid has another.)
 *
 * A request that comes too early, before the session has begun what was sent, is lost. So while the
 * answer is still to come, the server is asked again, after growing pauses.
 *
 * A holder whose deadline passes has the request sent himself (wi_busy_give_up) and gives the
 * connection back when he likes, perhaps after the answer has come after all: so it is noted, and
 * begins here whatever the connection looks like by then.
 *
 * Also where the connection is closed at once, a request is sent, so that the server does not go on
 * with what nobody wants any more. That one is waited for by nobody.
 */
#include "pool/busy.h"

#include <stdio.h>
#include <sys/epoll.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "pool/chore.h"
#include "pool/pool.h"

/* More than what the buffers on the way can hold, and little enough to read it in passing. */
#define MOST_UNREAD ((size_t)16 << 20)

/* A request that finds the session before it has begun its statement does nothing. */
#define FIRST_PAUSE_NS (20 * WI_MS)

/* A cancel request. The chore's thread and the keeper share it; the rest is as chore.h says. */
struct wi_cancel {
	struct wi_chore chore;
	const struct wi_driver *driver;
	void *request;
	bool dealt_with; /* the thread's until done */
};

/*
 * What is being done about a busy connection; keeper's thread. Made by the holder where he asked
 * for the cancel himself, and then the keeper's from the checkin on.
 */
struct wi_busy {
	struct wi_cancel *cancel; /* under way, or NULL */
	size_t room;              /* how much more may be read */
	int64_t again_ns;         /* when to ask once more; with no request under way */
	int64_t pause_ns;         /* until then */
	bool asked;               /* a request was dealt with */
	bool unsent;              /* something is still to be flushed */
	bool drained;
};

static void ask(struct wi_chore *chore)
{
	struct wi_cancel *x = WI_CONTAINER_OF(chore, struct wi_cancel, chore);

	x->dealt_with = x->driver->cancel_ask(x->request);
}

static void dispose(struct wi_chore *chore)
{
	struct wi_cancel *x = WI_CONTAINER_OF(chore, struct wi_cancel, chore);

	x->driver->cancel_free(x->request);
	wi_free(x, sizeof(*x));
}

/* A cancel request on its way, to be dropped by the caller, or NULL. */
static struct wi_cancel *start(struct weir_conn *c, struct wi_keeper *keeper)
{
	const struct wi_driver *d = c->pool->driver;
	struct wi_cancel *x = wi_alloc(sizeof(*x));

	if (!x)
		return NULL;
	*x = (struct wi_cancel){.chore = {.run = ask, .dispose = dispose},
	                        .driver = d,
	                        .request = d->cancel_make(c->link)};
	if (!x->request) {
		wi_free(x, sizeof(*x));
		return NULL;
	}
	if (!wi_chore_start(&x->chore, WI_CHORE_CANCEL, keeper)) {
		wi_chore_drop(&x->chore, NULL);
		return NULL;
	}
	wi_add_rlx(&c->pool->cancels, 1);
	return x;
}

void wi_cancel_and_forget(struct weir_conn *c)
{
	struct wi_cancel *x = start(c, NULL);

	if (x)
		wi_chore_drop(&x->chore, NULL);
}

/* What is busy, or NULL: in any life. */
static struct wi_busy *busy_of(const struct weir_conn *c)
{
	return wi_conn_is_on_its_way(c) ? NULL : c->busy;
}

/* Of one that is on no way, as its holder's is not; who holds it may not ask for its life. */
static void drop(struct weir_conn *c)
{
	struct wi_busy *b = c->busy;

	if (!b)
		return;
	if (b->cancel)
		wi_chore_drop(&b->cancel->chore, NULL);
	wi_free(b, sizeof(*b));
	c->busy = NULL;
}

void wi_busy_drop(struct weir_conn *c)
{
	if (!wi_conn_is_on_its_way(c))
		drop(c);
}

bool wi_busy_is_rung(const struct weir_conn *c)
{
	const struct wi_busy *b = busy_of(c);

	return b && b->cancel && wi_chore_poll(&b->cancel->chore) != 0;
}

int64_t wi_busy_due(const struct weir_conn *c)
{
	const struct wi_busy *b = busy_of(c);

	return b && !b->cancel ? b->again_ns : WI_FOREVER;
}

/* Reads on. false: the connection is closed. */
static bool drain(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	struct wi_failure f = {0};
	enum wi_step step = pool->driver->drain_step(c->link, &c->busy->room, &f);

	switch (step) {
	case WI_STEP_DONE:
	case WI_STEP_READ:
	case WI_STEP_WRITE:
		c->busy->drained = step == WI_STEP_DONE;
		c->busy->unsent = step == WI_STEP_WRITE;
		return true;
	case WI_STEP_FAILED:
		break;
	}
	if (f.fault == WI_FAULT_LOST)
		wi_conn_lost(c, &f);
	else
		wi_conn_close(c, WEIR_CLOSE_BUSY);
	return false;
}

/*
 * While a request is under way only the end of the connection wakes the keeper: what the server
 * still sends until the request reaches it waits in the buffers, and holds it up.
 */
static void watch(struct weir_conn *c)
{
	const struct wi_busy *b = c->busy;
	uint32_t events = b->cancel ? EPOLLRDHUP : b->unsent ? EPOLLIN | EPOLLOUT : EPOLLIN;

	if (b->drained)
		wi_keeper_watch(c->pool->keeper, &c->watch, -1, 0);
	else
		wi_keeper_watch(c->pool->keeper, &c->watch, c->pool->driver->fd(c->link), events);
}

static void go_on(struct weir_conn *c, int64_t now_ns)
{
	bool cancelled = c->busy->asked;

	wi_busy_drop(c);
	wi_settle_go_on(c, now_ns, cancelled);
}

static bool make(struct weir_conn *c)
{
	c->busy = wi_alloc(sizeof(*c->busy));
	if (!c->busy)
		return false;
	c->busy->room = MOST_UNREAD;
	c->busy->pause_ns = FIRST_PAUSE_NS;
	return true;
}

/* false: that cannot be, or the options do not want it. */
static bool ask_for_holder(struct weir_conn *c)
{
	if (c->busy)
		return true; /* he has asked before, and not given it back */
	if (wi_word_load(&c->pool->options.cancel_timeout_ms) == 0 || !make(c))
		return false;
	c->busy->cancel = start(c, c->pool->keeper);
	if (!c->busy->cancel) {
		drop(c);
		return false;
	}
	wi_or_acq_rel(&c->notes, WI_NOTE_CANCEL);
	return true;
}

void wi_busy_give_up(struct weir_conn *c)
{
	if (ask_for_holder(c))
		return;
	wi_cancel_and_forget(c);
	wi_or_acq_rel(&c->notes, WI_NOTE_DISCARD);
}

void wi_busy_out_of_time(struct weir_conn *c, int64_t sent_ns, struct wi_failure *failure)
{
	wi_busy_give_up(c);
	*failure = (struct wi_failure){.fault = WI_FAULT_TIMEOUT};
	snprintf(failure->text, sizeof(failure->text),
	         "no answer within the caller's deadline, %.1f ms after it was sent",
	         (double)(c->pool->core.world->now() - sent_ns) / (double)WI_MS);
}

void wi_busy_begin(struct weir_conn *c, int64_t now_ns)
{
	int64_t ms = c->pool->options.cancel_timeout_ms;

	wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_CANCEL);
	if (ms == 0 || (!c->busy && !make(c))) {
		wi_conn_close(c, WEIR_CLOSE_BUSY);
		return;
	}
	c->errand = WI_DO_DRAIN;
	c->deadline_ns = wi_deadline_after(now_ns, ms);
	wi_slot_move(c, WI_READY, WI_SETTLING);
	if (c->busy->cancel) {
		wi_busy_step(c, now_ns); /* its holder has asked already */
		return;
	}
	if (!drain(c))
		return;
	if (c->busy->drained)
		go_on(c, now_ns); /* it was all there, and nobody was asked for anything */
	else if ((c->busy->cancel = start(c, c->pool->keeper)))
		watch(c);
	else
		wi_conn_close(c, WEIR_CLOSE_BUSY);
}

/* Looks what became of the request under way. false: nobody knows where it is. */
static bool see_to_request(struct wi_busy *b, int64_t now_ns)
{
	int done = wi_chore_poll(&b->cancel->chore);

	if (done == 0)
		return true;
	if (done < 0 || !b->cancel->dealt_with)
		return false;
	wi_chore_drop(&b->cancel->chore, NULL);
	b->cancel = NULL;
	b->asked = true;
	b->again_ns = now_ns + b->pause_ns;
	b->pause_ns *= 2;
	return true;
}

void wi_busy_step(struct weir_conn *c, int64_t now_ns)
{
	struct wi_busy *b = c->busy;
	bool all_is_well = true;

	if (b->cancel)
		all_is_well = see_to_request(b, now_ns);
	if (!b->drained && !drain(c))
		return;
	if (!b->cancel && b->drained) {
		go_on(c, now_ns);
		return;
	}
	if (!b->cancel && now_ns >= b->again_ns && now_ns < c->deadline_ns)
		all_is_well = (b->cancel = start(c, c->pool->keeper)) != NULL;
	if (!all_is_well || now_ns >= c->deadline_ns)
		wi_conn_close(c, WEIR_CLOSE_BUSY);
	else
		watch(c);
}
