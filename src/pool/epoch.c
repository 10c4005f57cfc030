/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Epochs: whether what is open still leads to what the router takes the host for.
 *
 * A pooled connection outlives what it was opened for: a primary that became a standby while its
 * sessions lived on (behind an address that moved, or at services that can do that) answers every
 * check of life, and refuses every write. So each host has an epoch, and each connection the epoch
 * in which it was last asked who answers. While an epoch stands nobody asks anything. What ends it:
 *
 *	a statement on a connection that was handed out for writing was refused for being a write
 *	a connection was lost, or refused with a class that condemns (57P01 to 57P03)
 *	a session reports another in_hot_standby than before
 *	a probe found another role, another server, or the host again after it was lost
 *	an answer to the question itself contradicts what the router takes the host for
 *
 * Then every connection gets a note, and the note sends it to the keeper: the idle ones at once,
 * those that are out as they come back, and those that a taker finds before the keeper does, who
 * goes on to the next. The keeper asks all of them at the same time, one round trip each, and gives
 * back what agrees. So no writer who comes after the end of an epoch gets a connection of before it
 * that has not been asked, and the warm path has nothing to compare. A reader may get one: a write
 * on it is refused wherever it leads (access.c), and it need not wait.
 *
 * Orderings. The epoch moves, and then the notes are set; the keeper takes a note back, reads the
 * epoch, and then asks: all of it sequentially consistent. So a question that was sent for an older
 * epoch leaves the note on the slot, and is put again.
 *
 * A refusal that is the caller's own doing. Who begins a READ ONLY transaction and writes in it is
 * refused with the same SQLSTATE. Servers since 14 report whether they are standbys with every
 * answer; where they say they are not, nothing follows. Where nothing is known (older servers,
 * poolers, which replay what they once heard), the epoch moves, and the connection is asked. If
 * that was a false alarm, only the accused one is asked for the next second.
 */
#include "pool/epoch.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/text.h"
#include "pool/pool.h"
#include "pool/tend.h"

#define SAME_START_US 10000 /* what rounding may make of the same moment */
#define ALARM_NS (1000 * WI_MS)

/* ---- moving ---- */

void wi_epoch_move(struct weir_pool *pool)
{
	uint32_t n = wi_load_acq(&pool->core.table.count);

	wi_add_seq(&pool->epoch, 1);
	WI_YIELD("epoch.move.moved");
	for (uint32_t i = 1; i <= n; i++)
		wi_or_seq(&pool->conns[i].notes, WI_NOTE_VERIFY);
	wi_add_seq(&pool->epochs_noted, 1);
	wi_keeper_ring(pool->keeper);
}

void wi_epoch_move_soon(struct weir_pool *pool)
{
	pool->epoch_is_over = pool->routed;
}

void wi_epoch_turn(struct weir_pool *pool)
{
	uint32_t epoch;

	if (pool->epoch_is_over)
		wi_epoch_move(pool);
	pool->epoch_is_over = false;
	/* Twice for each epoch: who moves it may be stopped before all notes are set. */
	epoch = wi_load_seq(&pool->epoch) + wi_load_seq(&pool->epochs_noted);
	if (epoch == pool->epoch_seen)
		return;
	pool->epoch_seen = epoch;
	pool->sweep_wanted = true;
	/* Where nothing is, the note says nothing. */
	for (uint32_t i = 1; i <= pool->n_conns; i++)
		if (pool->conns[i].life == WI_EMPTY || pool->conns[i].life == WI_CLOSING)
			wi_and_seq(&pool->conns[i].notes, ~(uint32_t)WI_NOTE_VERIFY);
}

uint32_t wi_epoch_doubted(const struct weir_pool *pool)
{
	uint32_t n = wi_load_acq(&pool->core.table.count), doubted = 0;

	for (uint32_t i = 1; pool->routed && i <= n; i++)
		doubted += (wi_load_rlx(&pool->conns[i].notes) & WI_NOTE_VERIFY) != 0 &&
		           !(wi_load_rlx(&pool->conns[i].slot.lend) & 1);
	return doubted;
}

static void tell_trouble(struct weir_pool *pool, const char *words)
{
	struct wi_failure f = {.fault = WI_FAULT_SQL};

	wi_copy(f.text, sizeof(f.text), words);
	if (pool->on_trouble)
		pool->on_trouble(pool->trouble_arg, &f);
}

