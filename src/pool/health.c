/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a connection lives. In order of their price:
 *
 *	watch   the keeper's epoll tells of the end of every open connection; free (turn.c)
 *	look    poll(2) without waiting, and what libpq has to say: no checkout that looks hands out a
 *	        connection whose end has arrived; some 0.3 us
 *	ask     an empty query there and back, within check_timeout_ms and the caller's deadline
 *
 * The keeper notes on a slot what its next taker has to do: a look beyond look_after_ms of
 * idleness, a question beyond validate_after_ms; beyond keepalive_ms it asks by itself. With
 * pre_ping the note stays on every slot for good (`standing`), so that each checkout leaves the
 * warm path, and the warm path itself knows nothing of it. Another pre_ping while the pool runs is
 * another `standing`, and the note on every slot that lacks it. A holder who has read the old one
 * just before may take the note off again: the next tending puts it back.
 */
#include "base/atomic.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/text.h"
#include "driver/fault.h"
#include "pool/pool.h"
#include "pool/tend.h"

/* A caller with less time than this is content with a look, unless it asked for pre_ping=ping. */
#define ASK_LEAST_NS (100 * WI_MS)
/* A reset and a refused connect within this are one event. */
#define TOGETHER_NS (1000 * WI_MS)

uint32_t wi_health_standing(const weir_options *options)
{
	switch ((weir_pre_ping)options->pre_ping) {
	case WEIR_PRE_PING_LOOK:
		return WI_NOTE_LOOK;
	case WEIR_PRE_PING_PING:
		return WI_NOTE_CHECK;
	case WEIR_PRE_PING_OFF:
		break;
	}
	return 0;
}

/* ---- by who has taken it ---- */

/* Its end was met: the keeper will find the same, with the words. */
static void suspect(struct weir_conn *c)
{
	wi_or_acq_rel(&c->notes, WI_NOTE_SUSPECT);
}

bool wi_health_look(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	struct wi_failure f;
	WI_NO_CANCEL;

	if (!pool->driver->peek(c->link, &f)) {
		suspect(c);
		return false;
	}
	wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_LOOK | wi_load_rlx(&pool->standing));
	return true;
}

/*
 * How long a caller may ask: no longer than the option says, and no longer than half of what it has
 * left, so that there is time for another connection; 0: not at all.
 */
static int64_t time_to_ask(const struct weir_pool *pool, int64_t now_ns, int64_t deadline_ns)
{
	int64_t left_ns = deadline_ns - now_ns,
		most_ns = wi_word_load(&pool->options.check_timeout_ms) * WI_MS;

	if (left_ns < (wi_load_rlx(&pool->standing) & WI_NOTE_CHECK ? WI_MS : ASK_LEAST_NS))
		return 0;
	return left_ns / 2 < most_ns ? left_ns / 2 : most_ns;
}

/* An answer is overdue: the keeper asks the idle ones meanwhile, so that the good are proven. */
static void doubt(struct weir_pool *pool)
{
	wi_store_seq(&pool->health.doubt, 1);
	wi_keeper_ring(pool->keeper);
}

/* There and back, for so long; true: well, else what came of it is in the notes. */
static bool exchange(struct weir_conn *c, const char *sql, int64_t now_ns, int64_t time_ns)
{
	struct weir_pool *pool = c->pool;
	enum wi_step step;
	struct wi_failure f;

	wi_store_rlx(&c->asked_ns, now_ns);
	if (!pool->driver->send(c->link, sql, &f)) {
		suspect(c);
		return false;
	}
	step = wi_conn_await(c, NULL, now_ns + time_ns / 2, &f);
	if (step != WI_STEP_DONE && step != WI_STEP_FAILED) {
		doubt(pool);
		step = wi_conn_await(c, NULL, now_ns + time_ns, &f);
	}
	if (step == WI_STEP_DONE) {
		wi_store_rlx(&c->proven_ns, pool->core.world->now());
		return true;
	} else if (step == WI_STEP_FAILED && f.fault != WI_FAULT_SQL) {
		suspect(c);
	} else if (step != WI_STEP_FAILED &&
	           time_ns < wi_word_load(&pool->options.check_timeout_ms) * WI_MS) {
		/* It was the caller who had no more time: its answer is still owed. */
		wi_or_acq_rel(&c->notes, WI_NOTE_ASKED);
	} else if (step != WI_STEP_FAILED) {
		wi_or_acq_rel(&c->notes, WI_NOTE_SILENT);
	} else {
		wi_store_rlx(&c->why, WEIR_CLOSE_UNHEALTHY);
		wi_or_acq_rel(&c->notes, WI_NOTE_RETIRE);
	}
	return false;
}

