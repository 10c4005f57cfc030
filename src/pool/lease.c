/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checkout and checkin: the two calls weir exists for.
 *
 * Checkout. Warm: the thread's cached slot or an idle one, no note on it, lent, done. Otherwise the
 * slow path, counted in `inside`: notes are acted on, and where nothing is idle the caller waits in
 * line.
 *
 * Checkin. Clean, as far as a look without I/O tells: back into the core. Anything else goes to the
 * keeper's inbox, which puts it right or closes it before anybody else gets it.
 *
 * Handles. A handle is the slot's address plus the low 8 bits of the count of its lendings, so a
 * copy that outlived its checkin does not match the slot any more. `lend` is odd while lent; who
 * takes hold raises it, who lets go raises it by compare-and-swap, so that of two threads that give
 * the same handle back one wins and the other is told.
 *
 * Who may free the pool. A caller is inside an RCU read section, or counted in `inside`, or holds a
 * lent slot; close waits for the first by a grace period and for the others by looking.
 */
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/fork.h"
#include "base/rcu.h"
#include "base/text.h"
#include "core/desk.h"
#include "pool/pool.h"

/* A check at checkout is given up after this, and the connection with it. */
#define CHECK_MS 5000
/* A caller with less time than this makes no check. */
#define CHECK_LEAST_MS 100

#define HANDLE_MASK ((uintptr_t)WI_CONN_BYTES - 1)

static int32_t thread_id(void)
{
	static _Thread_local int32_t id __attribute__((tls_model("initial-exec")));

	if (wi_unlikely(!id))
		id = (int32_t)gettid();
	return id;
}

static struct weir_conn *handle_of(struct weir_conn *c, uint32_t lend)
{
	return (struct weir_conn *)(void *)((char *)c + ((lend >> 1) & HANDLE_MASK));
}

/* The slot behind a handle, and the count it is held with; NULL: the handle is stale. */
static struct weir_conn *find(const struct weir_conn *handle, uint32_t *count)
{
	uintptr_t at = (uintptr_t)handle;
	struct weir_conn *c = (struct weir_conn *)(at & ~HANDLE_MASK);

#if defined(WI_TESTING) || !defined(NDEBUG)
	if (!wi_desk_knows(c))
		return NULL; /* a foreign pointer, or of a pool that is gone */
#endif
	*count = wi_load_rlx(&c->slot.lend);
	return (*count & 1) && ((*count >> 1) & HANDLE_MASK) == (at & HANDLE_MASK) ? c : NULL;
}

struct weir_conn *wi_conn_of(const struct weir_conn *handle)
{
	uint32_t count;

	return find(handle, &count);
}

/* From here on the slot is in this thread's hands, as everybody can see. */
static void take_hold(struct weir_conn *c)
{
	uint32_t count = wi_load_rlx(&c->slot.lend) + 1;

	wi_check(count & 1); /* in two hands */
	wi_store_rlx(&c->slot.lend, count);
}

/*
 * Lets go of a slot that is held with this count. false: somebody else let go of it before, with a
 * copy of the same handle; of two that race, one wins.
 */
static bool let_go(struct weir_conn *c, uint32_t count)
{
	/*
	 * Sequentially consistent: the keeper notes a cut and then looks here; we let go and then
	 * look at the notes.
	 */
	return wi_cas_seq(&c->slot.lend, &count, count + 1);
}

/* A slot that is held becomes its user's. */
static struct weir_conn *lend(struct weir_conn *c, struct wi_seat *seat)
{
	wi_store_rlx(&c->holder, thread_id());
	wi_store_rlx(&c->tag, NULL);
	c->role = WEIR_ROLE_UNKNOWN;
	c->reason = WEIR_REASON_NONE;
	c->load = NULL;
	wi_core_count_lent(seat);
	return handle_of(c, wi_load_rlx(&c->slot.lend));
}

void wi_inbox_push(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	uint32_t n = wi_conn_number(c), top = wi_load_rlx(&pool->inbox);

	do {
		wi_store_rlx(&c->inbox_next, top);
		/* [inbox:R1] what the holder wrote to the slot; pairs with A1. */
	} while (!wi_cas_rel(&pool->inbox, &top, n));
	wi_keeper_ring(pool->keeper);
}

struct weir_conn *wi_inbox_take_all(struct weir_pool *pool)
{
	uint32_t n;

	if (!wi_load_rlx(&pool->inbox))
		return NULL;
	/* [inbox:A1] sees each slot as its holder left it; pairs with R1. */
	n = wi_swap_acq(&pool->inbox, 0);
	return n ? &pool->conns[n] : NULL;
}

