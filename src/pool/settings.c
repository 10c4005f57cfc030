/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The timeouts that weir asks of a server. They go into the startup packet's `options`, because
 * what is set there survives RESET ALL and DISCARD ALL, and what is SET does not. Whether the
 * server took them is asked once a connection. Where it did not (a pooler between), they are SET,
 * and again after each reset.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/line.h"
#include "base/text.h"
#include "pool/pool.h"

/* In the order of wi_settings.want_ms and of weir_host_stats. */
static const char *const names[WI_SETTINGS] = {
	"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
	"idle_session_timeout", /* PostgreSQL 14 and later */
};
#define SINCE_14 3

weir_status wi_settings_build(struct wi_settings *s, const weir_options *o, const char *users,
                              weir_error *error)
{
	const int64_t want[WI_SETTINGS] = {o->statement_timeout_ms, o->lock_timeout_ms,
	                                   o->idle_in_transaction_timeout_ms,
	                                   o->idle_session_timeout_ms};
	struct wi_text startup, apply, verify;

	wi_text_init(&startup, s->startup, sizeof(s->startup));
	wi_text_init(&apply, s->apply, sizeof(s->apply));
	wi_text_init(&verify, s->verify, sizeof(s->verify));
	wi_text_add(&verify, "SELECT ");
	for (int i = 0; i < WI_SETTINGS; i++) {
		/* The user's own startup options win, and are not ours to judge. */
		s->want_ms[i] = users && strstr(users, names[i]) ? -1 : want[i];
		wi_text_add(&verify, "%spg_catalog.current_setting('%s', true)", i ? ", " : "",
		            names[i]);
		/* Older servers do not know it: ask for it only if it is wanted. */
		if (s->want_ms[i] < 0 || (i == SINCE_14 && s->want_ms[i] == 0))
			continue;
		wi_text_add(&startup, "%s-c %s=%" PRId64, startup.len ? " " : "", names[i],
		            s->want_ms[i]);
		wi_text_add(&apply, "SET %s = %" PRId64 ";", names[i], s->want_ms[i]);
	}
	s->has_users = users && users[0];
	if (s->has_users)
		wi_text_add(&startup, "%s%s", startup.len ? " " : "", users);
	if (startup.len + 1 >= sizeof(s->startup))
		return wi_fail(error, WEIR_INVALID,
		               "\"options\" of the connection string is too long");
	return WEIR_OK;
}

bool wi_settings_is_empty(const struct wi_settings *s)
{
	return s->apply[0] == '\0';
}

/* "0", "250ms", "30s", "5min", "1h", "1d" as the server prints them; -1 for anything else. */
static int64_t milliseconds(const char *text)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"", 1},        {"ms", 1},      {"s", 1000},
	             {"min", 60000}, {"h", 3600000}, {"d", 86400000}};
	char *end;
	int64_t n = strtoll(text, &end, 10);

	if (end == text || n < 0)
		return -1;
	for (size_t i = 0; i < WI_ARRAY_LEN(units); i++)
		if (strcmp(end, units[i].unit) == 0)
			return n * units[i].ms;
	return -1;
}

bool wi_settings_match(const struct wi_settings *s, const struct wi_answer *answer,
                       int64_t in_force_ms[WI_SETTINGS])
{
	bool all = true;

	for (int i = 0; i < WI_SETTINGS; i++) {
		bool known = answer->has_row && (size_t)i < answer->columns && !answer->is_null[i];

		in_force_ms[i] = known ? milliseconds(answer->value[i]) : -1;
		if (s->want_ms[i] >= 0 && in_force_ms[i] != s->want_ms[i] &&
		    !(i == SINCE_14 && !known))
			all = false;
	}
	return all;
}
