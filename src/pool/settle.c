/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the keeper does with a connection before it is anybody's: greet a new one (greet.c), put a
 * returned one right, ask an idle one whether it lives. Each errand is one query, sent without
 * waiting; when its answer is there the next errand follows:
 *
 *	new:       as greet.c says --> ready
 *	returned:  DRAIN (if busy: busy.c) --> ROLLBACK (if in a transaction) -->
 *	           RESET (if dirty, or always; then both in one go) -->
 *	           REAPPLY (what a reset takes away) --> ready
 *	idle:      PING --> ready
 *	of a router's host, if its epoch has moved, at the end of each of them: WHO (epoch.c)
 */
#include <string.h>
#include <sys/epoll.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/text.h"
#include "pool/busy.h"
#include "pool/hook.h"
#include "pool/pool.h"
#include "pool/size.h"

/* A connection that cannot be put right in this time is closed. */
#define SETTLE_MS 5000
#define DISCARD_ALL "DISCARD ALL"

static bool is_reset_word(const struct weir_pool *pool, const char *word)
{
	return strcmp(pool->options.reset, word) == 0;
}

static const char *reset_sql(const struct weir_pool *pool)
{
	if (is_reset_word(pool, "tracked") || is_reset_word(pool, "always") ||
	    is_reset_word(pool, "none"))
		return DISCARD_ALL;
	return pool->options.reset;
}

static bool wants_reset(struct weir_conn *c)
{
	if (is_reset_word(c->pool, "none"))
		return false;
	return c->pool->reset_always || wi_load_rlx(&c->notes) & WI_NOTE_RENEW ||
	       c->pool->driver->look(c->link) == WI_LOOK_CHANGED;
}

/* SQL of an errand; NULL: nothing to do. */
static const char *errand_sql(const struct weir_conn *c)
{
	const struct weir_pool *pool = c->pool;

	switch (c->errand) {
	case WI_DO_VERIFY:
	case WI_DO_VERIFY_AGAIN:
	case WI_DO_APPLY:
	case WI_DO_ON_CONNECT:
		return wi_greet_sql(c);
	case WI_DO_ROLLBACK:
		return "ROLLBACK";
	case WI_DO_RESET:
		return reset_sql(pool);
	case WI_DO_REAPPLY:
		return pool->apply_by_set && !pool->not_held &&
		                       !wi_settings_is_empty(&pool->settings)
		               ? pool->settings.apply
		               : NULL;
	case WI_DO_PING:
		return "";
	case WI_DO_WHO: /* see send_errand */
	case WI_DO_DRAIN:
	case WI_DO_HOOK:
	case WI_DO_NOTHING:
		break;
	}
	return NULL;
}

static void answer_free(struct weir_conn *c)
{
	wi_free(c->answer, sizeof(*c->answer));
	c->answer = NULL;
}

static void failed(struct weir_conn *c, const struct wi_failure *failure)
{
	answer_free(c);
	if (c->fresh) {
		wi_greet_failed(c, failure);
	} else if (failure->fault == WI_FAULT_LOST) {
		wi_conn_lost(c, failure);
	} else if (wi_health_is_question(c->errand) && failure->fault == WI_FAULT_TIMEOUT) {
		wi_health_unanswered(c);
	} else {
		wi_conn_close(c, wi_health_is_question(c->errand) ? WEIR_CLOSE_UNHEALTHY
		                                                  : WEIR_CLOSE_RESET_FAILED);
	}
}

