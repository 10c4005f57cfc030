/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a failure's SQLSTATE (sqlstate.c) and words mean to the pool, asked in that order.
 *
 * Behind the words. libpq up to 18 gives no SQLSTATE for a failed connect, only text; the driver
 * asks for verbose text, which holds the server's. What libpq says by itself has none, and what a
 * server says in class 08 (PgBouncer says almost everything in 08P01) is too wide: there the words
 * decide.
 */
#include "driver/fault.h"

#include <string.h>

#include "base/line.h"
#include "base/text.h"

enum wi_fault wi_fault_of_class(weir_class kind)
{
	switch (kind) {
	case WEIR_CLASS_CAPACITY:
		return WI_FAULT_CAPACITY;
	case WEIR_CLASS_AUTH:
		return WI_FAULT_AUTH;
	case WEIR_CLASS_CONFIG:
		return WI_FAULT_CONFIG;
	case WEIR_CLASS_OPTIONS:
		return WI_FAULT_OPTIONS;
	case WEIR_CLASS_CONDEMN:
	case WEIR_CLASS_RETRY_CONNECT:
		return WI_FAULT_STARTING;
	case WEIR_CLASS_PLAIN:
	case WEIR_CLASS_RETRY:
	case WEIR_CLASS_EVICT:
	case WEIR_CLASS_WRONG_ROLE:
	case WEIR_CLASS_DROP_STATEMENTS:
	case WEIR_CLASSES:
		break;
	}
	return WI_FAULT_REFUSED;
}

bool wi_fault_is_heard(const char *sqlstate, bool hears_all)
{
	weir_class kind = weir_class_of(sqlstate, false);

	if (!sqlstate || !sqlstate[0])
		return false;
	return hears_all || (kind != WEIR_CLASS_PLAIN && kind != WEIR_CLASS_RETRY);
}

struct word_row {
	const char *words;
	enum wi_fault fault;
};

/* The first row whose words occur decides: what is said about a cause stands before its effects. */
static const struct word_row connect_words[] = {
	{"out of memory", WI_FAULT_MEMORY}, /* also in the middle of an authentication */
	{"malloc failure", WI_FAULT_MEMORY},
	{"could not create socket", WI_FAULT_MEMORY},
	{"unsupported startup parameter", WI_FAULT_OPTIONS},
	{"unrecognized configuration parameter", WI_FAULT_OPTIONS},
	{"no password supplied", WI_FAULT_AUTH},
	{"password was not supplied", WI_FAULT_AUTH},
	{"authentication failed", WI_FAULT_AUTH},
	{"no pg_hba.conf entry", WI_FAULT_AUTH},
	{"pg_hba.conf rejects", WI_FAULT_AUTH},
	{"no such user", WI_FAULT_AUTH},
	{"is not permitted to log in", WI_FAULT_AUTH},
	{"requires a valid client certificate", WI_FAULT_AUTH},
	{"requirepeer specifies", WI_FAULT_AUTH},
	{"authentication method", WI_FAULT_AUTH},
	{"channel binding", WI_FAULT_AUTH},
	{"could not verify server signature", WI_FAULT_AUTH},
	{"SCRAM", WI_FAULT_AUTH},
	{"no such database", WI_FAULT_CONFIG},
	{"remaining connection slots are reserved", WI_FAULT_CAPACITY},
	{"too many clients already", WI_FAULT_CAPACITY},
	{"too many connections for", WI_FAULT_CAPACITY},
	{"no more connections allowed", WI_FAULT_CAPACITY},
	{"could not fork new process", WI_FAULT_CAPACITY},
	{"the database system is starting up", WI_FAULT_STARTING},
	{"the database system is shutting down", WI_FAULT_STARTING},
	{"the database system is not yet accepting", WI_FAULT_STARTING},
	{"the database system is not accepting", WI_FAULT_STARTING},
	{"the database system is in recovery mode", WI_FAULT_STARTING},
	{"pooler is shut down", WI_FAULT_STARTING},
	{"certificate", WI_FAULT_TLS},
	{"private key file", WI_FAULT_TLS},
	{"SSL", WI_FAULT_TLS},
	{"TLS", WI_FAULT_TLS},
	{"does not exist", WI_FAULT_CONFIG}, /* role or database: both stay so */
	{"invalid ", WI_FAULT_CONFIG},       /* a parameter that libpq does not take */
	{"could not translate host name", WI_FAULT_RESOLVE},
	{"could not parse network address", WI_FAULT_CONFIG},
	{"timed out", WI_FAULT_TIMEOUT},
	{"timeout expired", WI_FAULT_TIMEOUT},
};

