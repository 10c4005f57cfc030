/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A cluster that anything may befall, on a clock of its own: servers crash, hang, come back as they
 * were, are promoted with care or without, follow each other, are restored from a backup, change
 * their addresses, let nobody new in. What the router under test is told of them may be of any
 * moment since it asked.
 *
 * One thread does everything. When it sleeps in weir, or calls fates_run_ms, the world goes on: the
 * keeper has its rounds, and when these have come to rest, the clock jumps to what is due next. For
 * that the test is linked with wi_keeper_start and poll wrapped (fates_world.c).
 */
#ifndef WEIR_TEST_FATES_H
#define WEIR_TEST_FATES_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/weir.h>

#include "base/rng.h"
#include "base/world.h"
#include "support/fake_cluster.h"

#define FATES_HOSTS 4
#define FATES_PASTS 32
#define FATES_WRITES 4096
#define FATES_LINES 512 /* timelines */

/* A server as it was from some time on. */
struct fates_past {
	int64_t from_ns;
	bool in_recovery, read_only;
	uint32_t timeline, streams_on;
	uint64_t lsn, system, started;
	int follows;
};

/* A server, beside what fake_host has of it. */
struct fates_node {
	bool down;          /* refuses, and has no session */
	bool hangs;         /* neither answers nor refuses */
	bool listed;        /* one of the router's hosts */
	int64_t primary_ns; /* since when the router is told that it is one, on this timeline */
	uint64_t dead_to;   /* sessions up to this serial have ended */
	struct fates_past past[FATES_PASTS];
	unsigned pasts;
	/* the last that the router was told */
	bool told;
	struct fates_past said;
};

/* What a primary has written, and when. */
struct fates_write {
	int64_t at_ns;
	uint32_t timeline;
	uint64_t end;
};

/* The world; tests read what they like, and set what is theirs to set. */
struct fates {
	int64_t now_ns, next_ns;
	bool creeps;  /* every look at the clock moves it: nobody else would */
	bool quiet;   /* nothing befalls anybody */
	bool verbose; /* all of it is printed */
	struct wi_rng rng;
	struct fates_node node[FATES_HOSTS];
	struct fates_write writes[FATES_WRITES];
	uint64_t n_writes;
	uint32_t told_timeline; /* the highest that the router was told since the last restore */
	int64_t below_ns;       /* since when all hosts say to be on a lower one; 0: not so */
	uint64_t system;
	int64_t restored_ns;
	uint64_t branch[FATES_LINES]; /* where a timeline began; 0: two did, or it is the first */
	int began[FATES_LINES];       /* how often that was */
};

extern struct fates fates;
extern struct fake_cluster fates_cluster;
extern uint64_t fates_count; /* things that have befallen, ever */

/* Everybody is well: server 0 is the primary, the others follow it. */
void fates_begin(uint64_t seed);

/* A router on it. */
weir_status fates_open(const weir_options *options, weir_router **router, weir_error *error);

/* What weir draws by lot comes from this seed from now on: after a host was added, too. */
void fates_seed(uint64_t seed);

/* Lets so much time pass, and everything that comes with it. */
void fates_run_ms(int64_t ms);

uint32_t fates_below(uint32_t n);
void fates_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- servers ---- */

struct wi_fake_server *fates_server(int i);
struct fates_past fates_now_of(int i);
void fates_set(int i, struct fates_past past);
void fates_put_on(int i, const struct fates_past *past);
bool fates_is_up(int i);
bool fates_is_primary(int i);
bool fates_is_ours(int i);
uint32_t fates_timeline_of(int i);
uint64_t fates_lsn_of(int i);

/* The primary of the highest timeline that runs, or -1; the highest timeline that anybody is on. */
int fates_top(void);
uint32_t fates_highest(void);

/* ---- what befalls them ---- */

/* What goes on all the time: primaries write, standbys replay. */
void fates_live(void);

/* Anything, to anybody. */
void fates_befall(void);

/* The session of the router's probe ends at this server, if it has one. */
void fates_end_probe(int i);

/* Everybody is up, and follows one primary. */
void fates_mend(void);

#endif
