/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pool in a world of its own: the fake driver, a clock that moves only when nothing else can
 * happen, and users that are real threads of which one runs at a time. So minutes pass in
 * milliseconds, and a scenario comes out the same every time.
 *
 * The main thread is the director. When it sleeps in the pool (a checkout that waits), or calls one
 * of the functions below, the world goes on: whichever user can run does, then the keeper has its
 * rounds, and when all of that has come to rest, the clock jumps to the next thing that is due.
 */
#ifndef WEIR_TEST_SIM_H
#define WEIR_TEST_SIM_H

#include <stdint.h>

#include <weir/weir.h>

#include "driver/fake.h"

/* Options for a pool here: every default, but pool_min is 0. */
void sim_options(weir_options *options);

/*
 * Begins a world with one pool, in which nothing has happened yet. The server may be scripted
 * before the first sim_ call that lets time pass. A failure to open is the status.
 */
weir_status sim_open(const weir_options *options);

/*
 * The same with a connection string of the test's, for its parameters; its host is not looked up.
 */
weir_status sim_open_at(const char *conninfo, const weir_options *options);

/*
 * Shuts the pool, waits for users and connections, frees everything. How many bytes of weir's
 * memory are out more than before sim_open: 0 if all is well; -1 if something did not end.
 */
long sim_close(void);

/*
 * The two, for a test that fails where the pool cannot be opened, or where anything is left of it.
 */
void sim_begin(const weir_options *options);
void sim_end(void);

weir_pool *sim_pool(void);
struct wi_fake_server *sim_server(void);

/* Statistics as of now; valid until the next call. */
const weir_pool_stats *sim_stats(void);

/* Nanoseconds since some moment before sim_open. */
int64_t sim_now(void);

/* Lets everything happen that can happen without time passing. */
void sim_settle(void);

/* Lets so much time pass, and everything happen that is due in it. */
void sim_run(int64_t ms);

/* Checkout and checkin as users do them, with no error wanted; NULL if the checkout failed. */
weir_conn *sim_checkout(int64_t timeout_ms);

/* What the holder leaves the connection as, and its serial number on the server. */
void sim_leave(weir_conn *conn, enum wi_look look);
uint64_t sim_serial(const weir_conn *conn);

/* ---- users ---- */

/* A user that begins when the world next goes on. */
void sim_spawn(void (*body)(void *arg), void *arg);

/* In a user: lets time pass. */
void sim_sleep(int64_t ms);

/* Lets the world go on until every user has ended. */
void sim_join(void);

/*
 * All of at most eight connections are out for so long, and so many users wait, who then get one.
 */
void sim_keep_waiting(int n, int64_t ms);

/* ---- what the pool told ---- */

/* How often an event was told, and the text of its last telling ("" if never). */
int sim_told(weir_event_kind kind);
const char *sim_text(weir_event_kind kind);

#endif