enum wi_fault wi_fault_of_connect(const char *sqlstate, const char *text)
{
	weir_class kind = weir_class_of(sqlstate, true);

	if (kind != WEIR_CLASS_PLAIN)
		return wi_fault_of_class(kind);
	for (size_t i = 0; i < WI_ARRAY_LEN(connect_words); i++)
		if (strstr(text, connect_words[i].words))
			return connect_words[i].fault;
	return WI_FAULT_REFUSED;
}

/* Whether "XXXXX: " stands here. */
static bool is_sqlstate(const char *at)
{
	return strspn(at, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && at[5] == ':' &&
	       at[6] == ' ';
}

/*
 * Copies text without what verbose errors add, and the first SQLSTATE apart. The severity before a
 * SQLSTATE may be in any language, the two blanks after its colon are in all.
 */
static void take_apart(char *to, size_t room, char sqlstate[6], const char *text)
{
	size_t n = 0;

	sqlstate[0] = '\0';
	while (*text && n + 1 < room) {
		if (strncmp(text, "\nLOCATION:  ", 12) == 0) {
			text += 1 + strcspn(text + 1, "\n");
			continue;
		}
		if (n >= 3 && strncmp(to + n - 3, ":  ", 3) == 0 && is_sqlstate(text)) {
			if (!sqlstate[0])
				wi_copy(sqlstate, 6, text);
			n--; /* one blank is enough now */
			text += 7;
			continue;
		}
		to[n++] = *text++;
	}
	to[n] = '\0';
}

void wi_failure_of_connect(struct wi_failure *failure, const char *text, const char *secret)
{
	char plain[4096]; /* far more than a failure holds: what the bound cuts is never shown */
	char sqlstate[6];

	take_apart(plain, sizeof(plain), sqlstate, text);
	wi_failure_set(failure, wi_fault_of_connect(sqlstate, plain), sqlstate, plain, secret);
}

void wi_failure_set(struct wi_failure *failure, enum wi_fault fault, const char *sqlstate,
                    const char *text, const char *secret)
{
	failure->fault = fault;
	failure->silent = false;
	wi_copy(failure->sqlstate, sizeof(failure->sqlstate), sqlstate ? sqlstate : "");
	wi_copy_clean(failure->text, sizeof(failure->text), text ? text : "", secret);
}

bool wi_fault_ends_session(const char *severity, const char *sqlstate)
{
	if (severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0))
		return true;
	/* One that a function passes on from somewhere else (dblink). */
	if (severity && strcmp(severity, "ERROR") == 0)
		return false;
	/* A crash of another session is told as a warning, and ends all. */
	return sqlstate && strncmp(sqlstate, "57P0", 4) == 0;
}

bool wi_fault_is_unresolved(const char *sqlstate)
{
	return strcmp(sqlstate, "08007") == 0 || strcmp(sqlstate, "40003") == 0;
}

const char *wi_fault_name(enum wi_fault fault)
{
	switch (fault) {
	case WI_FAULT_NONE:
		return "none";
	case WI_FAULT_REFUSED:
		return "refused";
	case WI_FAULT_TIMEOUT:
		return "timeout";
	case WI_FAULT_RESOLVE:
		return "resolve";
	case WI_FAULT_AUTH:
		return "auth";
	case WI_FAULT_CONFIG:
		return "config";
	case WI_FAULT_CAPACITY:
		return "capacity";
	case WI_FAULT_STARTING:
		return "starting";
	case WI_FAULT_TLS:
		return "tls";
	case WI_FAULT_OPTIONS:
		return "options";
	case WI_FAULT_LOST:
		return "lost";
	case WI_FAULT_SQL:
		return "sql";
	case WI_FAULT_MEMORY:
		return "memory";
	}
	return "unknown";
}
