/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options that change under a pool that runs. Each one that may is a word of its own: the keeper
 * writes it, and whoever reads it takes it as it is at that moment, so there is nothing to publish
 * and nothing to free. What has to agree with another word (the sizes) goes another way.
 */
#include "config/reload.h"

#include <string.h>

#include "base/atomic.h"
#include "base/text.h"
#include "config/options.h"

void wi_fixed_by(struct wi_fixed *fixed, const struct wi_sources *sources)
{
	for (size_t i = 0; i < WI_OPTIONS; i++)
		fixed->is[i] = sources->of[i] != NULL;
}

static int64_t *number_in(const struct wi_option *row, const weir_options *options)
{
	return (int64_t *)(void *)((char *)(uintptr_t)options + row->offset);
}

static bool is_number(const struct wi_option *row)
{
	return row->shown.type != WEIR_OPTION_IS_TEXT;
}

static bool differs(const struct wi_option *row, const weir_options *a, const weir_options *b)
{
	if (is_number(row))
		return wi_word_load(number_in(row, a)) != wi_word_load(number_in(row, b));
	return strcmp((const char *)a + row->offset, (const char *)b + row->offset) != 0;
}

static void keep(const struct wi_option *row, const weir_options *now, weir_options *merged)
{
	if (is_number(row))
		*number_in(row, merged) = wi_word_load(number_in(row, now));
	else
		memcpy((char *)merged + row->offset, (const char *)now + row->offset,
		       row->shown.room);
}

static void keep_callbacks(const weir_options *now, weir_options *merged)
{
	merged->on_event = now->on_event;
	merged->on_event_arg = now->on_event_arg;
	merged->on_sqlstate = now->on_sqlstate;
	merged->on_sqlstate_arg = now->on_sqlstate_arg;
	merged->on_connect = now->on_connect;
	merged->on_connect_arg = now->on_connect_arg;
	merged->on_credentials = now->on_credentials;
	merged->on_credentials_arg = now->on_credentials_arg;
}

static weir_status fail_fixed(const struct wi_option *row, const weir_options *now,
                              const weir_options *merged, weir_error *error)
{
	char from[32], to[32];

	/* a text may be SQL, with whatever stands in it */
	if (!is_number(row) ||
	    weir_options_get(now, row->shown.name, from, sizeof(from)) != WEIR_OK ||
	    weir_options_get(merged, row->shown.name, to, sizeof(to)) != WEIR_OK)
		return wi_fail(error, WEIR_INVALID,
		               "option \"%s\" may not change while it runs: nothing is changed",
		               row->shown.name);
	return wi_fail(error, WEIR_INVALID,
	               "option \"%s\" may not change while it runs, from %s to %s: nothing is "
	               "changed",
	               row->shown.name, from, to);
}

weir_status wi_reload_merge(const weir_options *now, const struct wi_fixed *fixed,
                            const weir_options *wanted, bool spares_probe, weir_options *merged,
                            weir_error *error)
{
	const struct wi_option *row, *budget = wi_option_find("server_budget");
	weir_status st = wi_options_load(merged, wanted, error);

	if (st != WEIR_OK)
		return st;
	keep_callbacks(now, merged);
	for (size_t i = 0; (row = wi_option_at(i)); i++)
		if (fixed->is[i])
			keep(row, now, merged);
	if (spares_probe && !fixed->is[wi_option_number_of(budget)])
		st = wi_options_spare_probe(merged, error);
	if (st == WEIR_OK)
		st = wi_options_agree(merged, error);
	for (size_t i = 0; st == WEIR_OK && (row = wi_option_at(i)); i++)
		if (row->shown.reload == WEIR_RELOAD_NEVER && differs(row, now, merged))
			st = fail_fixed(row, now, merged, error);
	return st;
}

void wi_reload_write(weir_options *now, const weir_options *merged)
{
	const struct wi_option *row;

	for (size_t i = 0; (row = wi_option_at(i)); i++)
		if (row->shown.reload != WEIR_RELOAD_NEVER && differs(row, now, merged))
			wi_word_store(wi_option_number(row, now), *number_in(row, merged));
}

bool wi_reload_differs(const weir_options *now, const weir_options *merged,
                       const char *const names[])
{
	for (; *names; names++)
		if (differs(wi_option_find(*names), now, merged))
			return true;
	return false;
}

bool wi_reload_differs_for_new(const weir_options *now, const weir_options *merged)
{
	const struct wi_option *row;

	for (size_t i = 0; (row = wi_option_at(i)); i++)
		if (row->shown.reload == WEIR_RELOAD_NEW && differs(row, now, merged))
			return true;
	return false;
}
