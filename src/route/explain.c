/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words when no host is able: what was wanted, and then every host with its role, its lag and
 * its last error, so that nobody has to ask the servers what the router saw.
 *
 * Orderings. [route:A2] reads a host's report; its partner is in topology.c.
 */
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/text.h"
#include "route/router.h"

#define MORE_ROOM 24 /* of "and 63 more" */
#define LAG_ROOM 320 /* of a lag, and of what a standby says of itself, in words */

static const struct wi_report *report_of(const struct wi_host *h)
{
	/* [route:A2] sees the report as the monitor wrote it; pairs with R2. */
	return wi_load_acq(&h->report);
}

int64_t wi_host_lag_ms(const struct wi_host *h, weir_role role, int64_t now_ns)
{
	int64_t since = wi_load_rlx(&h->behind_since_ns);

	switch (role) {
	case WEIR_ROLE_PRIMARY:
		return 0;
	case WEIR_ROLE_REPLICA:
		if (since == WI_LAG_UNKNOWN)
			return -1;
		return since && now_ns > since ? (now_ns - since) / WI_MS : 0;
	case WEIR_ROLE_UNKNOWN:
		break;
	}
	return -1;
}

static bool is_lasting(enum wi_fault fault)
{
	return fault == WI_FAULT_AUTH || fault == WI_FAULT_CONFIG;
}

static bool are_all_dead(weir_router *r)
{
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		if (!wi_load_rlx(&h->dead))
			return false;
	return true;
}

/* There was a primary a while ago: it comes back, or another takes its place. */
static bool is_between_primaries(const weir_router *r)
{
	int64_t lost_ns = wi_load_rlx(&r->lost_ns);

	return lost_ns &&
	       r->world->now() - lost_ns < wi_word_load(&r->options.failover_wait_ms) * WI_MS;
}

bool wi_is_hopeless(weir_router *r, const struct wi_wish *wish)
{
	struct wi_host *h;

	if (wish->intent == WEIR_WRITE && is_between_primaries(r))
		return false;
	if (are_all_dead(r))
		return true;
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		if (!is_lasting(report_of(h)->failure.fault))
			return false;
	return true;
}

static bool all_refused_credentials(weir_router *r)
{
	struct wi_host *h;

	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		if (report_of(h)->failure.fault != WI_FAULT_AUTH)
			return false;
	return true;
}

/* Besides replicas. */
static bool may_read_primary(const struct wi_wish *wish)
{
	switch (wish->target) {
	case WEIR_TARGET_DEFAULT:
		return wish->fallback == WEIR_FALLBACK_PRIMARY ||
		       wish->fallback == WEIR_FALLBACK_PRIMARY_OR_FAIL;
	case WEIR_TARGET_PRIMARY:
	case WEIR_TARGET_REPLICA:
		return false;
	case WEIR_TARGET_PREFER_PRIMARY:
	case WEIR_TARGET_PREFER_REPLICA:
	case WEIR_TARGET_ANY:
		break;
	}
	return true;
}

static void say_what(struct wi_text *t, const struct wi_wish *wish, const struct wi_choice *choice)
{
	if (choice->pending)
		wi_text_add(t, "not every host has been looked at yet");
	else if (wish->intent == WEIR_WRITE)
		wi_text_add(t, "no host can take a write: no primary is known");
	else if (choice->stale)
		wi_text_add(t,
		            "no host can serve this read: no replica is known to be fresh enough");
	else if (wish->target == WEIR_TARGET_PRIMARY)
		wi_text_add(t, "no host can serve this read: no primary is known");
	else
		wi_text_add(t, "no host can serve this read: no replica is known");
	if (choice->capped)
		wi_text_add(t, ", and the primary serves as many reads in their place as it may "
		               "(read_fallback_max_pct)");
	else if (wish->intent == WEIR_READ && may_read_primary(wish) && !choice->pending)
		wi_text_add(t, ", and no primary that could do it");
}

static void say_lag(struct wi_text *t, const struct wi_host *h, weir_role role, int64_t now_ns)
{
	int64_t lag = wi_host_lag_ms(h, role, now_ns);
	int64_t as_of = wi_load_rlx(&h->as_of_ns);

	if (role != WEIR_ROLE_REPLICA)
		return;
	if (lag < 0)
		wi_text_add(t, ", lag unknown");
	else
		wi_text_add(t, ", lag %lld ms", (long long)lag);
	if (as_of != WI_LAG_UNKNOWN)
		wi_text_add(t, ", known to be current %lld ms ago",
		            (long long)((now_ns - as_of) / WI_MS));
}

/* What a standby says of itself. */
static void say_standing(struct wi_text *t, const struct wi_host *h, const struct wi_report *report,
                         int64_t now_ns)
{
	int64_t held_ns = wi_load_rlx(&h->held_until_ns) - now_ns;
	int64_t held_ms = held_ns > 0 ? held_ns / WI_MS + 1 : 0;

	if (report->follows[0])
		wi_text_add(t, report->sight.streams_on ? ", follows %s" : ", wants to follow %s",
		            report->follows);
	if (report->sight.in_recovery && report->sight.paused)
		wi_text_add(t, ", replay is paused");
	if (report->sight.in_recovery && report->sight.delay_ms)
		wi_text_add(t, ", delayed by %lld ms on purpose",
		            (long long)report->sight.delay_ms);
	if (report->several)
		wi_text_add(t, ", its name leads to several servers");
	if (held_ms > 0)
		wi_text_add(t, ", held for another %lld ms", (long long)held_ms);
}