/* All errands are done: to the first who waits, or to the idle ones. */
static void ready(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	bool fresh = c->fresh;

	answer_free(c);
	if (fresh)
		wi_greet_done(c);
	if (wi_load_rlx(&pool->closed)) {
		wi_conn_close(c, WEIR_CLOSE_SHUTDOWN);
		return;
	}
	if (wi_resize_sheds(c)) {
		wi_conn_close(c, WEIR_CLOSE_OVERFLOW); /* whom it was opened for has gone */
		return;
	}
	pool->driver->tidy(c->link);
	if (is_reset_word(pool, "none") && pool->driver->look(c->link) == WI_LOOK_CHANGED)
		pool->driver->mark_clean(c->link); /* or every checkin would come here */
	c->errand = WI_DO_NOTHING;
	c->deadline_ns = WI_FOREVER;
	wi_slot_move(c, WI_SETTLING, WI_READY);
	wi_slot_in_hand(c, false);
	wi_tend_first(c, pool->core.world->now(), fresh);
	wi_and_rlx(&c->notes,
	           ~(uint32_t)(WI_NOTE_PING | WI_NOTE_CHECK | WI_NOTE_LOOK | WI_NOTE_RENEW));
	wi_or_rlx(&c->notes, wi_load_rlx(&pool->standing));
	/*
	 * Edge-triggered, and only for the end of the connection: its traffic while lent does not
	 * wake the keeper. Where epoll has no room, takers look, and tending tries again.
	 */
	if (!wi_keeper_watch(pool->keeper, &c->watch, pool->driver->fd(c->link),
	                     EPOLLRDHUP | EPOLLET))
		wi_or_rlx(&c->notes, WI_NOTE_LOOK);
	wi_core_give(&pool->core, c->number);
}

/* Nothing is left to do, but for asking who answers, if the epoch has moved since it last was. */
static void finish(struct weir_conn *c)
{
	int64_t now_ns = c->pool->core.world->now();

	if (!wi_epoch_is_owed(c) || wi_load_rlx(&c->pool->closed)) {
		ready(c);
		return;
	}
	if (c->fresh) {
		wi_settle_begin(c, WI_DO_WHO, c->deadline_ns);
		return;
	}
	wi_store_rlx(&c->asked_ns, now_ns);
	wi_settle_begin(c, WI_DO_WHO, wi_health_deadline(c));
}

/* What follows a finished errand; NOTHING: the connection is ready. */
static void next_errand(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;

	switch (c->errand) {
	case WI_DO_VERIFY:
	case WI_DO_VERIFY_AGAIN:
	case WI_DO_APPLY:
	case WI_DO_ON_CONNECT:
		wi_greet_next(c);
		return;
	case WI_DO_ROLLBACK:
		c->errand = wants_reset(c) ? WI_DO_RESET : WI_DO_NOTHING;
		return;
	case WI_DO_RESET:
		wi_access_was_reset(c, strcmp(reset_sql(pool), DISCARD_ALL) == 0);
		c->errand =
			strcmp(reset_sql(pool), DISCARD_ALL) == 0 ? WI_DO_REAPPLY : WI_DO_NOTHING;
		return;
	case WI_DO_REAPPLY:
		/* A full reset also takes away what on_connect_sql had set. */
		c->errand = WI_DO_ON_CONNECT;
		return;
	case WI_DO_PING:
	case WI_DO_WHO:
		c->checked_ns = pool->core.world->now();
		c->errand = WI_DO_NOTHING;
		return;
	case WI_DO_DRAIN:
	case WI_DO_HOOK:
	case WI_DO_NOTHING:
		return;
	}
}

/* A rollback that a full reset follows for certain: one round trip for the two. */
static bool is_both_at_once(const struct weir_conn *c)
{
	return c->errand == WI_DO_ROLLBACK && is_reset_word(c->pool, "always");
}

static bool send_both(struct weir_conn *c, struct wi_failure *f)
{
	c->errand = WI_DO_RESET;
	return c->pool->driver->send_two(c->link, "ROLLBACK", DISCARD_ALL, f);
}

/*
 * Sends the present errand, skipping those with nothing to do; false: failed or ready, the slot is
 * elsewhere.
 */
