/* SPDX-License-Identifier: BSD-2-Clause */
/* The few words of SQL that the fake driver's server obeys, and what they make of a session. */
#include <string.h>
#include <strings.h>

#include "base/atomic.h"
#include "base/text.h"
#include "driver/fake_conn.h"
#include "driver/fault.h"

/* Whether a statement begins with these words, in any case of letters. */
static bool begins_with(const char *sql, const char *words)
{
	return strncasecmp(sql, words, strlen(words)) == 0;
}

#define DEFAULT_READ_ONLY "default_transaction_read_only"

/* What a statement makes of default_transaction_read_only. */
static void obey_read_only(struct fake_conn *c, const char *statement)
{
	if (begins_with(statement, "DISCARD ALL") || begins_with(statement, "RESET ALL") ||
	    begins_with(statement, "RESET " DEFAULT_READ_ONLY) ||
	    strstr(statement, "set_config('" DEFAULT_READ_ONLY "', NULL"))
		c->read_only = c->born_read_only;
	else if (begins_with(statement, "SET " DEFAULT_READ_ONLY) ||
	         strstr(statement, "set_config('" DEFAULT_READ_ONLY "'"))
		c->read_only = strstr(statement, "on") && !strstr(statement, "off");
}

/* Whether a write in it is refused. */
static bool takes_no_writes(const struct fake_conn *c)
{
	return wi_load_rlx(&c->server->in_recovery) || (c->in_tx ? c->tx_read_only : c->read_only);
}

/* What one statement does to the session's state. */
static void obey(struct fake_conn *c, const char *statement)
{
	obey_read_only(c, statement);
	if (begins_with(statement, "BEGIN") || begins_with(statement, "START TRANSACTION"))
		c->tx_read_only = strstr(statement, "READ ONLY") || c->read_only;
	if (begins_with(statement, "BEGIN") || begins_with(statement, "START TRANSACTION"))
		c->in_tx = true;
	c->commits += begins_with(statement, "COMMIT") && c->in_tx && !c->failed_tx;
	c->turns += begins_with(statement, "BEGIN") || begins_with(statement, "SET ");
	if (begins_with(statement, "SET TRANSACTION READ WRITE"))
		c->tx_read_only = false;
	if (begins_with(statement, "ROLLBACK TO"))
		c->failed_tx = false;
	else if (begins_with(statement, "ROLLBACK") || begins_with(statement, "COMMIT"))
		c->in_tx = c->failed_tx = false;
	else if (begins_with(statement, "SET "))
		c->changed = true;
	else if (begins_with(statement, "RESET ALL") || begins_with(statement, "DISCARD ALL"))
		c->changed = false;
	if (begins_with(statement, "DISCARD ALL") || begins_with(statement, "DEALLOCATE ALL")) {
		memset(c->names, 0, sizeof(c->names));
		wi_plans_dropped(c->plans);
	}
}

void wi_fake_fail_any_transaction(struct fake_conn *c)
{
	c->failed_tx = c->in_tx;
}

/* An error: a COMMIT that fails ends its transaction, anything else leaves it to be rolled back. */
static void fail_transaction(struct fake_conn *c)
{
	if (begins_with(c->sql, "COMMIT"))
		c->in_tx = false;
	wi_fake_fail_any_transaction(c);
}

/* The statement after this one, or NULL. */
static const char *next_statement(const char *sql)
{
	sql = strchr(sql, ';');
	return sql ? sql + 1 + strspn(sql + 1, " \n\t") : NULL;
}

/* Several statements in one string are a transaction of their own. */
static bool has_several(const char *sql)
{
	const char *second = next_statement(sql);

	return second && *second;
}

void wi_fake_set_look(struct fake_conn *c)
{
	c->look = c->in_tx                    ? WI_LOOK_IN_TX
	          : c->changed || c->heard[0] ? WI_LOOK_CHANGED
	                                      : WI_LOOK_CLEAN;
}

/* What the script says to a statement. */
static bool ask_script(struct fake_conn *c, struct wi_answer *answer, struct wi_failure *why)
{
	struct wi_fake_server *server = c->server;

	if (c->call && server->reply)
		return server->reply(server, c->call, &c->reply, why);
	return !server->answer || server->answer(server, c->sql, answer, why);
}

/* Runs what was asked; false: an error, *failure says which. */
bool wi_fake_run_sql(struct fake_conn *c, struct wi_answer *answer, struct wi_failure *failure)
{
	struct wi_answer unwanted;
	struct wi_failure why = {.fault = WI_FAULT_SQL};

	if (!answer)
		answer = &unwanted;
	memset(answer, 0, sizeof(*answer));
	if (!ask_script(c, answer, &why)) {
		wi_failure_set(failure, why.fault, why.sqlstate, why.text, c->target->secret);
		fail_transaction(c);
		wi_copy(c->failed_by, sizeof(c->failed_by), why.sqlstate);
		if (!c->heard[0] && wi_fault_is_heard(why.sqlstate, c->target->hears_all))
			memcpy(c->heard, why.sqlstate, sizeof(c->heard));
		return false;
	}
	for (const char *sql = c->sql; sql; sql = next_statement(sql)) {
		if (begins_with(sql, "INSERT") && takes_no_writes(c)) {
			wi_failure_set(failure, WI_FAULT_SQL, "25006",
			               "cannot execute INSERT in a read-only transaction", NULL);
			fail_transaction(c);
			memcpy(c->failed_by, "25006", sizeof(c->failed_by));
			if (!c->heard[0])
				memcpy(c->heard, "25006", sizeof(c->heard));
			return false;
		}
		if (begins_with(sql, "DISCARD ALL") && (c->in_tx || has_several(c->sql))) {
			wi_failure_set(failure, WI_FAULT_SQL, "25001",
			               "DISCARD ALL cannot run inside a transaction block", NULL);
			return false;
		}
		obey(c, sql);
	}
	c->succeeded++;
	return true;
}