/* Asks; the answer is in the notes. */
static void ask(struct weir_conn *c, int64_t deadline_ns)
{
	struct weir_pool *pool = c->pool;
	int64_t now_ns = pool->core.world->now();
	int64_t time_ns = time_to_ask(pool, now_ns, deadline_ns);

	/* Without time, the look has to do. */
	if (time_ns && exchange(c, "", now_ns, time_ns))
		wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_CHECK | wi_load_rlx(&pool->standing));
}

bool wi_health_tell(struct weir_conn *c, const char *sql, int64_t deadline_ns)
{
	const struct weir_pool *pool = c->pool;
	int64_t now_ns = pool->core.world->now(),
		most_ns = wi_word_load(&pool->options.check_timeout_ms) * WI_MS;
	int64_t time_ns = deadline_ns - now_ns;
	WI_NO_CANCEL;

	if (time_ns <= 0)
		return false;
	return exchange(c, sql, now_ns, time_ns < most_ns ? time_ns : most_ns);
}

void wi_health_check(struct weir_conn *c, uint32_t notes, int64_t deadline_ns)
{
	if (wi_health_look(c) && notes & WI_NOTE_CHECK)
		ask(c, deadline_ns);
}

/* ---- by the keeper, as time goes by ---- */

void wi_health_stand(struct weir_conn *c)
{
	const uint32_t standing = wi_load_rlx(&c->pool->standing);

	if (standing)
		wi_conn_note(c, standing);
}

void wi_health_tend(struct weir_conn *c, int64_t now_ns)
{
	const weir_options *o = &c->pool->options;
	int64_t proof_ns =
		wi_load_rlx(&c->seen_ns) > c->checked_ns ? wi_load_rlx(&c->seen_ns) : c->checked_ns;

	/* One that epoll had no room for comes by the keeper again, who watches it then. */
	if (c->watch.fd < 0 || wi_is_longer(proof_ns, now_ns, o->keepalive_ms)) {
		wi_conn_note(c, WI_NOTE_PING);
		c->pool->sweep_wanted = true;
	} else if (wi_is_longer(proof_ns, now_ns, o->validate_after_ms)) {
		wi_conn_note(c, WI_NOTE_CHECK);
	} else if (wi_is_longer(proof_ns, now_ns, o->look_after_ms)) {
		wi_conn_note(c, WI_NOTE_LOOK);
	}
}

static int64_t answer_due(const struct weir_conn *c)
{
	return wi_deadline_after(wi_load_rlx(&c->asked_ns), c->pool->options.check_timeout_ms);
}

bool wi_health_is_question(enum wi_errand errand)
{
	return errand == WI_DO_PING || errand == WI_DO_WHO;
}

int64_t wi_health_deadline(const struct weir_conn *c)
{
	return wi_load_rlx(&c->asked_ns) + c->pool->options.check_timeout_ms * WI_MS / 2;
}

bool wi_health_has_time(struct weir_conn *c, int64_t now_ns)
{
	if (c->fresh || !wi_health_is_question(c->errand) || now_ns >= answer_due(c))
		return false;
	doubt(c->pool);
	c->deadline_ns = answer_due(c);
	return true;
}

/* ---- what a death means ---- */

weir_class wi_pool_classify(const struct weir_pool *pool, const char *sqlstate, bool connecting)
{
	const weir_options *o = &pool->options;
	weir_class usual = weir_class_of(sqlstate, connecting), kind;

	if (!o->on_sqlstate || !sqlstate[0])
		return usual;
	kind = o->on_sqlstate(o->on_sqlstate_arg, sqlstate, connecting, usual);
	return (unsigned)kind < WEIR_CLASSES ? kind : usual;
}

