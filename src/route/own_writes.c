/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. read_your_writes for a whole process, without a token in anybody's hands.
 *
 * process: the floor is the latest of all tokens that were taken through this router, and every
 * read has to be at or above it. One word holds it, the timeline in the high bits, so that the
 * later of two is the larger number and an atomic maximum is all there is to it:
 *
 *	floor    timeline (16 bits) | position in steps of 8 bytes, rounded up (48 bits)
 *
 * Positions are multiples of 8 anyway, and 48 bits of them are two petabytes of log; what does not
 * fit is beyond all replicas, which is safe.
 *
 * doubt: a commit succeeded, or may have, and its position is not known. Until the primary was
 * asked after that, no replica is known to have it; then the floor is raised to what it said.
 *
 * window: reads keep away from replicas for a while after a write. The while is read_your_writes_ms
 * or, where that is 0, five times what replicas were last seen to be behind and a probe's period:
 * what is not seen between two probes is no longer than that, for the rest the factor stands. It
 * promises less than a token does, and needs nobody's help.
 *
 * Another timeline. A token of an older one says nothing of a replica's position on the new one.
 * But the first position of the new primary that a probe sees is beyond the place where the two
 * part, so a replica that has reached it has all that is left of the old one: the keeper raises the
 * floor to that.
 *
 * Another past. Where the hosts are another system now, or what they had been was given up
 * (roles.h), no position of before says anything, and what was written then is gone for everybody:
 * the floor is forgotten, with a doubt, as somebody may have written there already.
 *
 * Invariants. I1: the floor only rises, but when it is forgotten. I2: a token that was taken since
 * is at or below the floor, or doubt is set.
 *
 * Progress and limits. Wait-free but for the maximum's loop, in which somebody else has raised it.
 * Numbers only: what orders a read after a write is whatever tells the reader that there was one.
 *
 * Orderings. [floor:A1] in is_reached, [floor:R1] in tend: who finds no doubt any more finds the
 * floor that came in its place.
 */
#include <weir/token.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "route/router.h"

#define STEPS_BITS 48
#define STEPS_MOST ((UINT64_C(1) << STEPS_BITS) - 1)
#define TIMELINE_MOST UINT16_MAX

#define WINDOW_LEAST_NS (100 * WI_MS)
#define WINDOW_UNKNOWN_NS (5 * WI_SEC) /* where a replica's lag is not known */
#define WINDOW_FACTOR 5

uint64_t wi_serial_next(void)
{
	static _Atomic uint64_t last;

	return wi_add_rlx(&last, 1) + 1;
}

void wi_own_writes_start(weir_router *r)
{
	r->serial = wi_serial_next();
	r->own_writes = (weir_read_your_writes)r->options.read_your_writes;
	r->stamped = WEIR_REASON_NONE;
	switch (r->own_writes) {
	case WEIR_READ_YOUR_WRITES_OFF:
	case WEIR_READ_YOUR_WRITES_PROCESS:
		break;
	case WEIR_READ_YOUR_WRITES_WINDOW:
		r->stamped = WEIR_REASON_WRITE;
		break;
	}
	/* Until more is known. */
	atomic_init(&r->window_ns, r->options.read_your_writes_ms
	                                   ? r->options.read_your_writes_ms * WI_MS
	                                   : WINDOW_UNKNOWN_NS);
}

/*
 * The warm path asks the bias of the router's desk whether there is more to a checkout; a reason
 * that never goes is the one way to say yes for all, writes too, that costs it nothing where there
 * is none.
 */
void wi_own_writes_divert(weir_router *r)
{
	if (r->own_writes != WEIR_READ_YOUR_WRITES_OFF)
		wi_bias_end(&r->desk.bias, WI_BIAS_NEVER);
}

static uint64_t pack(uint32_t timeline, uint64_t lsn)
{
	uint64_t steps = lsn / 8 + (lsn % 8 != 0);

	if (timeline > TIMELINE_MOST)
		return UINT64_MAX;
	return (uint64_t)timeline << STEPS_BITS | (steps < STEPS_MOST ? steps : STEPS_MOST);
}

