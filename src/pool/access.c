/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether sessions take writes: reads are read-only wherever they are (option read_only_reads).
 *
 * At a standby the server sees to it, for as long as it is one: after a promotion the next
 * transaction of a session could write. So connections to a standby are opened with
 * default_transaction_read_only on, and who reads through one that is promoted meanwhile goes on
 * reading. When such a host is the primary, each is asked who answers anyway (epoch.c), and made
 * writable in the same round trip; so is what was opened before anybody knew, the other way round.
 *
 * At the primary a read that found no replica costs one round trip: its connection is SET
 * read-only, noted so, and stays so for the next such read, which costs nothing more. A write that
 * gets one makes it writable again, for a round trip of its own; and so does the keeper with any
 * that comes into its hands.
 *
 * It is no security boundary: who says SET, or BEGIN READ WRITE, gets what he asks for. Where the
 * user's own options decide about it, or a pooler shares server processes, nothing is done.
 */
#include "base/atomic.h"
#include "pool/pool.h"

enum { WANT_WRITES, WANT_READS, WANT_NEITHER };

static int wanted(const struct weir_pool *pool)
{
	if (!wi_load_rlx(&pool->guards) || pool->not_held)
		return WANT_NEITHER;
	return pool->belief.writes ? WANT_WRITES : pool->belief.reads ? WANT_READS : WANT_NEITHER;
}

/* ---- the keeper ---- */

bool wi_access_opens_read_only(const struct weir_pool *pool)
{
	return wanted(pool) == WANT_READS;
}

bool wi_access_is_owed(const struct weir_conn *c)
{
	switch (wanted(c->pool)) {
	case WANT_WRITES:
		return c->read_only;
	case WANT_READS:
		return !c->read_only;
	default:
		return false;
	}
}

enum wi_who wi_access_question(const struct weir_conn *c)
{
	if (!wi_access_is_owed(c))
		return WI_WHO_ASK;
	if (!c->read_only)
		return WI_WHO_RESTRICT;
	return c->born_read_only ? WI_WHO_ALLOW : WI_WHO_RESTORE;
}

/*
 * It says how it is, or else a new one is what was asked for at startup; and where it was asked to
 * change, it has.
 */
void wi_access_learn(struct weir_conn *c, int read_only, bool is_new)
{
	if (is_new)
		c->born_read_only = c->read_only = read_only < 0 ? c->read_only : read_only > 0;
	else if (wi_access_is_owed(c))
		c->read_only = !c->read_only;
	else
		return;
	if (!c->read_only)
		wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_READS);
	if (!is_new)
		c->pool->driver->mark_clean(c->link);
}

/* What the user's own SQL left is anybody's guess: then it is said again. */
void wi_access_was_reset(struct weir_conn *c, bool is_full)
{
	if (is_full)
		c->read_only = c->born_read_only;
	else if (c->read_only != c->born_read_only && wanted(c->pool) != WANT_NEITHER)
		c->read_only = wanted(c->pool) == WANT_WRITES;
	if (!c->read_only)
		wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_READS);
}

/* ---- who has taken it ---- */

bool wi_access_suits(const struct weir_conn *c, enum wi_access access)
{
	bool reads = wi_load_rlx(&c->notes) & WI_NOTE_READS;

	switch (access) {
	case WI_ACCESS_ANY:
		break;
	case WI_ACCESS_WRITE:
		return !reads;
	case WI_ACCESS_READ:
		return reads || !wi_load_rlx(&c->pool->guards);
	}
	return true;
}

bool wi_access_get(struct weir_conn *c, enum wi_access access, int64_t deadline_ns)
{
	const char *sql = "SET default_transaction_read_only = on";

	if (access == WI_ACCESS_WRITE)
		sql = c->born_read_only ? "SET default_transaction_read_only = off"
		                        : "RESET default_transaction_read_only";
	if (c->pool->core.world->now() >= deadline_ns)
		return false; /* nothing is said, so it is what it was */
	/* If the answer stays away, nobody writes on it before the keeper has seen to it. */
	c->read_only = true;
	wi_or_acq_rel(&c->notes, WI_NOTE_READS);
	if (!wi_health_tell(c, sql, deadline_ns))
		return false;
	if (access == WI_ACCESS_WRITE) {
		c->read_only = false;
		wi_and_rlx(&c->notes, ~(uint32_t)WI_NOTE_READS);
	}
	c->pool->driver->mark_clean(c->link);
	return true;
}

bool wi_access_awaits(struct weir_pool *pool)
{
	return wi_load_rlx(&pool->guards) && wi_load_rlx(&pool->alive) > wi_pool_out(pool);
}
