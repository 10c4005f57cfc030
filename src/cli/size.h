/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `weir size` between its files.
 *
 *   size.c          the arguments
 *   size_view.c     what a running process shows of its load, if one is named
 *   size_server.c   what a server says about itself, if one is named
 *   size_sums.c     how many connections that takes
 *   size_report.c   the text and the document
 */
#ifndef CLI_SIZE_H
#define CLI_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/args.h"

#define CLI_SIZE_UNKNOWN (-1)

/* What a process was seen to do. */
struct cli_size_measured {
	char title[160]; /* "": none was looked at */
	bool router;
	double seconds;
	int64_t checkouts; /* in that time */
	double rate;       /* of them a second */
	double out;        /* connections, on average */
	double waiting;    /* callers, on average */
	int64_t reads_pct; /* or CLI_SIZE_UNKNOWN: it is no router's, or there were none */
	int64_t replicas;
};

/* What is asked. */
struct cli_size_plan {
	double rate;      /* checkouts a second, of all pods together */
	double service_s; /* how long a connection is out */
	double cv;
	bool long_tail;  /* its 99th percentile is beyond what a log-normal time has */
	double target_s; /* 0 and more: a wait of so long */
	double share;    /* is not exceeded by this share of checkouts */
	int64_t reads_pct;
	int64_t replicas;        /* or CLI_SIZE_UNKNOWN, as the next two, until somebody says */
	int64_t max_connections; /* of one server */
	int64_t reserved;        /* of them not for services: superusers, replication of old */
	int64_t others;          /* of them for other services and people */
	int64_t pods, surge;
	int64_t threads; /* of a pod; 0: unknown */
	int64_t cores;   /* of a server; 0: unknown */
	int64_t in_use;  /* by others when the server was asked, or CLI_SIZE_UNKNOWN */
	bool json;
	struct cli_size_measured measured;
};

/* One pool: the connections of one pod to one host. */
struct cli_size_pool {
	const char *what; /* "primary", "each replica", "... one lost" */
	double rate;
	double load;  /* connections out on average */
	double busy;  /* their share of pool_max */
	double waits; /* the share of checkouts that wait at all */
	double p50_s, p99_s;
};

#define CLI_SIZE_POOLS 4
#define CLI_SIZE_WARNINGS 12

struct cli_size {
	const struct cli_size_plan *plan;
	int64_t budget; /* connections a server gives to all pods together */
	int64_t share;  /* of them for one pod; the probe's is one of them */
	int64_t wanted; /* pool_max by the sums alone */
	int64_t pool_max, pool_min;
	struct cli_size_pool pools[CLI_SIZE_POOLS];
	size_t n_pools;
	char warnings[CLI_SIZE_WARNINGS][256];
	size_t n_warnings;
	bool enough; /* what is recommended serves what was asked for */
};

/*
 * size_view.c: looks at a process's only pool or router for so long. An exit status, after a
 * message if it is not OK.
 */
int cli_size_watch(const struct cli_args *args, const char *process, const char *directory,
                   int64_t ns, struct cli_size_measured *measured);

/* size_server.c: fills in what the plan does not know. An exit status. */
int cli_size_ask(const struct cli_args *args, const weir_options *options,
                 struct cli_size_plan *plan);

/* size_sums.c */
void cli_size_sums(const struct cli_size_plan *plan, struct cli_size *size);

/* size_report.c */
void cli_size_print(const struct cli_size *size);
void cli_size_print_json(const struct cli_size *size);

#endif
