/* SPDX-License-Identifier: BSD-2-Clause */
/* What a pool and a router count, and what they tell as it happens. */
#ifndef WEIR_STATS_H
#define WEIR_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/conn.h>
#include <weir/export.h>
#include <weir/pool.h>
#include <weir/router.h>
#include <weir/status.h>

WEIR_BEGIN

/* Why a connection was closed: name, text. New ones are added at the end. */
#define WEIR_CLOSE_MAP(X)                                                                          \
	X(BROKEN, "the server or the network ended it")                                            \
	X(DISCARDED, "discarded by its holder")                                                    \
	X(BUSY, "given back with a query still running or rows unread")                            \
	X(EXPIRED, "reached its lifetime")                                                         \
	X(IDLE, "idle for too long, above the minimum")                                            \
	X(OVERFLOW, "was above the maximum")                                                       \
	X(RESET_FAILED, "rollback or reset failed")                                                \
	X(UNHEALTHY, "did not answer a check")                                                     \
	X(RECLAIMED, "held for too long, or by a thread that ended: taken back")                   \
	X(SHUTDOWN, "the pool was closed")                                                         \
	X(CONDEMNED, "another connection's death was taken for the server's")                      \
	X(WRONG_ROLE, "met a server that takes no writes")                                         \
	X(EVICTED, "evicted by the program")                                                       \
	X(DRAINED, "its host is drained")

typedef enum weir_close {
#define WEIR_CLOSE_ENUM(name, text) WEIR_CLOSE_##name,
	WEIR_CLOSE_MAP(WEIR_CLOSE_ENUM)
#undef WEIR_CLOSE_ENUM
		WEIR_CLOSE_REASONS
} weir_close;

/* Whether connects to a host are tried. */
typedef enum weir_breaker_state {
	WEIR_BREAKER_CLOSED = 0, /* they are */
	/* too many failed in a row: paused; with nothing open, a checkout fails at once */
	WEIR_BREAKER_OPEN = 1,
	WEIR_BREAKER_HALF_OPEN = 2, /* the pause is over: one tries whether the server is back */
} weir_breaker_state;

/* What a connect failed of: name, text. New ones are added at the end. */
#define WEIR_CONNECT_MAP(X)                                                                        \
	X(REFUSED, "nobody listens, or the network said no")                                       \
	X(TIMEOUT, "no answer in time")                                                            \
	X(RESOLVE, "the name has no address")                                                      \
	X(AUTH, "the server does not let this user in")                                            \
	X(CONFIG, "no such database, or a parameter that is wrong")                                \
	X(CAPACITY, "the server has no room")                                                      \
	X(STARTING, "the server is starting up or shutting down")                                  \
	X(TLS, "certificate, protocol or mode refused")                                            \
	X(OTHER, "lost on the way, or want of memory")

typedef enum weir_connect {
#define WEIR_CONNECT_ENUM(name, text) WEIR_CONNECT_##name,
	WEIR_CONNECT_MAP(WEIR_CONNECT_ENUM)
#undef WEIR_CONNECT_ENUM
		WEIR_CONNECT_CLASSES
} weir_connect;

/* Durations seen, in nanoseconds. Quantiles are upper bounds of their bucket, within 7 %. */
typedef struct weir_durations {
	uint64_t count;
	uint64_t p50_ns, p90_ns, p99_ns, p999_ns, max_ns;
} weir_durations;

/*
 * The same as counts by length, for those who draw curves of their own: how many fell into each of
 * these buckets. bucket[i] has those that are longer than bound i - 1 and not longer than bound i;
 * the last one those that are longer than all bounds.
 */
#define WEIR_HISTOGRAM_BOUNDS 22
typedef struct weir_histogram {
	uint64_t count; /* the sum of the buckets */
	uint64_t sum_ns;
	uint64_t bucket[WEIR_HISTOGRAM_BOUNDS + 1];
} weir_histogram;

