/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is done to the servers and the links, as an operator or a bad day would do it. Each deed
 * leaves a primary with two standbys behind, all links whole. The fault driver's thread only; a
 * cluster that does not obey sets stage->broken.
 */
#ifndef WEIR_CHECK_DEEDS_H
#define WEIR_CHECK_DEEDS_H

#include "check/stage.h"

#define DEED_MAP(X)                                                                                \
	X(KILL, "primary killed, standby promoted")                                                \
	X(SWITCH, "planned switchover")                                                            \
	X(KILL_AND_RETURN, "old primary back, writable")                                           \
	X(RETURN_ALONE, "old primary back, all others cut off")                                    \
	X(PAUSE_AND_RETURN, "primary stopped, standby promoted, old one goes on")                  \
	X(TWO_PROMOTED, "both standbys promoted")                                                  \
	X(RESTART, "primary restarted")                                                            \
	X(READ_ONLY, "primary made read-only for a while")                                         \
	X(HOLD_REPLAY, "standbys do not replay for a while")                                       \
	X(STOP_SERVER, "server stopped for a while (SIGSTOP)")                                     \
	X(KILL_STANDBY, "standby killed and started")                                              \
	X(TERMINATE, "all sessions of a server terminated")                                        \
	X(REMOVE_HOST, "host removed from the routers for a while")                                \
	X(RESET_LINK, "link reset")                                                                \
	X(BLACK_HOLE, "link swallows everything for a while")                                      \
	X(ONE_WAY, "link passes one way only for a while")                                         \
	X(SLOW_LINK, "link is slow for a while")                                                   \
	X(REFUSE, "link refuses connects for a while, and is reset")

enum deed {
#define DEED_ENUM(name, text) DEED_##name,
	DEED_MAP(DEED_ENUM)
#undef DEED_ENUM
		DEEDS
};

const char *check_deed_text(enum deed deed);

/* Does it; how long it lasts, and to whom, is up to chance. */
void check_do(struct stage *stage, enum deed deed);

/*
 * Waits until standbys stream and new writes are acknowledged; false, and a finding, if they are
 * not within half a minute.
 */
bool check_calm(struct stage *stage);

#endif