/*
 * What a taker may not use: the keeper has to see to it. A wish for a check or a ping is no such
 * note.
 */
static bool is_unusable(uint32_t notes)
{
	return notes &
	       (WI_NOTE_SUSPECT | WI_NOTE_RETIRE | WI_NOTE_DISCARD | WI_NOTE_CUT | WI_NOTE_ASKED);
}

struct weir_conn *wi_pool_try(struct weir_pool *pool)
{
	struct wi_seat *seat;
	struct weir_conn *c;
	uint32_t slot;

	if (wi_unlikely(wi_load_rlx(&pool->closed)) || !(seat = wi_desk_seat(&pool->core)))
		return NULL;
	while ((slot = wi_core_take(&pool->core, seat))) {
		uint32_t notes;

		c = &pool->conns[slot];
		notes = wi_load_acq(&c->notes);
		if (wi_likely(!notes || !(notes & ~(uint32_t)(WI_NOTE_OVERFLOW | WI_NOTE_PING)))) {
			take_hold(c);
			return lend(c, seat);
		}
		if (!is_unusable(notes)) {
			wi_core_give(&pool->core, slot); /* wants a check: the slow path makes it */
			return NULL;
		}
		wi_inbox_push(c);
	}
	return NULL;
}

void wi_pool_enter(struct weir_pool *pool)
{
	wi_add_seq(&pool->inside, 1);
}

void wi_pool_exit(struct weir_pool *pool)
{
	/*
	 * After the subtraction only the read section keeps the pool, whose closer may be waiting
	 * for the count.
	 */
	wi_rcu_enter();
	wi_sub_seq(&pool->inside, 1);
	if (wi_unlikely(wi_load_seq(&pool->closed)))
		wi_keeper_ring(pool->keeper);
	wi_rcu_leave();
}

/*
 * Asks a connection that was idle for long whether it lives, as far as there is time. What comes of
 * it is in its notes: none for this any more, RETIRE, or ASKED: the caller's time ran out first,
 * which proves nothing against the connection; its answer is still owed.
 */
static void check(struct weir_conn *c, int64_t deadline_ns)
{
	const struct wi_driver *d = c->pool->driver;
	int64_t now_ns = c->pool->core.world->now(), until_ns = wi_deadline_after(now_ns, CHECK_MS);
	enum wi_step step = WI_STEP_FAILED;
	struct wi_failure f;

	if (d->peek(c->link, &f)) {
		if (deadline_ns < wi_deadline_after(now_ns, CHECK_LEAST_MS))
			return; /* too little time to ask: the look has to do */
		if (d->send(c->link, "", &f))
			step = wi_conn_await(c, NULL,
			                     deadline_ns < until_ns ? deadline_ns : until_ns, &f);
	}
	if (step == WI_STEP_DONE) {
		wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_CHECK);
	} else if (step != WI_STEP_FAILED && deadline_ns < until_ns) {
		wi_or_acq_rel(&c->notes, WI_NOTE_ASKED);
	} else {
		wi_store_rlx(&c->why, WEIR_CLOSE_UNHEALTHY);
		wi_or_acq_rel(&c->notes, WI_NOTE_RETIRE);
	}
}

/*
 * Takes hold of a taken slot and sees whether it may be handed out; if not, it goes to the keeper.
 */
static bool is_fit(struct weir_conn *c, int64_t deadline_ns)
{
	uint32_t notes = wi_load_acq(&c->notes);

	take_hold(c);
	if (wi_likely(!(notes & ~(uint32_t)(WI_NOTE_OVERFLOW | WI_NOTE_PING))))
		return true;
	if (!is_unusable(notes)) {
		check(c, deadline_ns);
		if (!is_unusable(wi_load_rlx(&c->notes)))
			return true;
	}
	(void)let_go(c, wi_load_rlx(&c->slot.lend));
	wi_inbox_push(c);
	return false;
}

/* Nothing open, and the breaker says that nothing will be soon. */
static bool is_hopeless(struct weir_pool *pool)
{
	return wi_load_rlx(&pool->breaker.state) != WI_BREAKER_CLOSED &&
	       wi_load_rlx(&pool->alive) == 0;
}

static weir_status refused(struct weir_pool *pool, uint32_t reason, weir_error *error)
{
	wi_add_rlx(&pool->refused, 1);
	if (reason == WI_REFUSE_BREAKER)
		return wi_say_breaker(pool, error);
	if (reason == WI_REFUSE_CLOSED)
		return wi_fail(error, WEIR_CLOSED, "the pool for %s is closed",
		               pool->endpoint->name);
	return wi_fail(error, WEIR_UNAVAILABLE, "%s", "");
}

