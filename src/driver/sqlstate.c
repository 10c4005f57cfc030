/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of SQLSTATEs. One row a prefix, two judgements: the same code means one thing to a
 * connect and another to an open session. docs/errors.md is this table in words; a test compares.
 */
#include <string.h>

#include <weir/sqlstate.h>

#include "base/line.h"

#define ROW(prefix, connecting, open, text)                                                        \
	{                                                                                          \
		prefix, WEIR_CLASS_##connecting, WEIR_CLASS_##open, text                           \
	}

static const weir_sqlstate_row rows[] = {
	ROW("08", PLAIN, EVICT, "connection errors; PgBouncer says almost everything as 08P01"),
	ROW("0A000", CONFIG, DROP_STATEMENTS,
            "not supported: \"cached plan must not change result type\", or the protocol version"),
	ROW("22", CONFIG, PLAIN, "a value that is not taken"),
	ROW("25006", PLAIN, WRONG_ROLE,
            "read-only transaction: a standby, or read-only by setting"),
	ROW("25P03", PLAIN, EVICT, "idle_in_transaction_session_timeout"),
	ROW("25P04", PLAIN, EVICT, "transaction_timeout"),
	ROW("28", AUTH, PLAIN, "password, role or pg_hba.conf"),
	ROW("3D000", CONFIG, PLAIN, "no such database"),
	ROW("40001", PLAIN, RETRY, "serialization failure; on a standby: a conflict with replay"),
	ROW("40P01", PLAIN, RETRY, "deadlock; on a standby: one with replay"),
	ROW("42", CONFIG, PLAIN, "wrong SQL or privilege; connecting: CONNECT is not granted"),
	ROW("42704", OPTIONS, PLAIN, "connecting: an older server does not know a setting"),
	ROW("53", CAPACITY, PLAIN, "out of memory, disk or other means"),
	ROW("53300", CAPACITY, PLAIN, "too many connections"),
	ROW("55000", CONFIG, PLAIN, "connecting: a database that takes no connections"),
	ROW("57P0", RETRY_CONNECT, EVICT, "ended by the server: other reasons"),
	ROW("57P01", RETRY_CONNECT, EVICT, "pg_terminate_backend, or a fast shutdown"),
	ROW("57P02", CONDEMN, CONDEMN, "another session crashed: the server restarts"),
	ROW("57P03", CONDEMN, CONDEMN, "starting up, shutting down or in recovery"),
	ROW("57P04", RETRY_CONNECT, EVICT, "the database was dropped"),
	ROW("57P05", RETRY_CONNECT, EVICT, "idle_session_timeout"),
};

const weir_sqlstate_row *weir_sqlstate_at(size_t i)
{
	return i < WI_ARRAY_LEN(rows) ? &rows[i] : NULL;
}

weir_class weir_class_of(const char *sqlstate, bool connecting)
{
	const weir_sqlstate_row *best = NULL;
	size_t fits = 0;

	for (size_t i = 0; sqlstate && i < WI_ARRAY_LEN(rows); i++) {
		size_t n = strlen(rows[i].prefix);

		if (n > fits && strncmp(sqlstate, rows[i].prefix, n) == 0) {
			best = &rows[i];
			fits = n;
		}
	}
	if (!best)
		return WEIR_CLASS_PLAIN;
	return connecting ? best->connecting : best->open;
}

const char *weir_class_name(weir_class kind)
{
	switch (kind) {
#define NAME(name, text)                                                                           \
	case WEIR_CLASS_##name:                                                                    \
		return #name;
		WEIR_CLASS_MAP(NAME)
#undef NAME
	case WEIR_CLASSES:
		break;
	}
	return "UNKNOWN";
}

const char *weir_class_text(weir_class kind)
{
	switch (kind) {
#define TEXT(name, text)                                                                           \
	case WEIR_CLASS_##name:                                                                    \
		return text;
		WEIR_CLASS_MAP(TEXT)
#undef TEXT
	case WEIR_CLASSES:
		break;
	}
	return "unknown class";
}
