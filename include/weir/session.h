/* SPDX-License-Identifier: BSD-2-Clause */
/* One user's session: its reads see its own writes, and never go back in time. */
#ifndef WEIR_SESSION_H
#define WEIR_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include <weir/conn.h>
#include <weir/export.h>
#include <weir/status.h>
#include <weir/token.h>

WEIR_BEGIN

/*
 * A plain struct of the caller's: zero it, or WEIR_SESSION(); nothing of it is to be freed. It goes
 * with every request of one user (weir_request.session), through one router. A read then sees
 * at least
 *   - what `at_least` says. Put a token there: weir_token_commit(c, ms, &session.at_least, &error),
 *     weir_token_parse of a cookie, weir_token_raise of what a message brought;
 *   - what its connections before this one may have shown, and written: those that were given back
 *     before this checkout, on the same router. That costs a look at the clock when such a
 *     connection is given back, and no question to any server.
 *
 * How. The host of the connection before is eligible again, as long as its server has not been
 * started anew; any other replica is where a probe found there everything that the primary had at a
 * time after that connection was given back; else the read waits for such a probe, and in the end
 * goes to the primary, by weir_request.fallback.
 *
 * Limits. One thread at a time, like a connection. At most two connections of a session are out at
 * once; of a third nothing is remembered but that it was taken. What was lost in a failover (the
 * new primary never had it) is not shown again by anybody. A primary shows a commit when it has
 * been acknowledged, which may wait for a synchronous standby, and a standby when it has replayed
 * it: a read that goes to the primary after one from a standby may for so long show less. Between
 * two processes only `at_least` travels, as text: weir_session_take first, if what was read is to
 * hold there as well.
 */
typedef struct weir_session {
	size_t size;         /* sizeof(weir_session); 0 means the same */
	weir_token at_least; /* zeroed: nothing in particular */
	uint64_t own[16];    /* weir's; zeroed at first */
} weir_session;

/* A session that has seen nothing yet. */
#define WEIR_SESSION() ((weir_session){.size = sizeof(weir_session)})

/*
 * Raises session->at_least to where the server of this connection is now, a standby as well as a
 * primary: whoever reads by it, in whichever process, sees at least what this connection has shown.
 * Outside a transaction. Blocks for one round trip, at most timeout_ms. The holder's thread only.
 * Statuses as weir_token_take, but a standby answers; INVALID if it does not know its timeline.
 */
WEIR_API WEIR_CHECKED weir_status weir_session_take(weir_session *session, weir_conn *conn,
                                                    int64_t timeout_ms, weir_error *error);

WEIR_END

#endif
