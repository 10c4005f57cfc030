/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a checkout asks for where its caller says no more than the intent: the options say the rest.
 *
 * Made anew for each checkout that leaves the warm path, from single words that a reload may change
 * meanwhile. Such a checkout may find some of them new and others old: each is one that was asked
 * for.
 */
#include "base/atomic.h"
#include "route/router.h"

static weir_fallback fallback_of(int64_t option)
{
	static const weir_fallback of[] = {
		[WEIR_READ_FALLBACK_PRIMARY] = WEIR_FALLBACK_PRIMARY,
		[WEIR_READ_FALLBACK_WAIT] = WEIR_FALLBACK_WAIT,
		[WEIR_READ_FALLBACK_FAIL] = WEIR_FALLBACK_FAIL,
		[WEIR_READ_FALLBACK_PRIMARY_OR_FAIL] = WEIR_FALLBACK_PRIMARY_OR_FAIL,
	};

	return of[option];
}

void wi_wish_plain(const weir_router *r, weir_intent intent, struct wi_wish *wish)
{
	const weir_options *o = &r->options;
	bool sees_own = r->own_writes == WEIR_READ_YOUR_WRITES_PROCESS;

	*wish = (struct wi_wish){.intent = intent, .fallback = WEIR_FALLBACK_FAIL};
	if (intent == WEIR_WRITE)
		return;
	wish->fallback = fallback_of(wi_word_load(&o->read_fallback));
	wish->max_lag_ms = wi_word_load(&o->max_lag_ms);
	wish->max_lag_bytes = wi_word_load(&o->max_lag_bytes);
	wish->bounded = sees_own || wish->max_lag_ms || wish->max_lag_bytes;
	wish->asks = sees_own && wi_word_load(&o->token_wait_ms) > 0;
}

bool wi_wish_is_plain(const weir_router *r)
{
	struct wi_wish wish;

	wi_wish_plain(r, WEIR_READ, &wish);
	return !wish.bounded && !wi_weighs_each(r);
}

bool wi_weighs(const weir_router *r)
{
	return wi_word_load(&r->options.balance) == WEIR_BALANCE_P2C;
}

bool wi_weighs_each(const weir_router *r)
{
	return wi_word_load(&r->options.balance) == WEIR_BALANCE_LEAST;
}