static void raise_floor(weir_router *r, uint64_t to)
{
	uint64_t now = wi_load_rlx(&r->floor);

	while (now < to && !wi_cas_rlx(&r->floor, &now, to))
		continue;
}

static void raise_doubt(weir_router *r)
{
	int64_t now_ns = r->world->now(), doubt_ns = wi_load_rlx(&r->doubt_ns);

	while (doubt_ns < now_ns && !wi_cas_rlx(&r->doubt_ns, &doubt_ns, now_ns))
		continue;
}

void wi_floor_raise(weir_router *r, const weir_token *token)
{
	if (r->own_writes != WEIR_READ_YOUR_WRITES_PROCESS)
		return;
	if (token->lsn == UINT64_MAX)
		raise_doubt(r);
	else
		raise_floor(r, pack(token->timeline, token->lsn));
}

bool wi_floor_is_reached(const weir_router *r, uint32_t timeline, uint64_t lsn)
{
	/* [floor:A1] sees the floor that the doubt was resolved to; pairs with R1. */
	int64_t doubt_ns = wi_load_acq(&r->doubt_ns);
	uint64_t floor;

	WI_YIELD("floor.reached.looked");
	floor = wi_load_rlx(&r->floor);
	if (doubt_ns)
		return false;
	return !floor || ((floor & STEPS_MOST) < STEPS_MOST && timeline == floor >> STEPS_BITS &&
	                  lsn / 8 >= (floor & STEPS_MOST));
}

bool wi_floor_allows(const weir_router *r, uint32_t timeline)
{
	return timeline >= wi_load_rlx(&r->floor) >> STEPS_BITS;
}

void wi_floor_tend(weir_router *r, const struct wi_sight *s)
{
	uint64_t floor = wi_load_rlx(&r->floor);
	int64_t doubt_ns = wi_load_rlx(&r->doubt_ns);

	if ((!floor && !doubt_ns) || !s->lsn || !s->timeline)
		return;
	if (floor && s->timeline > floor >> STEPS_BITS)
		raise_floor(r, pack(s->timeline, s->lsn));
	if (doubt_ns && s->asked_ns >= doubt_ns) {
		raise_floor(r, pack(s->timeline, s->lsn));
		/* [floor:R1] the floor is raised before the doubt goes; pairs with A1. */
		wi_cas_rel(&r->doubt_ns, &doubt_ns, 0);
	}
}

void wi_floor_forget(weir_router *r)
{
	if (!wi_load_rlx(&r->floor))
		return;
	raise_doubt(r);
	wi_store_rlx(&r->floor, 0);
}

/* ---- window ---- */

void wi_window_begin(weir_router *r)
{
	wi_store_rlx(&r->wrote_ns, r->world->now());
}

bool wi_window_is_open(const weir_router *r)
{
	int64_t wrote_ns = wi_load_rlx(&r->wrote_ns);

	return wrote_ns && r->world->now() - wrote_ns < wi_load_rlx(&r->window_ns);
}

static int64_t lag_of(const struct wi_host *h, int64_t now_ns)
{
	int64_t since_ns = wi_load_rlx(&h->behind_since_ns);

	if (since_ns == WI_LAG_UNKNOWN)
		return WINDOW_UNKNOWN_NS / WINDOW_FACTOR;
	return since_ns ? now_ns - since_ns : 0;
}

void wi_window_tend(weir_router *r, int64_t now_ns)
{
	int64_t longest = 0, window;
	struct wi_host *h;

	if (r->own_writes != WEIR_READ_YOUR_WRITES_WINDOW || r->options.read_your_writes_ms)
		return;
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));) {
		int64_t lag = h->opinion.role == WEIR_ROLE_REPLICA ? lag_of(h, now_ns) : 0;

		longest = lag > longest ? lag : longest;
	}
	window = WINDOW_FACTOR * longest + r->options.probe_interval_ms * WI_MS;
	wi_store_rlx(&r->window_ns, window > WINDOW_LEAST_NS ? window : WINDOW_LEAST_NS);
}