/* ---- asking ---- */

void wi_epoch_open(struct weir_conn *c)
{
	wi_and_seq(&c->notes, ~(uint32_t)WI_NOTE_VERIFY);
	c->epoch = wi_load_seq(&c->pool->epoch);
}

bool wi_epoch_is_owed(const struct weir_conn *c)
{
	return c->pool->routed && (c->epoch != wi_load_seq(&c->pool->epoch) ||
	                           wi_load_seq(&c->notes) & WI_NOTE_VERIFY || wi_access_is_owed(c));
}

const char *wi_epoch_ask(struct weir_conn *c)
{
	wi_epoch_open(c);
	WI_YIELD("epoch.ask.read");
	return wi_settings_who(wi_access_question(c));
}

/* Another server than the one that the probe asks. */
static bool is_other(const struct wi_belief *b, const struct wi_met *met)
{
	uint64_t apart =
		b->started > met->started ? b->started - met->started : met->started - b->started;

	return b->started && met->started && apart > SAME_START_US;
}

/* What is wrong with who answered, in words; NULL: nothing. */
static const char *objection(const struct wi_belief *b, const struct wi_met *met)
{
	if (met->recovering < 0 || b->expect == WI_EXPECT_ANY)
		return NULL;
	if (b->expect == WI_EXPECT_PRIMARY && met->recovering)
		return "a connection leads to a standby, where the primary was known";
	/*
	 * A standby that is none any more has been promoted, or is another server. That one standby
	 * has come in another's place is for the probe to find, where there is one.
	 */
	if ((b->expect == WI_EXPECT_PRIMARY || !met->recovering || b->unprobed) && is_other(b, met))
		return "a connection leads to another server than the one that is known here";
	return NULL;
}

/* It contradicts what the router knows: the others may, too, and the router is to look. */
static void contradict(struct weir_pool *pool, const char *words)
{
	if (!pool->contradicted)
		wi_epoch_move_soon(pool);
	pool->contradicted = true;
	tell_trouble(pool, words);
}

static bool refuse(struct weir_conn *c, const char *words)
{
	struct wi_failure f = {.fault = WI_FAULT_STARTING};

	wi_copy(f.text, sizeof(f.text), words);
	c->pool->misled = c->pool->misled || c->fresh;
	contradict(c->pool, words);
	if (c->fresh)
		wi_open_failed(c, &f);
	else
		wi_conn_close(c, WEIR_CLOSE_WRONG_ROLE);
	return false;
}

/* As its server last reported, unasked. */
static bool reports_standby(const struct weir_conn *c)
{
	struct wi_facts facts = {0};

	c->pool->driver->facts(c->link, &facts);
	return facts.in_hot_standby;
}

bool wi_epoch_take(struct weir_conn *c)
{
	struct weir_pool *pool = c->pool;
	const struct wi_belief *b = &pool->belief;
	struct wi_met met;
	const char *words;

	if (!pool->routed)
		return true;
	c->standby = reports_standby(c);
	wi_settings_met(c->answer, c->errand != WI_DO_WHO, &met);
	c->met_standby = met.recovering > 0;
	words = objection(b, &met);
	if (words)
		return refuse(c, words);
	if (b->expect == WI_EXPECT_STANDBY && met.recovering == 0)
		contradict(pool, "a standby is none any more");
	wi_access_learn(c, met.read_only, c->errand != WI_DO_WHO);
	if (b->writes && met.read_only > 0 && !c->read_only)
		return refuse(c, "the primary's sessions are read-only by default");
	if (c->accused && met.recovering == 0)
		wi_store_rlx(&pool->false_alarm_ns, pool->core.world->now());
	c->accused = false;
	if (c->errand == WI_DO_WHO)
		wi_add_rlx(&pool->verified, 1);
	return true;
}

/* ---- what a holder met with ---- */

static bool was_for_writing(const struct weir_conn *c)
{
	return wi_load_rlx(&c->reason) == WEIR_REASON_WRITE;
}

enum wi_refusal wi_epoch_refusal(const struct weir_conn *c)
{
	enum wi_refusal refusal = c->pool->driver->refused(c->link);