static void condemn(struct weir_pool *pool, int64_t since_ns)
{
	if (since_ns > pool->health.condemn_ns)
		pool->health.condemn_ns = since_ns;
}

/* Lost without a word, and nobody listens any more: it was the server. */
static void put_together(struct weir_pool *pool)
{
	const struct wi_health *h = &pool->health;
	int64_t first_ns = h->reset_ns < h->refused_ns ? h->reset_ns : h->refused_ns;
	int64_t last_ns = h->reset_ns < h->refused_ns ? h->refused_ns : h->reset_ns;

	if (first_ns && last_ns - first_ns <= TOGETHER_NS)
		condemn(pool, first_ns);
}

static void remember(struct weir_pool *pool, const struct wi_failure *f)
{
	wi_failure_post(&pool->health.last, f);
	wi_add_rlx(&pool->health.lost, 1);
	wi_pool_tell(pool, WEIR_EVENT_LOST, "%s%s%s", f->sqlstate, f->sqlstate[0] ? ": " : "",
	             f->text);
}

static void tell_trouble(struct weir_pool *pool, const struct wi_failure *failure)
{
	if (pool->on_trouble)
		pool->on_trouble(pool->trouble_arg, failure);
}

/* What the loss of one says about the others. */
static void judge_loss(struct weir_pool *pool, const struct wi_failure *f)
{
	int64_t now_ns = pool->core.world->now();

	wi_epoch_move_soon(pool);
	if (f->silent) {
		condemn(pool, now_ns - pool->options.check_timeout_ms * WI_MS);
	} else if (!f->sqlstate[0]) {
		pool->health.others |= WI_NOTE_CHECK;
		pool->health.reset_ns = now_ns;
		put_together(pool);
	} else if (wi_pool_classify(pool, f->sqlstate, false) == WEIR_CLASS_CONDEMN) {
		condemn(pool, now_ns);
	} else {
		pool->health.others |= WI_NOTE_LOOK;
	}
}

void wi_conn_lost(struct weir_conn *c, const struct wi_failure *failure)
{
	struct weir_pool *pool = c->pool;
	struct wi_failure f = *failure;

	if (!f.text[0])
		wi_copy(f.text, sizeof(f.text), "the connection ended");
	remember(pool, &f);
	judge_loss(pool, &f);
	wi_breaker_lost(&pool->breaker);
	wi_conn_close(c, WEIR_CLOSE_BROKEN);
	tell_trouble(pool, &f);
}

void wi_health_discarded(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	struct wi_failure f;

	if (pool->driver->look(c->link) != WI_LOOK_DEAD || pool->driver->peek(c->link, &f))
		return;
	judge_loss(pool, &f);
	wi_breaker_lost(&pool->breaker);
	tell_trouble(pool, &f);
}

void wi_health_unanswered(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	struct wi_failure f = {.fault = WI_FAULT_TIMEOUT, .silent = true};
	struct wi_text t;

	wi_text_init(&t, f.text, sizeof(f.text));
	wi_text_add(&t, "no answer within %lld ms to a check of an idle connection",
	            (long long)pool->options.check_timeout_ms);
	remember(pool, &f);
	condemn(pool, wi_load_rlx(&c->asked_ns));
	wi_epoch_move_soon(pool);
	wi_conn_close(c, WEIR_CLOSE_UNHEALTHY);
	tell_trouble(pool, &f);
}