/* Waits in line. GRANTED: *slot is the caller's. */
static weir_status wait_in_line(struct weir_pool *pool, struct wi_seat *seat, int64_t deadline_ns,
                                uint32_t *slot, weir_error *error)
{
	int64_t began_ns = pool->core.world->now(), waited_ns;
	struct wi_outcome o;

	if (deadline_ns == 0) {
		wi_add_rlx(&pool->refused, 1);
		return wi_say_exhausted(pool, error);
	}
	wi_add_rlx(&pool->waits, 1);
	o = wi_core_wait(&pool->core, seat, deadline_ns);
	waited_ns = pool->core.world->now() - began_ns;
	wi_hist_add(&pool->wait_hist, waited_ns);
	if (o.verdict == WI_GRANTED) {
		*slot = o.value;
		return WEIR_OK;
	}
	if (o.verdict == WI_REFUSED)
		return refused(pool, o.value, error);
	wi_add_rlx(&pool->timeouts, 1);
	return wi_say_timeout(pool, waited_ns, error);
}

static bool is_shed(struct weir_pool *pool)
{
	int64_t max = pool->options.max_waiters;

	return max > 0 && wi_load_rlx(&pool->inside) > max;
}

weir_status wi_pool_wait(struct weir_pool *pool, int64_t deadline_ns, struct weir_conn **conn,
                         weir_error *error)
{
	struct wi_seat *seat = wi_desk_seat(&pool->core);

	if (!seat)
		return wi_fail(error, WEIR_NO_MEMORY, "no memory for a seat of this thread");
	for (;;) {
		uint32_t slot;
		weir_status st;

		if (wi_load_acq(&pool->closed))
			return refused(pool, WI_REFUSE_CLOSED, error);
		slot = wi_core_take(&pool->core, seat);
		if (!slot) {
			if (is_hopeless(pool))
				return refused(pool, WI_REFUSE_BREAKER, error);
			if (is_shed(pool)) {
				wi_add_rlx(&pool->refused, 1);
				return wi_fail(error, WEIR_SHED, "%lld callers wait for %s already",
				               (long long)pool->options.max_waiters,
				               pool->endpoint->name);
			}
			st = wait_in_line(pool, seat, deadline_ns, &slot, error);
			if (st != WEIR_OK)
				return st;
		}
		if (is_fit(&pool->conns[slot], deadline_ns)) {
			*conn = lend(&pool->conns[slot], seat);
			return WEIR_OK;
		}
	}
}

weir_status weir_pool_checkout(weir_pool *pool, int64_t timeout_ms, weir_conn **conn,
                               weir_error *error)
{
	int64_t deadline_ns;
	weir_status st;

	if (!pool || !conn)
		return wi_fail(error, WEIR_INVALID, "weir_pool_checkout: %s is NULL",
		               pool ? "conn" : "pool");
	*conn = NULL;
	if (wi_unlikely(wi_pool_is_parents(pool)) &&
	    (st = wi_pool_in_child(pool, error)) != WEIR_OK)
		return st;
	wi_rcu_enter();
	*conn = wi_pool_try(pool);
	if (wi_likely(*conn)) {
		wi_rcu_leave();
		return WEIR_OK;
	}
	wi_pool_enter(pool);
	wi_rcu_leave();
	if (timeout_ms == WEIR_DEFAULT_TIMEOUT)
		timeout_ms = pool->options.checkout_timeout_ms;
	deadline_ns = timeout_ms ? wi_deadline_after(pool->core.world->now(), timeout_ms) : 0;
	st = wi_pool_wait(pool, deadline_ns, conn, error);
	wi_pool_exit(pool);
	return st;
}

void wi_conn_mark(struct weir_conn *handle, weir_role role, weir_reason reason, const char *tag,
                  _Atomic uint32_t *load)
{
	struct weir_conn *c = wi_conn_of(handle);

	wi_assert(c);
	c->role = (uint8_t)role;
	c->reason = (uint8_t)reason;
	c->load = load;
	wi_store_rlx(&c->tag, tag);
}