/*
 * Bound i of every histogram, in nanoseconds: 1, 2.5 and 5 of each power of ten from 10 us to 10 s,
 * then 30 s, 60 s and 300 s. INT64_MAX: there is no such bound. Any thread.
 */
WEIR_API int64_t weir_histogram_bound_ns(size_t i);

/* weir_intent, as an index. */
#define WEIR_INTENTS 2

/*
 * What was done through weir's own calls (weir_exec, weir_query, weir_tx, weir_run ...); what a
 * program asks through libpq directly is not seen. A batch, or one string of several statements,
 * is one query.
 */
typedef struct weir_work {
	uint64_t queries;         /* that ended, in whatever way */
	uint64_t query_errors;    /* of them, those that did not end with OK */
	uint64_t query_retryable; /* of the errors: with RETRY */
	uint64_t query_timeouts;  /* with TIMEOUT */
	uint64_t query_unknown;   /* with OUTCOME_UNKNOWN */
	/* transactions that weir_tx or weir_run began, by their ends */
	uint64_t committed, rolled_back, unknown;
} weir_work;

/*
 * One pool at one moment. Counts are sums over threads, each exact, not all of the same instant;
 * after the load has stopped they agree exactly: checkouts = checkins + busy.
 */
typedef struct weir_pool_stats {
	char host[WEIR_ERROR_HOST];
	uint32_t max; /* the configured maximum, after pod_count and server_budget */
	/* connections the server may see: idle + busy + opening + kept + closing */
	uint32_t total;
	uint32_t idle;    /* ready to be taken */
	uint32_t busy;    /* in users' hands */
	uint32_t opening; /* being opened */
	uint32_t kept;    /* with the keeper: being reset or checked */
	uint32_t closing; /* waiting for the server to be gone */
	uint32_t waiting; /* callers that wait */
	/* connects are paused, checkouts fail at once if nothing is open */
	bool breaker_open;
	uint64_t checkouts; /* successful ones */
	uint64_t checkins;  /* checkins and discards */
	uint64_t waits;     /* checkouts that had to wait, however they ended */
	uint64_t timeouts;  /* ended with TIMEOUT */
	uint64_t refused;   /* ended with EXHAUSTED, SHED, CONNECT, AUTH, CLOSED or UNAVAILABLE */
	uint64_t opened;    /* connections opened and ready */
	uint64_t connect_failures;
	uint64_t closed[WEIR_CLOSE_REASONS];
	uint64_t misuse;        /* stale or foreign handles given back */
	uint64_t leaks;         /* connections held beyond leak_after_ms, each counted once */
	weir_durations wait;    /* of the checkouts that waited */
	weir_durations connect; /* of the connects that succeeded */
	char last_connect_error[WEIR_ERROR_TEXT];
	uint64_t orphans; /* connections that were out when their thread ended */
	uint64_t cancels; /* cancel requests, for what came back busy or ran too long */
	/* of the last connection that the server, the network or silence ended */
	char last_lost_sqlstate[6]; /* "" where the server said none */
	char last_lost[WEIR_ERROR_TEXT];
	uint64_t lost; /* how many such */
	weir_breaker_state breaker;
	int64_t breaker_since_ms;  /* how long it has been closed, or not; -1: closed ever since */
	int64_t breaker_next_ms;   /* until the next connect may be tried; 0: at any time */
	uint64_t breaker_openings; /* how often it has opened, failed half-open tries not counted */
	/* by weir_pool_suspend, or the router: busy falls to 0 as connections are given back */
	bool suspended;
	/* connections kept though idle: pool_min, or what adaptive has measured */
	uint32_t kept_open;
	/* connect_failures, by what they failed of */
	uint64_t connect_failed_of[WEIR_CONNECT_CLASSES];
	/* of a router's host: raised by whatever may mean that it is not what it was */
	uint32_t epoch;
	/*
	 * of what is idle: older than the epoch, and not handed out before it is asked who answers
	 */
	uint32_t doubted;
	uint64_t verified; /* connections that were asked, and agreed with what the router knows */
	/*
	 * by what the connection was checked out for: weir_intent; without a router all is
	 * WEIR_WRITE
	 */
	weir_work work[WEIR_INTENTS];
	weir_durations query; /* of the queries in `work` */
	/*
	 * how long connections are held: some lendings are timed, and each stands for those of its
	 * connection since the last one was (src/pool/timed.c tells what that means)
	 */
	weir_durations hold;
	uint64_t hold_samples; /* how many were timed */
	/* the same four by length */
	weir_histogram wait_times, connect_times, hold_times, query_times;
	uint64_t refused_with[WEIR_STATUSES]; /* `refused`, by weir_status */
	uint64_t slow_queries; /* of the queries in `work`: took longer than slow_query_ms */
	/*
	 * took longer than slow_checkout_ms, however they ended; of a router's host 0, as it is the
	 * router that knows how long a checkout took: weir_stats
	 */
	uint64_t slow_checkouts;
} weir_pool_stats;

