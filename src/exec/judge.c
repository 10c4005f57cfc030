/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a statement can do, by its first words.
 *
 * The question that matters is whether something may have been committed. Inside a transaction a
 * single statement that is no COMMIT cannot commit, so its loss is only a lost connection.
 * Everything else might, whatever it looks like.
 */
#include "exec/judge.h"

#include <string.h>
#include <strings.h>

#include "base/line.h"

/* What is white space to the server (scan.l), the vertical tab since 16. */
#define SPACE " \t\r\n\f\v"

static bool begins_with(const char *sql, const char *word)
{
	size_t n = strlen(word);

	return strncasecmp(sql, word, n) == 0 && (sql[n] == '\0' || strchr(SPACE ";/-(", sql[n]));
}

static bool begins_with_one_of(const char *sql, const char *const words[], size_t n)
{
	sql += strspn(sql, SPACE);
	for (size_t i = 0; i < n; i++)
		if (begins_with(sql, words[i]))
			return true;
	return false;
}

static bool begins_with_comment(const char *sql)
{
	sql += strspn(sql, SPACE);
	return strncmp(sql, "--", 2) == 0 || strncmp(sql, "/*", 2) == 0;
}

bool wi_may_commit(const char *sql, bool in_transaction)
{
	static const char *const words[] = {"commit", "end", "prepare", "call", "do"};

	return !in_transaction || strchr(sql, ';') || begins_with_comment(sql) ||
	       begins_with_one_of(sql, words, WI_ARRAY_LEN(words));
}

bool wi_is_plain_sql(const char *sql)
{
	static const char *const words[] = {"select", "insert", "update", "delete",
	                                    "merge",  "values", "table",  "with"};

	return begins_with_one_of(sql, words, WI_ARRAY_LEN(words));
}

bool wi_may_unprepare(const char *sql)
{
	static const char *const words[] = {"set", "show"};

	return !wi_is_plain_sql(sql) && !begins_with_one_of(sql, words, WI_ARRAY_LEN(words));
}

bool wi_is_transaction_sql(const char *sql)
{
	static const char *const words[] = {"begin",    "start", "commit",    "end",
	                                    "rollback", "abort", "savepoint", "release"};

	sql += strspn(sql, SPACE ";"); /* the server drops empty statements before the one */
	if (begins_with_comment(sql) || begins_with_one_of(sql, words, WI_ARRAY_LEN(words)))
		return true;
	if (!begins_with(sql, "prepare"))
		return false;
	sql += strlen("prepare");
	return begins_with_comment(sql) || begins_with(sql + strspn(sql, SPACE), "transaction");
}
