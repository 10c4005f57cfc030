/* SPDX-License-Identifier: BSD-2-Clause */
/* See say.h. */
#include "exec/say.h"

#include <string.h>

#include "base/text.h"
#include "pool/busy.h"
#include "pool/pool.h"

enum wi_said wi_say(struct weir_conn *c, const char *sql, int64_t deadline_ns, struct wi_failure *f)
{
	enum wi_said said = WI_SAID_LOST;

	memset(f, 0, sizeof(*f));
	if (!c->pool->driver->send(c->link, sql, f)) {
		wi_or_acq_rel(&c->notes, WI_NOTE_SUSPECT);
		return WI_SAID_UNSENT;
	}
	switch (wi_conn_await(c, NULL, deadline_ns, f)) {
	case WI_STEP_DONE:
		return WI_SAID_DONE;
	case WI_STEP_FAILED:
		if (f->fault == WI_FAULT_SQL)
			return WI_SAID_ERROR;
		/* The keeper is to count it, and to judge the others by how it ended. */
		wi_or_acq_rel(&c->notes,
		              f->fault == WI_FAULT_MEMORY ? WI_NOTE_DISCARD : WI_NOTE_SUSPECT);
		break;
	case WI_STEP_READ:
	case WI_STEP_WRITE:
		wi_cancel_and_forget(c);
		wi_or_acq_rel(&c->notes, WI_NOTE_DISCARD);
		f->fault = WI_FAULT_TIMEOUT;
		wi_copy(f->text, sizeof(f->text), "no answer within the caller's deadline");
		said = WI_SAID_LATE;
		break;
	}
	return said;
}

weir_status wi_said_of(const struct weir_conn *c, weir_status st, const char *what,
                       const struct wi_failure *f, weir_error *error)
{
	wi_fail(error, st, "%s: %s", what, f->text);
	if (error) {
		wi_copy(error->host, sizeof(error->host), c->pool->endpoint->name);
		memcpy(error->sqlstate, f->sqlstate, sizeof(error->sqlstate));
	}
	return st;
}
