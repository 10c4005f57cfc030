/* SPDX-License-Identifier: BSD-2-Clause */
/* See p24_client.h. */
#include "promises/p24_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <libpq-events.h>

void p24_run(PGconn *pg, const char *sql)
{
	PGresult *r = PQexec(pg, sql);

	if (PQresultStatus(r) == PGRES_FATAL_ERROR)
		fail_msg("%s: %s", sql, PQresultErrorMessage(r));
	PQclear(r);
}

static int heard;
static FILE *trace;

static void hear_result(void *arg, const PGresult *notice)
{
	(void)arg;
	(void)notice;
	heard++;
}

static void hear_words(void *arg, const char *words)
{
	(void)arg;
	(void)words;
	heard++;
}

static int own_events(PGEventId event, void *info, void *arg)
{
	(void)event;
	(void)info;
	(void)arg;
	return 1;
}

void p24_leave_receiver(PGconn *pg)
{
	PQsetNoticeReceiver(pg, hear_result, &heard);
}

void p24_leave_processor(PGconn *pg)
{
	PQsetNoticeProcessor(pg, hear_words, &heard);
}

/* Words of the server's that a receiver or a processor of the last holder's would hear. */
bool p24_sees_notice(PGconn *pg)
{
	heard = 0;
	p24_run(pg, "DO 'BEGIN RAISE NOTICE ''hear''; END'");
	return heard > 0;
}

void p24_leave_verbosity(PGconn *pg)
{
	PQsetErrorVerbosity(pg, PQERRORS_VERBOSE);
}

bool p24_sees_verbosity(PGconn *pg)
{
	return PQsetErrorVerbosity(pg, PQERRORS_DEFAULT) != PQERRORS_DEFAULT;
}

void p24_leave_context(PGconn *pg)
{
	PQsetErrorContextVisibility(pg, PQSHOW_CONTEXT_ALWAYS);
}

bool p24_sees_context(PGconn *pg)
{
	return PQsetErrorContextVisibility(pg, PQSHOW_CONTEXT_ERRORS) != PQSHOW_CONTEXT_ERRORS;
}

void p24_leave_trace(PGconn *pg)
{
	trace = tmpfile();
	assert_non_null(trace);
	PQtrace(pg, trace);
}

bool p24_sees_trace(PGconn *pg)
{
	long before = ftell(trace), after;

	p24_run(pg, "SELECT 1");
	after = ftell(trace);
	PQuntrace(pg);
	fclose(trace);
	return before != after;
}

void p24_leave_nonblocking(PGconn *pg)
{
	PQsetnonblocking(pg, 1);
}

bool p24_sees_nonblocking(PGconn *pg)
{
	return PQisnonblocking(pg);
}

void p24_leave_pipeline(PGconn *pg)
{
	assert_int_equal(PQenterPipelineMode(pg), 1);
}

bool p24_sees_pipeline(PGconn *pg)
{
	return PQpipelineStatus(pg) != PQ_PIPELINE_OFF;
}

void p24_leave_single_rows(PGconn *pg)
{
	PGresult *r;

	assert_int_equal(PQsendQuery(pg, "SELECT 1"), 1);
	assert_int_equal(PQsetSingleRowMode(pg), 1);
	while ((r = PQgetResult(pg)))
		PQclear(r);
}

bool p24_sees_single_rows(PGconn *pg)
{
	bool single = false;
	PGresult *r;

	assert_int_equal(PQsendQuery(pg, "SELECT 1"), 1);
	while ((r = PQgetResult(pg))) {
		single |= PQresultStatus(r) == PGRES_SINGLE_TUPLE;
		PQclear(r);
	}
	return single;
}

/* Heard by the session itself, and not read. */
void p24_leave_notifications(PGconn *pg)
{
	p24_run(pg, "LISTEN shop");
	p24_run(pg, "NOTIFY shop, 'for the last one'");
}

bool p24_sees_notifications(PGconn *pg)
{
	PGnotify *note = PQnotifies(pg);
	bool any = note != NULL;

	PQfreemem(note);
	return any;
}

void p24_leave_encoding(PGconn *pg)
{
	assert_int_equal(PQsetClientEncoding(pg, "LATIN1"), 0);
}

bool p24_sees_encoding(PGconn *pg)
{
	return strcmp(pg_encoding_to_char(PQclientEncoding(pg)), "LATIN1") == 0;
}

void p24_leave_events(PGconn *pg)
{
	assert_true(PQregisterEventProc(pg, own_events, "the last holder's", NULL));
	assert_true(PQsetInstanceData(pg, own_events, &heard));
}

bool p24_sees_events(PGconn *pg)
{
	return PQinstanceData(pg, own_events) != NULL;
}

void p24_leave_prepared(PGconn *pg)
{
	PGresult *r = PQprepare(pg, "one", "SELECT 1", 0, NULL);

	assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
	PQclear(r);
}