/*
 * The error of a probe, or of the pool where the probe is content and the pool could not connect.
 */
static void say_error(struct wi_text *t, struct wi_host *h, const struct wi_report *report,
                      bool sick)
{
	weir_pool_stats pool;

	if (report->failure.text[0]) {
		wi_text_add(t, ": %s", report->failure.text);
		return;
	}
	wi_pool_read(h->pool, &pool);
	if ((sick || pool.breaker_open) && pool.last_connect_error[0])
		wi_text_add(t, ": cannot connect: %s", pool.last_connect_error);
}

/* What every host gets: its name and its role. */
static size_t cost_of(const struct wi_host *h)
{
	return strlen(h->endpoint->name) + strlen(weir_role_name(report_of(h)->role)) +
	       strlen("\n: ");
}

/*
 * How the room that is left is shared: the first `n` hosts are named, and each has `width` for its
 * lag and its error; what one leaves of that is the next one's.
 */
struct shares {
	uint32_t n;
	int width;
};

/* The set as it was when somebody began to tell of it: it may change meanwhile. */
struct roll {
	uint32_t n;
	struct wi_host *host[WI_HOSTS_MAX];
};

static void call_the_roll(const weir_router *r, struct roll *roll)
{
	struct wi_host *h;

	roll->n = 0;
	for (uint32_t i = 0; (h = wi_hosts_next(r, &i));)
		roll->host[roll->n++] = h;
}

static struct shares share(const struct roll *roll, size_t room)
{
	struct shares s = {0, 0};
	size_t names = 0;

	for (uint32_t i = 0; i < roll->n; i++)
		names += cost_of(roll->host[i]);
	if (names <= room) {
		s.n = roll->n;
		s.width = roll->n ? (int)((room - names) / roll->n) : 0;
		return s;
	}
	room -= MORE_ROOM;
	for (names = 0; s.n < roll->n; s.n++) {
		names += cost_of(roll->host[s.n]);
		if (names > room)
			break;
	}
	return s;
}

/* What there is to say of a host besides its role, in at most `width` bytes; how many it took. */
static int say_more(struct wi_text *t, struct wi_host *h, const struct wi_wish *wish,
                    int64_t now_ns, int width)
{
	const struct wi_report *report = report_of(h);
	char words[LAG_ROOM + sizeof(report->failure.text)];
	struct wi_text more;

	wi_text_init(&more, words, sizeof(words));
	if (!report->sight.answered && !report->failure.text[0])
		wi_text_add(&more, ", not probed yet");
	say_lag(&more, h, report->role, now_ns);
	say_standing(&more, h, report, now_ns);
	say_error(&more, h, report, wish->sick >> h->number & 1);
	wi_text_add(t, "%.*s", width, words);
	return (int)more.len < width ? (int)more.len : width;
}

static void say_hosts(struct wi_text *t, const struct roll *roll, const struct wi_wish *wish,
                      int64_t now_ns, size_t room)
{
	struct shares s = share(roll, room);
	int spare = 0;

	for (uint32_t i = 0; i < s.n; i++) {
		struct wi_host *h = roll->host[i];

		wi_text_add(t, "\n%s: %s", h->endpoint->name, weir_role_name(report_of(h)->role));
		spare += s.width;
		spare -= say_more(t, h, wish, now_ns, spare);
	}
	if (s.n < roll->n)
		wi_text_add(t, "\nand %u more", roll->n - s.n);
}

/* There is somebody who could do it, later: that is no want of hosts. */
static weir_status status_of(weir_router *r, const struct wi_wish *wish,
                             const struct wi_choice *choice)
{
	if (choice->capped && wish->fallback != WEIR_FALLBACK_PRIMARY_OR_FAIL)
		return wish->deadline_ns ? WEIR_TIMEOUT : WEIR_EXHAUSTED;
	if (choice->capped)
		return WEIR_EXHAUSTED;
	return all_refused_credentials(r) ? WEIR_AUTH : WEIR_UNAVAILABLE;
}

weir_status wi_explain(weir_router *r, const struct wi_wish *wish, const struct wi_choice *choice,
                       weir_error *error)
{
	weir_status st = status_of(r, wish, choice);
	struct roll roll = {0};
	struct wi_text t;

	if (!error)
		return st;
	wi_fail(error, st, "%s", "");
	call_the_roll(r, &roll);
	if (roll.n == 1)
		wi_copy(error->host, sizeof(error->host), roll.host[0]->endpoint->name);
	if (roll.n == 1 || (st == WEIR_AUTH && roll.n))
		memcpy(error->sqlstate, report_of(roll.host[0])->failure.sqlstate,
		       sizeof(error->sqlstate));
	wi_text_init(&t, error->text, sizeof(error->text));
	if (st == WEIR_AUTH)
		wi_text_add(&t, "every host refused the credentials");
	else
		say_what(&t, wish, choice);
	say_hosts(&t, &roll, wish, r->world->now(), sizeof(error->text) - 1 - t.len);
	return st;
}
