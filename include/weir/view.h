/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking into a running process from outside: what its pools and routers last drew of themselves,
 * also when it hangs, is stopped, or has crashed. docs/view.md tells how.
 *
 * Whoever looks needs nothing of the process but its file, so these calls work whatever state that
 * is in. They are for programs that look (`weir top` is one); the process itself has
 * weir_pool_stats_get and its kin.
 */
#ifndef WEIR_VIEW_H
#define WEIR_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/event.h>
#include <weir/export.h>
#include <weir/stats.h>
#include <weir/status.h>

WEIR_BEGIN

/* What became of the process that drew a view. */
typedef enum weir_view_state {
	WEIR_VIEW_LIVE = 0,     /* it runs, and draws */
	WEIR_VIEW_STARTING = 1, /* it runs, and has drawn nothing yet */
	WEIR_VIEW_SILENT = 2,  /* it runs, but its keeper has drawn nothing for a while: it hangs */
	WEIR_VIEW_STOPPED = 3, /* by a signal, or a debugger */
	WEIR_VIEW_ENDED = 4,   /* without closing the pool: a crash, a kill, an exit */
	WEIR_VIEW_REPLACED = 5,  /* it runs another program (exec), or its keeper is gone */
	WEIR_VIEW_CLOSED = 6,    /* the pool or router was closed, and the view is gone */
	WEIR_VIEW_ELSEWHERE = 7, /* in another pid namespace, where nothing can be asked about it */
} weir_view_state;

#define WEIR_VIEW_NAME 32 /* room for "<pid>-<number>" */
/* Room for a path. */
#define WEIR_VIEW_DIRECTORY 256

/* A view that is there to be looked at. */
typedef struct weir_view_entry {
	char directory[WEIR_VIEW_DIRECTORY];
	char name[WEIR_VIEW_NAME]; /* "<pid>-<number>" */
	int32_t pid;
	uint32_t number;      /* one for each pool and router that the process has opened */
	uint32_t owner;       /* the user whose it is */
	char program[32];     /* the process's short name */
	char application[64]; /* its option application_name */
	bool router;          /* else one pool */
	weir_view_state state;
	int64_t age_ms; /* of its last picture; -1: there is none */
} weir_view_entry;

/*
 * Lists up to `room` views, those of one process together, and returns how many there are.
 * directory NULL: where views are by default: $XDG_RUNTIME_DIR/weir and /dev/shm/weir-<uid>; for
 * root those of all users. Files that are no views, belong to somebody else than their directory,
 * or cannot be read are left out. Any thread; reads files.
 */
WEIR_API size_t weir_view_list(const char *directory, weir_view_entry *entries, size_t room);

/* A connection that is out, and who has it. */
typedef struct weir_view_holder {
	uint32_t host; /* its place in the picture's hosts */
	int32_t thread;
	char thread_name[32]; /* "": unknown, or the thread has ended */
	bool thread_ended;
	bool reclaimed; /* cut for being held too long; not given back yet */
	weir_role role; /* what the host was at checkout */
	weir_reason reason;
	/*
	 * for how long until now: at least, since the keeper looks about ten times a second while
	 * somebody looks at the view, and once a second else; -1: it had not looked yet
	 */
	int64_t held_ns;
	char tag[48]; /* as far as there is room; "": none */
} weir_view_holder;

/* A thread that waits for a connection. */
typedef struct weir_view_waiter {
	uint32_t host;
	int32_t thread;
	char thread_name[32];
	int64_t waited_ns; /* until now */
	char tag[48];
} weir_view_waiter;

/* How many classes of age hold and wait times fall into. */
#define WEIR_VIEW_AGES 7

/*
 * What a process drew of one pool or router. Pointers are good until the next read, or the close.
 */
typedef struct weir_view_picture {
	weir_view_state state;
	char words[160]; /* the same in words, with the age where it matters */
	/* of the picture; -1: there is none, and only `entry` and `state` say anything */
	int64_t age_ns;
	int64_t at_ms;     /* when it was drawn, by the wall clock: milliseconds since 1970 */
	int64_t opened_ms; /* when the pool or router was opened, the same */
	uint64_t number;   /* of the picture, counted from 1 */
	char version[16];  /* of the weir that drew it */
	weir_view_entry entry;
	bool closing;   /* it was closed, and waits for what is out */
	bool suspended; /* as by weir_pool_suspend or weir_router_suspend */
	bool split;     /* hosts contradict each other: nobody is the primary */
	/* for how long there has been no primary, until now; -1: there is one, or never was */
	int64_t no_primary_ns;
	uint32_t at_gate; /* callers that wait for a primary, or a replica, to be known */
	/*
	 * Hosts as weir_router_stats_get tells them; of a pool, one host, of which only `host` and
	 * `pool` are filled in. Members that a view does not carry are 0.
	 */
	const weir_host_stats *hosts;
	size_t n_hosts;
	/* those held longest come first; holders_total counts those that had no room, too */
	const weir_view_holder *holders;
	size_t n_holders, holders_total;
	/* the one that has waited longest comes first */
	const weir_view_waiter *waiters;
	size_t n_waiters, waiters_total;
	/*
	 * waiters by what they had waited: < 1 ms, < 10 ms, < 100 ms, < 1 s, < 10 s, < 60 s, more
	 */
	uint32_t waits[WEIR_VIEW_AGES];
	/* the last events, oldest first; at_ns is 0, wall_ns says when, to the millisecond */
	const weir_event_record *events;
	size_t n_events;
} weir_view_picture;

/* A view that is open. Opaque. */
typedef struct weir_view weir_view;

/*
 * Opens a view by the directory and name of its entry. Statuses: OK; UNAVAILABLE: there is none of
 * that name, it is not yours to see, or is no view that this weir can read; INVALID; NO_MEMORY;
 * SYSTEM. Any thread; reads a file.
 */
WEIR_API WEIR_CHECKED weir_status weir_view_open(const char *directory, const char *name,
                                                 weir_view **view, weir_error *error);

/*
 * Reads the last picture, and asks for more: while a view is read every second or so, its process
 * draws it ten times a second instead of once. Never waits for the process. What the file says is
 * checked, whatever it says. One thread at a time. Statuses: OK, also where the state says that the
 * process has ended; UNAVAILABLE: the file holds no whole picture; NO_MEMORY; INVALID.
 */
WEIR_API WEIR_CHECKED weir_status weir_view_read(weir_view *view, weir_view_picture *picture,
                                                 weir_error *error);

/* Closes a view and sets *view to NULL. NULL and a pointer to NULL are fine. */
WEIR_API void weir_view_close(weir_view **view);

/* "live", "stopped"; and what that means. */
WEIR_API const char *weir_view_state_name(weir_view_state state);

WEIR_END

#endif
