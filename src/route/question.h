/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a probe asks and how its answer is read. One query, one round trip, every name qualified so
 * that no search_path of the probing role can change its meaning.
 *
 * Three questions, from much to little. The whole one wants a server of 14 or later; an older one
 * is asked the plain one, which does without whom a standby follows. A server that refuses part of
 * either (functions missing or not granted, as behind some services) is asked the basic one: then
 * role and writability are known, and position, timeline and system are not.
 */
#ifndef WI_ROUTE_QUESTION_H
#define WI_ROUTE_QUESTION_H

#include <stdbool.h>

#include "driver/driver.h"
#include "route/roles.h"

enum wi_question { WI_QUESTION_WHOLE, WI_QUESTION_PLAIN, WI_QUESTION_BASIC };

/* What an answer says. */
struct wi_reply {
	struct wi_sight sight; /* without the times, and without the number of whom it follows */
	int version;           /* server_version_num, or 0 */
	char sender[64];       /* host that a standby's receiver is connected to, or "" */
	char sender_port[8];
};

/* The most that a server of this version (0: unknown) knows how to answer. */
enum wi_question wi_question_for(int version);

const char *wi_question_text(enum wi_question question);

/* The next smaller question after this one was refused so; false: it would not help. */
bool wi_question_lower(enum wi_question *question, const char *sqlstate);

/* false: this is no answer to any of them. */
bool wi_question_read(struct wi_reply *reply, const struct wi_answer *answer);

#endif
