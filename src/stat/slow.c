/* SPDX-License-Identifier: BSD-2-Clause */
/* Slow checkouts and statements, counted and told; not each of them, when there are many. */
#include "stat/slow.h"

#include <stdio.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/line.h"
#include "stat/event.h"

#define GAP_NS WI_SEC

bool wi_seldom_now(struct wi_seldom *s, int64_t now_ns, int64_t gap_ns, uint64_t *held_back)
{
	int64_t next_ns = wi_load_rlx(&s->next_ns);

	if (now_ns >= next_ns && wi_cas_rlx(&s->next_ns, &next_ns, now_ns + gap_ns)) {
		*held_back = wi_load_rlx(&s->held_back);
		wi_sub_rlx(&s->held_back, *held_back);
		return true;
	}
	wi_add_rlx(&s->held_back, 1);
	return false;
}

static WI_COLD void tell(struct wi_slow *slow, const struct wi_slow_of *of, weir_event_kind kind,
                         const char *option, int64_t limit_ms, int64_t took_ns, int64_t now_ns,
                         weir_status status)
{
	uint64_t held_back;
	char more[64] = "";

	wi_add_rlx(&slow->count, 1);
	if (!wi_seldom_now(&slow->told, now_ns, GAP_NS, &held_back))
		return;
	if (held_back)
		snprintf(more, sizeof(more), "; %llu more since the last one told",
		         (unsigned long long)held_back);
	wi_event_tell(of->ring, of->options, now_ns, kind, of->host,
	              "%s after %.1f ms (%s is %lld)%s%s%s", weir_status_name(status),
	              (double)took_ns / (double)WI_MS, option, (long long)limit_ms,
	              of->tag ? ", for " : "", of->tag ? of->tag : "", more);
}

void wi_slow_checkout(struct wi_slow *slow, const struct wi_slow_of *of, int64_t began_ns,
                      int64_t now_ns, weir_status status)
{
	int64_t limit_ms = wi_word_load(&of->options->slow_checkout_ms);

	if (limit_ms > 0 && now_ns - began_ns > limit_ms * WI_MS)
		tell(slow, of, WEIR_EVENT_SLOW_CHECKOUT, "slow_checkout_ms", limit_ms,
		     now_ns - began_ns, now_ns, status);
}

void wi_slow_query(struct wi_slow *slow, const struct wi_slow_of *of, int64_t began_ns,
                   int64_t now_ns, weir_status status)
{
	int64_t limit_ms = wi_word_load(&of->options->slow_query_ms);

	if (limit_ms > 0 && now_ns - began_ns > limit_ms * WI_MS)
		tell(slow, of, WEIR_EVENT_SLOW_QUERY, "slow_query_ms", limit_ms, now_ns - began_ns,
		     now_ns, status);
}
