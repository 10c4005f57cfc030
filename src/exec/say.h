/* SPDX-License-Identifier: BSD-2-Clause */
/* One string of SQL of weir's own, said on the holder's thread, and what it came to. */
#ifndef WI_EXEC_SAY_H
#define WI_EXEC_SAY_H

#include <stdint.h>

#include <weir/status.h>

#include "driver/driver.h"

struct weir_conn;

enum wi_said {
	WI_SAID_DONE,   /* all of it succeeded */
	WI_SAID_ERROR,  /* the server reported an error, and the connection lives */
	WI_SAID_UNSENT, /* the connection is lost, and the whole of it never left */
	WI_SAID_LOST,   /* the connection was lost, and nobody knows whether it was done */
	WI_SAID_LATE, /* no answer in time, and nobody knows either; the server is asked to stop */
};

/*
 * Sends and waits until deadline_ns. After the last three the connection has a note by which it is
 * closed when it is given back. *failure says what went wrong.
 */
enum wi_said wi_say(struct weir_conn *c, const char *sql, int64_t deadline_ns,
                    struct wi_failure *failure);

/* Fills error (may be NULL) with a failure at this connection's host; returns st. */
weir_status wi_said_of(const struct weir_conn *c, weir_status st, const char *what,
                       const struct wi_failure *failure, weir_error *error);

#endif