static bool send_errand(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	struct wi_failure f = {0};
	const char *sql;

	while (c->errand != WI_DO_NOTHING && c->errand != WI_DO_HOOK &&
	       !(sql = c->errand == WI_DO_WHO ? wi_epoch_ask(c) : errand_sql(c)))
		next_errand(c);
	if (c->errand == WI_DO_HOOK) {
		answer_free(c);
		wi_hook_begin(c);
		return false;
	}
	if (c->errand == WI_DO_NOTHING) {
		finish(c);
		return false;
	}
	if (!c->answer && !(c->answer = wi_alloc(sizeof(*c->answer)))) {
		f = (struct wi_failure){.fault = WI_FAULT_MEMORY,
		                        .text = "no memory for an answer"};
		failed(c, &f);
		return false;
	}
	memset(c->answer, 0, sizeof(*c->answer));
	if (is_both_at_once(c) ? send_both(c, &f) : pool->driver->send(c->link, sql, &f))
		return true;
	failed(c, &f);
	return false;
}

void wi_settle_begin(struct weir_conn *c, enum wi_errand errand, int64_t deadline_ns)
{
	c->errand = errand;
	c->deadline_ns = deadline_ns;
	wi_slot_in_hand(c, true);
	if (send_errand(c))
		wi_settle_step(c, c->pool->core.world->now());
}

void wi_settle_hooked(struct weir_conn *c, const struct wi_failure *failure)
{
	if (failure) {
		failed(c, failure);
		return;
	}
	c->pool->driver->mark_clean(c->link);
	c->errand = WI_DO_NOTHING;
	finish(c);
}

static void late(struct weir_conn *c)
{
	struct wi_failure f = {.fault = WI_FAULT_TIMEOUT};
	struct wi_text t;

	wi_text_init(&t, f.text, sizeof(f.text));
	wi_text_add(&t, "no answer in time while %s",
	            c->fresh                           ? "setting up a new connection"
	            : wi_health_is_question(c->errand) ? "checking an idle connection"
	                                               : "resetting a returned connection");
	failed(c, &f);
}

/* Whether the answer to it says who answers. */
static bool says_who(enum wi_errand errand)
{
	return errand == WI_DO_WHO || errand == WI_DO_VERIFY || errand == WI_DO_VERIFY_AGAIN;
}

static void await_socket(struct weir_conn *c, uint32_t events)
{
	const struct wi_failure f = {.fault = WI_FAULT_MEMORY, .text = WI_CANNOT_WATCH};
	struct weir_pool *pool = c->pool;

	if (!wi_keeper_watch(pool->keeper, &c->watch, pool->driver->fd(c->link), events))
		failed(c, &f);
}

void wi_settle_step(struct weir_conn *c, int64_t now_ns)
{
	struct weir_pool *pool = c->pool;
	struct wi_failure f = {0};

	if (c->errand == WI_DO_DRAIN) {
		wi_busy_step(c, now_ns);
		return;
	}
	if (c->errand == WI_DO_HOOK) {
		wi_hook_step(c, now_ns);
		return;
	}
	if (now_ns >= c->deadline_ns && !wi_health_has_time(c, now_ns)) {
		late(c);
		return;
	}
	for (;;) {
		enum wi_step step = pool->driver->answer_step(c->link, c->answer, &f);

		if (step == WI_STEP_READ || step == WI_STEP_WRITE) {
			await_socket(c, step == WI_STEP_READ ? EPOLLIN : EPOLLIN | EPOLLOUT);
			return;
		}
		if (step == WI_STEP_FAILED) {
			failed(c, &f);
			return;
		}
		wi_store_rlx(&c->proven_ns, now_ns);
		if (says_who(c->errand) && !wi_epoch_take(c))
			return;
		next_errand(c);
		if (!send_errand(c))
			return;
	}
}

/* Whether it was in somebody's hands since the keeper last saw it idle. */
static bool was_out(const struct weir_conn *c)
{
	return wi_load_rlx(&c->slot.lend) != wi_load_rlx(&c->seen_lend);
}

