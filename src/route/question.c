/* SPDX-License-Identifier: BSD-2-Clause */
/* The questions' words, and the columns of their answers; question.h tells what for. */
#include "route/question.h"

#include <string.h>

#include "base/line.h"
#include "base/text.h"
#include "pool/settings.h"
#include "route/lsn.h"

/*
 * The role is read once, in the subquery: a server that is promoted while it answers says either
 * the old or the new truth. A standby's timeline is the highest that it is known to follow: what
 * its receiver says is hidden from ordinary roles, what its control file says can be late, and none
 * of them can be too high.
 */
#define BASIC_COLUMNS                                                                              \
	"here.recovering, pg_catalog.current_setting('default_transaction_read_only'),"            \
	" pg_catalog.current_setting('server_version_num')"
#define POSITION_COLUMNS                                                                           \
	" (SELECT system_identifier FROM pg_catalog.pg_control_system()),"                         \
	" pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()),"                   \
	" CASE WHEN here.recovering THEN pg_catalog.pg_last_wal_replay_lsn()"                      \
	" ELSE pg_catalog.pg_current_wal_insert_lsn() END,"                                        \
	" CASE WHEN here.recovering THEN NULL ELSE"                                                \
	" pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8)"    \
	" END,"                                                                                    \
	" CASE WHEN here.recovering THEN GREATEST(receiver.received_tli,"                          \
	" (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()),"                           \
	" (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery())) END,"          \
	" pg_catalog.current_setting('wal_block_size'),"                                           \
	" pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')),"
#define FROM_HERE " FROM (SELECT pg_catalog.pg_is_in_recovery() AS recovering OFFSET 0) AS here"
#define AND_RECEIVER " LEFT JOIN pg_catalog.pg_stat_wal_receiver AS receiver ON here.recovering"

static const char *const questions[] = {
	[WI_QUESTION_BASIC] = "SELECT " BASIC_COLUMNS FROM_HERE,
	[WI_QUESTION_PLAIN] =
		"SELECT " BASIC_COLUMNS "," POSITION_COLUMNS " CASE WHEN here.recovering"
		" THEN pg_catalog.pg_is_wal_replay_paused() END" FROM_HERE AND_RECEIVER,
	[WI_QUESTION_WHOLE] =
		"SELECT " BASIC_COLUMNS "," POSITION_COLUMNS
		" CASE WHEN here.recovering THEN pg_catalog.pg_get_wal_replay_pause_state() END,"
		" pg_catalog.current_setting('recovery_min_apply_delay', true),"
		" receiver.status, receiver.received_tli,"
		" receiver.sender_host, receiver.sender_port" FROM_HERE AND_RECEIVER,
};

enum column {
	RECOVERING,
	READ_ONLY,
	VERSION,
	BASIC_WIDTH,
	SYSTEM = BASIC_WIDTH,
	STARTED,
	LSN,
	OWN_TIMELINE,
	STANDBY_TIMELINE,
	BLOCK_BYTES,
	SEGMENT_BYTES,
	PAUSED,
	PLAIN_WIDTH,
	DELAY = PLAIN_WIDTH,
	RECEIVER,
	RECEIVED_TIMELINE,
	SENDER,
	SENDER_PORT,
	WHOLE_WIDTH
};

/* ---- asking ---- */

enum wi_question wi_question_for(int version)
{
	return version > 0 && version < 140000 ? WI_QUESTION_PLAIN : WI_QUESTION_WHOLE;
}

const char *wi_question_text(enum wi_question question)
{
	return questions[question];
}

/* Something of the question is not there, not granted, or not supported. */
static bool is_too_much(const char *sqlstate)
{
	static const char *const states[] = {"42501", "42703", "42883", "42P01", "0A000"};

	for (size_t i = 0; i < WI_ARRAY_LEN(states); i++)
		if (strcmp(sqlstate, states[i]) == 0)
			return true;
	return false;
}

bool wi_question_lower(enum wi_question *question, const char *sqlstate)
{
	if (*question == WI_QUESTION_BASIC || !is_too_much(sqlstate))
		return false;
	*question = *question == WI_QUESTION_WHOLE ? WI_QUESTION_PLAIN : WI_QUESTION_BASIC;
	return true;
}

/* ---- reading ---- */

static const char *text(const struct wi_answer *a, enum column column)
{
	return (size_t)column < a->columns && !a->is_null[column] ? a->value[column] : "";
}

static uint64_t number(const struct wi_answer *a, enum column column, int base)
{
	uint64_t n;

	return wi_number_parse(text(a, column), base, &n) ? n : 0;
}

static void read_position(struct wi_sight *s, const struct wi_answer *a)
{
	uint64_t lsn;

	s->system = number(a, SYSTEM, 10);
	s->started = wi_settings_microseconds(text(a, STARTED));
	s->timeline = (uint32_t)(s->in_recovery ? number(a, STANDBY_TIMELINE, 10)
	                                        : number(a, OWN_TIMELINE, 16));
	if (!wi_lsn_parse(text(a, LSN), &lsn))
		return;
	s->lsn = s->in_recovery ? lsn
	                        : wi_lsn_normalise(lsn, number(a, BLOCK_BYTES, 10),
	                                           number(a, SEGMENT_BYTES, 10));
}

/*
 * What only a standby has. Its replay is "not paused", "pause requested" or "paused"; or true, at
 * an older server.
 */
static void read_standby(struct wi_reply *reply, const struct wi_answer *a)
{
	struct wi_sight *s = &reply->sight;
	int64_t delay = wi_setting_ms(text(a, DELAY));

	s->paused = text(a, PAUSED)[0] == 'p' || text(a, PAUSED)[0] == 't';
	s->delay_ms = delay > 0 ? delay : 0;
	if (strcmp(text(a, RECEIVER), "streaming") == 0)
		s->streams_on = (uint32_t)number(a, RECEIVED_TIMELINE, 10);
	/* What does not fit is no name to compare with. */
	if (strlen(text(a, SENDER)) < sizeof(reply->sender))
		wi_copy(reply->sender, sizeof(reply->sender), text(a, SENDER));
	wi_copy(reply->sender_port, sizeof(reply->sender_port), text(a, SENDER_PORT));
}

bool wi_question_read(struct wi_reply *reply, const struct wi_answer *a)
{
	if (!a->has_row || a->columns < BASIC_WIDTH || a->is_null[RECOVERING])
		return false;
	*reply = (struct wi_reply){.version = (int)number(a, VERSION, 10)};
	reply->sight = (struct wi_sight){
		.answered = true,
		.in_recovery = a->value[RECOVERING][0] == 't',
		.read_only = strcmp(text(a, READ_ONLY), "on") == 0,
	};
	if (a->columns >= PLAIN_WIDTH)
		read_position(&reply->sight, a);
	if (a->columns >= PLAIN_WIDTH && reply->sight.in_recovery)
		read_standby(reply, a);
	return true;
}
