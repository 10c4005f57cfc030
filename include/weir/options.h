/* SPDX-License-Identifier: BSD-2-Clause */
/* Every option of a pool and a router. The one list is options.def; this makes a struct of it. */
#ifndef WEIR_OPTIONS_H
#define WEIR_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include <weir/event.h>
#include <weir/export.h>
#include <weir/sqlstate.h>
#include <weir/status.h>

WEIR_BEGIN

/* The choices of the options that have some; the order is the order in options.def. */
typedef enum weir_balance {
	WEIR_BALANCE_P2C,
	WEIR_BALANCE_ROUND_ROBIN,
	WEIR_BALANCE_RANDOM,
	WEIR_BALANCE_LEAST,
	WEIR_BALANCE_FIRST,
	WEIR_BALANCE_WEIGHTED,
} weir_balance;
typedef enum weir_read_fallback {
	WEIR_READ_FALLBACK_PRIMARY,
	WEIR_READ_FALLBACK_WAIT,
	WEIR_READ_FALLBACK_FAIL,
	WEIR_READ_FALLBACK_PRIMARY_OR_FAIL,
} weir_read_fallback;
typedef enum weir_read_your_writes {
	WEIR_READ_YOUR_WRITES_OFF,
	WEIR_READ_YOUR_WRITES_PROCESS,
	WEIR_READ_YOUR_WRITES_WINDOW,
} weir_read_your_writes;
typedef enum weir_leak_action { WEIR_LEAK_REPORT, WEIR_LEAK_RECLAIM } weir_leak_action;
typedef enum weir_pre_ping {
	WEIR_PRE_PING_OFF,
	WEIR_PRE_PING_LOOK,
	WEIR_PRE_PING_PING
} weir_pre_ping;
typedef enum weir_leak_stack {
	WEIR_LEAK_STACK_OFF,
	WEIR_LEAK_STACK_SAMPLED,
	WEIR_LEAK_STACK_ALWAYS,
} weir_leak_stack;
typedef enum weir_dead_thread_action {
	WEIR_DEAD_THREAD_REPORT,
	WEIR_DEAD_THREAD_RECLAIM,
} weir_dead_thread_action;
typedef enum weir_fork_action { WEIR_FORK_REFUSE, WEIR_FORK_REOPEN } weir_fork_action;

struct pg_conn; /* libpq's PGconn */

/*
 * Called for each new connection before its first use, after on_connect_sql; and again after each
 * reset by DISCARD ALL, which takes away what it had set. On a thread of its own, for several
 * connections at once: it may block. Until it returns, the connection is its own, but it must not
 * finish or reset it, and must leave it idle, outside a transaction. What it SETs is then part of
 * the clean state, though a reset by SQL of the user's own is not followed by another call.
 *
 * deadline_ns (CLOCK_MONOTONIC) is the end of connect_timeout_ms, or of a reset's time: then the
 * connection is cut under the call, so that what it waits for fails, and counts as closed; its
 * memory stays until the call has returned, and so does a pool's or router's: until then close
 * returns TIMEOUT.
 *
 * true: the connection is good. false: it is closed, and counts as a connect that failed; *error is
 * zeroed before, and its text is told with it. Must not call into the pool or router.
 */
typedef bool (*weir_connect_hook)(void *arg, struct pg_conn *pg, int64_t deadline_ns,
                                  weir_error *error);

/* What on_credentials answers. Zeroed before the call, wiped after use. */
typedef struct weir_login {
	char user[128];      /* "": as the connection string says */
	char password[4096]; /* "": as the connection string says */
	/*
	 * For how long further connects may use it without another call; 0: for this one only. A
	 * server that refuses it ends that, too.
	 */
	int64_t good_for_ms;
	char why[256]; /* where the callback fails: words for the error, without secrets */
} weir_login;

/*
 * Says who logs in at host ("name:port"); called for a connect, also of the router's probes, on a
 * thread of its own, for several connects at once: it may block, while the connect's time goes on.
 * What connections that are open logged in with stays as it is. true: *login is filled. false: the
 * connect fails with AUTH and the words in why. A call that does not return is left to itself when
 * its connect's time is over, or its pool or router is closed: arg has to live until it returns.
 * Must not call into the pool or router.
 */
typedef bool (*weir_credentials)(void *arg, const char *host, weir_login *login);

/*
 * A value: copy it, keep it, throw it away; it owns nothing. Call weir_options_init first, always.
 * Numbers are plain members, choices are the enums above as int64_t, texts are arrays: use
 * weir_options_set for them.
 */
typedef struct weir_options {
	/* set by weir_options_init; members a caller does not know keep their defaults */
	size_t size;
	weir_event_sink on_event; /* NULL: events go nowhere */
	void *on_event_arg;
	weir_sqlstate_judge on_sqlstate; /* NULL: the table alone judges */
	void *on_sqlstate_arg;
	weir_connect_hook on_connect; /* NULL: no call */
	void *on_connect_arg;
	weir_credentials on_credentials; /* NULL: no call; the connection string says it all */
	void *on_credentials_arg;
#define WEIR_OPTION_INT(name, unit, default_, min, max, help) int64_t name;
#define WEIR_OPTION_CHOICE(name, choices, default_, help) int64_t name;
#define WEIR_OPTION_TEXT(name, room, default_, help) char name[room];
#include <weir/options.def>
} weir_options;

/* Sets every member to its default. Any thread; never blocks. */
WEIR_API void weir_options_init(weir_options *options);

/*
 * Sets one option from text, as it would stand in a URL or the environment. Numbers may carry a
 * unit where the option is a duration (250ms, 30s, 5min, 1h); off is 0. OK, or INVALID with a text
 * that names the option, what is allowed, and for an unknown name the nearest one; nothing is
 * changed then. Any thread; never blocks.
 */