/*
 * Reads a pool's statistics. Any thread; does not block, takes no lock, O(connections + threads).
 */
WEIR_API void weir_pool_stats_get(weir_pool *pool, weir_pool_stats *stats);

/* How deep a sampled stack goes, at most. */
#define WEIR_HELD_FRAMES 24

/* A connection that is out, and who has it. */
typedef struct weir_held {
	char host[WEIR_ERROR_HOST];
	const char *tag; /* the request's, which is static; NULL if none */
	/* the kernel's number of the thread it was lent to, which may have handed it on */
	int32_t thread;
	bool thread_ended;
	bool reclaimed; /* cut for being held too long; its holder has not given it back yet */
	weir_role role; /* what the host was at checkout */
	weir_reason reason;
	/* for how long, by the keeper's looks now and then: at least; 0: it has not looked yet */
	int64_t held_ns;
	/* the stack of its checkout, the innermost call first, if it was sampled */
	uint32_t frames;
	void *frame[WEIR_HELD_FRAMES];
	char stack[1024]; /* the same in words, a line each, as far as there is room */
} weir_held;

/*
 * Lists up to `room` connections that are out, and returns how many are. held may be NULL if room
 * is 0. Any thread. Takes no lock of weir's; where stacks are sampled the C library's loader is
 * asked for names, which may wait for a dlopen that goes on.
 */
WEIR_API size_t weir_pool_held_get(weir_pool *pool, weir_held *held, size_t room);
/* How the settings that weir asks of a server got into force. */
typedef enum weir_applied {
	WEIR_APPLIED_UNKNOWN = 0,    /* no connection has been opened yet */
	WEIR_APPLIED_AT_STARTUP = 1, /* by startup options: no reset takes them away */
	WEIR_APPLIED_BY_SET = 2,     /* by SET after the connect, and again after each reset */
	/* not all of them: the server insists on other values, or is too old to know one */
	WEIR_APPLIED_IN_PART = 3,
	/* a pooler shares server processes between transactions: nothing that is SET holds */
	WEIR_APPLIED_NOT_HELD = 4,
} weir_applied;

/*
 * What is in force on a pool's connections, as the server and the socket of the newest one said;
 * -1 and "": unknown, or there is no such thing (a Unix socket, an older server).
 */
typedef struct weir_in_force {
	weir_applied applied;
	/* the server process, and whether a pooler is between: another process took the connect */
	int server_process;
	bool through_pooler;
	int64_t statement_timeout_ms;
	int64_t lock_timeout_ms;
	int64_t idle_in_transaction_timeout_ms;
	int64_t idle_session_timeout_ms;
	int64_t transaction_timeout_ms;
	int read_only; /* default_transaction_read_only: 0, 1 */
	/* TCP, of this side's socket; keepalives 0: off */
	int keepalives, keepalives_idle_s, keepalives_interval_s, keepalives_count;
	int64_t tcp_user_timeout_ms;
	char search_path[128]; /* as far as it fits */
	char application_name[64];
	char tls[64]; /* "TLSv1.3 TLS_AES_256_GCM_SHA384", "off" */
	/* nothing keeps a password from a server that has not proven who it is */
	bool insecure;
} weir_in_force;