static bool is_clean(struct weir_conn *c)
{
	const struct wi_driver *d = c->pool->driver;
	uint32_t notes = wi_load_seq(&c->notes);

	/* Being used was proof enough of life. */
	if (notes & (WI_NOTE_CHECK | WI_NOTE_PING))
		notes = wi_and_rlx(&c->notes, ~(uint32_t)(WI_NOTE_CHECK | WI_NOTE_PING)) &
		        ~(uint32_t)(WI_NOTE_CHECK | WI_NOTE_PING);
	if (notes || c->pool->reset_always || wi_load_acq(&c->pool->closed))
		return false;
	d->tidy(c->link);
	return d->look(c->link) == WI_LOOK_CLEAN;
}

/* The slot is nobody's any more, and this thread's to pass on. */
static void give_back(struct weir_conn *c, uint32_t note)
{
	struct weir_pool *pool = c->pool;
	struct wi_seat *seat = wi_desk_seat(&pool->core);
	bool clean;

	if (c->load)
		wi_sub_rlx(c->load, 1);
	if (note)
		wi_or_acq_rel(&c->notes, note);
	clean = is_clean(c);
	if (seat)
		wi_core_count_returned(seat);
	else
		wi_add_rlx(&pool->returned_unseated, 1);
	if (!clean)
		wi_inbox_push(c);
	else if (wi_likely(seat))
		wi_core_put(&pool->core, seat, wi_conn_number(c));
	else
		wi_core_give(&pool->core, wi_conn_number(c));
}

/* What is told about a misuse, copied out of the pool, which may be gone when it is told. */
struct misuse {
	weir_event_sink sink;
	void *arg;
	int64_t at_ns;
	char host[WEIR_ERROR_HOST];
};

/*
 * A stale handle still leads to a slot of a living pool; a foreign pointer does not, and is not
 * followed.
 */
static void count_misuse(const struct weir_conn *handle, struct misuse *m)
{
	struct weir_conn *c = (struct weir_conn *)((uintptr_t)handle & ~HANDLE_MASK);
	struct weir_pool *pool;

#if defined(WI_TESTING) || !defined(NDEBUG)
	if (!wi_desk_knows(c))
		return;
#endif
	pool = c->pool;
	wi_add_rlx(&pool->misuse, 1);
	m->sink = pool->options.on_event;
	m->arg = pool->options.on_event_arg;
	m->at_ns = pool->core.world->now();
	wi_copy(m->host, sizeof(m->host), pool->endpoint->name);
}

static void tell_misuse(const struct misuse *m)
{
	const weir_event event = {
		.kind = WEIR_EVENT_MISUSE,
		.at_ns = m->at_ns,
		.host = m->host,
		.text = "a handle was given back that is not out (given back twice?)"};

	if (m->sink)
		m->sink(m->arg, &event);
}

static void hand_in(struct weir_conn **handle, uint32_t note)
{
	struct weir_conn *h, *c;
	struct misuse misuse = {.sink = NULL};
	uint32_t count;

	if (!handle || !*handle)
		return;
	h = *handle;
	*handle = NULL;
	wi_rcu_enter();
	c = find(h, &count);
	if (wi_unlikely(!c || (!wi_pool_is_parents(c->pool) && !let_go(c, count))))
		count_misuse(h, &misuse);
	else if (wi_likely(!wi_pool_is_parents(c->pool)))
		give_back(c, note); /* in a child, the parent's connection is left alone */
	wi_rcu_leave();
	if (wi_unlikely(misuse.sink))
		tell_misuse(&misuse);
}

void weir_checkin(weir_conn **conn)
{
	hand_in(conn, 0);
}

void weir_discard(weir_conn **conn)
{
	hand_in(conn, WI_NOTE_DISCARD);
}

struct pg_conn *weir_pg(const weir_conn *conn)
{
	struct weir_conn *c = conn ? wi_conn_of(conn) : NULL;

	return c && !wi_pool_is_parents(c->pool) ? c->pg : NULL;
}

weir_status weir_conn_info_get(const weir_conn *conn, weir_conn_info *info)
{
	struct weir_conn *c = conn ? wi_conn_of(conn) : NULL;
	struct wi_facts facts;

	if (!info)
		return WEIR_INVALID;
	memset(info, 0, sizeof(*info));
	if (!c)
		return WEIR_STALE;
	if (wi_pool_is_parents(c->pool))
		return WEIR_FORKED;
	c->pool->driver->facts(c->link, &facts);
	wi_copy(info->host, sizeof(info->host), c->pool->endpoint->name);
	info->role = (weir_role)c->role;
	info->reason = (weir_reason)c->reason;
	info->backend_pid = facts.backend_pid;
	info->tag = wi_load_rlx(&c->tag);
	return WEIR_OK;
}
