/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. What a session has seen is bounded by a time, not by a position: everything that a
 * connection could show until it was given back at t was on the primary at t. So a replica that is
 * known to hold all that the primary had at a time from t on (wi_host.as_of_ns, which every probe
 * moves) shows no less, and no server has to be asked where it was. The same bound covers what the
 * session wrote: it had committed by t.
 *
 * And the host that showed it last (`sole`) shows no less by itself: replay only goes on. Not so
 * when its server was started anew, as a standby then begins at its last restart point and may be
 * read before it is where it was; so a host counts as the same only with the same start. (A crash
 * of one backend does the same to a standby and leaves its start as it is: conclude.c makes one
 * up.)
 *
 * t. A session's connection has a note on it (WI_NOTE_STAMP), by which its checkin leaves the time
 * and the count of its lending in the slot. The session remembers slot and count; when it comes
 * back, the slot says whether and when that lending has ended. Another session's later stamp in the
 * same slot is only later. Where the slot cannot be asked (the host has no role now, or is gone),
 * the time is now.
 *
 * Two at once. What is still out may show anything until now, so only its own host shows no less.
 * Of two that overlapped neither host is known to hold what the other showed, unless they are one.
 *
 * Failover. as_of_ns is counted on the timeline of the present primary, and unknown beside it. A
 * standby that was read and promoted is the same host. The new primary shows all that is left; what
 * was read on the old one and never reached the new one is gone for everybody, and waiting for it
 * would be for ever. A standby that is ahead of the new timeline cannot follow it without a rewind,
 * which starts it anew.
 *
 * Limit. A server's start is known from its last probe. Between a restart and the probe that the
 * loss of its connections sets off, a new connection to it passes for one to the old.
 *
 * Access. The session is one thread's at a time. Slots are read while pinned, of hosts in the
 * topology.
 *
 * Orderings. [session:A1] in end_of sees the time of the count that it finds; pairs with
 * [session:R1] (pool/checkin.c).
 */
#include <string.h>

#include <weir/session.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "route/router.h"

/* One connection of the session's. */
struct reading {
	uint64_t conn; /* its slot; 0: none */
	uint64_t lend; /* with this count */
	uint64_t host; /* wi_host.serial */
	uint64_t started;
	uint64_t overlapped; /* another one was out meanwhile */
};

#define READINGS 2

/* What weir_session.own holds. */
struct memory {
	uint64_t router; /* weir_router.serial */
	struct reading out[READINGS];
	int64_t ended_ns; /* when the last of those that are back came back; 0: none did */
	uint64_t sole;    /* the host that shows no less than all of them did; 0: none */
	uint64_t sole_started;
};

_Static_assert(sizeof(struct memory) <= sizeof(((weir_session *)0)->own), "it fits");

static void load(const weir_router *r, const weir_session *s, struct memory *m)
{
	memcpy(m, s->own, sizeof(*m));
	if (m->router != r->serial)
		*m = (struct memory){.router = r->serial};
}

static void store(weir_session *s, const struct memory *m)
{
	memcpy(s->own, m, sizeof(*m));
}

static bool is_same(const struct wi_host *h, uint64_t serial, uint64_t started)
{
	return h->serial == serial && started && wi_load_rlx(&h->started) == started;
}

/* ---- what came back ---- */

static struct wi_host *find_host(const struct wi_topology *t, uint64_t serial)
{
	if (t->primary && t->primary->serial == serial)
		return t->primary;
	for (uint32_t i = 0; i < t->n_readers; i++)
		if (t->reader[i]->serial == serial)
			return t->reader[i];
	return NULL;
}

/* When it was given back, or not after; 0: it is still out. */
static int64_t end_of(weir_router *r, const struct wi_topology *t, const struct reading *reading)
{
	const struct weir_conn *c = (const struct weir_conn *)(uintptr_t)reading->conn;

	if (!find_host(t, reading->host))
		return r->world->now();
	if (wi_load_rlx(&c->slot.lend) == reading->lend)
		return 0;
	/* [session:A1] sees the time that was left with this count, or later; pairs with R1. */
	return wi_load_acq(&c->back_lend) > reading->lend ? wi_load_rlx(&c->back_ns)
	                                                  : r->world->now();
}

static void take_back(struct memory *m, struct reading *reading, int64_t ended_ns)
{
	bool alone = !reading->overlapped || !m->ended_ns ||
	             (m->sole == reading->host && m->sole_started == reading->started);

	m->sole = alone ? reading->host : 0;
	m->sole_started = reading->started;
	if (ended_ns > m->ended_ns)
		m->ended_ns = ended_ns;
	reading->conn = 0;
}

void wi_session_refresh(weir_router *r, const struct wi_topology *t, weir_session *s)
{
	struct memory m;

	load(r, s, &m);
	for (int i = 0; i < READINGS; i++) {
		int64_t ended_ns = m.out[i].conn ? end_of(r, t, &m.out[i]) : 0;

		if (ended_ns)
			take_back(&m, &m.out[i], ended_ns);
	}
	store(s, &m);
}

/* ---- what may be shown next ---- */

enum wi_freshness wi_session_allows(const weir_router *r, const struct wi_host *h,
                                    const weir_session *s)
{
	int64_t as_of_ns = wi_load_rlx(&h->as_of_ns);
	struct memory m;

	load(r, s, &m);
	for (int i = 0; i < READINGS; i++)
		if (m.out[i].conn && !is_same(h, m.out[i].host, m.out[i].started))
			return WI_STALE; /* no probe will change that, only its checkin */
	if (!m.ended_ns || is_same(h, m.sole, m.sole_started) ||
	    (as_of_ns != WI_LAG_UNKNOWN && as_of_ns >= m.ended_ns))
		return WI_FRESH;
	return WI_BEHIND;
}

/* ---- what is taken ---- */

static struct reading *find_room(weir_router *r, struct memory *m)
{
	for (int i = 0; i < READINGS; i++)
		if (!m->out[i].conn)
			return &m->out[i];
	m->out[0].overlapped = 1;
	take_back(m, &m->out[0], r->world->now());
	return &m->out[0];
}

void wi_session_note(weir_router *r, weir_session *s, const weir_conn *conn)
{
	const struct weir_conn *c = wi_conn_of(conn);
	const struct wi_host *h = c->pool->trouble_arg;
	struct reading *mine;
	struct memory m;

	load(r, s, &m);
	mine = find_room(r, &m);
	*mine = (struct reading){
		.conn = (uint64_t)(uintptr_t)c,
		.lend = wi_load_rlx(&c->slot.lend),
		.host = h->serial,
		.started = wi_load_rlx(&h->started),
	};
	for (int i = 0; i < READINGS; i++) {
		if (&m.out[i] == mine || !m.out[i].conn)
			continue;
		m.out[i].overlapped = 1;
		mine->overlapped = 1;
	}
	store(s, &m);
}