/*
 * Reads what is in force on a pool's connections. Any thread; does not block. false: none was
 * opened yet.
 */
WEIR_API bool weir_pool_in_force_get(weir_pool *pool, weir_in_force *in_force);

/* One host of a router at one moment. */
typedef struct weir_host_stats {
	char host[WEIR_ERROR_HOST];
	char zone[64];
	weir_role role;
	bool reachable; /* the last probe was answered */
	bool in_recovery;
	bool read_only;     /* default_transaction_read_only is on */
	int server_version; /* as server_version_num; 0 if never reached */
	uint32_t timeline;  /* 0 if unknown */
	uint64_t system;    /* system identifier; 0 if unknown */
	/* insert position of a primary, replayed position of a standby */
	uint64_t lsn;
	int64_t lag_bytes;    /* -1: unknown */
	int64_t lag_ms;       /* by the router's own clock; -1: unknown */
	int64_t probe_age_ms; /* since the last answered probe; -1: never */
	/* in force on weir's connections, as the server said; -1: unknown */
	int64_t statement_timeout_ms;
	int64_t lock_timeout_ms;
	int64_t idle_in_transaction_timeout_ms;
	int64_t idle_session_timeout_ms;
	/* "TLSv1.3 TLS_AES_256_GCM_SHA384", "off", or "" if never reached */
	char tls[64];
	uint64_t reads;          /* read checkouts it served */
	uint64_t writes;         /* write checkouts it served */
	uint64_t fallback_reads; /* reads that it served as primary for want of a replica */
	char last_error[WEIR_ERROR_TEXT];
	weir_pool_stats pool;
	weir_in_force in_force; /* on the connections of `pool` */
	/*
	 * of a standby: "host:port" that its WAL receiver is connected to, in the words of the
	 * standby's own settings; "": none, or hidden, as from roles without pg_monitor
	 */
	char follows[80];
	bool streaming;     /* it streams from there just now */
	bool replay_paused; /* what it shows grows old until somebody resumes it */
	/* recovery_min_apply_delay: it shows the past on purpose; 0: none */
	int64_t apply_delay_ms;
	bool several; /* the name leads to different servers: nothing is promised of its position */
	/* it answers, but has failed again and again: serves in so long; 0: it is not held */
	int64_t held_ms;
	uint32_t weight; /* of weir_host_settings */
	bool drained;    /* by weir_router_host_drain */
	/* removed, and not all of its connections are back and closed yet */
	bool leaving;
	/* checkouts it served, by the reason why it was chosen; the sum of reads and writes */
	uint64_t chosen[WEIR_REASONS];
	/* reads that it serves as primary in place of replicas, just now */
	uint32_t fallback_held;
	/* reads for which that would have been too many: options.read_fallback_max_pct */
	uint64_t fallback_capped;
	/*
	 * how long a connection is out here on average, by what is out and what comes back, with
	 * balance=p2c; 0: too little is known
	 */
	int64_t held_mean_ns;
	/*
	 * how strongly it draws reads: in percent of what an idle one of weight 100 does; 0: it
	 * serves what no other one can
	 */
	uint32_t draws_pct;
	/* how far its slow start has come; 100: it is over, 0: it has yet to answer a few times */
	uint32_t started_pct;
	/* left out for so long yet, as it lost connections; 0: it is not */
	int64_t ejected_ms;
	uint32_t ejected_lost; /* how many were lost or refused when it last was */
	uint32_t ejections;    /* how often it was */
	/*
	 * was over max_lag_ms or max_lag_bytes, or its replay is paused; not back: lag_return_pct
	 */
	bool lagging;
	/*
	 * checkouts that came too late: when the wait for a connection was over, it was the wrong
	 * host; with reads and writes they are all of the pool's
	 */
	uint64_t too_late;
} weir_host_stats;

