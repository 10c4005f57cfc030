/* SPDX-License-Identifier: BSD-2-Clause */
/* The servers of a cluster that much befalls; fates.h tells the idea. */
#include "support/fates.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"

struct fates fates;
uint64_t fates_count;
struct fake_cluster fates_cluster;

uint32_t fates_below(uint32_t n)
{
	return wi_rng_below(&fates.rng, n);
}

struct wi_fake_server *fates_server(int i)
{
	return &fates_cluster.host[i].server;
}

void fates_say(const char *format, ...)
{
	va_list args;

	if (!fates.verbose)
		return;
	printf("%10.3f  ", (double)fates.now_ns / 1e9);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

/* ---- servers ---- */

struct fates_past fates_now_of(int i)
{
	struct fake_host *h = &fates_cluster.host[i];

	return (struct fates_past){.from_ns = fates.now_ns,
	                           .in_recovery = wi_load_rlx(&h->server.in_recovery),
	                           .read_only = wi_load_rlx(&h->read_only),
	                           .timeline = wi_load_rlx(&h->server.timeline),
	                           .streams_on = wi_load_rlx(&h->streams_on),
	                           .lsn = wi_load_rlx(&h->server.lsn),
	                           .system = wi_load_rlx(&h->server.system),
	                           .started = wi_load_rlx(&h->started),
	                           .follows = wi_load_rlx(&h->follows)};
}

void fates_put_on(int i, const struct fates_past *p)
{
	struct fake_host *h = &fates_cluster.host[i];

	wi_store_rlx(&h->server.in_recovery, p->in_recovery);
	wi_store_rlx(&h->read_only, p->read_only);
	wi_store_rlx(&h->server.timeline, p->timeline);
	wi_store_rlx(&h->streams_on, p->streams_on);
	wi_store_rlx(&h->server.lsn, p->lsn);
	wi_store_rlx(&h->server.system, p->system);
	wi_store_rlx(&h->started, p->started);
	wi_store_rlx(&h->follows, p->follows);
}

static void note(int i)
{
	struct fates_node *n = &fates.node[i];

	n->past[n->pasts++ % FATES_PASTS] = fates_now_of(i);
}

void fates_set(int i, struct fates_past p)
{
	fates_put_on(i, &p);
	note(i);
}

static void end_sessions(int i)
{
	wi_fake_kill(fates_server(i));
	fates.node[i].dead_to = fates_server(i)->last_serial;
}

/* No two servers begin in the same microsecond: by that they are told apart. */
static uint64_t fresh_start(void)
{
	static uint64_t starts;

	return UINT64_C(1700000000000000) + (uint64_t)(fates.now_ns / 1000) + 7919 * ++starts;
}

bool fates_is_up(int i)
{
	return !fates.node[i].down && !fates.node[i].hangs;
}

bool fates_is_primary(int i)
{
	return !wi_load_rlx(&fates_server(i)->in_recovery);
}

uint32_t fates_timeline_of(int i)
{
	return wi_load_rlx(&fates_server(i)->timeline);
}

uint64_t fates_lsn_of(int i)
{
	return wi_load_rlx(&fates_server(i)->lsn);
}

bool fates_is_ours(int i)
{
	return wi_load_rlx(&fates_server(i)->system) == fates.system;
}

/* The primary of the highest timeline that runs, or -1. */
int fates_top(void)
{
	int best = -1;

	for (int i = 0; i < FATES_HOSTS; i++)
		if (!fates.node[i].down && fates_is_primary(i) && fates_is_ours(i) &&
		    (best < 0 || fates_timeline_of(i) > fates_timeline_of(best)))
			best = i;
	return best;
}

uint32_t fates_highest(void)
{
	uint32_t most = 0;

	for (int i = 0; i < FATES_HOSTS; i++)
		if (fates_is_ours(i) && fates_timeline_of(i) > most)
			most = fates_timeline_of(i);
	return most;
}

/* ---- fates ---- */

/* From now on it takes credentials again, which a server that is not up does not say. */
static void let_in(int i)
{
	wi_store_rlx(&fates_server(i)->fail_connects, 0);
	wi_store_rlx(&fates_server(i)->connect_fault, WI_FAULT_NONE);
}

/* It refuses the credentials of whoever comes, or of the next few; the probe has to come again. */
static void shut_out(int i)
{
	int few = fates_below(2) ? 1 + (int)fates_below(4) : 0;

	fates_say("%d lets nobody new in%s", i, few ? " for a while" : "");
	wi_store_rlx(&fates_server(i)->connect_fault, WI_FAULT_AUTH);
	wi_store_rlx(&fates_server(i)->fail_connects, few);
	fates_end_probe(i);
}

static void go_down(int i)
{
	fates_say("%d is down", i);
	let_in(i);
	fates.node[i].down = true;
	fake_host_down(&fates_cluster, i, true);
	fates.node[i].dead_to = fates_server(i)->last_serial;
}

static void come_up(int i)
{
	struct fates_past p = fates_now_of(i);

	fates_say("%d is up", i);
	p.started = fresh_start();
	if (p.in_recovery && p.lsn > FAKE_LSN + 4096)
		p.lsn -= fates_below(64) * 64; /* from its last restart point */
	end_sessions(i);
	fates_set(i, p);
	fates.node[i].down = false;
	fake_host_down(&fates_cluster, i, false);
}

static void hang(int i, bool hangs)
{
	fates_say("%d hangs: %d", i, hangs);
	fates.node[i].hangs = hangs;
	wi_store_rlx(&fates_server(i)->silent, hangs);
	if (!hangs && fates_below(2))
		end_sessions(i);
}

/* A stranger's are nobody's here. */
static void remember_write(const struct fates_past *p)
{
	if (p->system == fates.system)
		fates.writes[fates.n_writes++ % FATES_WRITES] =
			(struct fates_write){fates.now_ns, p->timeline, p->lsn};
}

static void promote(int i, bool with_care)
{
	struct fates_past p = fates_now_of(i);

	fates_say("%d is promoted%s", i, with_care ? "" : " carelessly");
	p.timeline = (with_care ? fates_highest() : p.timeline) + 1;
	assert(p.timeline < FATES_LINES);
	fates.branch[p.timeline] = fates.began[p.timeline]++ ? 0 : p.lsn;
	p.in_recovery = false;
	p.follows = 0;
	p.streams_on = 0;
	p.lsn += 64;
	fates_set(i, p);
	remember_write(&p);
}

/* It becomes a standby of that one, by a restart unless it is one of the same past already. */
static void follow(int i, int whom)
{
	struct fates_past p = fates_now_of(i);
	bool goes_on = p.in_recovery && fates_is_ours(i) && fates_is_up(i) &&
	               p.timeline <= fates_timeline_of(whom);

	for (uint32_t k = p.timeline + 1; k <= fates_timeline_of(whom); k++)
		goes_on = goes_on && p.lsn <= fates.branch[k];
	goes_on = goes_on && p.lsn <= fates_lsn_of(whom);

	fates_say("%d follows %d%s", i, whom, goes_on ? "" : ", restarted");
	p.in_recovery = true;
	p.read_only = false;
	p.system = fates.system;
	p.timeline = fates_timeline_of(whom);
	p.follows = whom + 1;
	p.streams_on = fates_timeline_of(whom);
	if (p.lsn > fates_lsn_of(whom))
		p.lsn = fates_lsn_of(whom);
	if (!goes_on) {
		p.started = fresh_start();
		end_sessions(i);
	}
	fates_set(i, p);
}

/* Every one of them is made anew from a backup of an earlier timeline. */
static void restore(void)
{
	uint32_t timeline = 1 + fates_below(fates_highest());

	fates_say("restored to timeline %u", timeline);
	fates.restored_ns = fates.now_ns;
	fates.told_timeline = 0;
	fates.n_writes = 0;
	memset(fates.branch, 0, sizeof(fates.branch));
	memset(fates.began, 0, sizeof(fates.began));
	fates.began[timeline] = 1;
	for (int i = 0; i < FATES_HOSTS; i++) {
		struct fates_past p = {.in_recovery = i != 0,
		                       .timeline = timeline,
		                       .lsn = FAKE_LSN,
		                       .system = fates.system,
		                       .started = fresh_start(),
		                       .follows = i ? 1 : 0,
		                       .streams_on = i ? timeline : 0};

		end_sessions(i);
		fates.node[i].pasts = 0;
		fates_set(i, p);
	}
}

static void change_addresses(int i, int k)
{
	struct fates_past a = fates_now_of(i), b = fates_now_of(k);

	if (i == k || !fates_is_up(i) || !fates_is_up(k))
		return;
	fates_say("%d and %d change their addresses", i, k);
	end_sessions(i);
	end_sessions(k);
	fates_set(i, b);
	fates_set(k, a);
	for (int m = 0; m < FATES_HOSTS; m++) {
		struct fates_past p = fates_now_of(m);

		if (p.follows != i + 1 && p.follows != k + 1)
			continue;
		p.follows = p.follows == i + 1 ? k + 1 : i + 1;
		fates_set(m, p);
	}
}

static void write_some(int i)
{
	struct fates_past p = fates_now_of(i);

	p.lsn += 64 * (1 + fates_below(8));
	if (p.lsn % 8192 < 64)
		p.lsn += 128; /* no headers here */
	fates_set(i, p);
	remember_write(&p);
}

/* What goes on all the time: primaries write, standbys replay. */
void fates_live(void)
{
	for (int i = 0; i < FATES_HOSTS; i++) {
		struct fates_past p = fates_now_of(i);
		int whom = p.follows - 1;

		if (fates.node[i].down)
			continue;
		if (!p.in_recovery && !p.read_only && fates_below(2)) {
			write_some(i);
		} else if (p.in_recovery && whom >= 0 && fates_is_up(whom) &&
		           fates_is_primary(whom) && fates_timeline_of(whom) == p.timeline &&
		           fates_lsn_of(whom) > p.lsn && fates_below(3)) {
			p.lsn += fates_below(2) ? fates_lsn_of(whom) - p.lsn
			                        : (fates_lsn_of(whom) - p.lsn) / 128 * 64;
			fates_set(i, p);
		}
	}
}

static void someone_is_promoted(int i)
{
	int before = fates_top();
	bool with_care = fates_below(8) != 0;

	if (!fates_is_up(i) || fates_is_primary(i) || !fates_is_ours(i) ||
	    (with_care && fates_timeline_of(i) < fates_highest()))
		return;
	if (with_care && before >= 0)
		go_down(before);
	promote(i, with_care);
}

static void someone_joins(int i)
{
	int whom = fates_top();

	if (whom >= 0 && whom != i && fates_is_up(i) && fates_is_up(whom))
		follow(i, whom);
}

static int count_ours(void)
{
	int n = 0;

	for (int i = 0; i < FATES_HOSTS; i++)
		n += fates_is_ours(i);
	return n;
}

void fates_befall(void)
{
	int i = (int)fates_below(FATES_HOSTS);
	struct fates_past p = fates_now_of(i);

	fates_count++;
	switch (fates_below(24)) {
	case 0:
	case 1:
	case 2:
		if (fates_is_up(i))
			go_down(i);
		break;
	case 3:
	case 4:
	case 5:
	case 6:
		if (fates.node[i].down)
			come_up(i);
		break;
	case 7:
		hang(i, !fates.node[i].hangs && !fates.node[i].down);
		break;
	case 8:
		if (fates.node[i].hangs)
			hang(i, false);
		break;
	case 9:
	case 10:
	case 11:
		someone_is_promoted(i);
		break;
	case 12:
	case 13:
	case 14:
	case 15:
		someone_joins(i);
		break;
	case 16:
		if (fates_below(8) == 0)
			restore();
		break;
	case 17:
		change_addresses(i, (int)fates_below(FATES_HOSTS));
		break;
	case 18:
		p.read_only = !p.in_recovery && !p.read_only;
		fates_set(i, p);
		break;
	case 19:
		fates_say("the sessions of %d end", i);
		end_sessions(i);
		break;
	case 20:
		wi_store_rlx(&fates_server(i)->answer_ns,
		             fates_below(3) ? 0 : fates_below(1500) * WI_MS);
		wi_store_rlx(&fates_server(i)->connect_ns,
		             fates_below(3) ? 0 : fates_below(3000) * WI_MS);
		break;
	case 21:
		if (fates_is_up(i) && fates_below(6) == 0 && count_ours() > 1) {
			fates_say("%d is of another system", i);
			end_sessions(i);
			p.system = 42;
			p.in_recovery = false;
			p.follows = 0;
			p.timeline = 1 + fates_below(9);
			p.started = fresh_start();
			fates_set(i, p);
		}
		break;
	case 22:
		if (fates_is_up(i))
			shut_out(i);
		break;
	case 23:
		if (fates_is_up(i))
			let_in(i);
		break;
	default:
		break;
	}
}

static int whom_to_follow(void)
{
	int whom = fates_top();

	if (whom >= 0 && fates_timeline_of(whom) == fates_highest())
		return whom;
	for (int i = 0; i < FATES_HOSTS; i++)
		if (fates_is_ours(i) && fates_timeline_of(i) == fates_highest())
			whom = i;
	return whom;
}

static void appoint(int i)
{
	struct fates_past p = fates_now_of(i);

	if (p.in_recovery) {
		promote(i, true);
		return;
	}
	p.read_only = false;
	fates_set(i, p);
}

void fates_mend(void)
{
	int whom;

	fates_say("all is well");
	fates.quiet = true;
	for (int i = 0; i < FATES_HOSTS; i++) {
		wi_store_rlx(&fates_server(i)->answer_ns, 0);
		wi_store_rlx(&fates_server(i)->connect_ns, 0);
		if (fates.node[i].hangs)
			hang(i, false);
		if (fates.node[i].down)
			come_up(i);
		let_in(i);
	}
	whom = whom_to_follow();
	appoint(whom);
	for (int i = 0; i < FATES_HOSTS; i++)
		if (i != whom)
			follow(i, whom);
}