	if (refusal != WI_REFUSAL_NONE && wi_load_rlx(&c->pool->pooled))
		return WI_REFUSAL_UNKNOWN;
	return refusal;
}

/* Whether an accusation of this kind has turned out wrong of late. */
static bool is_cried_wolf(const struct weir_pool *pool)
{
	int64_t at_ns = wi_load_rlx(&pool->false_alarm_ns);

	return at_ns && pool->core.world->now() - at_ns < ALARM_NS;
}

void wi_epoch_heard(struct weir_conn *c)
{
	if (!c->pool->routed || !was_for_writing(c))
		return;
	switch (wi_epoch_refusal(c)) {
	case WI_REFUSAL_STANDBY:
		wi_epoch_move(c->pool);
		break;
	case WI_REFUSAL_UNKNOWN:
	case WI_REFUSAL_SETTING:
		if (!is_cried_wolf(c->pool))
			wi_epoch_move(c->pool);
		break;
	case WI_REFUSAL_NONE:
	case WI_REFUSAL_WISHED:
		break;
	}
}

bool wi_epoch_refused(struct weir_conn *c, enum wi_refusal refusal)
{
	struct weir_pool *pool = c->pool;

	if (!was_for_writing(c) || refusal == WI_REFUSAL_WISHED)
		return false;
	if (refusal == WI_REFUSAL_STANDBY)
		return !refuse(c, "a write was refused: the server has become a standby");
	c->accused = true;
	wi_or_seq(&c->notes, WI_NOTE_VERIFY);
	tell_trouble(pool, "a write was refused");
	return false;
}

void wi_epoch_look(struct weir_conn *c)
{
	bool was = c->standby;

	if (!c->pool->routed)
		return;
	c->standby = reports_standby(c);
	if (c->standby == was)
		return;
	wi_epoch_move_soon(c->pool);
	wi_or_seq(&c->notes, WI_NOTE_VERIFY);
	tell_trouble(c->pool, was ? "a session reports that its server is no standby any more"
	                          : "a session reports that its server has become a standby");
}

/* ---- what the router knows ---- */

/* It was the primary, and is none: what was opened for writing goes. */
static void retire_all(struct weir_pool *pool)
{
	for (uint32_t i = 1; i <= pool->n_conns; i++) {
		struct weir_conn *c = &pool->conns[i];

		if (c->life != WI_READY || wi_load_rlx(&c->notes) & WI_NOTE_RETIRE)
			continue;
		wi_store_rlx(&c->why, WEIR_CLOSE_WRONG_ROLE);
		wi_conn_note(c, WI_NOTE_RETIRE);
	}
	pool->sweep_wanted = true;
}

static bool are_equal(const struct wi_belief *a, const struct wi_belief *b)
{
	return a->expect == b->expect && a->writes == b->writes && a->reads == b->reads &&
	       a->started == b->started;
}

/* It met somebody who is not what it has to be, or is to be made that. */
static bool is_unfit(const struct weir_conn *c)
{
	return wi_access_is_owed(c) ||
	       (c->met_standby && c->pool->belief.expect == WI_EXPECT_PRIMARY);
}

/* What was opened before anybody knew is made what it has to be. */
static void ask_the_unfit(struct weir_pool *pool)
{
	for (uint32_t i = 1; i <= pool->n_conns; i++)
		if (pool->conns[i].life == WI_READY && is_unfit(&pool->conns[i]))
			wi_conn_note(&pool->conns[i], WI_NOTE_VERIFY);
	pool->sweep_wanted = true;
}

/*
 * The first knowledge of all is no news to connections that were just opened: they had nobody to
 * disagree with, but where a name leads to several servers.
 */
void wi_pool_believe(struct weir_pool *pool, const struct wi_belief *belief)
{
	bool is_news = !are_equal(belief, &pool->belief), known = belief->writes || belief->reads;

	pool->contradicted = false;
	pool->belief = *belief;
	if (!is_news || !known)
		return;
	if (pool->wrote && !belief->writes)
		retire_all(pool);
	pool->wrote = belief->writes;
	if (pool->was_known)
		wi_epoch_move(pool);
	else
		ask_the_unfit(pool);
	pool->was_known = true;
}