/*
 * Reads the statistics of up to `room` hosts, in the order of the connection string (where hosts
 * were added: in the order of the places they found free), and returns how many hosts there are.
 * hosts may be NULL if room is 0. Any thread; does not block.
 */
WEIR_API size_t weir_router_stats_get(weir_router *router, weir_host_stats *hosts, size_t room);

/*
 * A whole router at one moment: sums over its hosts, those that have left for good among them, so
 * that no count ever goes back; and what belongs to no host. After the load has stopped the sums
 * are exact: each count of `pool` is the sum of the hosts', pool.checkouts = pool.checkins +
 * pool.busy = reads + writes + too_late, and pool.opened = all of pool.closed + pool.idle +
 * pool.busy + pool.kept.
 */
typedef struct weir_stats {
	uint32_t hosts;     /* that are listed, those that are leaving, too */
	uint32_t primaries; /* of them: 1 or 0; what claims to be one more is unknown */
	uint32_t replicas, unknown;
	uint64_t hosts_left; /* were removed, and are gone */
	/*
	 * The sums. Texts and what is no sum (epochs, the state of a breaker) are empty, but
	 * breaker_open and suspended: of any. Durations are read from the histograms, so their
	 * quantiles are upper bounds by weir_histogram_bound_ns.
	 */
	weir_pool_stats pool;
	uint64_t reads, writes; /* checkouts by intent; the reads with fallback_reads */
	uint64_t fallback_reads, too_late;
	uint64_t chosen[WEIR_REASONS]; /* the sum of them is reads + writes */
	uint64_t ejections;
	/*
	 * Checkouts that ended without a connection, by intent and weir_status: what callers were
	 * told, however many hosts had refused them before. Those that were INVALID are not among
	 * them.
	 */
	uint64_t failed[WEIR_INTENTS][WEIR_STATUSES];
	uint64_t fallback_capped; /* as in weir_host_stats */
	uint32_t fallback_held;
	/* callers that wait for no host in particular: for a role, a position, room, a resume */
	uint32_t waiting_for_hosts;
	uint64_t failovers;    /* how often another host than before became the primary */
	int64_t no_primary_ms; /* for so long there has been none, after one; 0: not so */
	bool split;            /* hosts contradict each other just now */
	bool suspended;        /* by weir_router_suspend */
	/* checkouts that took longer than slow_checkout_ms, however they ended */
	uint64_t slow_checkouts;
} weir_stats;

/*
 * Reads the statistics of a router as a whole. Any thread; does not block. Zeros for a router that
 * is closed, or was opened by a parent of this process.
 */
WEIR_API void weir_stats_get(weir_router *router, weir_stats *stats);

/* The same of all hosts of a router. */
WEIR_API size_t weir_router_held_get(weir_router *router, weir_held *held, size_t room);

/*
 * Waits until every host has been probed since this call began, or timeout_ms (negative: for ever)
 * has passed; then OK or TIMEOUT. A host that cannot be reached counts as probed. Any thread but
 * the keeper's.
 */
WEIR_API WEIR_CHECKED weir_status weir_router_probe(weir_router *router, int64_t timeout_ms);

/* Name and text of a reason and of a class of failure. Never NULL; static storage; any thread. */
WEIR_API const char *weir_close_name(weir_close reason);
WEIR_API const char *weir_close_text(weir_close reason);
WEIR_API const char *weir_connect_name(weir_connect failed_of);
WEIR_API const char *weir_connect_text(weir_connect failed_of);

WEIR_END

#endif