static enum wi_errand errand_for(struct weir_conn *c, uint32_t notes)
{
	if (c->pool->driver->look(c->link) == WI_LOOK_IN_TX)
		return WI_DO_ROLLBACK;
	if (wants_reset(c) && (was_out(c) || !(notes & (WI_NOTE_PING | WI_NOTE_VERIFY))))
		return WI_DO_RESET;
	return notes & WI_NOTE_PING ? WI_DO_PING : WI_DO_NOTHING;
}

/*
 * Whether the notes on it, or what it looks like, mean the end of a connection; then it is closed,
 * or, where it is busy, on its way to be free again.
 */
static bool ends(struct weir_conn *c, uint32_t notes)
{
	struct weir_pool *pool = c->pool;
	struct wi_failure f = {0};
	enum wi_look look;

	if (notes & WI_NOTE_CUT) {
		wi_conn_close(c, WEIR_CLOSE_RECLAIMED);
	} else if (notes & WI_NOTE_DISCARD) {
		wi_health_discarded(c);
		wi_conn_close(c, WEIR_CLOSE_DISCARDED);
	} else if (notes & WI_NOTE_SILENT) {
		wi_health_unanswered(c);
	} else if (notes & WI_NOTE_RETIRE) {
		wi_conn_close(c, (weir_close)wi_load_rlx(&c->why));
	} else if (wi_load_rlx(&pool->closed)) {
		wi_conn_close(c, WEIR_CLOSE_SHUTDOWN);
	} else if ((look = pool->driver->look(c->link)) == WI_LOOK_BUSY || notes & WI_NOTE_CANCEL) {
		wi_busy_begin(c, pool->core.world->now());
	} else if ((look == WI_LOOK_DEAD || (notes & WI_NOTE_SUSPECT)) &&
	           !pool->driver->peek(c->link, &f)) {
		wi_conn_lost(c, &f);
	} else if (wi_health_heard(c)) {
		return true;
	} else if (wi_resize_sheds(c)) {
		wi_conn_close(c, WEIR_CLOSE_OVERFLOW);
	} else {
		return false;
	}
	return true;
}

/* A ping that its caller had no time to see to the end. */
static void await_asked(struct weir_conn *c, int64_t now_ns)
{
	wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_ASKED);
	wi_slot_move(c, WI_READY, WI_SETTLING);
	c->errand = WI_DO_PING;
	c->deadline_ns = wi_health_deadline(c);
	wi_settle_step(c, now_ns);
}

void wi_settle_returned(struct weir_conn *c)
{
	uint32_t notes = wi_load_acq(&c->notes);
	int64_t now_ns = c->pool->core.world->now();

	wi_slot_in_hand(c, true);
	if (notes & WI_NOTE_ASKED) {
		await_asked(c, now_ns);
		return;
	}
	c->pool->driver->tidy(c->link);
	if (ends(c, notes))
		return;
	wi_epoch_look(c);
	wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_SUSPECT);
	wi_slot_move(c, WI_READY, WI_SETTLING);
	wi_settle_go_on(c, now_ns, false);
}

/*
 * SETTLING, and nothing is under way on it: what it needs before somebody gets it; a round trip at
 * the least, where one is wanted.
 */
void wi_settle_go_on(struct weir_conn *c, int64_t now_ns, bool round_trip)
{
	c->errand = errand_for(c, wi_load_rlx(&c->notes));
	if (c->errand == WI_DO_NOTHING && round_trip)
		c->errand = WI_DO_PING;
	if (c->errand == WI_DO_PING)
		wi_store_rlx(&c->asked_ns, now_ns);
	if (c->errand == WI_DO_NOTHING)
		finish(c);
	else
		wi_settle_begin(c, c->errand,
		                c->errand == WI_DO_PING ? wi_health_deadline(c)
		                                        : wi_deadline_after(now_ns, SETTLE_MS));
}
