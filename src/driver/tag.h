/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a command tag says about the session that ran the command. No libpq here.
 */
#ifndef WI_DRIVER_TAG_H
#define WI_DRIVER_TAG_H

#include <stdbool.h>

/*
 * Whether a command that returned no rows and ended with this tag may have left something in the
 * session. Only tags that are known to leave nothing are none of it, so a command that is new to us
 * counts. An empty tag is that of a statement that was parsed by protocol: a prepared name.
 */
bool wi_tag_may_leave(const char *tag);

/* Whether it has committed a transaction, or prepared that. */
bool wi_tag_commits(const char *tag);

/*
 * Whether a transaction that was begun read-only may write behind it: SET TRANSACTION, SET LOCAL
 * and RESET, or another BEGIN, whose tags do not tell what they are for.
 */
bool wi_tag_may_turn(const char *tag);

/* Whether it has dropped every prepared statement of the session. */
bool wi_tag_drops_plans(const char *tag);

#endif