WEIR_API WEIR_CHECKED weir_status weir_options_set(weir_options *options, const char *name,
                                                   const char *value, weir_error *error);

/*
 * Sets every option that the environment names: WEIR_ and the option's name in capitals
 * (WEIR_POOL_MAX), or one of the names that other pools' deployments use, in their units
 * (weir_alias_at; docs/options.md has the list). An empty value counts as none.
 *
 * INVALID, and nothing is changed: a bad value; a WEIR_ name that no option has, told with the
 * nearest one; two names for one option whose values differ, told both; WEIR_CONFIG_SECTION where
 * WEIR_CONFIG_FILE names no file. What is only like an alias
 * (DB_POOL_MAXX) may be another program's: it is left alone, and told in error->text beside OK, and
 * as NAME_DOUBTED to options->on_event.
 *
 * The parts of a connection string (DATABASE_URL, DB_HOST, DB_PASSWORD, ...) are no options: they
 * are read by weir_pool_open and weir_router_open where those are given no connection string.
 * Any thread while no other changes the environment; never blocks.
 */
WEIR_API WEIR_CHECKED weir_status weir_options_from_env(weir_options *options, weir_error *error);

/*
 * Sets every option that a file names: lines `name = value`, "#" at the beginning of a comment
 * line, ";" there or behind a blank (not behind a text, which may have one in it: refused), and
 * sections for several pools: what stands before the first [section] is for all, and the section
 * that is asked for (NULL: none) goes over it. A value goes on in lines that begin with a blank.
 * The parts of a connection string may stand there, too (host, port, dbname, user, password): they
 * are no options, and are read where a pool or router is opened without a connection string and
 * WEIR_CONFIG_FILE (and WEIR_CONFIG_SECTION) name the file, after DATABASE_URL and DB_*.
 *
 * weir_options_from_env reads the file that WEIR_CONFIG_FILE names first: variables go over it.
 *
 * INVALID names file and line, and nothing is changed: a name that no option has, with the nearest
 * one; a bad value; a name given twice in a section; a section that is not there; a file with a
 * password that others than its owner may read. Any thread; blocks as long as reading the file
 * does. Also NO_MEMORY.
 */
WEIR_API WEIR_CHECKED weir_status weir_options_from_file(weir_options *options, const char *path,
                                                         const char *section, weir_error *error);

/* What an option is, as its row says. */
typedef enum weir_option_type {
	WEIR_OPTION_IS_INT,
	WEIR_OPTION_IS_CHOICE,
	WEIR_OPTION_IS_TEXT
} weir_option_type;

/* Whether an option may change while it runs, by weir_pool_reload and its like. */
typedef enum weir_reload_when {
	WEIR_RELOAD_NEVER,
	WEIR_RELOAD_AT_ONCE, /* for whatever is done from then on */
	/* on new connections; those that are open are replaced, make before break */
	WEIR_RELOAD_NEW
} weir_reload_when;

/* One row of the table, for programs that show it. */
typedef struct weir_option_row {
	const char *name;
	weir_option_type type;
	const char *unit;     /* "ms", "bytes", "%", "" */
	const char *choices;  /* "p2c round_robin ...", or "" */
	const char *default_; /* as text */
	int64_t min, max;     /* of numbers */
	size_t room;          /* of texts, with the end */
	const char *env;      /* "WEIR_POOL_MAX" */
	const char *help;
	weir_reload_when reload;
} weir_option_row;

/* The i-th row of the options table, or NULL beyond the last. Any thread; static storage. */
WEIR_API const weir_option_row *weir_option_at(size_t i);

/* An environment name that is not weir's own: what it sets, and in which unit. */
typedef struct weir_alias_row {
	const char *env;     /* "DB_POOL_MAX" */
	const char *unit;    /* of its values: "s", "ms", "share", "yes or no", "" */
	const char *option;  /* "pool_max"; "": none */
	const char *keyword; /* of the connection string: "host"; "": none */
	const char *help;
} weir_alias_row;

/* The i-th of these names, or NULL beyond the last. Any thread; static storage. */
WEIR_API const weir_alias_row *weir_alias_at(size_t i);

/* One thing that is in force, for people: an option, or a part of the connection string. */
typedef struct weir_setting {
	const char *name;   /* "pool_max", "host" */
	const char *value;  /* as text; "***": it may hold a secret */
	const char *source; /* "default", a variable, a file, "connection string"; "": not told */
} weir_setting;
typedef void (*weir_setting_sink)(void *arg, const weir_setting *setting);

/*
 * Tells what opening with this connection string (NULL: the environment's) and the options of
 * weir_options_from_env would put into force: every option with who has said it, then hosts, user
 * and the other parameters, of which only harmless ones are shown. Opens nothing. sink is called
 * before it returns; what it is given lives only as long as its call. Statuses as opening, but for
 * what only opening looks at, with libpq: parameters that nobody knows (they are told, as the
 * others), and whether values that are no options fit. Any thread while no other changes the
 * environment.
 */
WEIR_API WEIR_CHECKED weir_status weir_settings_tell(const char *conninfo, weir_setting_sink sink,
                                                     void *arg, weir_error *error);

/*
 * Writes the present value of the named option as text; INVALID for an unknown name or too little
 * room.
 */
WEIR_API WEIR_CHECKED weir_status weir_options_get(const weir_options *options, const char *name,
                                                   char *text, size_t room);

/* For weir_pool_checkout: wait as long as options.checkout_timeout_ms says. */
#define WEIR_DEFAULT_TIMEOUT INT64_MIN

WEIR_END

#endif
