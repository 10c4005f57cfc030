/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promise 24: what a holder leaves on the client's side of a connection, and whether it is seen
 * there. Main thread only; a failure fails the test.
 */
#ifndef WEIR_TEST_P24_CLIENT_H
#define WEIR_TEST_P24_CLIENT_H

#include <stdbool.h>

#include <libpq-fe.h>

/* Runs SQL that may not fail. */
void p24_run(PGconn *pg, const char *sql);

void p24_leave_receiver(PGconn *pg);
void p24_leave_processor(PGconn *pg);
bool p24_sees_notice(PGconn *pg);
void p24_leave_verbosity(PGconn *pg);
bool p24_sees_verbosity(PGconn *pg);
void p24_leave_context(PGconn *pg);
bool p24_sees_context(PGconn *pg);
void p24_leave_trace(PGconn *pg);
bool p24_sees_trace(PGconn *pg);
void p24_leave_nonblocking(PGconn *pg);
bool p24_sees_nonblocking(PGconn *pg);
void p24_leave_pipeline(PGconn *pg);
bool p24_sees_pipeline(PGconn *pg);
void p24_leave_single_rows(PGconn *pg);
bool p24_sees_single_rows(PGconn *pg);
void p24_leave_notifications(PGconn *pg);
bool p24_sees_notifications(PGconn *pg);
void p24_leave_encoding(PGconn *pg);
bool p24_sees_encoding(PGconn *pg);
void p24_leave_events(PGconn *pg);
bool p24_sees_events(PGconn *pg);
void p24_leave_prepared(PGconn *pg);

#endif