bool wi_health_heard(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	struct wi_failure f = {.fault = WI_FAULT_SQL};
	enum wi_refusal refusal = wi_epoch_refusal(c);

	if (!pool->driver->heard(c->link, f.sqlstate))
		return false;
	switch (wi_pool_classify(pool, f.sqlstate, false)) {
	case WEIR_CLASS_WRONG_ROLE:
		if (pool->routed)
			return wi_epoch_refused(c, refusal);
		if (c->role == WEIR_ROLE_REPLICA)
			return false; /* as it was lent */
		wi_copy(f.text, sizeof(f.text), "a statement met a server that takes no writes");
		wi_conn_close(c, WEIR_CLOSE_WRONG_ROLE);
		tell_trouble(pool, &f);
		return true;
	case WEIR_CLASS_EVICT:
	case WEIR_CLASS_CONDEMN:
		wi_copy(f.text, sizeof(f.text), "a statement met an error that ends a session");
		wi_conn_lost(c, &f);
		return true;
	case WEIR_CLASS_DROP_STATEMENTS:
		wi_or_rlx(&c->notes, WI_NOTE_RENEW);
		return false;
	case WEIR_CLASS_PLAIN:
	case WEIR_CLASS_RETRY:
	case WEIR_CLASS_CAPACITY:
	case WEIR_CLASS_RETRY_CONNECT:
	case WEIR_CLASS_AUTH:
	case WEIR_CLASS_CONFIG:
	case WEIR_CLASS_OPTIONS:
	case WEIR_CLASSES:
		break;
	}
	return false;
}

enum wi_fault wi_health_judged(const struct weir_pool *pool, const struct wi_failure *failure)
{
	weir_class usual = weir_class_of(failure->sqlstate, true);
	weir_class kind = wi_pool_classify(pool, failure->sqlstate, true);

	return kind == usual ? failure->fault : wi_fault_of_class(kind);
}

void wi_health_connect_failed(struct weir_pool *pool, const struct wi_failure *failure,
                              int64_t now_ns)
{
	if (wi_pool_classify(pool, failure->sqlstate, true) == WEIR_CLASS_CONDEMN) {
		condemn(pool, now_ns);
		wi_epoch_move_soon(pool);
	}
	if (failure->fault != WI_FAULT_REFUSED)
		return;
	pool->health.refused_ns = now_ns;
	put_together(pool);
}

/* ---- carrying it out ---- */

/* Looked at and asked by the keeper: at once if idle, else when it is given back. */
static void ask_soon(struct weir_conn *c)
{
	wi_conn_note(c, WI_NOTE_SUSPECT);
	wi_conn_note(c, WI_NOTE_PING);
}

static void carry_out_condemnation(struct weir_conn *c, int64_t since_ns)
{
	uint64_t lend = wi_load_rlx(&c->slot.lend);

	if (wi_load_rlx(&c->proven_ns) >= since_ns)
		return;
	if (c->life == WI_SETTLING && !c->fresh && wi_health_is_question(c->errand))
		wi_conn_close(c, WEIR_CLOSE_CONDEMNED);
	if (c->life != WI_READY || c->in_hand)
		return;
	if (lend & 1 || lend != wi_load_rlx(&c->seen_lend) || wi_load_rlx(&c->seen_ns) >= since_ns)
		ask_soon(c);
	else
		wi_conn_retire(c, WEIR_CLOSE_CONDEMNED);
}

static void pass_over_all(struct weir_pool *pool, bool doubted)
{
	const struct wi_health *h = &pool->health;

	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[i];

		if (h->condemn_ns)
			carry_out_condemnation(c, h->condemn_ns);
		if (c->life != WI_READY || c->in_hand)
			continue;
		if (doubted && !(wi_load_rlx(&c->slot.lend) & 1))
			wi_conn_note(c, WI_NOTE_PING);
		if (h->others)
			wi_or_seq(&c->notes, h->others);
	}
	pool->sweep_wanted = true;
}

bool wi_health_is_pending(const struct weir_pool *pool)
{
	const struct wi_health *h = &pool->health;

	return h->condemn_ns || h->others || wi_load_rlx(&h->doubt);
}

void wi_health_turn(struct weir_pool *pool)
{
	struct wi_health *h = &pool->health;
	bool doubted;

	if (!wi_health_is_pending(pool))
		return;
	doubted = wi_swap_seq(&h->doubt, 0);
	pass_over_all(pool, doubted);
	h->condemn_ns = 0;
	h->others = 0;
}

void wi_health_forget(struct weir_pool *pool)
{
	struct wi_health *h = &pool->health;

	wi_store_rlx(&h->doubt, 0);
	h->condemn_ns = h->reset_ns = h->refused_ns = 0;
	h->others = 0;
	wi_posted_init(&h->last);
}
